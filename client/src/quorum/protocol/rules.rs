//! What an attempt decides by, one rule to a function.
//!
//! There is one set of rules, [`AsWritten`]. They are functions of a trait so that the
//! model can leave out one of them, and show what goes wrong.

use super::{Answer, Moment, Request, Token};
use std::time::Duration;

/// How much less than its ttl a lease is trusted, 1 % and 2 ms: clocks do not run equally
/// fast, and are coarse.
pub fn drift(ttl: Duration) -> Duration {
    ttl / 100 + Duration::from_millis(2)
}

/// The rules; nobody but the model has others than these.
pub trait Rules {
    /// How many nodes decide. Any two majorities have a node in common: it has seen
    /// both holders, one after the other.
    fn majority(&self, nodes: usize) -> usize {
        nodes / 2 + 1
    }

    /// The token of the lock: the largest that was granted. Whoever was granted the lock
    /// at one of these nodes before has a smaller one.
    fn largest(&self, granted: impl Iterator<Item = Token>) -> Option<Token> {
        granted.max()
    }

    /// Whether a node that holds a larger token makes that the token of the lock. It
    /// may be larger because of a holder that was there in between.
    fn gives_way(&self, target: Token, other: Token) -> bool {
        other > target
    }

    /// Whether a node counts: it holds *exactly* the token. If it holds a smaller one,
    /// the next to be granted there may be given this one. If it holds a larger one,
    /// somebody before may have been given a larger one.
    fn counts(&self, said: (Request, Answer), target: Token) -> bool {
        said.1 == Answer::Holds(target)
    }

    /// Whether a node counts for a hold that is kept alive. Larger tokens may be there:
    /// of a grant that came late, or since the node lost its record. They are tokens of
    /// this very hold, nobody was or will be told of them, and whoever is granted the
    /// lock there later has a larger one still. So the holder keeps the token it knows.
    fn keeps(&self, answer: Answer, target: Token) -> bool {
        matches!(answer, Answer::Holds(token) if token >= target)
    }

    /// Whether an answer is heard: that to the latest thing asked of its node. An
    /// earlier one says nothing of what has become of the lease since.
    fn hears(&self, number: u32, latest: u32) -> bool {
        number == latest
    }

    /// Until when a lock may be used whose requests were sent at `start`, or later. The
    /// leases began after that; how long the answers took, and the write-back that
    /// began at `written_back`, is therefore subtracted.
    fn valid_until(&self, start: Moment, written_back: Moment, ttl: Duration) -> Moment {
        let _ = written_back;
        (start + ttl).saturating_sub(drift(ttl))
    }

    /// Whether a node that lost its record is given a new one.
    fn renews(&self) -> bool {
        true
    }

    /// Whether whoever has failed, or lost, releases what he may yet hold.
    fn cleans_up(&self) -> bool {
        true
    }
}

/// The rules as they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsWritten;

impl Rules for AsWritten {}
