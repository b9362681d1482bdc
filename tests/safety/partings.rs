//! How one of several holds ends: what becomes of it, and what the others notice.

use crate::lock::holders::StoredHold;
use crate::lock::record::{decode, encode, VERSION};
use crate::lock::{Answer, Effect, Event, News};
use crate::server::{Leave, Request, Sent, Server, Slices};
use crate::together::{
    bare, client, held_by, limit, told, tries, waits, yes, ALONE, ANY, KEY, READERS,
};
use crate::values::{delete, end, grant, token};

#[test]
fn each_holder_has_a_lease_of_its_own() {
    let mut server = held_by(&READERS);
    server.advance_ms(10);
    let lock = server.handle(KEY);
    let extended = bare(server.extend(KEY, b"bob", 50));
    assert_eq!(extended, (Answer::Yes, vec![grant(lock, 2, 50)]));
    server.advance_ms(20);
    assert_eq!(server.fence(KEY, Some(token(1))), Answer::No);
    assert_eq!(server.fence(KEY, None), yes(2));
    assert_eq!(server.extend(KEY, b"ann", 50), (Answer::No, vec![]));
    server.turn();
    let ended = Sent::End {
        at: (0, KEY.to_vec()),
        owner: b"ann".to_vec(),
        token: token(1),
    };
    assert_eq!(server.sent.last(), Some(&ended));
    server.advance_ms(30);
    assert_eq!(server.fence(KEY, None), Answer::NoToken);
    assert_eq!(server.sweep(9), [delete(0, KEY, lock)]);
}

#[test]
fn each_holder_has_a_session_of_its_own() {
    let mut server = Server::new();
    for (owner, number) in [(b"ann", 1), (b"bob", 2), (b"eve", 1)] {
        let request = Request {
            session: client(number),
            tolerates: ANY,
            ..Request::plain(owner, 30)
        };
        server.ask(KEY, request);
    }
    server.silently(Event::SessionEnded(client(1).expect("not zero")));
    assert_eq!(server.fence(KEY, None), yes(2));
    assert_eq!(server.fence(KEY, Some(token(3))), Answer::No);
    server.silently(Event::SessionEnded(client(2).expect("not zero")));
    assert_eq!(server.fence(KEY, None), Answer::NoToken);
    server.turn();
    assert!(server.locks.is_empty() && !server.locks.has_sessions());
}

#[test]
fn the_end_of_one_hold_leaves_the_key_and_the_end_of_the_last_takes_it() {
    let mut server = held_by(&READERS);
    let lock = server.handle(KEY);
    let released = server.release(KEY, b"bob", None);
    assert_eq!(
        released,
        (Answer::Yes, vec![end(b"bob", 2), Effect::Signal])
    );
    assert_eq!(server.release(KEY, b"bob", None), (Answer::No, vec![]));
    let released = server.release(KEY, b"ann", None);
    assert_eq!(released, (Answer::Yes, vec![delete(0, KEY, lock)]));
    assert!(server.locks.is_empty());
}

#[test]
fn a_lease_that_ran_out_is_ended_by_the_sweep_though_others_go_on() {
    let mut server = held_by(&READERS);
    server.extend(KEY, b"bob", 99);
    server.advance_ms(30);
    let look = Effect::Look {
        db: 0,
        key: KEY.into(),
    };
    server.sent.clear();
    assert_eq!(server.sweep(9), [look]);
    assert_eq!(server.sent.len(), 1);
    assert_eq!(server.sweep(9), []);
    assert_eq!(server.sent.len(), 1, "an end is said once");
    let lock = server.locks.lock(server.handle(KEY)).expect("it lives");
    assert_eq!(lock.holders.iter().count(), 1);
}

/// A hold that its session took along goes at the next turn, however long the
/// others run.
#[test]
fn a_session_that_takes_one_hold_along_lets_the_next_in_at_once() {
    let mut server = Server::new();
    let bound = Request {
        session: client(7),
        tolerates: limit(2),
        ..Request::plain(b"ann", 30)
    };
    server.ask(KEY, bound);
    tries(&mut server, b"bob", limit(2));
    let eve = waits(&mut server, b"eve", limit(2));
    server.silently(Event::SessionEnded(client(7).expect("not zero")));
    server.turn();
    assert_eq!(told(&mut server), [(eve, News::Granted(token(3)))]);
}

#[test]
fn a_grant_that_nobody_read_goes_to_the_next_though_others_hold_the_lock() {
    let mut server = held_by(&[(b"ann", limit(2)), (b"bob", limit(2))]);
    let unread = waits(&mut server, b"eve", limit(2));
    let next = waits(&mut server, b"dan", limit(2));
    server.release(KEY, b"ann", None);
    assert_eq!(told(&mut server), [(unread, News::Granted(token(3)))]);
    server.silently(Event::TicketGone(unread));
    server.turn();
    assert_eq!(told(&mut server), [(next, News::Granted(token(4)))]);
}

/// The sweep was not there yet when another holder moved its lease.
#[test]
fn a_lease_that_ran_out_is_ended_though_another_was_moved_before_the_sweep() {
    for by_extend in [true, false] {
        let mut server = held_by(&[(b"ann", limit(2))]);
        server.advance_ms(20);
        tries(&mut server, b"bob", limit(2));
        let eve = waits(&mut server, b"eve", limit(2));
        server.advance_ms(10);
        let moved = match by_extend {
            true => server.extend(KEY, b"bob", 1_000),
            false => server.ask(
                KEY,
                Request {
                    tolerates: limit(2),
                    ..Request::plain(b"bob", 1_000)
                },
            ),
        };
        assert_eq!(bare(moved).1, [grant(server.handle(KEY), 2, 1_000)]);
        server.turn();
        assert_eq!(told(&mut server), [(eve, News::Granted(token(3)))]);
    }
}

#[test]
fn a_session_that_ends_after_the_lease_leaves_nothing_behind() {
    let mut server = Server::new();
    let bound = Request {
        session: client(7),
        tolerates: ANY,
        ..Request::plain(b"ann", 30)
    };
    server.ask(KEY, bound);
    tries(&mut server, b"bob", ANY);
    server.extend(KEY, b"bob", 99);
    server.advance_ms(30);
    assert_eq!(server.fence(KEY, None), yes(2));
    server.silently(Event::SessionEnded(client(7).expect("not zero")));
    assert_eq!(server.locks.broken_invariant(), None);
    server.turn();
    assert!(!server.locks.has_sessions());
}

#[test]
fn a_key_that_is_deleted_takes_all_holders_along() {
    let mut server = held_by(&READERS);
    let eve = waits(&mut server, b"eve", ALONE);
    server.del(KEY);
    for number in [1, 2] {
        assert_eq!(server.fence(KEY, Some(token(number))), Answer::No);
    }
    server.turn();
    assert_eq!(told(&mut server), [(eve, News::Granted(token(3)))]);
}

#[test]
fn all_leases_that_run_out_at_once_end_as_one_key() {
    let mut server = held_by(&READERS);
    let lock = server.handle(KEY);
    server.advance_ms(30);
    assert_eq!(server.sweep(9), [delete(0, KEY, lock)]);
    assert!(server.locks.is_empty());
}

#[test]
fn whoever_comes_when_all_leases_ran_out_gets_a_lock_of_its_own() {
    let mut server = held_by(&READERS);
    let old = server.handle(KEY);
    server.advance_ms(30);
    let (answer, effects) = tries(&mut server, b"eve", ANY);
    let new = server.handle(KEY);
    assert_ne!(old, new);
    let expected = [
        end(b"ann", 1),
        end(b"bob", 2),
        Effect::Store(new),
        grant(new, 3, 30),
        Effect::Signal,
    ];
    assert_eq!((answer, effects), (yes(3), Vec::from(expected)));
}

#[test]
fn who_joins_ends_first_what_ran_out_before_the_sweep() {
    let mut server = held_by(&[(b"ann", limit(2))]);
    server.advance_ms(10);
    tries(&mut server, b"bob", limit(2));
    server.advance_ms(20);
    let lock = server.handle(KEY);
    let (answer, effects) = tries(&mut server, b"eve", limit(2));
    let expected = [end(b"ann", 1), grant(lock, 3, 30), Effect::Signal];
    assert_eq!((answer, effects), (yes(3), Vec::from(expected)));
    server.sent.clear();
    server.turn();
    assert_eq!(server.sent, [], "an end is said once");
}

#[test]
fn a_short_lease_beside_a_long_one_ends_at_its_time() {
    let mut server = Server::new();
    let long = Request {
        tolerates: limit(2),
        ..Request::plain(b"ann", 500)
    };
    server.ask(KEY, long);
    tries(&mut server, b"bob", limit(2));
    let eve = waits(&mut server, b"eve", limit(2));
    server.advance_ms(30);
    server.turn();
    assert_eq!(told(&mut server), [(eve, News::Granted(token(3)))]);
}

/// Too few replicas, a full disk: the end is said as soon as it may be.
#[test]
fn an_end_that_may_not_be_said_is_said_later() {
    let mut server = held_by(&[(b"ann", limit(2))]);
    server.advance_ms(10);
    tries(&mut server, b"bob", limit(2));
    server.extend(KEY, b"bob", 10_000);
    server.sent.clear();
    server.advance_ms(20);
    server.turn_in(Slices {
        leave: Leave::EndOnly,
        ..Slices::WHOLE
    });
    assert_eq!(server.sent, []);
    server.advance_ms(100);
    server.turn();
    assert!(matches!(&server.sent[..], [Sent::End { owner, .. }] if owner == b"ann"));
}

#[test]
fn a_hold_that_is_over_among_others_is_not_saved() {
    let mut server = held_by(&[(b"ann", ANY)]);
    server.advance_ms(10);
    tries(&mut server, b"bob", ANY);
    server.advance_ms(20);
    let lock = server.locks.lock(server.handle(KEY)).expect("it lives");
    let bytes = encode(server.now, Some(lock));
    assert_eq!(decode(VERSION, &bytes).map(|holds| holds.len()), Ok(1));
    server.fence(KEY, None);
    let lock = server.locks.lock(server.handle(KEY)).expect("it lives");
    let bytes = encode(server.now, Some(lock));
    let holds = decode(VERSION, &bytes).expect("sound");
    assert!(matches!(holds[..], [StoredHold { owner: b"bob", .. }]));
}

/// The sweep was not there yet when another hold ended before its time.
#[test]
fn an_early_end_does_not_hide_a_lease_that_ran_out_before() {
    let mut server = Server::new();
    let bound = Request {
        session: client(7),
        tolerates: limit(2),
        ..Request::plain(b"ann", 99)
    };
    server.ask(KEY, bound);
    tries(&mut server, b"bob", limit(2));
    server.advance_ms(40);
    server.silently(Event::SessionEnded(client(7).expect("not zero")));
    assert_eq!(server.locks.broken_invariant(), None);
    server.turn();
    assert!(server.locks.is_empty());
}
