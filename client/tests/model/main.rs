//! The quorum protocol in every order: a model checker (the `stateright` crate) walks
//! through all worlds of a stated size.
//!
//! What the attempts decide is decided by `src/quorum/protocol`, included as source, with
//! [`bend::Bent`] in the place of the rules: it leaves out one of them, or none. Around
//! them are made up:
//!
//! - **Servers**: one lock, one counter each, as the module has it (a grant takes the next
//!   token, RAISE makes the hold's token `max(own, T)` and the counter follows, a lease is
//!   never shortened). They may restart without their records: then the counter is where
//!   it was, or above all that was ever issued, and for as long as a lease may last nothing
//!   is granted (quarantine).
//! - **The network**: what goes to one server keeps its order, and so do its answers; else
//!   everything may take any time, for ever included, which is loss. An attempt may stop
//!   waiting for an answer (`silences`), which may come all the same. That an answer comes
//!   twice changes nothing: that is asserted at each one.
//! - **Time**, in one of two ways. [`Leases::EndAnyTime`]: any hold may end at any time, as
//!   if no clock could be trusted. Then each token must be told once only, and be above all
//!   that were told before its attempt began. [`Leases::LastFor`]: in steps, two to a lease;
//!   a hold may end as soon as its lease is over short of the drift, or later. Then also at
//!   most one attempt may use the lock at a time, and tokens rise in the order in which they
//!   are told.
//! - **Releases** are carried out at any time, or never, where nothing is said of them
//!   ([`Releases::HappenSometime`]).
//!
//! - **The end**: when nobody is trying any more, nothing is looked at.
//!
//! The servers are alike, so worlds that differ in their order only are counted once. Time
//! goes on for three steps, one and a half leases, and attempts begin in any of them.
//!
//! Explored whole, three servers and two attempts (the counters in the beginning differ, as
//! those of servers do that were started at different times); what is marked with a star
//! only by `make model-quorum`:
//!
//! | what | worlds |
//! |---|---:|
//! | leases end any time, counters 0, 1, 2 | 1,190,463 |
//! | leases end any time, counters 0, 0, 0, one restart without quarantine * | 2,396,746 |
//! | leases last, counters 0, 0, 1 | 1,277,899 |
//! | leases last, counters 0, 1, 2 * | 3,591,839 |
//! | a hold is kept alive once, the late server is ahead | 588,653 |
//! | a hold is kept alive once, the late server is behind | 879,827 |
//! | a hold is kept alive once, a restart into quarantine, two steps of time | 1,876,022 |
//! | releases are sent, and requests given up: one attempt, two steps of time | 4,634 |
//!
//! Not whole, but breadth first for so many steps (`MODEL_STEPS`, 300,000 each if nothing
//! is said): three attempts; five servers; requests that are given up; the restart into
//! quarantine with three steps of time. `MODEL_SIZE` makes other sizes.
//!
//! A hold that is kept alive begins as one that the first two servers have just granted,
//! with the same token; its attempt from the beginning on and its rounds together are too
//! many.

#[path = "../../src/quorum/protocol/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the rules are a library; what only the driver uses is unused here"
)]
mod protocol;

mod bend;
mod claims;
mod dropped;
mod steps;
mod world;

use stateright::{Checker, Model};
use steps::{Beginning, Leases, Quorum, Releases, Restart, Size};

/// What is met in every world that is large enough to mean something.
const MET: [&str; 5] = [
    "held after a write-back",
    "held without a write-back",
    "one holder after another",
    "a late answer",
    "refused",
];

/// Walks through all worlds of a size; how many there are, no two the same.
fn walk(size: Size, met: &[&str]) -> usize {
    let checker = Quorum::as_written(size.clone()).checker();
    let checker = checker.spawn_bfs().join();
    let worlds = checker.unique_state_count();
    println!(
        "{size:?}: {worlds} worlds, {} steps, {} deep",
        checker.state_count(),
        checker.max_depth()
    );
    assert!(checker.is_done());
    checker.assert_properties();
    is_met(checker.model(), met);
    worlds
}

/// Nothing is proved by worlds in which nothing happens.
fn is_met(model: &Quorum, expected: &[&str]) {
    let met = model.met.lock().expect("a set");
    for what in expected {
        assert!(met.contains(what), "{what} is not met");
    }
}

/// Whether there is time for more.
fn is_long() -> bool {
    std::env::var("MODEL_STEPS").is_ok()
}

/// As many steps as are asked for, breadth first.
fn walk_some(size: Size, met: &[&str]) {
    let steps = std::env::var("MODEL_STEPS").map(|text| text.parse().expect("a number"));
    let steps = steps.unwrap_or(300_000);
    let checker = Quorum::as_written(size.clone()).checker();
    let checker = checker.target_state_count(steps).spawn_bfs().join();
    println!(
        "{size:?}: {} worlds, {} steps, {} deep, not all",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
    is_met(checker.model(), met);
}

/// A hold that its attempt keeps alive, once.
fn kept_alive(counters: &[u64]) -> Size {
    let mut size = Size::new(counters, 2, Leases::LastFor(3));
    size.beginning = Beginning::Held;
    size.rounds = 1;
    size
}

#[test]
fn tokens_are_unique_and_rise_though_leases_end_at_any_time() {
    let size = Size::new(&[0, 1, 2], 2, Leases::EndAnyTime);
    let met = [&MET[..], &["a larger token came to light"]].concat();
    assert_eq!(walk(size, &met), 1_190_463);
}

/// All of it with `make model-quorum`.
#[test]
fn tokens_are_unique_and_rise_though_a_server_loses_its_records() {
    let mut size = Size::new(&[0, 0, 0], 2, Leases::EndAnyTime);
    size.restarts = 1;
    size.restart = Restart::AtOnce;
    if is_long() {
        assert_eq!(walk(size, &[&MET[..], &["a restart"]].concat()), 2_396_746);
    } else {
        walk_some(size, &["a restart"]);
    }
}

#[test]
fn one_attempt_at_a_time_may_use_the_lock_and_tokens_rise() {
    let size = Size::new(&[0, 0, 1], 2, Leases::LastFor(3));
    let met = [&MET[..], &["lapsed", "too late"]].concat();
    assert_eq!(walk(size, &met), 1_277_899);
}

#[test]
fn one_attempt_at_a_time_may_use_the_lock_when_all_counters_differ() {
    if is_long() {
        let size = Size::new(&[0, 1, 2], 2, Leases::LastFor(3));
        assert_eq!(walk(size, &MET), 3_591_839);
    }
}

#[test]
fn a_hold_that_is_kept_alive_is_the_only_one_whatever_a_late_server_says() {
    let met = [&MET[..], &["a lease was moved"]].concat();
    let ahead = [&met[..], &["kept alive with a larger token"]].concat();
    assert_eq!(walk(kept_alive(&[0, 0, 2]), &ahead), 588_653);
    let behind = [&met[..], &["a record was renewed"]].concat();
    assert_eq!(walk(kept_alive(&[1, 1, 0]), &behind), 879_827);
}

#[test]
fn a_hold_that_is_kept_alive_is_the_only_one_through_a_restart_into_quarantine() {
    let mut size = kept_alive(&[0, 0, 2]);
    size.restarts = 1;
    size.leases = Leases::LastFor(2);
    let met = ["a lease was moved", "a restart", "gone", "refused"];
    assert_eq!(walk(size, &met), 1_876_022);
}

#[test]
fn nothing_is_wrong_with_restarts_and_more_time_as_far_as_that_was_looked_at() {
    let mut size = kept_alive(&[0, 0, 2]);
    size.restarts = 1;
    walk_some(size, &["a restart"]);
}

#[test]
fn nothing_is_left_behind_where_requests_keep_their_order() {
    let mut size = Size::new(&[0, 0, 1], 1, Leases::LastFor(2));
    size.releases = Releases::AreSent;
    size.silences = true;
    assert_eq!(walk(size, &["unreachable", "too late"]), 4_634);
}

#[test]
fn nothing_is_wrong_with_three_attempts_as_far_as_that_was_looked_at() {
    walk_some(Size::new(&[0, 1, 2], 3, Leases::EndAnyTime), &[]);
    walk_some(Size::new(&[0, 0, 1], 3, Leases::LastFor(3)), &[]);
}

#[test]
fn nothing_is_wrong_with_five_servers_as_far_as_that_was_looked_at() {
    walk_some(Size::new(&[0, 0, 0, 1, 2], 2, Leases::EndAnyTime), &[]);
    let mut size = kept_alive(&[0, 0, 0, 0, 1]);
    size.restarts = 1;
    walk_some(size, &[]);
}

#[test]
fn nothing_is_wrong_where_requests_are_given_up_as_far_as_that_was_looked_at() {
    let mut size = Size::new(&[0, 0, 1], 2, Leases::LastFor(3));
    size.silences = true;
    walk_some(size, &[]);
}

/// `MODEL_SIZE=0,0,1/2/3/0/1`: the counters in the beginning, attempts, steps of time (0:
/// leases end at any time), rounds of keeping alive (1 or more: begins with a hold),
/// restarts. With `MODEL_STEPS` so many steps, else all.
#[test]
fn nothing_is_wrong_with_worlds_of_another_size() {
    let Ok(text) = std::env::var("MODEL_SIZE") else {
        return;
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let mut parts = text.split('/');
    let counters: Vec<u64> = parts
        .by_ref()
        .take(1)
        .flat_map(|it| it.split(','))
        .map(number)
        .collect();
    let numbers: Vec<u64> = parts.map(number).collect();
    let [attempts, ticks, rounds, restarts] = numbers[..] else {
        panic!("five parts")
    };
    let leases = match ticks {
        0 => Leases::EndAnyTime,
        ticks => Leases::LastFor(ticks as u8),
    };
    let mut size = Size::new(&counters, attempts as usize, leases);
    size.rounds = rounds as u8;
    size.restarts = restarts as u8;
    if rounds > 0 {
        size.beginning = Beginning::Held;
    }
    if ticks == 0 {
        size.restart = Restart::AtOnce;
    }
    match std::env::var("MODEL_STEPS") {
        Ok(_) => walk_some(size, &[]),
        Err(_) => assert!(walk(size, &[]) > 0),
    }
}
