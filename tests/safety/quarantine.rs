//! Quarantine: nothing is granted, what is held goes on, who waits is granted at its end.
//! And the line that a server leaves behind for its next start.

use crate::lock::testament::{wait, Loaded, Proof, Testament, LINE_BYTES};
use crate::lock::{Answer, BootTime, Effect, Event, Extension, News, Patience, Tolerance};
use crate::server::Server;
use crate::values::{token, ttl, wall, Request, TOKEN_MOST};

/// A server that has loaded a hold of alice's with 5 seconds left, and grants nothing for
/// one second.
fn quarantined() -> Server {
    let mut server = Server::new();
    server.acquire(b"held", b"alice", 5_000);
    let until = server.now.after(ttl(1_000));
    server.silently(Event::Quarantine(Some(until)));
    server
}

fn waits(server: &mut Server, key: &[u8], owner: &[u8], until: Option<BootTime>) -> Answer {
    let patience = Patience::Wait {
        until,
        waiters_most: 10,
    };
    server.acquire_with(key, owner, 100, None, patience).0
}

fn is_refused(outcome: (Answer, Vec<Effect>)) -> bool {
    matches!(outcome, (Answer::Quarantine(_), effects) if effects.is_empty())
}

#[test]
fn who_tries_is_told_for_how_long_nothing_is_granted() {
    let mut server = quarantined();
    let left = |ms| (Answer::Quarantine(ttl(ms)), vec![]);
    assert_eq!(server.acquire(b"free", b"bob", 100), left(1_000));
    server.advance_ns(400_000_001);
    assert_eq!(server.acquire(b"free", b"bob", 100), left(600));
    assert_eq!(server.locks.quarantine_left_ms(server.now), 600);
    server.advance_ns(599_999_998);
    assert_eq!(server.acquire(b"free", b"bob", 100), left(1));
    server.advance_ns(1);
    assert_eq!(server.locks.quarantine_left_ms(server.now), 0);
    let (answer, _) = server.acquire(b"free", b"bob", 100);
    assert_eq!(answer, Answer::Token(token(2)));
}

#[test]
fn holds_that_are_known_are_extended_raised_fenced_and_released() {
    let mut server = quarantined();
    let (again, _) = server.acquire(b"held", b"alice", 6_000);
    assert_eq!(again, Answer::Token(token(1)));
    assert_eq!(server.extend(b"held", b"alice", 7_000).0, Answer::Yes);
    let raised = server.raise(b"held", b"alice", 7_000, (token(9), wall(1)));
    assert_eq!(raised.0, Answer::Token(token(9)));
    assert_eq!(server.fence(b"held", Some(token(9))), Answer::Yes);
    assert_eq!(server.acquire(b"held", b"bob", 100).0, Answer::NoToken);
    assert_eq!(server.release(b"held", b"alice", None).0, Answer::Yes);
    assert!(is_refused(server.acquire(b"held", b"alice", 100)));
    assert_eq!(server.keys().count(), 0);
}

#[test]
fn nobody_joins_holders_who_share() {
    let mut server = Server::new();
    let shared = |owner| Request {
        tolerates: Tolerance::ANY,
        ..Request::plain(owner, 5_000)
    };
    server.ask(b"k", shared(b"alice"));
    let until = server.now.after(ttl(1_000));
    server.silently(Event::Quarantine(Some(until)));
    assert!(is_refused(server.ask(b"k", shared(b"bob"))));
    assert_eq!(
        server.ask(b"k", shared(b"alice")).0,
        Answer::Token(token(1))
    );
    server.advance_ms(1_000);
    assert_eq!(server.ask(b"k", shared(b"bob")).0, Answer::Token(token(2)));
}

#[test]
fn who_waits_is_granted_at_its_end_in_order() {
    let mut server = quarantined();
    let mut tickets = Vec::new();
    for owner in [b"bob", b"eve"] {
        match waits(&mut server, b"free", owner, None) {
            Answer::InLine(ticket) => tickets.push(ticket),
            other => panic!("{other:?}"),
        }
    }
    // A try is told why, not that somebody is first.
    assert!(is_refused(server.acquire(b"free", b"fred", 100)));
    server.advance_ns(999_999_999);
    server.turn();
    assert_eq!(server.told, []);
    let end = BootTime::from_ns(server.now.as_ns() + 1);
    assert_eq!(server.locks.next_deadline(), Some(end), "the alarm rings");
    server.advance_ns(1);
    server.turn();
    assert_eq!(server.told, [(tickets[0], News::Granted(token(2)))]);
    assert_eq!(server.locks.broken_invariant(), None);
    server.release(b"free", b"bob", None);
    assert_eq!(server.told[1], (tickets[1], News::Granted(token(3))));
}

#[test]
fn a_hold_that_ends_in_it_goes_to_nobody_before_its_end() {
    for by_release in [true, false] {
        let mut server = Server::new();
        server.acquire(b"k", b"alice", 100);
        let until = server.now.after(ttl(1_000));
        server.silently(Event::Quarantine(Some(until)));
        waits(&mut server, b"k", b"bob", None);
        if by_release {
            server.release(b"k", b"alice", None);
        }
        for _ in 0..9 {
            server.advance_ms(100);
            server.turn();
            assert_eq!(server.told, []);
            assert_eq!(server.locks.broken_invariant(), None);
        }
        assert_eq!(server.keys().count(), 0, "nobody holds it");
        server.advance_ms(100);
        server.turn();
        assert!(matches!(server.told[..], [(_, News::Granted(_))]));
    }
}

#[test]
fn a_wait_runs_out_in_it() {
    let mut server = quarantined();
    let until = server.now.after(ttl(300));
    waits(&mut server, b"free", b"bob", Some(until));
    server.advance_ms(300);
    server.turn();
    assert!(matches!(server.told[..], [(_, News::NotYours)]));
}

#[test]
fn it_can_be_ended_at_once() {
    let mut server = quarantined();
    waits(&mut server, b"free", b"bob", None);
    server.silently(Event::Quarantine(None));
    server.turn();
    assert!(matches!(server.told[..], [(_, News::Granted(_))]));
    assert_eq!(server.locks.quarantine_left(server.now), None);
}

/// What decides whether a snapshot has everything.
#[test]
fn every_grant_and_every_moved_lease_is_counted_as_a_change() {
    let mut server = Server::new();
    let mut before = server.locks.tokens().changes();
    let mut has_changed = |server: &Server| {
        let now = server.locks.tokens().changes();
        std::mem::replace(&mut before, now) != now
    };
    server.acquire(b"k", b"alice", 100);
    assert!(has_changed(&server));
    server.acquire(b"k", b"alice", 200);
    assert!(has_changed(&server), "the lease moved");
    server.extend(b"k", b"alice", 300);
    assert!(has_changed(&server), "the lease moved");
    let extension = Extension::Plain(None);
    server.extend_with(b"k", b"alice", 10, extension);
    server.acquire(b"k", b"bob", 10);
    server.fence(b"k", None);
    assert!(!has_changed(&server));
    server.raise(b"k", b"alice", 10, (token(9), wall(1)));
    assert!(has_changed(&server), "the token rose");
    waits(&mut server, b"k", b"bob", None);
    assert!(!has_changed(&server));
    server.release(b"k", b"alice", None);
    assert!(has_changed(&server), "bob was granted");
}

fn testament(longest_ms: u64, proof: Proof, ceiling: u64) -> Testament {
    Testament {
        longest: ttl(longest_ms),
        proof,
        ceiling,
    }
}

const PROOFS: [Proof; 4] = [
    Proof::None,
    Proof::EveryAnswer,
    Proof::ClosedLog,
    Proof::ClosedFile,
];

#[test]
fn a_line_says_what_was_written_and_all_have_one_length() {
    for proof in PROOFS {
        for (longest, ceiling) in [(1, 0), (30_000, 7), (315_360_000_000, TOKEN_MOST)] {
            let written = testament(longest, proof, ceiling);
            let line = written.encode();
            assert_eq!(line.len(), LINE_BYTES, "{line}");
            assert_eq!(Testament::decode(line.as_bytes()), Some(written), "{line}");
        }
    }
}

#[test]
fn a_line_that_was_half_written_or_changed_says_nothing() {
    let old = testament(1_000, Proof::ClosedLog, 5).encode();
    let new = testament(60_000, Proof::None, 6).encode();
    for at in 0..LINE_BYTES {
        let torn = [&new.as_bytes()[..at], &old.as_bytes()[at..]].concat();
        let read = Testament::decode(&torn);
        assert!(torn == old.as_bytes() || torn == new.as_bytes() || read.is_none());
        assert_eq!(Testament::decode(&old.as_bytes()[..at]), None);
        let mut changed = old.clone().into_bytes();
        changed[at] ^= 1;
        assert_eq!(Testament::decode(&changed), None, "{at}");
    }
    assert_eq!(Testament::decode(b""), None);
}

#[test]
fn only_the_files_that_it_speaks_of_are_believed() {
    for loaded in [Loaded::Nothing, Loaded::File, Loaded::Log] {
        for proof in PROOFS {
            let left = testament(1, proof, 100);
            let is_right = matches!(
                (proof, loaded),
                (Proof::EveryAnswer | Proof::ClosedLog, Loaded::Log)
                    | (Proof::ClosedFile, Loaded::File)
            );
            assert_eq!(left.proves(loaded, 100), is_right, "{proof:?} {loaded:?}");
            assert!(!left.proves(loaded, 99), "older files");
        }
    }
}

#[test]
fn a_longer_lease_is_news_and_is_rounded_up_by_an_eighth_at_most() {
    let left = testament(30_000, Proof::EveryAnswer, 9);
    assert_eq!(left.with_lease(ttl(30_000)), None);
    assert_eq!(left.with_lease(ttl(29_999)), None);
    for ms in [30_001, 32_768, 86_400_000, 315_360_000_000] {
        let more = left.with_lease(ttl(ms)).expect("it is longer");
        let longest = more.longest.as_ms();
        assert!((ms..=ms + ms / 8).contains(&longest), "{longest} for {ms}");
        assert_eq!((more.proof, more.ceiling), (left.proof, left.ceiling));
    }
    let mut written = 0;
    let mut left = testament(1, Proof::None, 0);
    for ms in 1..=100_000 {
        if let Some(more) = left.with_lease(ttl(ms)) {
            (left, written) = (more, written + 1);
        }
        assert!(left.longest >= ttl(ms));
    }
    assert!(written <= 8 * 17, "{written} times for leases that grow");
}

#[test]
fn the_wait_is_the_longest_lease_known_or_the_longest_allowed() {
    let left = Some(testament(30_000, Proof::None, 0));
    let allowed = ttl(86_400_000);
    assert_eq!(wait(left, None, allowed), ttl(30_000));
    assert_eq!(wait(left, Some(ttl(10_000)), allowed), ttl(30_000));
    assert_eq!(wait(left, Some(ttl(40_000)), allowed), ttl(40_000));
    // Files tell of the longest lease that they know of; there may have been a longer one.
    assert_eq!(wait(None, Some(ttl(10_000)), allowed), allowed);
    assert_eq!(wait(None, Some(ttl(90_000_000)), allowed), ttl(90_000_000));
}
