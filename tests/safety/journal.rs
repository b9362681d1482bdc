//! What is noted for those who watch: the counters, the list of happenings, how old a
//! hold is, and how long people waited. That every hold that began has ended once, or
//! is there, is an invariant of all histories (`books-balance`).

use crate::lock::journal::{Counts, Histogram, Listeners, Timeline, What};
use crate::lock::{BootTime, ClientId, Delay, Event, Patience, Tolerance};
use crate::server::{Outcome, Server};
use crate::values::{token, wall, Request};
use proptest::prelude::*;
use What::{Acquired, Broken, Expired, Extended, Released};

/// A server with somebody who listens.
fn heard() -> Server {
    let mut server = Server::new();
    server.locks.journal_mut().set_listeners(Listeners::Some);
    server
}

fn happened(server: &mut Server) -> Vec<What> {
    let happenings = server.locks.journal_mut().take_happenings();
    happenings.into_iter().map(|it| it.what).collect()
}

fn counts(server: &Server) -> Counts {
    server.locks.journal().counts()
}

fn waits(server: &mut Server, key: &[u8], owner: &[u8]) -> Outcome {
    let patience = Patience::Wait {
        until: None,
        waiters_most: 10,
    };
    server.acquire_with(key, owner, 30, None, patience)
}

#[test]
fn nothing_is_listed_while_nobody_listens_and_all_is_counted() {
    let mut server = Server::new();
    server.acquire(b"k", b"ann", 30);
    server.acquire(b"k", b"bob", 30);
    server.extend(b"k", b"ann", 60);
    server.release(b"k", b"ann", None);
    assert_eq!(happened(&mut server), []);
    let expected = Counts {
        grants_at_once: 1,
        failed_tries: 1,
        extends: 1,
        releases: 1,
        ..Counts::default()
    };
    assert_eq!(counts(&server), expected);
}

#[test]
fn each_act_is_listed_once_with_its_key() {
    let mut server = heard();
    server.acquire(b"k", b"ann", 30);
    server.extend(b"k", b"ann", 60);
    server.release(b"k", b"ann", None);
    let happenings = server.locks.journal_mut().take_happenings();
    assert!(happenings.iter().all(|it| it.db == 0 && *it.key == *b"k"));
    let all: Vec<What> = happenings.into_iter().map(|it| it.what).collect();
    assert_eq!(all, [Acquired, Extended, Released]);
}

#[test]
fn what_changes_nothing_is_not_listed() {
    let mut server = heard();
    server.acquire(b"k", b"ann", 60);
    happened(&mut server);
    server.acquire(b"k", b"bob", 30); // a try in vain
    server.acquire(b"k", b"ann", 30); // a duplicate that comes late
    server.extend(b"k", b"ann", 30); // sooner than it ends
    server.extend(b"k", b"bob", 30);
    server.release(b"k", b"bob", None);
    assert_eq!(happened(&mut server), []);
}

#[test]
fn a_hand_over_is_a_release_and_then_a_grant() {
    let mut server = heard();
    server.acquire(b"k", b"ann", 30);
    waits(&mut server, b"k", b"bob");
    server.advance_ms(7);
    server.release(b"k", b"ann", None);
    assert_eq!(happened(&mut server), [Acquired, Released, Acquired]);
    let waits = server.locks.journal().waits();
    assert_eq!((waits.count(), waits.most()), (1, 7_000));
    assert_eq!(counts(&server).grants_after_wait, 1);
}

#[test]
fn a_lease_that_runs_out_is_an_end_before_the_next_grant() {
    let mut server = heard();
    server.acquire(b"k", b"ann", 30);
    server.advance_ms(30);
    server.acquire(b"k", b"bob", 30); // nobody has swept
    assert_eq!(happened(&mut server), [Acquired, Expired, Acquired]);
    server.advance_ms(30);
    server.turn();
    assert_eq!(happened(&mut server), [Expired]);
    assert_eq!(counts(&server).expired_leases, 2);
}

#[test]
fn a_hold_that_cools_ends_once_and_when_its_token_dies() {
    let mut server = heard();
    let request = Request {
        delay: Delay::from_ms(50).expect("in range"),
        ..Request::plain(b"ann", 30)
    };
    server.ask(b"k", request);
    server.advance_ms(30);
    server.turn();
    assert_eq!(happened(&mut server), [Acquired, Expired]);
    server.advance_ms(50);
    server.turn();
    assert_eq!(happened(&mut server), []);
    assert_eq!(counts(&server).expired_leases, 1);
}

#[test]
fn the_end_of_a_session_is_an_end_and_no_lapse() {
    let mut server = heard();
    let client = ClientId::new(7);
    server.acquire_with(b"k", b"ann", 30, client, Patience::Try);
    server.silently(Event::SessionEnded(client.expect("not zero")));
    assert_eq!(happened(&mut server), [Acquired, Expired], "at once");
    server.turn();
    assert_eq!(happened(&mut server), []);
    let counts = counts(&server);
    assert_eq!((counts.session_ends, counts.expired_leases), (1, 0));
}

#[test]
fn a_key_that_goes_is_broken_once_however_many_held_it() {
    let mut server = heard();
    for owner in [b"a", b"b", b"c"] {
        let request = Request {
            tolerates: Tolerance::ANY,
            ..Request::plain(owner, 30)
        };
        server.ask(b"k", request);
    }
    happened(&mut server);
    server.del(b"k");
    assert_eq!(happened(&mut server), [Broken]);
    assert_eq!(counts(&server).forced_breaks, 3);
}

#[test]
fn a_key_that_goes_after_its_lease_is_not_broken() {
    let mut server = heard();
    server.acquire(b"k", b"ann", 30);
    server.advance_ms(30);
    server.del(b"k");
    assert_eq!(happened(&mut server), [Acquired, Expired]);
    assert_eq!(counts(&server).forced_breaks, 0);
}

#[test]
fn a_flush_breaks_every_hold_and_is_no_event_of_each() {
    let mut server = heard();
    for key in [b"a", b"b", b"c"] {
        server.acquire(key, b"ann", 30);
    }
    happened(&mut server);
    server.flush(None);
    server.turn();
    assert_eq!(happened(&mut server), []);
    assert_eq!(counts(&server).forced_breaks, 3);
}

#[test]
fn what_a_replica_repeats_is_not_its_own() {
    let mut server = heard();
    server.acquire(b"k", b"ann", 30);
    server.silently(Event::Demoted);
    happened(&mut server);
    let before = counts(&server);
    server.del(b"k");
    server.turn();
    assert_eq!(happened(&mut server), []);
    assert_eq!(counts(&server), before);
    server.open_term(wall(0));
    server.acquire(b"k", b"bob", 30);
    assert_eq!(happened(&mut server), [Acquired]);
}

#[test]
fn the_longest_line_is_known_as_lines_come_and_go() {
    let mut server = Server::new();
    assert_eq!(server.locks.longest_line(), 0);
    for key in [b"a", b"b"] {
        server.acquire(key, b"holder", 30);
    }
    for owner in [b"1", b"2", b"3"] {
        waits(&mut server, b"a", owner);
    }
    waits(&mut server, b"b", b"1");
    assert_eq!(server.locks.longest_line(), 3);
    server.release(b"a", b"holder", None);
    assert_eq!(server.locks.longest_line(), 2);
    server.release(b"a", b"1", None);
    server.release(b"a", b"2", None);
    assert_eq!(server.locks.longest_line(), 1);
    server.release(b"b", b"holder", None);
    assert_eq!(server.locks.longest_line(), 0);
}

/// What is told of the age of a hold is right to a second or a fiftieth.
#[test]
fn the_age_of_a_hold_is_told_by_its_token_for_years() {
    let mut timeline = Timeline::default();
    let mut random = fastrand::Rng::with_seed(7);
    let mut now = BootTime::from_ns(1);
    let mut issued = Vec::new();
    for number in 1..=100_000 {
        // From many in a second to one in a day.
        let step_ns = 10_f64.powf(3.0 + 11.0 * random.f64().powi(4)) as u64;
        now = BootTime::from_ns(now.as_ns() + step_ns);
        timeline.note(now, token(number));
        issued.push((token(number), now));
        if number % 10_000 == 0 {
            for &(token, at) in issued.iter().rev().step_by(37) {
                let told = timeline.since(token).expect("there are marks");
                let age_ms = now.ms_since(at);
                let off_ms = at.ms_since(told).max(told.ms_since(at));
                assert!(
                    off_ms <= 1_000.max(age_ms / 50),
                    "{token:?} is {age_ms} ms old, {off_ms} ms off"
                );
            }
        }
    }
    assert!(now.as_ns() > 365 * 24 * 3_600_000_000_000, "a year went by");
    assert!(timeline.marks() <= 8_192, "{} marks", timeline.marks());
}

#[test]
fn a_hold_from_before_the_first_mark_is_there_since_then_at_least() {
    let mut timeline = Timeline::default();
    assert_eq!(timeline.since(token(5)), None);
    let first = BootTime::from_ns(9);
    timeline.note(first, token(10));
    assert_eq!(timeline.since(token(5)), Some(first));
}

proptest! {
    /// As sorting them all would tell, rounded up by a sixteenth at most.
    #[test]
    fn a_percentile_is_right_to_a_sixteenth(
        mut lengths in prop::collection::vec(
            prop_oneof![0_u64..40, 0_u64..1 << 20, any::<u64>().prop_map(|it| it >> 17)],
            1..200,
        ),
        per_mille in 0_u64..=1_000,
    ) {
        let mut histogram = Histogram::default();
        for &length in &lengths {
            histogram.add(length);
        }
        lengths.sort_unstable();
        let rank = (lengths.len() as u64 * per_mille).div_ceil(1_000).max(1);
        let exact = lengths[rank as usize - 1];
        let told = histogram.per_mille(per_mille);
        prop_assert!(told >= exact && told - exact <= exact / 16, "{told} for {exact}");
        prop_assert_eq!(histogram.most(), lengths[lengths.len() - 1]);
        prop_assert_eq!(histogram.sum(), lengths.iter().sum::<u64>());
    }
}

#[test]
fn an_empty_histogram_says_zero() {
    let histogram = Histogram::default();
    assert_eq!((histogram.per_mille(500), histogram.most()), (0, 0));
}
