//! Very many holders of one lock whose leases end at once: they are tidied up in many
//! short steps, and everybody is answered as if it were done.

use crate::lock::{Answer, Effect, Place, Tolerance};
use crate::server::{Request, Sent, Server};
use crate::together::{ALONE, ANY, KEY};
use crate::values::token;

const CROWD: u32 = 10_000;
/// Effects and moves of one step, at most; the shell needs 1 to 2 µs for each.
const STEP_MOST: usize = 1_100;
/// No test sweeps more often than this.
const SWEEPS_MOST: usize = 1_000;

fn asks(server: &mut Server, owner: &[u8], ttl_ms: u64, tolerates: Tolerance) -> Answer {
    let request = Request {
        tolerates,
        ..Request::plain(owner, ttl_ms)
    };
    server.ask(KEY, request).0
}

/// Readers 1 to [`CROWD`] for 30 ms, with the tokens 1 to [`CROWD`].
fn crowd() -> Server {
    let mut server = Server::new();
    for number in 1..=CROWD {
        let answer = asks(&mut server, &number.to_be_bytes(), 30, ANY);
        assert_eq!(answer, Answer::Token(token(number.into())));
    }
    server.sent.clear();
    server
}

fn holders(server: &mut Server) -> usize {
    let at = Place {
        db: server.db,
        key: KEY,
        lock: server.found(server.db, KEY),
    };
    server.locks.info(server.now, at).holders
}

/// Sweeps until the key is gone or nothing is due; how much each step did.
fn sweeps(server: &mut Server) -> Vec<usize> {
    let mut steps = Vec::new();
    for _ in 0..SWEEPS_MOST {
        let is_due = server.locks.next_deadline();
        if is_due.is_none_or(|deadline| deadline > server.now) {
            return steps;
        }
        let before = server.sent.len();
        server.sweep(512);
        assert_eq!(server.locks.broken_invariant(), None);
        steps.push(server.sent.len() - before);
    }
    panic!("the sweep does not come to an end");
}

#[test]
fn the_leases_of_a_crowd_end_in_many_short_steps() {
    let mut server = crowd();
    server.advance_ms(30);
    let steps = sweeps(&mut server);
    assert!(steps.len() >= CROWD as usize / STEP_MOST, "{steps:?}");
    assert!(steps.iter().all(|&sent| sent <= STEP_MOST), "{steps:?}");
    assert_eq!(server.found(0, KEY), None);
    assert!(server.locks.is_empty());
}

#[test]
fn whoever_stays_when_a_crowd_goes_keeps_the_lock_and_the_others_are_said_to_be_over() {
    let mut server = crowd();
    asks(&mut server, b"stays", 1_000, ANY);
    server.sent.clear();
    server.advance_ms(30);
    let steps = sweeps(&mut server);
    assert!(steps.len() >= CROWD as usize / STEP_MOST, "{steps:?}");
    assert!(steps.iter().all(|&sent| sent <= STEP_MOST), "{steps:?}");
    let mut ended: Vec<u64> = Vec::new();
    for sent in &server.sent {
        match sent {
            Sent::End { token, .. } => ended.push(token.get()),
            other => panic!("{other:?}"),
        }
    }
    ended.sort_unstable();
    assert!(ended.into_iter().eq(1..=u64::from(CROWD)));
    let stays = token(u64::from(CROWD) + 1);
    assert_eq!(server.fence(KEY, None), Answer::Token(stays));
    assert_eq!(holders(&mut server), 1);
}

#[test]
fn a_crowd_whose_time_is_over_counts_for_nothing_before_anybody_tidied_up() {
    let mut server = crowd();
    asks(&mut server, b"stays", 1_000, ANY);
    let stays = token(u64::from(CROWD) + 1);
    server.advance_ms(30);
    assert_eq!(server.fence(KEY, Some(token(u64::from(CROWD)))), Answer::No);
    assert_eq!(server.fence(KEY, None), Answer::Token(stays));
    assert_eq!(server.fence(KEY, Some(stays)), Answer::Yes);
    assert_eq!(holders(&mut server), 1);
    let lapsed = CROWD.to_be_bytes();
    assert_eq!(server.extend(KEY, &lapsed, 50).0, Answer::No);
    assert_eq!(server.release(KEY, &lapsed, None).0, Answer::No);
    let two = Tolerance::limit(2).expect("within range");
    let again = asks(&mut server, &lapsed, 50, two);
    assert_eq!(again, Answer::Token(token(u64::from(CROWD) + 2)));
    assert_eq!(asks(&mut server, b"third", 50, ANY), Answer::NoToken);
    assert_eq!(holders(&mut server), 2);
    assert_eq!(server.locks.broken_invariant(), None);
}

#[test]
fn somebody_alone_gets_the_lock_of_a_crowd_at_its_deadline_and_in_a_short_step() {
    let mut server = crowd();
    server.advance_ns(30_000_000 - 1);
    assert_eq!(asks(&mut server, b"alone", 50, ALONE), Answer::NoToken);
    server.advance_ns(1);
    server.sent.clear();
    let alone = token(u64::from(CROWD) + 1);
    assert_eq!(asks(&mut server, b"alone", 50, ALONE), Answer::Token(alone));
    assert!(server.sent.len() <= STEP_MOST, "{}", server.sent.len());
    assert_eq!(holders(&mut server), 1);
    assert_eq!(asks(&mut server, b"other", 50, ANY), Answer::NoToken);
    sweeps(&mut server);
    assert_eq!(server.fence(KEY, Some(alone)), Answer::Yes);
    assert_eq!(holders(&mut server), 1);
    let (answer, effects) = server.release(KEY, b"alone", None);
    assert_eq!(answer, Answer::Yes);
    assert!(
        matches!(effects[..], [Effect::Delete { .. }]),
        "{effects:?}"
    );
    assert!(server.locks.is_empty());
}
