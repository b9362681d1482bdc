//! Term and ceiling through crash, loss and promotion, in every order: a model checker
//! (the `stateright` crate) walks through all worlds of a stated size.
//!
//! There are a master, a replica, and later whatever became of them: their wall
//! clocks, which differ and may go back, their logs, of which a power cut takes the
//! tail, the stream between them, of which a promotion loses what has not arrived, one
//! lock that is handed from owner to owner, and RAISE. What the servers decide is
//! decided by `src/lock`, included as source as in `tests/safety`, constants and all.
//! What is promised is written down a second time in `promise`.
//!
//! To keep it finite, time goes in units of 64 ms, in which a master grants once, or
//! 2^17 times, or not at all. A reserve of tokens is just as much as the clock gives in
//! a unit, so that starting by the ceiling and starting by the clock are always close.
//! 2^17 grants are not carried out one by one: `minds` proves that the counter leaps to
//! the same state. A transaction arrives, and is read, as a whole or not at all, as
//! Redis does it.
//!
//! What a deposed master grants while another one is in charge is not judged: no
//! promise speaks of it. That its counter is kept when it returns is.

#[path = "../../src/lock/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the rules are a library; what only the shell uses is unused here"
)]
mod lock;

mod claims;
mod failover;
mod minds;
mod promise;
mod world;

use failover::{Failover, Rule};
use stateright::{Checker, HasDiscoveries, Model};
use world::Left;

/// How much happens in a world.
const SIZE: Left = Left {
    grants: 3,
    raises: 1,
    ticks: 1,
    crashes: 2,
    promotions: 2,
    attachments: 1,
    clock_sets: 1,
    rewrites: 1,
    deposed_grants: 1,
};

/// As many worlds as there are of that size, no two the same.
const WORLDS: usize = 0;

#[test]
fn tokens_rise_through_every_crash_loss_and_promotion_as_promised() {
    let model = Failover::new(SIZE, None);
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!(
        "{} worlds, {} met",
        checker.unique_state_count(),
        checker.state_count()
    );
    println!("{} deep", checker.max_depth());
    checker.assert_properties();
    assert!(checker.is_done());
    assert_eq!(checker.unique_state_count(), WORLDS);
}

/// With a rule dropped, the checker finds where it is missed.
fn is_missed(rule: Rule, property: &'static str) {
    let model = Failover::new(SIZE, Some(rule));
    let checker = model.checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyOf([property].into()));
    let checker = checker.spawn_bfs().join();
    for (name, path) in checker.discoveries() {
        println!("{rule:?} {name}: {:?}", path.into_actions());
    }
    let found = checker.discovery(property);
    let path = found.unwrap_or_else(|| panic!("{rule:?} is not missed"));
    println!("{rule:?}: {:?}", path.into_actions());
}

const RISES: &str = "a grant is above all that it is promised to be above";

#[test]
fn it_is_noticed_if_replicas_do_not_hear_ceilings() {
    is_missed(Rule::ReplicasHearCeilings, RISES);
}

#[test]
fn it_is_noticed_if_restarts_do_not_read_ceilings() {
    is_missed(Rule::RestartsReadCeilings, RISES);
}

#[test]
fn it_is_noticed_if_a_promotion_opens_no_term() {
    is_missed(Rule::PromotionOpensATerm, RISES);
}

#[test]
fn it_is_noticed_if_a_restart_opens_no_term() {
    is_missed(Rule::RestartOpensATerm, RISES);
}

#[test]
fn it_is_noticed_if_terms_do_not_look_at_the_clock() {
    is_missed(Rule::TermsLookAtTheClock, RISES);
}

#[test]
fn it_is_noticed_if_ceilings_do_not_say_since_when() {
    is_missed(Rule::CeilingsSaySinceWhen, RISES);
}

#[test]
fn it_is_noticed_if_ceilings_stand_behind_their_grants() {
    let covered = "a grant is covered by what stands in front of it";
    is_missed(Rule::CeilingsStandInFront, covered);
}

#[test]
fn it_is_noticed_if_a_resynchronization_forgets_the_counter() {
    is_missed(Rule::CountersNeverGoDown, RISES);
}

#[test]
fn experiment() {
    let text = std::env::var("LEFT").unwrap_or_default();
    if text.is_empty() {
        return;
    }
    let n: Vec<u8> = text.split(',').map(|x| x.parse().unwrap()).collect();
    let left = Left {
        grants: n[0],
        raises: n[1],
        ticks: n[2],
        crashes: n[3],
        promotions: n[4],
        attachments: n[5],
        clock_sets: n[6],
        rewrites: n[7],
        deposed_grants: n[8],
    };
    let model = Failover::new(left, None);
    let checker = model
        .checker()
        .threads(1)
        .timeout(std::time::Duration::from_secs(40))
        .spawn_bfs()
        .join();
    println!(
        "{text}: {} worlds, {} met, depth {}, done {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        checker.is_done()
    );
    for (name, path) in checker.discoveries() {
        println!("  {name}: {:?}", path.into_actions());
    }
}
