//! Clients in this program: each takes a lock, gives it back, and wants the next.

#![allow(clippy::disallowed_methods, reason = "clients measure their own time")]

use crate::seen::{Client, Cycle, Seen};
use crate::ways::{Crowd, Keys};
use stand::Failure;
use std::future::Future;
use std::time::{Duration, Instant};

/// A way to have locks.
pub trait Locks: Clone + Send + Sync + 'static {
    /// A lock that is held.
    type Held: Send;

    /// Own locks are asked for once; one that all want, until it is there. The window is
    /// over in `left`.
    fn take(
        &self,
        key: String,
        keys: Keys,
        left: Duration,
    ) -> impl Future<Output = Option<Self::Held>> + Send;

    /// Back when everybody has answered, or is given up.
    fn give_back(&self, held: Self::Held) -> impl Future<Output = ()> + Send;
}

/// All clients at once; what they saw. Without a window each takes one lock.
pub async fn together(locks: &impl Locks, crowd: &Crowd) -> Result<Seen, Failure> {
    let end = Instant::now() + crowd.window;
    let mut running = Vec::new();
    for number in 0..crowd.clients {
        let (locks, crowd) = (locks.clone(), crowd.clone());
        running.push(tokio::spawn(one(locks, crowd, number, end)));
    }
    let mut clients = Vec::new();
    for client in running {
        clients.push(client.await?);
    }
    Ok(Seen::new(clients, crowd.window))
}

async fn one(locks: impl Locks, crowd: Crowd, number: usize, end: Instant) -> Client {
    let mut client = Client::default();
    let mut turn = 0;
    while turn == 0 || Instant::now() < end {
        let key = match crowd.keys {
            Keys::Own => format!("{}:{number}:{turn}", crowd.prefix),
            Keys::One => crowd.prefix.clone(),
        };
        turn += 1;
        let asked = Instant::now();
        let left = end.saturating_duration_since(asked);
        let held = locks.take(key, crowd.keys, left).await;
        let had = Instant::now();
        let Some(held) = held else {
            client.failed_ns.push(nanoseconds(had - asked));
            continue;
        };
        locks.give_back(held).await;
        let done = Instant::now();
        client.cycles.push(Cycle {
            acquire_ns: nanoseconds(had - asked),
            release_ns: nanoseconds(done - had),
        });
        if done < end {
            client.in_time += 1;
        }
    }
    client
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
