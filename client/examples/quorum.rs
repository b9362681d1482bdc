//! One unit of work under a lock over several servers: `quorum redis://one/ redis://two/ ...`

use redis_lock_client::{Quorum, QuorumLock, Released};
use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

type Failure = Box<dyn Error + Send + Sync>;

/// Books the seat, whoever else wants to, and says with which token.
pub async fn book(addresses: &[String], seat: &Seat, name: &str) -> Result<u64, Failure> {
    let clients: Result<Vec<_>, _> = addresses.iter().cloned().map(redis::Client::open).collect();
    let lock = QuorumLock::new(&Quorum::new(clients?), "seat:42")
        .ttl(Duration::from_secs(30)) // how long a dead holder blocks the others
        .wait(Duration::from_secs(60));
    let guard = lock.acquire().await?; // kept alive from here on; an error says who said what

    // Stopped where it is when the lock is lost, before anybody else is granted.
    let work = async { seat.write(guard.token().get(), name) };
    guard.run(work).await??;

    let token = guard.token().get();
    if guard.release().await.was_held() == Released::Lost {
        eprintln!("the lock was lost before it was released"); // its writes were fenced
    }
    Ok(token)
}

/// What the lock protects. It keeps the largest token it has seen, as a row would:
/// UPDATE seats SET holder = $1, fence = $2 WHERE id = 42 AND fence <= $2
#[derive(Debug, Default)]
pub struct Seat(Mutex<(u64, String)>);

impl Seat {
    /// Writes, unless somebody with a later token was here.
    pub fn write(&self, token: u64, name: &str) -> Result<(), Failure> {
        let mut row = self.0.lock().map_err(|_| "a writer panicked")?;
        if token < row.0 {
            return Err(format!("token {token} is older than {}", row.0).into());
        }
        *row = (token, name.to_owned());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let token = book(&addresses, &Seat::default(), "alice").await?;
    println!("booked, with token {token}");
    Ok(())
}
