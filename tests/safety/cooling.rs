//! Holds that were lost, and still count for a while.

use crate::lock::holders::StoredHold;
use crate::lock::record::{decode, encode, VERSION};
use crate::lock::{Answer, Delay, Effect, Event, News, Patience, TicketId, Tolerance};
use crate::server::{Outcome, Request, Sent, Server};
use crate::together::{bare, client, limit, told, tries, waits, yes, ALONE, ANY, KEY};
use crate::values::{delete, end, grant, token, ttl, wall};

pub(crate) fn delay(ms: u64) -> Delay {
    Delay::from_ms(ms).expect("a delay within range")
}

/// A lease of 30 ms, and 20 ms to cool then.
pub(crate) fn with_delay(owner: &[u8], tolerates: Tolerance) -> Request<'_> {
    Request {
        tolerates,
        delay: delay(20),
        ..Request::plain(owner, 30)
    }
}

fn tries_with_delay(server: &mut Server, owner: &[u8], tolerates: Tolerance) -> Outcome {
    server.ask(KEY, with_delay(owner, tolerates))
}

/// A server on which `ann`, alone, lost her lease 5 ms ago.
fn cooled() -> Server {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", ALONE);
    server.advance_ms(35);
    server.turn();
    server.sent.clear();
    server
}

/// `ann`'s hold is over exactly then, and the next in line is granted.
pub(crate) fn is_over_at(server: &mut Server, ms: u64) {
    let bob = waits(server, b"bob", ALONE);
    server.advance_ns(ms * 1_000_000 - 1);
    server.turn();
    assert_eq!(told(server), []);
    server.advance_ns(1);
    server.turn();
    assert!(matches!(told(server)[..], [(ticket, News::Granted(_))] if ticket == bob));
}

#[test]
fn a_hold_that_cools_is_not_live() {
    let mut server = cooled();
    assert_eq!(server.fence(KEY, None), Answer::NoToken);
    assert_eq!(server.fence(KEY, Some(token(1))), Answer::No);
    assert_eq!(server.extend(KEY, b"ann", 99), (Answer::No, vec![]));
    let raised = server.raise(KEY, b"ann", 99, (token(9), wall(0)));
    assert_eq!(raised, (Answer::NoToken, vec![]));
}

#[test]
fn a_hold_that_cools_still_counts_until_its_delay_is_over() {
    let mut server = cooled();
    assert_eq!(tries(&mut server, b"bob", ANY), (Answer::NoToken, vec![]));
    is_over_at(&mut server, 15);
}

#[test]
fn a_hold_that_cools_counts_against_its_own_owner() {
    let mut server = cooled();
    let again = tries_with_delay(&mut server, b"ann", ALONE);
    assert_eq!(again, (Answer::NoToken, vec![]));
    let ticket = waits(&mut server, b"ann", ALONE);
    server.advance_ms(15);
    server.turn();
    assert_eq!(told(&mut server), [(ticket, News::Granted(token(2)))]);
}

/// What is sent when a hold with token 1 cools for so long.
fn cooling(owner: &[u8], tolerates: Tolerance, left_ms: u64) -> Sent {
    Sent::Cooling {
        at: (0, KEY.to_vec()),
        owner: owner.to_vec(),
        token: token(1),
        tolerates,
        left: ttl(left_ms),
    }
}

#[test]
fn that_a_hold_begins_to_cool_is_said_once() {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", ALONE);
    tries_with_delay(&mut server, b"ann", ALONE);
    server.advance_ms(30);
    server.sent.clear();
    let look = Effect::Look {
        db: 0,
        key: KEY.into(),
    };
    assert_eq!(server.sweep(9), [look]);
    assert_eq!(server.sent, [cooling(b"ann", ALONE, 20)]);
    server.advance_ns(19_999_999);
    assert_eq!(server.sweep(9), []);
    let lock = server.handle(KEY);
    server.advance_ns(1);
    assert_eq!(server.sweep(9), [delete(0, KEY, lock)]);
}

#[test]
fn a_hold_cools_among_others_and_its_end_is_said_once() {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", limit(2));
    server.advance_ms(20);
    tries(&mut server, b"bob", limit(2));
    server.extend(KEY, b"bob", 500);
    server.sent.clear();
    let eve = waits(&mut server, b"eve", limit(2));
    for _ in 0..3 {
        server.advance_ms(9);
        server.turn();
        assert_eq!(told(&mut server), []);
    }
    assert_eq!(server.sent, [cooling(b"ann", limit(2), 12)]);
    server.sent.clear();
    server.advance_ms(3);
    server.turn();
    assert_eq!(told(&mut server), [(eve, News::Granted(token(3)))]);
    let ended = Sent::End {
        at: (0, KEY.to_vec()),
        owner: b"ann".to_vec(),
        token: token(1),
    };
    assert_eq!(server.sent[0], ended);
    assert_eq!(server.sent.len(), 2);
    server.turn();
    assert_eq!(server.sent.len(), 2);
}

#[test]
fn a_session_that_dies_leaves_its_holds_to_cool_from_then_on() {
    for alone in [true, false] {
        let mut server = Server::new();
        let tolerates = if alone { ALONE } else { ANY };
        let bound = Request {
            session: client(7),
            ..with_delay(b"ann", tolerates)
        };
        server.ask(KEY, bound);
        if !alone {
            tries(&mut server, b"eve", ANY);
        }
        server.advance_ms(10);
        server.silently(Event::SessionEnded(client(7).expect("not zero")));
        assert_eq!(server.fence(KEY, Some(token(1))), Answer::No);
        server.release(KEY, b"eve", None);
        is_over_at(&mut server, 20);
    }
}

#[test]
fn a_session_that_dies_does_not_let_a_hold_cool_anew() {
    for alone in [true, false] {
        let mut server = Server::new();
        let bound = Request {
            session: client(7),
            ..with_delay(b"ann", if alone { ALONE } else { ANY })
        };
        server.ask(KEY, bound);
        if !alone {
            tries(&mut server, b"eve", ANY);
        }
        server.advance_ms(40);
        server.silently(Event::SessionEnded(client(7).expect("not zero")));
        is_over_at(&mut server, 10);
    }
}

#[test]
fn a_release_does_not_cool() {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", ALONE);
    let lock = server.handle(KEY);
    let released = server.release(KEY, b"ann", None);
    assert_eq!(released, (Answer::Yes, vec![delete(0, KEY, lock)]));
    assert_eq!(tries(&mut server, b"bob", ALONE).0, yes(2));
}

#[test]
fn a_release_of_a_hold_that_cools_answers_no_and_ends_it() {
    for only in [None, Some(token(1))] {
        let mut server = cooled();
        let lock = server.handle(KEY);
        let released = server.release(KEY, b"ann", only);
        assert_eq!(released, (Answer::No, vec![delete(0, KEY, lock)]));
        assert_eq!(server.release(KEY, b"ann", only), (Answer::No, vec![]));
    }
    let mut server = cooled();
    let none = (Answer::No, vec![]);
    assert_eq!(server.release(KEY, b"ann", Some(token(2))), none);
    assert_eq!(server.release(KEY, b"bob", None), none);
    assert_eq!(tries(&mut server, b"bob", ALONE).0, Answer::NoToken);
}

#[test]
fn a_release_of_a_hold_that_cools_hands_over() {
    let mut server = cooled();
    let bob = waits(&mut server, b"bob", ALONE);
    let (answer, effects) = server.release(KEY, b"ann", None);
    let lock = server.handle(KEY);
    let news = News::Granted(token(2));
    let expected = [
        end(b"ann", 1),
        Effect::Store(lock),
        grant(lock, 2, 30),
        Effect::Signal,
        Effect::Reply { ticket: bob, news },
    ];
    assert_eq!((answer, effects), (Answer::No, Vec::from(expected)));
}

#[test]
fn a_release_of_one_that_cools_among_others_ends_that_one_alone() {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", limit(3));
    tries_with_delay(&mut server, b"bob", limit(3));
    server.advance_ms(35);
    tries(&mut server, b"eve", limit(3));
    let released = server.release(KEY, b"bob", None);
    let expected = vec![end(b"bob", 2), Effect::Signal];
    assert_eq!(released, (Answer::No, expected));
    assert_eq!(tries(&mut server, b"dan", limit(3)).0, yes(4));
    assert_eq!(tries(&mut server, b"fay", limit(3)).0, Answer::NoToken);
}

/// The owner waits for what it lost, and wants neither any more.
#[test]
fn a_release_by_who_waits_for_its_own_hold_to_cool_leaves_the_line() {
    let mut server = cooled();
    let ann = waits(&mut server, b"ann", ALONE);
    let bob = waits(&mut server, b"bob", ALONE);
    let (answer, _) = server.release(KEY, b"ann", None);
    assert_eq!(answer, Answer::No);
    let expected = [(ann, News::NotYours), (bob, News::Granted(token(2)))];
    assert_eq!(told(&mut server), expected);
}

#[test]
fn a_deleted_key_does_not_cool() {
    let mut server = cooled();
    server.del(KEY);
    assert_eq!(tries(&mut server, b"bob", ALONE).0, yes(2));
}

/// Nobody could have used what nobody knew of.
#[test]
fn a_grant_that_nobody_read_does_not_cool() {
    for session in [None, client(7)] {
        for dies_first in [true, false] {
            let (mut server, unread) = granted_unread(session);
            let bob = waits(&mut server, b"bob", ALONE);
            if dies_first {
                server.silently(Event::SessionEnded(client(7).expect("not zero")));
            }
            server.silently(Event::TicketGone(unread));
            server.silently(Event::SessionEnded(client(7).expect("not zero")));
            server.turn();
            assert_eq!(told(&mut server), [(bob, News::Granted(token(3)))]);
        }
    }
}

/// `eve` was granted the lock from the line, and has not read it.
fn granted_unread(session: Option<crate::lock::ClientId>) -> (Server, TicketId) {
    let mut server = Server::new();
    tries(&mut server, b"ann", ALONE);
    let request = Request {
        session,
        patience: Patience::Wait {
            until: None,
            waiters_most: 10,
        },
        ..with_delay(b"eve", ALONE)
    };
    let (Answer::InLine(unread), _) = server.ask(KEY, request) else {
        panic!("the lock is free");
    };
    server.release(KEY, b"ann", None);
    assert_eq!(told(&mut server), [(unread, News::Granted(token(2)))]);
    (server, unread)
}

#[test]
fn an_unread_grant_that_cools_already_is_over_when_its_reader_goes() {
    let (mut server, unread) = granted_unread(None);
    let bob = waits(&mut server, b"bob", ALONE);
    server.advance_ms(35);
    server.turn();
    assert_eq!(told(&mut server), []);
    server.silently(Event::TicketGone(unread));
    server.turn();
    assert_eq!(told(&mut server), [(bob, News::Granted(token(3)))]);
}

#[test]
fn a_grant_that_was_read_cools() {
    let (mut server, read) = granted_unread(client(7));
    server.silently(Event::TicketDelivered(read));
    server.silently(Event::SessionEnded(client(7).expect("not zero")));
    is_over_at(&mut server, 20);
}

#[test]
fn who_asks_again_has_the_delay_that_it_said_last() {
    for tolerates in [ALONE, ANY] {
        let mut server = Server::new();
        let request = |ms| Request {
            delay: delay(ms),
            ..with_delay(b"ann", tolerates)
        };
        server.ask(KEY, request(20));
        if tolerates == ANY {
            tries(&mut server, b"eve", ANY);
        }
        let lock = server.handle(KEY);
        server.advance_ms(10);
        for ms in [50, 0, 5] {
            let (answer, effects) = server.ask(
                KEY,
                Request {
                    ttl_ms: 1,
                    ..request(ms)
                },
            );
            assert_eq!(answer, yes(1));
            assert_eq!(effects, [grant(lock, 1, 20)], "{ms}");
            let Some(Sent::Grant { delay: sent, .. }) = server.sent.last() else {
                panic!("it is sent");
            };
            assert_eq!(*sent, delay(ms));
        }
        let unchanged = server.ask(
            KEY,
            Request {
                ttl_ms: 1,
                ..request(5)
            },
        );
        assert_eq!(unchanged, (yes(1), vec![]));
        is_over_at(&mut server, 25);
    }
}

#[test]
fn under_a_limit_an_owner_holds_anew_while_its_earlier_hold_cools() {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", limit(2));
    server.advance_ms(35);
    let (answer, effects) = tries(&mut server, b"ann", limit(2));
    let lock = server.handle(KEY);
    assert_eq!(
        (answer, effects),
        (
            yes(2),
            vec![
                Effect::Cool {
                    lock,
                    token: token(1),
                    left: ttl(15),
                },
                grant(lock, 2, 30),
                Effect::Signal,
            ]
        )
    );
    assert_eq!(tries(&mut server, b"bob", limit(2)).0, Answer::NoToken);
    server.advance_ms(15);
    server.turn();
    assert_eq!(server.fence(KEY, None), yes(2));
    assert_eq!(tries(&mut server, b"ann", limit(2)).0, yes(2));
    assert_eq!(tries(&mut server, b"bob", limit(2)).0, yes(3));
}

/// Whatever becomes of the hold that cools, the one that is live stays its owner's.
#[test]
fn what_becomes_of_a_hold_that_cools_is_nothing_to_its_owners_live_one() {
    for way in 0..4 {
        let mut server = Server::new();
        let bound = Request {
            session: client(7),
            ..with_delay(b"ann", limit(3))
        };
        server.ask(KEY, bound);
        server.advance_ms(35);
        tries(&mut server, b"ann", limit(3));
        let lock = server.handle(KEY);
        match way {
            0 => {
                server.silently(Event::SessionEnded(client(7).expect("not zero")));
            }
            1 => {
                let ended = server.release(KEY, b"ann", Some(token(1)));
                assert_eq!(ended, (Answer::No, vec![end(b"ann", 1), Effect::Signal]));
            }
            2 => {
                server.silently(Event::Demoted);
            }
            _ => {
                server.advance_ms(15);
                server.turn();
            }
        }
        assert_eq!(server.locks.broken_invariant(), None, "way {way}");
        let extended = bare(server.extend(KEY, b"ann", 99));
        assert_eq!(
            extended,
            (Answer::Yes, vec![grant(lock, 2, 99)]),
            "way {way}"
        );
        assert_eq!(
            server.release(KEY, b"ann", None).0,
            Answer::Yes,
            "way {way}"
        );
    }
}

#[test]
fn a_delay_is_for_at_most_ten_years_and_may_be_none() {
    assert_eq!(Delay::from_ms(0), Some(Delay::NONE));
    assert_eq!(Delay::from_ms(Delay::MOST.as_ms()), Some(Delay::MOST));
    assert_eq!(Delay::from_ms(Delay::MOST.as_ms() + 1), None);
    assert_eq!(Delay::MOST.as_ms(), ttl(315_360_000_000).as_ms());
}

/// Saves the lock and loads it into another server, whose clock reads anything.
fn reloaded(server: &Server) -> Server {
    let bytes = encode(server.now, server.locks.lock(server.handle(KEY)));
    let mut loaded = Server::new();
    loaded.advance_ms(12_345);
    for hold in decode(VERSION, &bytes).expect("sound") {
        loaded.apply_hold(KEY, hold);
    }
    loaded
}

#[test]
fn a_hold_that_cools_is_saved_and_loaded_as_that() {
    let mut loaded = reloaded(&cooled());
    assert_eq!(loaded.fence(KEY, None), Answer::NoToken);
    assert_eq!(tries(&mut loaded, b"ann", ALONE).0, Answer::NoToken);
    is_over_at(&mut loaded, 15);
}

#[test]
fn a_hold_with_a_delay_is_saved_and_loaded_with_it() {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", ALONE);
    server.advance_ms(10);
    let mut loaded = reloaded(&server);
    loaded.advance_ms(19);
    assert_eq!(loaded.fence(KEY, None), yes(1));
    is_over_at(&mut loaded, 21);
}

#[test]
fn several_holds_are_saved_and_loaded_each_as_it_is() {
    let mut server = Server::new();
    tries_with_delay(&mut server, b"ann", limit(4));
    server.advance_ms(20);
    tries_with_delay(&mut server, b"bob", limit(4));
    server.advance_ms(15);
    tries(&mut server, b"ann", limit(4));
    let stored = |server: &Server| -> Vec<(Vec<u8>, u64, Option<u64>, u64)> {
        let lock = server.locks.lock(server.handle(KEY)).expect("it lives");
        let stored = lock.holders.stored(server.now);
        let plain = |it: StoredHold<'_>| {
            let left_ms = it.lease.map(crate::lock::Ttl::as_ms);
            (it.owner.to_vec(), it.token.get(), left_ms, it.delay.as_ms())
        };
        stored.map(plain).collect()
    };
    let expected = [
        (b"bob".to_vec(), 2, Some(15), 20),
        (b"ann".to_vec(), 3, Some(30), 0),
        (b"ann".to_vec(), 1, None, 15),
    ];
    assert_eq!(stored(&server), expected);
    let mut loaded = reloaded(&server);
    assert_eq!(stored(&loaded), expected);
    assert_eq!(loaded.locks.broken_invariant(), None);
    assert_eq!(loaded.extend(KEY, b"ann", 99).0, Answer::Yes);
    assert_eq!(loaded.fence(KEY, Some(token(3))), Answer::Yes);
    assert_eq!(tries(&mut loaded, b"eve", limit(4)).0, yes(4));
    assert_eq!(tries(&mut loaded, b"dan", limit(4)).0, Answer::NoToken);
}

/// The replica knows nothing of sessions, and little of what the clock did.
#[test]
fn a_replica_and_a_promoted_one_let_a_hold_cool() {
    let mut master = Server::new();
    tries_with_delay(&mut master, b"ann", limit(2));
    master.advance_ms(20);
    tries_with_delay(&mut master, b"bob", limit(2));
    let mut replica = Server::new();
    for sent in std::mem::take(&mut master.sent) {
        if let Sent::Grant { token: of, .. } = &sent {
            replica.now = crate::lock::BootTime::from_ns(1_000_000_000);
            replica.advance_ms((of.get() - 1) * 20);
        }
        replica.apply(&sent);
    }
    replica.open_term(wall(0));
    replica.advance_ms(15);
    assert_eq!(replica.fence(KEY, None), yes(2));
    let (answer, _) = tries(&mut replica, b"eve", limit(2));
    assert_eq!(answer, Answer::NoToken);
    replica.advance_ms(15);
    let lock = replica.handle(KEY);
    replica.turn();
    let [Sent::Cooling { owner: cools, .. }, Sent::End { owner: ended, .. }] = &replica.sent[..]
    else {
        panic!("{:?}", replica.sent);
    };
    assert_eq!((&cools[..], &ended[..]), (&b"bob"[..], &b"ann"[..]));
    assert_eq!(replica.fence(KEY, None), Answer::NoToken);
    replica.advance_ms(20);
    assert_eq!(replica.sweep(9), [delete(0, KEY, lock)]);
}

/// There the owner's earlier hold cools, or it could not hold anew.
#[test]
fn a_replica_that_is_told_of_an_owners_new_hold_lets_the_earlier_one_cool() {
    let mut replica = Server::new();
    let hold = |number, lease| StoredHold {
        owner: b"ann",
        token: token(number),
        lease,
        tolerates: limit(3),
        delay: delay(20),
    };
    replica.apply_hold(KEY, hold(1, Some(ttl(500))));
    let (_, effects) = replica.apply_hold(KEY, hold(2, Some(ttl(30))));
    assert_eq!(effects, [Effect::Signal]);
    assert_eq!(replica.fence(KEY, None), yes(2));
    assert_eq!(replica.locks.broken_invariant(), None);
    // And what cools does not touch what is live.
    replica.apply_hold(KEY, hold(3, None));
    assert_eq!(replica.fence(KEY, None), yes(2));
    assert_eq!(replica.extend(KEY, b"ann", 99).0, Answer::Yes);
    assert_eq!(tries(&mut replica, b"bob", limit(9)).0, Answer::NoToken);
    for number in [3, 1] {
        let (answer, effects) = replica.apply_end(KEY, b"ann", token(number));
        assert_eq!((answer, effects), (Answer::Yes, vec![Effect::Signal]));
    }
    let lock = replica.handle(KEY);
    let (_, effects) = replica.apply_end(KEY, b"ann", token(2));
    assert_eq!(effects, [delete(0, KEY, lock)]);
}
