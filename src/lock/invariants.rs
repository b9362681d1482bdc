//! What is true between any two steps. The tests ask after every step; a server
//! never does, as it would have to look at every lock.
//!
//! | name | says |
//! |---|---|
//! | `queue-knows-all` | every lock has its deadline in the queue, once, and nothing else is in |
//! | `queue-agrees`    | that deadline is the one the lock has |
//! | `queue-in-order`  | the first of the queue ends first |
//! | `tokens-below-last` | no lock has a token above the counter |
//! | `sessions-agree`  | a connection is noted for exactly the holds that are bound to it |
//! | `nobody-forgotten` | a line whose lock nobody holds is noted as ready |
//! | `undelivered-exist` | a grant that nobody has heard of is that of a lock in the table |
//!
//! Those of the lines themselves are in `line/invariants.rs`.
//!
//! That two locks have different tokens is not among them: RAISE may bring two
//! of them to the same one. For a single key tokens rise all the same.

use super::deadlines::Places;
use super::machine::Locks;
use super::table::{ClientId, LockId};
use std::collections::BTreeSet;

impl Locks {
    /// The name of an invariant that does not hold, if there is one.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        let leases = self.broken_by_locks().or_else(|| self.broken_by_queue());
        leases
            .or_else(|| self.broken_by_sessions())
            .or_else(|| self.broken_between_locks_and_lines())
            .or_else(|| self.lines.broken_invariant())
    }

    fn broken_by_locks(&self) -> Option<&'static str> {
        for (id, lock) in self.table.locks() {
            if self.table.place(id.slot()).is_none() {
                return Some("queue-knows-all");
            }
            let queued = self.deadlines.deadline(id.slot(), &self.table);
            if queued != Some(lock.hold.deadline) {
                return Some("queue-agrees");
            }
            if self.table.is_ended(lock) {
                continue;
            }
            if lock.hold.token.get() > self.tokens().last() {
                return Some("tokens-below-last");
            }
            let is_noted = |client| self.sessions.contains(&(client, id));
            if !lock.hold.session.is_none_or(is_noted) {
                return Some("sessions-agree");
            }
        }
        None
    }

    fn broken_by_queue(&self) -> Option<&'static str> {
        if self.table.taken() != self.deadlines.len() {
            return Some("queue-knows-all");
        }
        if !self.deadlines.is_in_order(&self.table) {
            return Some("queue-in-order");
        }
        None
    }

    fn broken_by_sessions(&self) -> Option<&'static str> {
        let agrees = |&(client, id): &(ClientId, LockId)| match self.table.at(id.slot()) {
            Some((there, lock)) => there == id && lock.hold.session == Some(client),
            None => false,
        };
        (!self.sessions.iter().all(agrees)).then_some("sessions-agree")
    }

    /// A line that is not noted as ready is looked at when its lock ends, so there
    /// must be one. That its lease may be over does not matter: the sweep comes.
    fn broken_between_locks_and_lines(&self) -> Option<&'static str> {
        let mut unnoted: BTreeSet<(u32, &[u8])> = self.lines.unnoted().collect();
        if !unnoted.is_empty() {
            let locks = self.table.locks().map(|(_, lock)| lock);
            for lock in locks.filter(|lock| !self.table.is_ended(lock)) {
                unnoted.remove(&(lock.db, &*lock.key));
            }
        }
        if !unnoted.is_empty() {
            return Some("nobody-forgotten");
        }
        let mut undelivered = self.lines.undelivered();
        let is_there = |id| self.table.at(id).is_some();
        if !undelivered.all(|lock| is_there(lock.slot())) {
            return Some("undelivered-exist");
        }
        None
    }
}
