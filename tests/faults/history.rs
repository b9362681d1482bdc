//! What a client was told, and when, by one clock that all clients share.

use crate::support::now;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds since the first time that anybody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// This moment.
    pub fn now() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        let start = *START.get_or_init(now);
        Self(now().duration_since(start).as_nanos() as u64)
    }

    /// The moment so much later.
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0 + time.as_nanos() as u64)
    }
}

/// One unit of work: its number is its owner, and no other unit ever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit(pub u64);

/// A grant, as the client that got it knows it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The number of the key.
    pub key: u32,
    /// Who got it.
    pub unit: Unit,
    /// Its fencing token.
    pub token: i64,
    /// When it was first asked for: it cannot have begun before.
    pub asked: Stamp,
    /// When the client knew: it had begun by then.
    pub answered: Stamp,
    /// Until when the client may count on it, if nothing ends it: 99 % of the ttl
    /// after the latest request that set it was sent; when RELEASE was sent, if
    /// that was before.
    pub until: Stamp,
    /// When the server first said that it is over, unless it was released.
    pub lost: Option<Stamp>,
    /// The port of the server that granted it.
    pub server: u16,
}
