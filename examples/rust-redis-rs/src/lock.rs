//! One unit of work under a lock, with redis-rs: to be copied.

use redis::aio::MultiplexedConnection;
use redis::{cmd, AsyncConnectionConfig, Client, RedisResult};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tokio::time::{interval_at, timeout_at, Instant};
use uuid::Uuid;

/// How long a dead holder blocks the others.
pub const TTL: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_secs(30);

/// What goes wrong, of whatever kind.
pub type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Somebody else may hold the lock by now: stop, and write nothing more.
#[derive(Debug)]
pub struct LeaseLost;

impl fmt::Display for LeaseLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lease is lost")
    }
}

impl Error for LeaseLost {}

/// A server that locks.
#[derive(Clone)]
pub struct Locks {
    client: Client,
    /// For everything but waiting in line. Its calls fail after redis-rs's half a second,
    /// which is well before a lease ends.
    pub server: MultiplexedConnection,
}

impl Locks {
    /// Connects to `address`.
    pub async fn connect(address: &str) -> RedisResult<Self> {
        let client = Client::open(address)?;
        let server = client.get_multiplexed_async_connection().await?;
        Ok(Self { client, server })
    }

    /// Does one unit of work under the lock. The work is dropped at the instant at which the
    /// lease may have ended, and the answer is `LeaseLost`.
    pub async fn locked<T, F>(&self, key: &str, work: impl FnOnce(i64) -> F) -> Fallible<T>
    where
        F: Future<Output = Fallible<T>>,
    {
        let owner = Uuid::new_v4().to_string(); // fresh: an owner is never used again
        let done = self.done(key, &owner, work).await;
        // In any case: after an error it may have been granted, and only the reply was lost.
        // After the lease was lost it does no harm: it ends this owner's hold and no other.
        let mut release = cmd("LOCK.RELEASE");
        let release = release.arg(key).arg(&owner);
        // If it fails, the lease ends it.
        let _: RedisResult<i64> = release.query_async(&mut self.server.clone()).await;
        done
    }

    async fn done<T, F>(&self, key: &str, owner: &str, work: impl FnOnce(i64) -> F) -> Fallible<T>
    where
        F: Future<Output = Fallible<T>>,
    {
        // A connection that waits in line does nothing else; and its timeout is longer than
        // BLOCK. (This makes a new one for each unit of work; keep them where there are many.)
        let config =
            AsyncConnectionConfig::new().set_response_timeout(Some(WAIT + Duration::from_secs(5)));
        let waiting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let mut acquire = cmd("LOCK.ACQUIRE");
        acquire.arg(key).arg(owner).arg(TTL.as_millis() as u64);
        acquire.arg("BLOCK").arg(WAIT.as_millis() as u64);
        let token: Option<i64> = acquire.query_async(&mut waiting.await?).await?;
        let token = token.ok_or("others hold it")?;
        tokio::select! {
            done = work(token) => done,
            () = self.kept_alive(key, owner, token) => Err(LeaseLost.into()),
        }
    }

    /// Moves the end of the lease for as long as it can.
    async fn kept_alive(&self, key: &str, owner: &str, token: i64) {
        let mut server = self.server.clone();
        let mut extend = cmd("LOCK.EXTEND");
        extend.arg(key).arg(owner).arg(TTL.as_millis() as u64);
        extend.arg("TOKEN").arg(token);
        let mut until = Instant::now() + TTL;
        let mut beat = interval_at(Instant::now() + TTL / 3, TTL / 3);
        loop {
            let turn = async {
                let asked = beat.tick().await;
                (asked, extend.query_async::<bool>(&mut server).await)
            };
            match timeout_at(until, turn).await {
                Ok((asked, Ok(true))) => until = asked + TTL,
                Ok((_, Ok(false))) | Err(_) => return,
                Ok((_, Err(_))) => {} // it tries again; the end of the lease stays where it is
            }
        }
    }
}
