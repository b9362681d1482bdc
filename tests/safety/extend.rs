//! EXTEND: a lease moves later, never earlier; with TOKEN only the right hold's,
//! with RAISE its token rises too, within bounds.

use crate::lock::token::RESERVE;
use crate::lock::{Answer, Effect, Extension, Token, WallTime};
use crate::server::Server;
use crate::values::{cover, cover_since, first_cover, grant, token, wall, TOKEN_MOST};

/// One hour of wall clock, in tokens.
const HOUR: u64 = 3_600_000 << 12;

/// A server on which ann holds `lock` with token 1 for 30 ms.
fn held() -> Server {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server
}

/// RAISE for ann, on a server whose wall clock reads the start of 2024.
fn raise(server: &mut Server, ttl_ms: u64, to: u64) -> (Answer, Vec<Effect>) {
    server.raise(b"lock", b"ann", ttl_ms, (token(to), wall(0)))
}

#[test]
fn a_lease_is_moved_to_a_whole_one_from_now() {
    let mut server = held();
    server.advance_ms(10);
    let lock = server.handle(b"lock");
    let extended = server.extend(b"lock", b"ann", 30);
    assert_eq!(extended, (Answer::Yes, vec![grant(lock, 1, 30)]));
    server.advance_ns(30_000_000 - 1);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
    server.advance_ns(1);
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
}

#[test]
fn a_shorter_lease_changes_nothing_and_is_answered_as_before() {
    let mut server = held();
    for ttl_ms in [1, 29, 30] {
        let extended = server.extend(b"lock", b"ann", ttl_ms);
        assert_eq!(extended, (Answer::Yes, vec![]));
    }
    server.advance_ns(30_000_000 - 1);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
}

#[test]
fn a_longer_lease_than_ever_is_covered_before_it_is_sent() {
    let mut server = held();
    let lock = server.handle(b"lock");
    let (_, effects) = server.extend(b"lock", b"ann", 31);
    assert_eq!(effects, [first_cover(31), grant(lock, 1, 31)]);
}

#[test]
fn nobody_else_and_nobody_too_late_extends() {
    let mut server = held();
    assert_eq!(server.extend(b"lock", b"bob", 99), (Answer::No, vec![]));
    assert_eq!(server.extend(b"other", b"ann", 99), (Answer::No, vec![]));
    server.advance_ms(30);
    assert_eq!(server.extend(b"lock", b"ann", 99), (Answer::No, vec![]));
    server.release(b"lock", b"ann", None);
    assert_eq!(server.extend(b"lock", b"ann", 99), (Answer::No, vec![]));
}

#[test]
fn with_a_token_only_the_hold_with_that_token_is_extended() {
    let mut server = held();
    let lock = server.handle(b"lock");
    let wrong = Extension::Plain(Some(token(2)));
    let refused = server.extend_with(b"lock", b"ann", 40, wrong);
    assert_eq!(refused, (Answer::No, vec![]));
    let right = Extension::Plain(Some(token(1)));
    let (answer, effects) = server.extend_with(b"lock", b"ann", 40, right);
    assert_eq!(answer, Answer::Yes);
    assert_eq!(effects, [first_cover(40), grant(lock, 1, 40)]);
    let other = server.extend_with(b"lock", b"bob", 50, right);
    assert_eq!(other, (Answer::No, vec![]));
    // The token that it had before it was raised is not its token, either.
    raise(&mut server, 30, 100);
    let late = server.extend_with(b"lock", b"ann", 50, right);
    assert_eq!(late, (Answer::No, vec![]));
}

#[test]
fn a_raise_makes_the_token_larger_and_tells_watchers() {
    let mut server = held();
    let lock = server.handle(b"lock");
    let (answer, effects) = raise(&mut server, 30, 100);
    assert_eq!(answer, Answer::Token(token(100)));
    assert_eq!(effects, [grant(lock, 100, 30), Effect::Signal]);
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    assert_eq!(server.fence(b"lock", Some(token(100))), Answer::Yes);
}

#[test]
fn after_a_raise_every_grant_of_any_key_is_above_it() {
    let mut server = held();
    raise(&mut server, 30, 100);
    assert_eq!(
        server.acquire(b"other", b"bob", 30).0,
        Answer::Token(token(101))
    );
    server.release(b"lock", b"ann", None);
    assert_eq!(
        server.acquire(b"lock", b"bob", 30).0,
        Answer::Token(token(102))
    );
}

#[test]
fn a_raise_that_does_not_move_the_lease_sends_what_is_left_rounded_up() {
    let mut server = held();
    server.advance_ns(10_000_001);
    let lock = server.handle(b"lock");
    let (_, effects) = raise(&mut server, 5, 100);
    assert_eq!(effects, [grant(lock, 100, 20), Effect::Signal]);
}

#[test]
fn a_raise_to_or_below_its_own_token_moves_the_lease_only() {
    let mut server = held();
    raise(&mut server, 30, 100);
    let lock = server.handle(b"lock");
    for to in [1, 99, 100] {
        server.advance_ms(1);
        let raised = raise(&mut server, 30, to);
        assert_eq!(
            raised,
            (Answer::Token(token(100)), vec![grant(lock, 100, 30)])
        );
    }
}

#[test]
fn a_raise_that_changes_nothing_sends_nothing() {
    let mut server = held();
    raise(&mut server, 30, 100);
    let again = raise(&mut server, 30, 100);
    assert_eq!(again, (Answer::Token(token(100)), vec![]));
    let shorter = raise(&mut server, 1, 7);
    assert_eq!(shorter, (Answer::Token(token(100)), vec![]));
}

#[test]
fn a_raise_above_the_ceiling_is_covered_before_it_is_sent() {
    let mut server = held();
    let lock = server.handle(b"lock");
    let far = 1 + RESERVE + 1;
    let (answer, effects) = raise(&mut server, 30, far);
    assert_eq!(answer, Answer::Token(token(far)));
    assert_eq!(
        effects,
        [
            cover(far + RESERVE, 30),
            grant(lock, far, 30),
            Effect::Signal
        ]
    );
}

#[test]
fn a_raise_beyond_the_bound_changes_nothing_not_even_the_lease() {
    let mut server = held();
    server.advance_ms(10);
    let refused = raise(&mut server, 99, HOUR + 1);
    assert_eq!(refused, (Answer::RaiseTooFar(token(HOUR)), vec![]));
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
    server.advance_ms(20);
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
    assert_eq!(
        server.acquire(b"other", b"ann", 30).0,
        Answer::Token(token(2))
    );
}

#[test]
fn a_raise_to_the_bound_itself_is_made() {
    let mut server = held();
    let (answer, _) = raise(&mut server, 30, HOUR);
    assert_eq!(answer, Answer::Token(token(HOUR)));
}

#[test]
fn the_bound_is_one_hour_ahead_of_the_clock() {
    let mut server = held();
    let bound = HOUR + (5 << 12);
    let pair = |to| (token(to), wall(5));
    let refused = server.raise(b"lock", b"ann", 30, pair(bound + 1));
    assert_eq!(refused, (Answer::RaiseTooFar(token(bound)), vec![]));
    let (answer, _) = server.raise(b"lock", b"ann", 30, pair(bound));
    assert_eq!(answer, Answer::Token(token(bound)));
}

#[test]
fn a_clock_that_was_set_back_does_not_take_the_bound_below_the_term() {
    let mut server = Server::new();
    server.open_term(wall(1_000));
    server.acquire(b"lock", b"ann", 30);
    let bound = HOUR + (1_000 << 12);
    let refused = raise(&mut server, 30, bound + 1);
    assert_eq!(refused.0, Answer::RaiseTooFar(token(bound)));
    assert_eq!(raise(&mut server, 30, bound).0, Answer::Token(token(bound)));
}

#[test]
fn what_the_counter_has_reached_is_never_too_far() {
    let mut server = held();
    let lock = server.handle(b"lock");
    server.acquire(b"other", b"ann", 30);
    server.raise(b"other", b"ann", 30, (token(9 * HOUR), wall(9 * 3_600_000)));
    let (answer, effects) = raise(&mut server, 30, 9 * HOUR);
    assert_eq!(answer, Answer::Token(token(9 * HOUR)));
    assert_eq!(effects, [grant(lock, 9 * HOUR, 30), Effect::Signal]);
    let beyond = raise(&mut server, 99, 9 * HOUR + 1);
    let refused = (Answer::RaiseTooFar(token(9 * HOUR)), vec![]);
    assert_eq!(beyond, refused);
}

#[test]
fn a_wall_clock_before_2024_counts_as_the_start_of_2024() {
    let mut server = held();
    for unix_ms in [0, 1, 1_704_067_199_999, 1_704_067_200_000] {
        let clock = WallTime::from_unix_ms(unix_ms);
        let refused = server.raise(b"lock", b"ann", 99, (token(HOUR + 1), clock));
        assert_eq!(refused, (Answer::RaiseTooFar(token(HOUR)), vec![]));
    }
}

#[test]
fn a_wall_clock_at_the_end_of_time_saturates() {
    let clock = WallTime::from_unix_ms(u64::MAX);
    let bound = TOKEN_MOST - 4_095;
    let mut server = held();
    let refused = server.raise(b"lock", b"ann", 99, (Token::MOST, clock));
    assert_eq!(refused, (Answer::RaiseTooFar(token(bound)), vec![]));
    let lock = server.handle(b"lock");
    let (answer, effects) = server.raise(b"lock", b"ann", 30, (token(bound), clock));
    assert_eq!(answer, Answer::Token(token(bound)));
    let covered = [
        cover_since(TOKEN_MOST, 30, clock.as_ms_since_2024()),
        grant(lock, bound, 30),
        Effect::Signal,
    ];
    assert_eq!(effects, covered);
}

#[test]
fn nobody_else_and_nobody_too_late_raises() {
    let mut server = held();
    let to = (token(100), wall(0));
    let refused = (Answer::NoToken, vec![]);
    assert_eq!(server.raise(b"lock", b"bob", 99, to), refused);
    assert_eq!(server.raise(b"other", b"ann", 99, to), refused);
    server.advance_ms(30);
    assert_eq!(server.raise(b"lock", b"ann", 99, to), refused);
    assert_eq!(server.locks.tokens().last(), 1);
}

/// A quorum raises each of an owner's locks to the same token.
#[test]
fn two_locks_may_be_raised_to_one_token() {
    let mut server = held();
    server.acquire(b"other", b"ann", 30);
    let (answer, _) = raise(&mut server, 30, 2);
    assert_eq!(answer, Answer::Token(token(2)));
    assert_eq!(server.locks.broken_invariant(), None);
    assert_eq!(
        server.acquire(b"third", b"ann", 30).0,
        Answer::Token(token(3))
    );
}

#[test]
fn a_raise_is_known_to_a_replica_that_is_promoted() {
    let mut server = held();
    raise(&mut server, 30, 1_000_000);
    let mut replica = Server::new();
    for sent in std::mem::take(&mut server.sent) {
        replica.apply(&sent);
    }
    replica.open_term(wall(0));
    // The ceiling that came with the raise was 1,000,000 + 2^18.
    let next = token(1_000_000 + RESERVE + 1);
    assert_eq!(replica.acquire(b"other", b"bob", 30).0, Answer::Token(next));
}
