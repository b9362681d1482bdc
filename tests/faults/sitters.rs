//! Locks that are held, waited for or were given back when their slot goes to
//! another server, and what must be true of them there.

use crate::cluster::key_in;
use crate::support::cluster::lets_modules_see_its_map;
use crate::support::{eventually, Client, Server, Waiter};
use redis::Value;

/// Longer than any trial takes.
const TTL_MS: u64 = 120_000;

/// Two locks of one slot.
pub struct Sitter {
    slot: u16,
    held: String,
    token: i64,
    waiter: Waiter,
    free: String,
    last: i64,
}

/// Whether who waited was told where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The slot moved, and nothing else happened.
    SentAway,
    /// Its server may have died.
    MayBeCutOff,
}

impl Sitter {
    /// One lock that is held and waited for, and one that was held before.
    pub fn sits(server: &Server, slot: u16, trial: u64) -> Self {
        let mut client = server.client();
        let held = key_in(slot, &format!("held:{trial}"));
        let token = client.acquired(&held, "sitter", TTL_MS);
        let waiter = waits(server, &held);
        let free = key_in(slot, &format!("free:{trial}"));
        let last = client.acquired(&free, "sitter", TTL_MS);
        client.release(&free, "sitter");
        Self {
            slot,
            held,
            token,
            waiter,
            free,
            last,
        }
    }

    /// The slot.
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// What is wrong with it, now that the slot is served by `there`.
    pub fn objection(mut self, from: &Server, there: &Server, sent: Sent) -> Option<String> {
        let mut client = there.client();
        let (held, free) = (&self.held, &self.free);
        if client.fence(held) != Some(self.token) {
            let now = client.fence(held);
            return Some(format!("{held} had {} and has {now:?}", self.token));
        }
        if client.number(&format!("LOCK.EXTEND {held} sitter {TTL_MS}")) != 1 {
            return Some(format!("{held} cannot be extended by who holds it"));
        }
        if sent == Sent::SentAway {
            let told = self.waiter.answer();
            let moved = format!("-MOVED {} 127.0.0.1:{}", self.slot, there.port());
            let is_right = match lets_modules_see_its_map(from) {
                true => told == moved,
                false => told.starts_with("-TRYAGAIN "),
            };
            if !is_right {
                return Some(format!("who waited for {held} was told {told}"));
            }
        }
        drop(self.waiter);
        let mut waiter = waits(there, held);
        client.release(held, "sitter");
        let token = waiter.token();
        if token <= self.token {
            return Some(format!("{held}: {token} after {}", self.token));
        }
        client.release(held, "waiter");
        let token = client.acquired(free, "sitter", TTL_MS);
        client.release(free, "sitter");
        (token <= self.last).then(|| format!("{free}: {token} after {}", self.last))
    }
}

/// Somebody who stands in line.
fn waits(server: &Server, key: &str) -> Waiter {
    let ask = format!("LOCK.ACQUIRE {key} waiter {TTL_MS} BLOCK 0");
    let waiter = Waiter::asks(server, &ask);
    let mut client = server.client();
    eventually("it stands in line", || {
        (waiting(&mut client, key) == 1).then_some(())
    });
    waiter
}

fn waiting(client: &mut Client, key: &str) -> i64 {
    let Value::Array(parts) = client.say(&format!("LOCK.INFO {key}")) else {
        panic!("LOCK.INFO is a list in RESP2");
    };
    let name = Value::BulkString(b"waiters".to_vec());
    let at = parts.iter().position(|part| *part == name);
    match at.and_then(|at| parts.get(at + 1)) {
        Some(Value::Int(waiting)) => *waiting,
        other => panic!("LOCK.INFO: waiters: {other:?}"),
    }
}
