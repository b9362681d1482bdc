//! Several holders of one lock: each claim of the rule by itself.

use crate::lock::holders::StoredHold;
use crate::lock::{Answer, BootTime, ClientId, Delay, Effect, Event, Extension, News, Patience};
use crate::lock::{TicketId, Tolerance};
use crate::server::{Outcome, Request, Server};
use crate::values::{end, grant, token, ttl, wall};

pub(crate) const KEY: &[u8] = b"lock";

/// Any number.
pub(crate) const ANY: Tolerance = Tolerance::ANY;
/// None beside itself.
pub(crate) const ALONE: Tolerance = Tolerance::ALONE;

/// So many together.
pub(crate) fn limit(count: u64) -> Tolerance {
    Tolerance::limit(count).expect("a limit within range")
}

/// The connection with this number.
pub(crate) fn client(number: u64) -> Option<ClientId> {
    ClientId::new(number)
}

pub(crate) fn tries(server: &mut Server, owner: &[u8], tolerates: Tolerance) -> Outcome {
    let request = Request {
        tolerates,
        ..Request::plain(owner, 30)
    };
    server.ask(KEY, request)
}

/// Waits without limit.
pub(crate) fn waits(server: &mut Server, owner: &[u8], tolerates: Tolerance) -> TicketId {
    waits_until(server, owner, tolerates, None)
}

fn waits_until(
    server: &mut Server,
    owner: &[u8],
    tolerates: Tolerance,
    until: Option<BootTime>,
) -> TicketId {
    let request = Request {
        tolerates,
        patience: Patience::Wait {
            until,
            waiters_most: 2_000,
        },
        ..Request::plain(owner, 30)
    };
    match server.ask(KEY, request) {
        (Answer::InLine(ticket), effects) if effects.is_empty() => ticket,
        (answer, effects) => panic!("{answer:?}, {effects:?}"),
    }
}

/// Who was told what since this was last asked.
pub(crate) fn told(server: &mut Server) -> Vec<(TicketId, News)> {
    std::mem::take(&mut server.told)
}

pub(crate) fn yes(number: u64) -> Answer {
    Answer::Token(token(number))
}

/// Without the cover in front of a longer lease than any before.
pub(crate) fn bare((answer, mut effects): Outcome) -> Outcome {
    effects.retain(|effect| !matches!(effect, Effect::Cover(_)));
    (answer, effects)
}

/// A server on which these hold the lock, with tokens from 1.
pub(crate) fn held_by(holders: &[(&[u8], Tolerance)]) -> Server {
    let mut server = Server::new();
    for (number, (owner, tolerates)) in (1..).zip(holders) {
        assert_eq!(tries(&mut server, owner, *tolerates).0, yes(number));
    }
    server.sent.clear();
    server
}

pub(crate) const READERS: [(&[u8], Tolerance); 2] = [(b"ann", ANY), (b"bob", ANY)];

#[test]
fn readers_share_and_each_has_a_larger_token() {
    let mut server = Server::new();
    tries(&mut server, b"ann", ANY);
    let lock = server.handle(KEY);
    let bob = tries(&mut server, b"bob", ANY);
    assert_eq!(bob, (yes(2), vec![grant(lock, 2, 30), Effect::Signal]));
    assert_eq!(server.handle(KEY), lock);
    assert_eq!(server.fence(KEY, Some(token(1))), Answer::Yes);
    assert_eq!(server.fence(KEY, Some(token(2))), Answer::Yes);
    assert_eq!(server.fence(KEY, None), yes(1));
}

#[test]
fn a_writer_waits_for_all_readers() {
    let mut server = held_by(&READERS);
    assert_eq!(tries(&mut server, b"eve", ALONE), (Answer::NoToken, vec![]));
    let eve = waits(&mut server, b"eve", ALONE);
    server.release(KEY, b"ann", None);
    server.turn();
    assert_eq!(told(&mut server), []);
    let lock = server.handle(KEY);
    let (answer, effects) = server.release(KEY, b"bob", None);
    assert_eq!(answer, Answer::Yes);
    let new = server.handle(KEY);
    assert_ne!(new, lock);
    let news = News::Granted(token(3));
    let reply = Effect::Reply { ticket: eve, news };
    let stored = [Effect::Store(new), grant(new, 3, 30), Effect::Signal, reply];
    assert_eq!(effects[0], end(b"bob", 2));
    assert_eq!(effects[1..], stored);
}

#[test]
fn readers_wait_for_a_writer() {
    let mut server = held_by(&[(b"ann", ALONE)]);
    assert_eq!(tries(&mut server, b"bob", ANY), (Answer::NoToken, vec![]));
    assert_eq!(tries(&mut server, b"bob", limit(9)).0, Answer::NoToken);
}

#[test]
fn a_reader_does_not_overtake_a_waiting_writer() {
    let mut server = held_by(&READERS);
    waits(&mut server, b"eve", ALONE);
    assert_eq!(tries(&mut server, b"dan", ANY), (Answer::NoToken, vec![]));
    waits(&mut server, b"dan", ANY);
    // Who reads already is not stopped.
    assert_eq!(tries(&mut server, b"ann", ANY), (yes(1), vec![]));
}

#[test]
fn readers_behind_a_writer_are_granted_in_one_step_with_rising_tokens() {
    let mut server = held_by(&[(b"ann", ALONE)]);
    let names: [&[u8]; 3] = [b"r1", b"r2", b"r3"];
    let readers = names.map(|name| waits(&mut server, name, ANY));
    waits(&mut server, b"eve", ALONE);
    let last = waits(&mut server, b"r4", ANY);
    let (answer, effects) = server.release(KEY, b"ann", None);
    assert_eq!(answer, Answer::Yes);
    let lock = server.handle(KEY);
    let mut expected = vec![end(b"ann", 1), Effect::Store(lock)];
    expected.extend((2..=4).map(|number| grant(lock, number, 30)));
    expected.push(Effect::Signal);
    expected.extend((2..).zip(readers).map(|(number, ticket)| Effect::Reply {
        ticket,
        news: News::Granted(token(number)),
    }));
    assert_eq!(effects, expected);
    told(&mut server);
    // The writer comes after them, and before the reader behind it.
    for name in names {
        server.release(KEY, name, None);
    }
    assert!(matches!(told(&mut server)[..], [(_, News::Granted(it))] if it == token(5)));
    server.release(KEY, b"eve", None);
    assert_eq!(told(&mut server), [(last, News::Granted(token(6)))]);
}

#[test]
fn a_limit_lets_in_as_many_as_it_says_and_one_more_when_one_goes() {
    let mut server = held_by(&[(b"ann", limit(3)), (b"bob", limit(3)), (b"eve", limit(3))]);
    assert_eq!(tries(&mut server, b"dan", limit(3)).0, Answer::NoToken);
    let dan = waits(&mut server, b"dan", limit(3));
    let lock = server.handle(KEY);
    let (answer, effects) = server.release(KEY, b"bob", None);
    assert_eq!(answer, Answer::Yes);
    let reply = Effect::Reply {
        ticket: dan,
        news: News::Granted(token(4)),
    };
    let expected = [end(b"bob", 2), grant(lock, 4, 30), Effect::Signal, reply];
    assert_eq!(effects, expected);
    assert_eq!(server.handle(KEY), lock);
}

#[test]
fn a_limit_of_one_is_alone() {
    assert_eq!(limit(1), ALONE);
    let mut server = held_by(&[(b"ann", limit(1))]);
    assert_eq!(tries(&mut server, b"ann", ALONE), (yes(1), vec![]));
    assert_eq!(tries(&mut server, b"bob", ANY).0, Answer::NoToken);
}

#[test]
fn a_limit_is_a_number_from_1_to_1024() {
    for count in [0, 1_025, 1 << 32, (1 << 32) + 1, u64::MAX] {
        assert_eq!(Tolerance::limit(count), None, "{count}");
    }
    for count in [1, 2, 1_024] {
        let number = Tolerance::limit(count).map(Tolerance::to_number);
        assert_eq!(number, Some(count));
        assert_eq!(Tolerance::from_number(count), Tolerance::limit(count));
    }
    assert_eq!(Tolerance::from_number(ANY.to_number()), Some(ANY));
    assert_eq!(ANY.to_number(), 0);
}

#[test]
fn the_largest_limit_lets_in_that_many_and_no_more() {
    let mut server = Server::new();
    for number in 1..=1_024u32 {
        let owner = number.to_be_bytes();
        let (answer, _) = tries(&mut server, &owner, limit(1_024));
        assert_eq!(answer, yes(u64::from(number)));
    }
    assert_eq!(tries(&mut server, b"ann", limit(1_024)).0, Answer::NoToken);
    assert_eq!(tries(&mut server, b"ann", ANY).0, Answer::NoToken);
}

#[test]
fn of_two_limits_in_use_the_smaller_counts() {
    let mut server = held_by(&[(b"ann", limit(2)), (b"bob", limit(5))]);
    assert_eq!(tries(&mut server, b"eve", limit(5)).0, Answer::NoToken);
    server.release(KEY, b"ann", None);
    assert_eq!(tries(&mut server, b"eve", limit(5)).0, yes(3));
    assert_eq!(tries(&mut server, b"dan", limit(2)).0, Answer::NoToken);
    assert_eq!(tries(&mut server, b"dan", limit(3)).0, yes(4));
}

#[test]
fn readers_count_for_a_limit_and_a_limit_for_readers() {
    let mut server = held_by(&READERS);
    assert_eq!(tries(&mut server, b"eve", limit(2)).0, Answer::NoToken);
    assert_eq!(tries(&mut server, b"eve", limit(3)).0, yes(3));
    assert_eq!(tries(&mut server, b"dan", ANY).0, Answer::NoToken);
    server.release(KEY, b"eve", None);
    assert_eq!(tries(&mut server, b"dan", ANY).0, yes(4));
}

#[test]
fn a_semaphore_grows_as_the_holders_of_the_smaller_limit_go() {
    let mut server = held_by(&[(b"a1", limit(2)), (b"a2", limit(2))]);
    let names: [&[u8]; 3] = [b"b1", b"b2", b"b3"];
    let tickets = names.map(|name| waits(&mut server, name, limit(4)));
    server.release(KEY, b"a1", None);
    assert_eq!(told(&mut server), [(tickets[0], News::Granted(token(3)))]);
    server.release(KEY, b"a2", None);
    let granted = |at: usize, number| (tickets[at], News::Granted(token(number)));
    assert_eq!(told(&mut server), [granted(1, 4), granted(2, 5)]);
    assert_eq!(tries(&mut server, b"b4", limit(4)).0, yes(6));
    assert_eq!(tries(&mut server, b"b5", limit(4)).0, Answer::NoToken);
}

#[test]
fn a_semaphore_shrinks_as_the_holders_of_the_larger_limit_go() {
    let mut server = held_by(&[(b"a1", limit(3)), (b"a2", limit(3)), (b"a3", limit(3))]);
    let b1 = waits(&mut server, b"b1", limit(2));
    for name in [b"a1", b"a2"] {
        assert_eq!(told(&mut server), []);
        server.release(KEY, name, None);
    }
    assert_eq!(told(&mut server), [(b1, News::Granted(token(4)))]);
    assert_eq!(tries(&mut server, b"b2", limit(2)).0, Answer::NoToken);
}

/// A writer in front of two readers leaves the line in each way there is.
#[test]
fn a_writer_that_leaves_the_line_lets_the_readers_behind_it_in_at_the_next_turn() {
    for way in 0..3 {
        let mut server = held_by(&READERS);
        let until = BootTime::from_ns(server.now.as_ns() + 5_000_000);
        let writer = waits_until(&mut server, b"eve", ALONE, Some(until));
        let names: [&[u8]; 2] = [b"dan", b"fay"];
        let tickets = names.map(|name| waits(&mut server, name, ANY));
        match way {
            0 => server.advance_ms(5),
            1 => {
                server.silently(Event::TicketGone(writer));
            }
            _ => {
                let (answer, _) = server.release(KEY, b"eve", None);
                assert_eq!(answer, Answer::No);
            }
        }
        let is_told = |it: &(TicketId, News)| it.0 != writer;
        server.told.retain(is_told);
        assert_eq!(server.told, [], "way {way}");
        server.turn();
        server.told.retain(is_told);
        let granted = |at: usize, number| (tickets[at], News::Granted(token(number)));
        assert_eq!(
            told(&mut server),
            [granted(0, 3), granted(1, 4)],
            "way {way}"
        );
    }
}

#[test]
fn a_reader_that_leaves_the_line_lets_in_nobody() {
    let mut server = held_by(&READERS);
    waits(&mut server, b"eve", ALONE);
    let dan = waits(&mut server, b"dan", ANY);
    waits(&mut server, b"fay", ANY);
    server.silently(Event::TicketGone(dan));
    assert_eq!(server.locks.lines_ready(), 0);
    server.turn();
    assert_eq!(told(&mut server), []);
}

#[test]
fn an_extension_with_a_token_is_about_that_hold_alone() {
    let mut server = held_by(&READERS);
    let of_bobs = Extension::Plain(Some(token(2)));
    assert_eq!(
        server.extend_with(KEY, b"ann", 60, of_bobs),
        (Answer::No, vec![])
    );
    assert_eq!(server.extend_with(KEY, b"bob", 60, of_bobs).0, Answer::Yes);
    assert_eq!(
        server.release(KEY, b"ann", Some(token(2))),
        (Answer::No, vec![])
    );
    server.advance_ms(30);
    assert_eq!(server.fence(KEY, None), yes(2));
}

#[test]
fn a_holder_that_asks_for_another_number_is_told_so_and_nothing_changes() {
    let mut server = held_by(&READERS);
    for tolerates in [ALONE, limit(2), limit(1_024)] {
        let asked = Request {
            ttl_ms: 99,
            session: client(1),
            tolerates,
            ..Request::plain(b"ann", 99)
        };
        assert_eq!(server.ask(KEY, asked), (Answer::OtherTolerance, vec![]));
    }
    assert!(!server.locks.has_sessions());
    server.advance_ms(30);
    assert_eq!(server.fence(KEY, None), Answer::NoToken);
}

#[test]
fn who_waits_and_asks_for_another_number_is_told_so_and_keeps_its_place() {
    let mut server = held_by(&[(b"ann", ALONE)]);
    let bob = waits(&mut server, b"bob", ANY);
    let asked = Request {
        tolerates: limit(2),
        patience: Patience::Wait {
            until: None,
            waiters_most: 10,
        },
        ..Request::plain(b"bob", 30)
    };
    assert_eq!(server.ask(KEY, asked), (Answer::OtherTolerance, vec![]));
    assert_eq!(server.locks.waiting(), 1);
    server.release(KEY, b"ann", None);
    assert_eq!(told(&mut server), [(bob, News::Granted(token(2)))]);
}

#[test]
fn who_asks_again_keeps_its_token_and_its_lease_is_only_ever_longer() {
    let mut server = held_by(&READERS);
    let lock = server.handle(KEY);
    let again = |ttl_ms| Request {
        tolerates: ANY,
        ..Request::plain(b"ann", ttl_ms)
    };
    assert_eq!(server.ask(KEY, again(10)), (yes(1), vec![]));
    assert_eq!(
        bare(server.ask(KEY, again(40))),
        (yes(1), vec![grant(lock, 1, 40)])
    );
    server.advance_ms(39);
    assert_eq!(server.fence(KEY, None), yes(1));
    server.advance_ms(1);
    assert_eq!(server.fence(KEY, None), Answer::NoToken);
}

#[test]
fn who_asks_again_is_bound_as_it_said_last() {
    for last in [None, client(2)] {
        let mut server = held_by(&[(b"bob", ANY)]);
        for session in [client(1), last] {
            let request = Request {
                session,
                tolerates: ANY,
                ..Request::plain(b"ann", 30)
            };
            assert_eq!(server.ask(KEY, request).0, yes(2));
        }
        server.silently(Event::SessionEnded(client(1).expect("not zero")));
        assert_eq!(server.fence(KEY, Some(token(2))), Answer::Yes);
        server.silently(Event::SessionEnded(client(2).expect("not zero")));
        let is_live = server.fence(KEY, Some(token(2))) == Answer::Yes;
        assert_eq!(is_live, last.is_none());
        assert_eq!(server.fence(KEY, Some(token(1))), Answer::Yes);
    }
}

#[test]
fn a_token_is_raised_only_where_nobody_else_can_hold() {
    for tolerates in [ANY, limit(2), limit(1_024)] {
        let mut server = held_by(&[(b"ann", tolerates)]);
        let raised = server.raise(KEY, b"ann", 99, (token(9), wall(0)));
        assert_eq!(raised, (Answer::NotAlone, vec![]));
        let stranger = server.raise(KEY, b"bob", 99, (token(9), wall(0)));
        assert_eq!(stranger, (Answer::NoToken, vec![]));
        server.advance_ms(30);
        assert_eq!(server.fence(KEY, None), Answer::NoToken);
    }
}

#[test]
fn a_writers_token_is_above_every_earlier_readers() {
    let mut server = held_by(&READERS);
    waits(&mut server, b"eve", ALONE);
    server.release(KEY, b"bob", None);
    server.release(KEY, b"ann", None);
    assert_eq!(server.fence(KEY, None), yes(3));
}

/// One step lets in no more than 1,024; the next turn goes on.
#[test]
fn a_crowd_of_readers_is_let_in_over_several_steps_and_nobody_is_forgotten() {
    let mut server = held_by(&[(b"ann", ALONE)]);
    for number in 0..1_500u32 {
        waits(&mut server, &number.to_be_bytes(), ANY);
    }
    server.release(KEY, b"ann", None);
    assert_eq!(told(&mut server).len(), 1_024);
    assert_eq!(tries(&mut server, b"bob", ANY).0, Answer::NoToken);
    server.turn();
    assert_eq!(told(&mut server).len(), 1_500 - 1_024);
    assert_eq!(tries(&mut server, b"bob", ANY).0, yes(1_502));
}

#[test]
fn names_that_begin_alike_are_not_taken_for_each_other() {
    let mut server = Server::new();
    let mut names: Vec<Vec<u8>> = (0..8).map(|length| vec![0; length + 1]).collect();
    names.extend((0..40).map(|at| {
        let mut name = vec![b'x'; 512];
        name[at * 12 + 30] = b'y';
        name
    }));
    for (number, name) in (1..).zip(&names) {
        assert_eq!(tries(&mut server, name, ANY).0, yes(number));
    }
    for (number, name) in (1..).zip(&names) {
        let others = Some(token(number % names.len() as u64 + 1));
        assert_eq!(server.release(KEY, name, others).0, Answer::No);
        assert_eq!(
            server.release(KEY, name, Some(token(number))).0,
            Answer::Yes
        );
    }
}

#[test]
fn a_replica_moves_one_lease_among_several() {
    let mut replica = Server::new();
    let hold = |owner, number, ms| StoredHold {
        owner,
        token: token(number),
        lease: Some(ttl(ms)),
        tolerates: limit(3),
        delay: Delay::NONE,
    };
    replica.apply_hold(KEY, hold(b"ann", 1, 30));
    let (_, effects) = replica.apply_hold(KEY, hold(b"bob", 2, 30));
    assert_eq!(effects, [Effect::Signal]);
    for ms in [500, 40, 50] {
        let moved = replica.apply_hold(KEY, hold(b"ann", 1, ms));
        assert_eq!(moved, (Answer::Yes, vec![]));
        assert_eq!(replica.locks.broken_invariant(), None);
    }
    replica.advance_ms(49);
    assert_eq!(replica.fence(KEY, None), yes(1));
    assert_eq!(tries(&mut replica, b"eve", limit(3)).0, yes(3));
    assert_eq!(tries(&mut replica, b"dan", limit(3)).0, yes(4));
    assert_eq!(tries(&mut replica, b"fay", limit(3)).0, Answer::NoToken);
}
