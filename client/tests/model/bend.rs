//! The rules with one of them left out, to show what it is for.

use crate::protocol::{Answer, AsWritten, Moment, Request, Rules, Token};
use std::time::Duration;

/// The rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bend {
    /// Half of the nodes decide.
    HalfIsEnough,
    /// The token to begin with is the smallest that was granted.
    SmallestFirst,
    /// The largest token is told and not written back: any grant counts.
    NoWriteBack,
    /// A RAISE has succeeded if the hold is there, whatever token it has.
    LargerCounts,
    /// A node that has raised counts, whatever the token was then.
    EarlierRoundCounts,
    /// An answer to something asked earlier counts for what was asked last.
    LateAnswersCount,
    /// A lease that was kept alive although its record is gone.
    NilKeeps,
    /// The lease is counted from the write-back on.
    WriteBackIsFree,
    /// All clocks run equally fast.
    NoDrift,
    /// Whoever failed goes away and leaves everything as it is.
    NoRelease,
}

/// The rules, without one or with all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bent(pub Option<Bend>);

impl Bent {
    fn is(&self, bend: Bend) -> bool {
        self.0 == Some(bend)
    }
}

impl Rules for Bent {
    fn majority(&self, nodes: usize) -> usize {
        match self.is(Bend::HalfIsEnough) {
            true => nodes / 2,
            false => AsWritten.majority(nodes),
        }
    }

    fn largest(&self, granted: impl Iterator<Item = Token>) -> Option<Token> {
        match self.is(Bend::SmallestFirst) {
            true => granted.min(),
            false => AsWritten.largest(granted),
        }
    }

    fn gives_way(&self, target: Token, other: Token) -> bool {
        !self.is(Bend::LargerCounts) && AsWritten.gives_way(target, other)
    }

    fn counts(&self, (request, answer): (Request, Answer), target: Token) -> bool {
        let Answer::Holds(token) = answer else {
            return false;
        };
        match self.0 {
            Some(Bend::NoWriteBack) => true,
            Some(Bend::LargerCounts) => token >= target,
            Some(Bend::EarlierRoundCounts) if matches!(request, Request::Raise(_)) => true,
            _ => AsWritten.counts((request, answer), target),
        }
    }

    fn keeps(&self, answer: Answer, target: Token) -> bool {
        self.is(Bend::NilKeeps) || AsWritten.keeps(answer, target)
    }

    fn hears(&self, number: u32, latest: u32) -> bool {
        let is_bent = self.is(Bend::LateAnswersCount) || self.is(Bend::EarlierRoundCounts);
        is_bent || AsWritten.hears(number, latest)
    }

    fn valid_until(&self, start: Moment, written_back: Moment, ttl: Duration) -> Moment {
        match self.0 {
            Some(Bend::NoDrift) => start + ttl,
            Some(Bend::WriteBackIsFree) => AsWritten.valid_until(written_back, written_back, ttl),
            _ => AsWritten.valid_until(start, written_back, ttl),
        }
    }

    fn cleans_up(&self) -> bool {
        !self.is(Bend::NoRelease)
    }
}
