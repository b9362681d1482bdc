//! The model: what the rules must answer, written a second time and as plainly as
//! possible. A list of holds, searched from end to end; no handles, no queue, no
//! counter. Of tokens it knows only that each must be above all before.

use crate::lock::Answer;
use crate::random_steps::{Forced, Spot};
use crate::values::token;

/// A hold, as long as nobody ended it; its lease may be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelHold {
    pub(crate) db: u32,
    pub(crate) key: &'static str,
    pub(crate) owner: &'static str,
    pub(crate) token: u64,
    pub(crate) deadline_ns: u64,
}

/// How much a command changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    Lease,
    /// Who holds the lock, or with which token.
    Holder,
}

/// The model.
#[derive(Debug)]
pub(crate) struct Model {
    holds: Vec<ModelHold>,
    pub(crate) now_ns: u64,
    pub(crate) term_start_ms: u64,
    /// Every token that was ever live, in order.
    pub(crate) tokens: Vec<u64>,
}

impl Model {
    /// Nothing is held, and nothing ever was.
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            holds: Vec::new(),
            now_ns,
            term_start_ms: 0,
            tokens: Vec::new(),
        }
    }

    /// The hold on a key, if its lease runs.
    pub(crate) fn live(&self, at: Spot) -> Option<ModelHold> {
        let is_live = |hold: &&ModelHold| {
            hold.db == at.db && hold.key == at.key && self.now_ns < hold.deadline_ns
        };
        self.holds.iter().find(is_live).copied()
    }

    /// How many leases run.
    pub(crate) fn live_count(&self) -> usize {
        let now_ns = self.now_ns;
        let holds = self.holds.iter();
        holds.filter(|hold| now_ns < hold.deadline_ns).count()
    }

    /// The largest token that was ever live.
    pub(crate) fn token_most(&self) -> u64 {
        self.tokens.iter().copied().max().unwrap_or(0)
    }

    /// What RAISE may go to at most: one hour ahead, 4,096 tokens a millisecond, or
    /// what the counter has `reached`.
    pub(crate) fn bound(&self, wall_ms: u64, reached: u64) -> u64 {
        let hour_ahead = (self.term_start_ms.max(wall_ms) + 3_600_000) * 4_096;
        hour_ahead.max(reached)
    }

    /// Any token above all others is right for a new hold.
    pub(crate) fn acquire(
        &mut self,
        at: Spot,
        owner: &'static str,
        ttl_ms: u64,
        answered: Answer,
    ) -> (Answer, Change) {
        if let Some(hold) = self.live(at) {
            if hold.owner != owner {
                return (Answer::NoToken, Change::Nothing);
            }
            let change = self.move_lease(at, ttl_ms);
            return (Answer::Token(token(hold.token)), change);
        }
        let Answer::Token(given) = answered else {
            panic!("the lock is free, and {answered:?} was the answer");
        };
        assert!(given.get() > self.token_most(), "{given:?} is not larger");
        self.end(at);
        self.tokens.push(given.get());
        self.holds.push(ModelHold {
            db: at.db,
            key: at.key,
            owner,
            token: given.get(),
            deadline_ns: self.now_ns + ttl_ms * 1_000_000,
        });
        (answered, Change::Holder)
    }

    /// The hold that a request with this owner and token is about.
    fn asked(&self, at: Spot, owner: &str, only: Option<u64>) -> Option<ModelHold> {
        let hold = self.live(at)?;
        let is_it = hold.owner == owner && only.is_none_or(|only| only == hold.token);
        is_it.then_some(hold)
    }

    pub(crate) fn release(&mut self, at: Spot, owner: &str, only: Option<u64>) -> (Answer, Change) {
        if self.asked(at, owner, only).is_none() {
            return (Answer::No, Change::Nothing);
        }
        self.end(at);
        (Answer::Yes, Change::Holder)
    }

    pub(crate) fn extend(
        &mut self,
        at: Spot,
        owner: &str,
        ttl_ms: u64,
        only: Option<u64>,
    ) -> (Answer, Change) {
        if self.asked(at, owner, only).is_none() {
            return (Answer::No, Change::Nothing);
        }
        (Answer::Yes, self.move_lease(at, ttl_ms))
    }

    pub(crate) fn raise(
        &mut self,
        at: Spot,
        owner: &str,
        ttl_ms: u64,
        (to, bound): (u64, u64),
    ) -> (Answer, Change) {
        if to > bound {
            return (Answer::RaiseTooFar(token(bound)), Change::Nothing);
        }
        let Some(hold) = self.asked(at, owner, None) else {
            return (Answer::NoToken, Change::Nothing);
        };
        let mut change = self.move_lease(at, ttl_ms);
        if to > hold.token {
            change = Change::Holder;
            self.tokens.push(to);
            self.change(at, |hold| hold.token = to);
        }
        (Answer::Token(token(to.max(hold.token))), change)
    }

    fn move_lease(&mut self, at: Spot, ttl_ms: u64) -> Change {
        let asked_ns = self.now_ns + ttl_ms * 1_000_000;
        let mut change = Change::Nothing;
        self.change(at, |hold| {
            if asked_ns > hold.deadline_ns {
                hold.deadline_ns = asked_ns;
                change = Change::Lease;
            }
        });
        change
    }

    fn change(&mut self, at: Spot, change: impl FnMut(&mut ModelHold)) {
        let holds = self.holds.iter_mut();
        holds
            .filter(|hold| hold.db == at.db && hold.key == at.key)
            .for_each(change);
    }

    /// Whatever was held there is not any more.
    pub(crate) fn end(&mut self, at: Spot) {
        self.holds
            .retain(|hold| hold.db != at.db || hold.key != at.key);
    }

    /// As [`Model::end`], for all keys of a database or of all.
    pub(crate) fn end_all(&mut self, db: Option<u32>) {
        self.holds.retain(|hold| db.is_some_and(|db| db != hold.db));
    }
}

impl Forced for Model {
    fn end(&mut self, at: Spot) {
        self.end(at);
    }

    fn end_all(&mut self, db: Option<u32>) {
        self.end_all(db);
    }
}
