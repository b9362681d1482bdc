//! Random histories: whatever happens in whatever order, the rules answer as a
//! plain list of holds does, and a replica that hears the effects holds the same.

use crate::lock::{Answer, BootTime, Effect, Event, Extension};
use crate::model::{Change, Model};
use crate::random_steps::{history, Force, Spot, Step, Tidy, What, DBS_USED, KEYS};
use crate::replay;
use crate::server::{Outcome, Server};
use crate::values::{the_hold, token, wall};
use proptest::prelude::*;

/// A server in the middle of a history, and what it is judged by.
pub(crate) struct Run {
    pub(crate) server: Server,
    pub(crate) model: Model,
}

impl Run {
    pub(crate) fn new() -> Self {
        let server = Server::new();
        let model = Model::new(server.now.as_ns());
        Self { server, model }
    }

    /// Takes a step and compares the answer with the model's.
    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Ask {
                at,
                owner,
                ttl_ms,
                what,
            } => self.ask(at, owner, ttl_ms, what),
            Step::Force(force) => self.force(force),
            Step::Tidy(Tidy::Sweep { most }) => {
                self.server.sweep(most);
            }
            Step::Tidy(Tidy::Reclaim { most }) => {
                self.server.reclaim(most);
            }
            Step::Tidy(Tidy::Suspects) => self.server.look_at_suspects(),
            Step::Tidy(Tidy::Everything) => self.tidy_up(),
            Step::Wait { ns } => {
                self.server.advance_ns(ns);
                self.model.now_ns += ns;
            }
            Step::LogBegun => {
                self.server.silently(Event::LogBegun);
            }
            Step::OpenTerm { wall_ms } => {
                self.server.open_term(wall(wall_ms));
                self.model.term_start_ms = wall_ms;
            }
        }
    }

    fn ask(&mut self, at: Spot, name: &'static str, ttl_ms: u64, what: What) {
        let Self { server, model } = self;
        server.db = at.db;
        let (key, owner) = (at.key.as_bytes(), name.as_bytes());
        let (outcome, expected) = match what {
            What::Acquire => {
                let outcome = server.acquire(key, owner, ttl_ms);
                let expected = model.acquire(at, name, ttl_ms, outcome.0);
                (outcome, expected)
            }
            What::Release(only) => {
                let only = only.map(|pick| pick.number(server, 0));
                let outcome = server.release(key, owner, only.map(token));
                (outcome, model.release(at, name, only))
            }
            What::Extend(only) => {
                let only = only.map(|pick| pick.number(server, 0));
                let extension = Extension::Plain(only.map(token));
                let outcome = server.extend_with(key, owner, ttl_ms, extension);
                (outcome, model.extend(at, name, ttl_ms, only))
            }
            What::Raise { to, wall_ms } => {
                let bound = model.bound(wall_ms, server.locks.tokens().last());
                let to = to.number(server, bound);
                let pair = (token(to), wall(wall_ms));
                let outcome = server.raise(key, owner, ttl_ms, pair);
                (outcome, model.raise(at, name, ttl_ms, (to, bound)))
            }
        };
        assert_eq!(outcome.0, expected.0, "the answer to {what:?}");
        assert_eq!(change_of(&outcome), expected.1, "what {what:?} changed");
    }

    fn force(&mut self, force: Force) {
        force.carry_out(&mut self.server, &mut self.model);
    }

    /// After everything is tidied up, there are the keys that are held and no
    /// others, and no lock that is not held takes up memory.
    pub(crate) fn tidy_up(&mut self) {
        self.server.turn();
        let mut keys = 0;
        for (db, key, _) in self.server.keys() {
            let key = KEYS
                .into_iter()
                .find(|it| it.as_bytes() == key)
                .expect("a key");
            let live = self.model.live(Spot { db, key });
            assert!(live.is_some(), "{key:?} is there, and nobody holds it");
            keys += 1;
        }
        assert_eq!(keys, self.model.live_count());
        assert_eq!(self.server.locks.len(), keys);
    }

    /// FENCE says of every key and of every token there ever was what the model
    /// says, leases end when the model's do, and the alarm rings by then.
    fn check_against_model(&mut self) {
        assert_eq!(self.server.locks.broken_invariant(), None);
        for at in spots() {
            let live = self.model.live(at);
            let key = at.key.as_bytes();
            self.server.db = at.db;
            let lowest = live.map_or(Answer::NoToken, |hold| Answer::Token(token(hold.token)));
            assert_eq!(self.server.fence(key, None), lowest, "{at:?}");
            for &number in &self.model.tokens {
                let is_live = live.is_some_and(|hold| hold.token == number);
                let expected = if is_live { Answer::Yes } else { Answer::No };
                let answer = self.server.fence(key, Some(token(number)));
                assert_eq!(answer, expected, "{at:?}, token {number}");
            }
            let Some(hold) = live else { continue };
            let lock = self.server.locks.lock(self.server.handle(key));
            let deadline = the_hold(lock.expect("it is live")).deadline;
            assert_eq!(deadline.as_ns(), hold.deadline_ns, "{at:?}");
            assert!(self.server.locks.next_deadline() <= Some(deadline));
        }
    }

    /// The replica has the same keys; each is held by the same owner with the same
    /// token, and no shorter; at most by the lag and by the rounding longer.
    fn check_replica(&self, replica: &Server, lag_ns: u64) {
        let names = |server: &Server| -> Vec<_> {
            let keys = server.keys();
            keys.map(|(db, key, _)| (db, key.to_vec())).collect()
        };
        assert_eq!(names(&self.server), names(replica));
        for ((_, key, here), (_, _, there)) in self.server.keys().zip(replica.keys()) {
            let here = self.server.locks.lock(here).map(the_hold);
            let there = replica.locks.lock(there).map(the_hold);
            let (Some(here), Some(there)) = (here, there) else {
                assert!(here.is_none() && there.is_none(), "{here:?}, {there:?}");
                continue;
            };
            assert_eq!((&here.owner, here.token), (&there.owner, there.token));
            let later = there.deadline.as_ns().checked_sub(here.deadline.as_ns());
            let later = later.expect("the lease ends no earlier on the replica");
            assert!(later < lag_ns + 1_000_000, "{key:?} is held for too long");
        }
        let tokens = replica.locks.tokens();
        assert!(tokens.last() <= tokens.ceiling(), "a token was not covered");
        let covered = |server: &Server| {
            let stored = server.locks.tokens().stored();
            stored.map(|it| (it.ceiling, it.ttl_most_ms, it.since_ms))
        };
        assert_eq!(covered(replica), covered(&self.server));
        assert_eq!(replica.locks.broken_invariant(), None);
    }
}

/// The replica becomes a master: it ends what is over by its own clock, and only
/// that.
fn promote(replica: &mut Server) {
    replica.open_term(wall(0));
    replica.advance_ms(10);
    let names = |server: &Server| -> Vec<_> {
        let is_live = |lock| {
            let lock = server.locks.lock(lock);
            lock.is_some_and(|lock| the_hold(lock).is_live(server.now))
        };
        let keys = server.keys().filter(|(_, _, lock)| is_live(*lock));
        keys.map(|(db, key, _)| (db, key.to_vec())).collect()
    };
    let live = names(replica);
    replica.turn();
    assert_eq!(names(replica), live);
    assert_eq!(replica.keys().count(), live.len());
    assert_eq!(replica.locks.len(), live.len());
}

fn spots() -> impl Iterator<Item = Spot> {
    (0..DBS_USED).flat_map(|db| KEYS.map(|key| Spot { db, key }))
}

/// What a command changed, by its effects alone.
fn change_of((_, effects): &Outcome) -> Change {
    let is_news = |effect: &Effect| matches!(effect, Effect::Signal | Effect::Delete { .. });
    if effects.is_empty() {
        Change::Nothing
    } else if effects.iter().any(is_news) {
        Change::Holder
    } else {
        let behind_cover = match &effects[..] {
            [Effect::Cover(_), rest @ ..] => rest,
            all => all,
        };
        assert!(
            matches!(behind_cover, [Effect::Grant { .. }]),
            "{effects:?}"
        );
        Change::Lease
    }
}

proptest! {
    #![proptest_config(replay::config())]

    #[test]
    fn every_history_is_answered_as_a_plain_list_of_holds_answers(steps in history()) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
            run.check_against_model();
        }
        run.tidy_up();
    }

    #[test]
    fn a_replica_holds_what_its_master_holds_and_no_shorter(
        steps in history(), lag_ns in 0..5_000_000u64,
    ) {
        let mut run = Run::new();
        let mut replica = Server::new();
        for step in steps {
            run.take(step);
            replica.now = BootTime::from_ns(run.server.now.as_ns() + lag_ns);
            for sent in std::mem::take(&mut run.server.sent) {
                replica.apply(&sent);
            }
            if let Step::Tidy(Tidy::Reclaim { most }) = step {
                replica.reclaim(most);
            }
            run.check_replica(&replica, lag_ns);
        }
        promote(&mut replica);
        let (answer, _) = replica.acquire(b"promoted", b"ann", 30);
        prop_assert!(matches!(answer, Answer::Token(it) if it.get() > run.model.token_most()));
    }
}
