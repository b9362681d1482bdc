//! What must be so when the faults are over: whoever died, every lock can be had
//! again.

use crate::campaign::{Campaign, Outcome};
use crate::history::{Grant, Stamp, Unit};
use crate::support::eventually::within;
use crate::support::Client;
use crate::workers::{name, owner};
use redis::Value;
use std::time::Duration;

/// How much longer than the longest lease it may take.
pub const GRACE: Duration = Duration::from_secs(5);

impl Campaign {
    /// Takes each of the locks once, in the way of clients: all must be had within
    /// the longest lease and [`GRACE`]. The grants are judged with the others.
    pub fn all_are_free_again(
        &mut self,
        client: &mut Client,
        keys: u32,
        ttl: Duration,
        outcome: &mut Outcome,
    ) {
        let end = Stamp::now().plus(ttl + GRACE);
        for key in 0..keys {
            match had_again(client, key, end) {
                Some(grant) => outcome.grants.push(grant),
                None => self.object(format!("{}: not free after the faults", name(key))),
            }
        }
    }
}

/// Takes a lock that nobody uses any more, and gives it back.
fn had_again(client: &mut Client, key: u32, end: Stamp) -> Option<Grant> {
    let unit = Unit(u64::MAX - u64::from(key));
    let (key_name, owner) = (name(key), owner(unit));
    let left = Duration::from_nanos(end.0.saturating_sub(Stamp::now().0));
    let asked = Stamp::now();
    let take = ["LOCK.ACQUIRE", &key_name, &owner, "1000"];
    let token = within(left, || match client.try_call(&take) {
        Ok(Value::Int(token)) => Some(token),
        _ => None,
    })?;
    let answered = Stamp::now();
    client.release(&key_name, &owner);
    Some(Grant {
        key,
        unit,
        token,
        asked,
        answered,
        until: answered,
        lost: None,
        server: 0,
    })
}
