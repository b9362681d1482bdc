//! What is true between any two steps. The tests ask after every step; a server
//! never does, as it would have to look at every lock.
//!
//! | name | says |
//! |---|---|
//! | `queue-knows-all` | every lock has its deadline in the queue, once, and nothing else is in |
//! | `queue-agrees`    | that deadline is no later than the next of its holds' |
//! | `queue-in-order`  | the first of the queue ends first |
//! | `tokens-below-last` | no lock has a token above the counter |
//! | `sessions-agree`  | a connection is noted for exactly the holds that are bound to it |
//! | `nobody-forgotten` | a line whose head could be let in is noted as ready |
//! | `holders-agree`   | the holds of a lock are the same in all its lists |
//! | `tolerances-kept` | nobody holds a lock together with more than it tolerates |
//! | `books-balance`   | every hold that began is there or ended, and each end was noted once |
//! | `undelivered-exist` | a grant that nobody has heard of is that of a lock in the table |
//!
//! Those of the lines themselves are in `line/invariants.rs`.
//!
//! That two locks have different tokens is not among them: RAISE may bring two
//! of them to the same one. For a single key tokens rise all the same.

use super::deadlines::Places;
use super::holders::HoldRef;
use super::journal::is_noted;
use super::machine::Locks;
use super::table::{ClientId, LockId};
use super::time::BootTime;
use super::token::Token;

impl Locks {
    /// The name of an invariant that does not hold, if there is one.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        let leases = self.broken_by_locks().or_else(|| self.broken_by_queue());
        leases
            .or_else(|| self.broken_by_sessions())
            .or_else(|| self.broken_between_locks_and_lines())
            .or_else(|| self.broken_by_books())
            .or_else(|| self.lines.broken_invariant())
    }

    fn broken_by_books(&self) -> Option<&'static str> {
        let holds = self.table.locks();
        let holds = holds.flat_map(|(_, lock)| lock.holders.iter());
        let open = holds.filter(|hold| !is_noted(*hold)).count() as u64;
        (!self.journal.balances(open)).then_some("books-balance")
    }

    fn broken_by_locks(&self) -> Option<&'static str> {
        for (id, lock) in self.table.locks() {
            if self.table.place(id.slot()).is_none() {
                return Some("queue-knows-all");
            }
            let queued = self.deadlines.deadline(id.slot(), &self.table);
            // Too early does no harm: the lock is looked at, and queued again.
            if queued.is_none()
                || lock
                    .holders
                    .next_end()
                    .is_some_and(|end| queued > Some(end))
            {
                return Some("queue-agrees");
            }
            if self.table.is_ended(lock) {
                continue;
            }
            let last = self.tokens().last();
            if lock.holders.iter().any(|hold| hold.token.get() > last) {
                return Some("tokens-below-last");
            }
            let is_noted = |hold: HoldRef<'_>| {
                let note = hold.session.map(|client| (client, id, hold.token));
                note.is_none_or(|note| self.sessions.contains(&note))
            };
            if !lock.holders.iter().all(is_noted) {
                return Some("sessions-agree");
            }
            if let Some(broken) = lock.holders.broken_invariant() {
                return Some(broken);
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
        let agrees = |&(client, id, token): &(ClientId, LockId, Token)| {
            let lock = self.table.at(id.slot()).filter(|(there, _)| *there == id);
            let hold = lock.and_then(|(_, lock)| lock.holders.with_token(token));
            hold.is_some_and(|hold| hold.session == Some(client))
        };
        (!self.sessions.iter().all(agrees)).then_some("sessions-agree")
    }

    /// A line that is not noted as ready is looked at when something in its lock
    /// changes by itself, so there must be a lock. That what must change for the
    /// head to be let in may be over already does not matter: the sweep comes.
    fn broken_between_locks_and_lines(&self) -> Option<&'static str> {
        for (db, key) in self.lines.unnoted() {
            // Its end has all of them looked at.
            if self.quarantine.is_some() {
                break;
            }
            let mut locks = self.table.locks();
            let lock = locks
                .find(|(_, lock)| lock.db == db && *lock.key == *key && !self.table.is_ended(lock));
            let Some((id, lock)) = lock else {
                return Some("nobody-forgotten");
            };
            // Then the sweep comes for those.
            if lock.holders.has_over() || lock.holders.next_end().is_none() {
                continue;
            }
            let queued = self.deadlines.deadline(id.slot(), &self.table);
            let just_before = queued.unwrap_or_default().as_ns().saturating_sub(1);
            let then = BootTime::from_ns(just_before);
            let admits = |tolerates| lock.holders.admit(then, tolerates);
            if self.lines.head_tolerates(db, key).is_none_or(admits) {
                return Some("nobody-forgotten");
            }
        }
        let mut undelivered = self.lines.undelivered();
        let is_there = |(id, token): (LockId, Token)| {
            let lock = self.table.at(id.slot());
            lock.is_some_and(|(_, lock)| lock.holders.with_token(token).is_some())
        };
        if !undelivered.all(is_there) {
            return Some("undelivered-exist");
        }
        None
    }
}
