//! What an attempt is told, and what it says is to be done.

use std::time::Duration;

/// An instant: a reading of a clock that counts through suspend.
pub type Moment = Duration;

/// A fencing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What a node is asked, for the owner and the ttl of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// `LOCK.ACQUIRE key owner ttl`
    Acquire,
    /// `LOCK.EXTEND key owner ttl RAISE token`
    Raise(Token),
    /// `LOCK.RELEASE key owner`
    Release,
}

/// What a node said to ACQUIRE or RAISE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// The attempt holds the lock there, with this token.
    Holds(Token),
    /// nil: it does not.
    HoldsNot,
    /// An error, a broken connection, or nothing in time. What was asked may have
    /// happened, or may happen yet.
    Unknown,
}

/// Something to be sent to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// To which, by its place in the list of nodes.
    pub node: usize,
    /// The answer is to come with this number.
    pub number: u32,
    /// What.
    pub request: Request,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A node answered, or failed to.
    Answered {
        /// Which, by its place in the list of nodes.
        node: usize,
        /// The number of what it was asked.
        number: u32,
        /// What it said.
        answer: Answer,
    },
    /// The instant of [`super::Attempt::timer`] has come.
    Timer,
    /// Whoever wanted the lock, or has it, wants it no more.
    GiveUp,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Send this.
    Ask(Ask),
    /// The lock is held. Said once; the token of a hold never changes.
    Held {
        /// What to write with.
        token: Token,
        /// From this instant on it is not.
        valid_until: Moment,
    },
    /// The lease was moved.
    Kept {
        /// From this instant on the lock is not held.
        valid_until: Moment,
    },
    /// The lock was not had. Try again after a random delay, as a new attempt.
    Failed(Failure),
    /// The lock was held and is not any more.
    Lost(Loss),
}

/// Why there is no lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// So many said no that no majority is left.
    Refused,
    /// With those that said no or nothing, no majority is left.
    Unreachable,
    /// By the time a majority had agreed, nothing was left of the lease.
    TooLate,
}

/// Why the lock is held no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// No majority moved the lease in time.
    Lapsed,
    /// So many nodes say it is not held there that those which held it all the time
    /// are no majority.
    Gone,
}
