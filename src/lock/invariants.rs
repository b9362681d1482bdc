//! What is true between any two steps. The tests ask after every step; a server
//! never does, as it would have to look at every lock.
//!
//! | name | says |
//! |---|---|
//! | `queue-knows-all` | every lock has its deadline in the queue, once, and nothing else is in |
//! | `queue-in-order`  | the first of the queue ends first |
//! | `tokens-below-last` | no lock has a token above the counter |
//!
//! That two locks have different tokens is not among them: RAISE may bring two
//! of them to the same one. For a single key tokens rise all the same.

use super::deadlines::Places;
use super::machine::Locks;

impl Locks {
    /// The name of an invariant that does not hold, if there is one.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        for (id, lock) in self.table.locks() {
            if self.table.place(id.slot()).is_none() {
                return Some("queue-knows-all");
            }
            if self.table.is_ended(lock) {
                continue;
            }
            if lock.hold.token.get() > self.tokens().last() {
                return Some("tokens-below-last");
            }
        }
        if self.table.taken() != self.deadlines.len() {
            return Some("queue-knows-all");
        }
        if !self.deadlines.is_in_order(&self.table) {
            return Some("queue-in-order");
        }
        None
    }
}
