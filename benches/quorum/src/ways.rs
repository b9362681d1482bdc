//! Whose locks, and how many clients want them: each way is the real client, as a program
//! would use it.

use crate::clients::{together, Locks};
use crate::redsync;
use crate::seen::Seen;
use clap::ValueEnum;
use redis_lock_client::quorum::guard::QuorumGuard;
use redis_lock_client::{Quorum, QuorumLock};
use rslock::LockManager;
use serde::Serialize;
use stand::Failure;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Runtime;

/// For how long after the end somebody who waits still waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// This project's crate, as it comes; the release is waited for.
    Ours,
    /// The same; the lock is dropped, and released in the background.
    OursDropped,
    /// The crate rslock, as it comes.
    Rslock,
    /// The Go module redsync on go-redis, both as they come.
    Redsync,
    /// The same, told to fail fast and to wait for a server no longer than ours does.
    RedsyncTuned,
}

/// In the order in which they take turns.
pub const WAYS: [Way; 4] = [Way::Ours, Way::Rslock, Way::Redsync, Way::RedsyncTuned];

/// When a server is not well, it matters whether the release is waited for.
pub const WAYS_WITH_FAULTS: [Way; 5] = [
    Way::Ours,
    Way::OursDropped,
    Way::Rslock,
    Way::Redsync,
    Way::RedsyncTuned,
];

impl Way {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "redis-lock-client",
            Self::OursDropped => "redis-lock-client, dropped",
            Self::Rslock => "rslock",
            Self::Redsync => "redsync",
            Self::RedsyncTuned => "redsync, fail fast, 200 ms",
        }
    }

    /// Whether it is a program of its own.
    pub fn is_in_go(self) -> bool {
        matches!(self, Self::Redsync | Self::RedsyncTuned)
    }
}

/// Which locks the clients want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// A new one for each cycle: nobody else wants it.
    Own,
    /// All of them the same one.
    One,
}

/// A crowd of clients, and what it wants.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// Where the servers listen.
    pub ports: Vec<u16>,
    /// How many clients.
    pub clients: usize,
    /// Which locks.
    pub keys: Keys,
    /// How the keys begin; new for each crowd.
    pub prefix: String,
    /// For how long new locks are asked for.
    pub window: Duration,
    /// The lease.
    pub ttl: Duration,
}

/// What runs the clients.
pub struct Stage {
    /// For those in Rust.
    pub runtime: Runtime,
    /// The program for those in Go.
    pub redsync: PathBuf,
}

impl Stage {
    /// Each client takes a lock and gives it back; then `begin` is called, and they are
    /// watched.
    pub fn watch(
        &self,
        way: Way,
        crowd: &Crowd,
        begin: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Seen, Failure> {
        match way {
            Way::Ours | Way::OursDropped => self.inside(&Ours::new(way, crowd)?, crowd, begin),
            Way::Rslock => self.inside(&Rslock::new(crowd)?, crowd, begin),
            Way::Redsync => redsync::watch(&self.redsync, crowd, None, begin),
            Way::RedsyncTuned => {
                let timeout = Some(Duration::from_millis(200));
                redsync::watch(&self.redsync, crowd, timeout, begin)
            }
        }
    }

    fn inside(
        &self,
        locks: &impl Locks,
        crowd: &Crowd,
        begin: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Seen, Failure> {
        let mut warm = crowd.clone();
        warm.keys = Keys::Own;
        warm.prefix += ":warm";
        warm.window = Duration::ZERO;
        self.runtime.block_on(together(locks, &warm))?;
        begin()?;
        self.runtime.block_on(together(locks, crowd))
    }
}

fn addresses(crowd: &Crowd) -> impl Iterator<Item = String> + '_ {
    let ports = crowd.ports.iter();
    ports.map(|port| format!("redis://127.0.0.1:{port}/"))
}

#[derive(Clone)]
struct Ours {
    way: Way,
    quorum: Quorum,
    ttl: Duration,
}

impl Ours {
    fn new(way: Way, crowd: &Crowd) -> Result<Self, Failure> {
        let clients: Result<Vec<_>, _> = addresses(crowd).map(redis::Client::open).collect();
        Ok(Self {
            way,
            quorum: Quorum::new(clients?),
            ttl: crowd.ttl,
        })
    }
}

impl Locks for Ours {
    type Held = QuorumGuard;

    async fn take(&self, key: String, keys: Keys, left: Duration) -> Option<QuorumGuard> {
        let lock = QuorumLock::new(&self.quorum, key).ttl(self.ttl);
        match keys {
            Keys::Own => {
                let held = lock.try_acquire().await;
                held.inspect_err(|why| eprintln!("no lock: {why}")).ok()
            }
            Keys::One => lock.wait(left + PATIENCE).acquire().await.ok(),
        }
    }

    async fn give_back(&self, held: QuorumGuard) {
        if self.way == Way::Ours {
            // Where it could not be released, the lease ends it: that is looked at later.
            let _ = held.release().await;
        }
    }
}

#[derive(Clone)]
struct Rslock {
    once: LockManager,
    manager: LockManager,
    ttl: Duration,
}

impl Rslock {
    fn new(crowd: &Crowd) -> Result<Self, Failure> {
        let clients: Result<Vec<_>, _> = addresses(crowd).map(redis::Client::open).collect();
        let manager = LockManager::from_clients(clients?);
        let mut once = manager.clone();
        once.set_retry(1, Duration::from_millis(200));
        Ok(Self {
            once,
            manager,
            ttl: crowd.ttl,
        })
    }
}

impl Locks for Rslock {
    type Held = rslock::Lock;

    async fn take(&self, key: String, keys: Keys, left: Duration) -> Option<rslock::Lock> {
        let key = key.as_bytes();
        match keys {
            Keys::Own => self.once.lock(key, self.ttl).await.ok(),
            Keys::One => {
                let taken = self.manager.acquire_no_guard(key, self.ttl);
                let taken = tokio::time::timeout(left + PATIENCE, taken).await;
                taken.ok()?.ok()
            }
        }
    }

    async fn give_back(&self, held: rslock::Lock) {
        held.release().await;
    }
}
