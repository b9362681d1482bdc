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
//! To keep it finite, time goes in units of 64 ms, in which a master grants a few times,
//! or 2^17 times. A reserve of tokens is just as much as the clock gives in a unit, so
//! that starting by the ceiling and starting by the clock are always close.
//! 2^17 grants are not carried out one by one: `minds` proves that the counter leaps to
//! the same state. A transaction arrives, and is read, as a whole or not at all, as
//! Redis does it.
//!
//! | size | worlds | grants | RAISEs | crashes | promotions | what else |
//! |---|---:|---:|---:|---:|---:|---|
//! | `CRASHES` | 1,811,416 | 3 | 1 | 2 | 1 | |
//! | `FAILOVERS` | 740,744 | 2 | 0 | 1 | 2 | a rewrite of the log, a deposed master |
//!
//! In both a unit of time goes by and a clock is set, at most once. Both are
//! walked through whole. Restarts and arrivals are not counted: they happen wherever
//! they can. `MODEL_SIZE` makes other sizes.
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

use claims::{COVERED, RISES};
use failover::{Failover, Rule};
use promise::Reading;
use stateright::{Checker, HasDiscoveries, Model};
use world::Left;

/// Two crashes, RAISE, and a promotion in between: how much happens in a world.
const CRASHES: Left = Left {
    grants: 3,
    raises: 1,
    ticks: 1,
    crashes: 2,
    promotions: 1,
    attachments: 0,
    clock_sets: 1,
    rewrites: 0,
    deposed_grants: 0,
};

/// There and back: a deposed master that grants, a replica that it becomes, a log that
/// is begun anew.
const FAILOVERS: Left = Left {
    grants: 2,
    raises: 0,
    ticks: 1,
    crashes: 1,
    promotions: 2,
    attachments: 1,
    clock_sets: 1,
    rewrites: 1,
    deposed_grants: 1,
};

/// Walks through all worlds of a size; how many there are, no two the same.
fn walk(left: Left, out_of_reach: &'static [&'static str]) -> usize {
    let model = Failover::sound(left, out_of_reach);
    let checker = model.checker().spawn_bfs().join();
    let (worlds, met) = (checker.unique_state_count(), checker.state_count());
    println!(
        "{left:?}: {worlds} worlds, {met} ways to them, {} deep",
        checker.max_depth()
    );
    assert!(checker.is_done());
    checker.assert_properties();
    worlds
}

#[test]
fn tokens_rise_as_promised_through_every_two_crashes_with_a_promotion() {
    let out_of_reach = &["a deposed master that became a replica and takes over"];
    assert_eq!(walk(CRASHES, out_of_reach), 1_811_416);
}

#[test]
fn tokens_rise_as_promised_through_every_two_promotions_with_a_crash() {
    let out_of_reach = &["a RAISE above the ceiling that was lost"];
    assert_eq!(walk(FAILOVERS, out_of_reach), 740_744);
}

/// `MODEL_SIZE=2,1,1,1,2,1,1,1,1`: how often each may happen, in the order of `Left`.
#[test]
fn tokens_rise_as_promised_in_worlds_of_another_size() {
    let Ok(text) = std::env::var("MODEL_SIZE") else {
        return;
    };
    let counts: Vec<u8> = text
        .split(',')
        .map(|it| it.parse().expect("a number"))
        .collect();
    let counts: [u8; 9] = counts.try_into().expect("nine numbers");
    let [grants, raises, ticks, crashes, promotions, attachments, ..] = counts;
    let [.., clock_sets, rewrites, deposed_grants] = counts;
    let left = Left {
        grants,
        raises,
        ticks,
        crashes,
        promotions,
        attachments,
        clock_sets,
        rewrites,
        deposed_grants,
    };
    walk(left, &[]);
}

/// The checker finds where the property fails.
fn fails(model: Failover, property: &'static str) {
    let checker = model.checker();
    let checker = checker.finish_when(HasDiscoveries::AnyOf([property].into()));
    let checker = checker.spawn_bfs().join();
    let found = checker.discovery(property);
    let path = found.unwrap_or_else(|| panic!("nothing is missed"));
    println!("{:?}", path.into_actions());
}

fn is_missed(rule: Rule) {
    fails(Failover::without(CRASHES, rule), RISES);
}

#[test]
fn it_is_noticed_if_replicas_do_not_hear_ceilings() {
    is_missed(Rule::ReplicasHearCeilings);
}

#[test]
fn it_is_noticed_if_restarts_do_not_read_ceilings() {
    is_missed(Rule::RestartsReadCeilings);
}

#[test]
fn it_is_noticed_if_a_promotion_opens_no_term() {
    is_missed(Rule::PromotionOpensATerm);
}

#[test]
fn it_is_noticed_if_a_restart_opens_no_term() {
    is_missed(Rule::RestartOpensATerm);
}

#[test]
fn it_is_noticed_if_terms_do_not_look_at_the_clock() {
    is_missed(Rule::TermsLookAtTheClock);
}

#[test]
fn it_is_noticed_if_ceilings_do_not_say_since_when() {
    is_missed(Rule::CeilingsSaySinceWhen);
}

#[test]
fn it_is_noticed_if_ceilings_stand_behind_their_grants() {
    fails(
        Failover::without(CRASHES, Rule::CeilingsStandInFront),
        COVERED,
    );
}

#[test]
fn it_is_noticed_if_a_resynchronization_forgets_the_counter() {
    fails(
        Failover::without(FAILOVERS, Rule::CountersNeverGoDown),
        RISES,
    );
}

/// The limits of the limit. Who loses a ceiling that was ahead of the clock is not
/// helped by a clock that went on since; and two terms from one ceiling are apart only
/// if the clock had not gone back behind it.
#[test]
fn no_more_could_be_promised() {
    fails(Failover::read_as(CRASHES, Reading::FromTheClock), RISES);
    fails(Failover::read_as(CRASHES, Reading::ClockMayLag), RISES);
}
