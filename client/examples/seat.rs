//! One unit of work under a lock: `seat redis://127.0.0.1:6379/`

use redis_lock_client::{Lock, Released, Servers};
use std::error::Error;
use std::time::Duration;

/// Books the seat, whoever else wants to, and says with which token.
pub async fn book(address: &str, name: &str) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let servers = Servers::single(redis::Client::open(address)?);
    let lock = Lock::new(&servers, "seat:42")
        .ttl(Duration::from_secs(10)) // how long a dead holder blocks the others
        .wait(Duration::from_secs(60));
    let guard = lock.acquire().await?; // kept alive from here on

    // Stopped where it is when the lock is lost, before anybody else is granted.
    let work = async {
        // In the same Redis: written if the token is live, in one step.
        let set = redis::cmd("SET").arg("seat:42:holder").arg(name).to_owned();
        guard.guard_command::<()>(&set).await?;
        // Elsewhere, the row keeps the largest token it has seen:
        // UPDATE seats SET holder = $1, fence = $2 WHERE id = 42 AND fence <= $2
        Ok::<_, redis_lock_client::Error>(guard.token().get())
    };
    let token = guard.run(work).await??;

    match guard.release().await? {
        Released::Held => {}
        // Its writes were fenced, so this does no harm; but somebody broke the lock.
        ended => eprintln!("the lock was lost before it was released: {ended:?}"),
    }
    Ok(token)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or("redis://127.0.0.1:6379/".to_owned());
    println!("booked, with token {}", book(&address, "alice").await?);
    Ok(())
}
