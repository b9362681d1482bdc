//! ACQUIRE: who is granted, what a repeated request does, and what the server is
//! told of it, effect by effect.

use crate::lock::token::StoredCounter;
use crate::lock::{Answer, BootTime, Effect, Event};
use crate::server::Server;
use crate::values::{cover, delete, end, first_cover, grant, token, TOKEN_MOST};

#[test]
fn the_first_grant_is_covered_stored_sent_and_signalled_in_that_order() {
    let mut server = Server::new();
    let (answer, effects) = server.acquire(b"lock", b"ann", 30);
    assert_eq!(answer, Answer::Token(token(1)));
    let lock = server.handle(b"lock");
    assert_eq!(
        effects,
        [
            first_cover(30),
            Effect::Store(lock),
            grant(lock, 1, 30),
            Effect::Signal
        ]
    );
}

#[test]
fn the_second_grant_is_covered_already() {
    let mut server = Server::new();
    server.acquire(b"one", b"ann", 30);
    let (answer, effects) = server.acquire(b"other", b"ann", 30);
    assert_eq!(answer, Answer::Token(token(2)));
    let lock = server.handle(b"other");
    assert_eq!(
        effects,
        [Effect::Store(lock), grant(lock, 2, 30), Effect::Signal]
    );
}

#[test]
fn another_owner_is_refused_without_a_trace() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    let refused = server.acquire(b"lock", b"bob", 1_000);
    assert_eq!(refused, (Answer::NoToken, vec![]));
    server.advance_ms(30);
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
}

#[test]
fn a_refused_owner_uses_up_no_token() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    for _ in 0..10 {
        server.acquire(b"lock", b"bob", 30);
    }
    let (answer, _) = server.acquire(b"other", b"bob", 30);
    assert_eq!(answer, Answer::Token(token(2)));
}

#[test]
fn the_holder_that_asks_again_keeps_its_token_and_gets_a_whole_lease() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.advance_ms(10);
    let again = server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    assert_eq!(again, (Answer::Token(token(1)), vec![grant(lock, 1, 30)]));
    server.advance_ms(29);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
    server.advance_ms(1);
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
}

#[test]
fn a_late_duplicate_never_shortens_a_lease() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 100);
    for ttl_ms in [1, 50, 99, 100] {
        let duplicate = server.acquire(b"lock", b"ann", ttl_ms);
        assert_eq!(duplicate, (Answer::Token(token(1)), vec![]), "{ttl_ms} ms");
    }
    server.advance_ns(100_000_000 - 1);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
}

#[test]
fn a_longer_lease_than_ever_is_covered_before_it_is_sent() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    let longer = server.acquire(b"lock", b"ann", 31);
    let lock = server.handle(b"lock");
    assert_eq!(
        longer,
        (
            Answer::Token(token(1)),
            vec![first_cover(31), grant(lock, 1, 31)]
        )
    );
}

#[test]
fn one_nanosecond_before_its_deadline_a_hold_is_live_for_everybody() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.advance_ns(30_000_000 - 1);
    assert_eq!(server.sweep(10), []);
    assert_eq!(
        server.acquire(b"lock", b"bob", 30),
        (Answer::NoToken, vec![])
    );
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::Yes);
    assert_eq!(server.extend(b"lock", b"ann", 1).0, Answer::Yes);
    assert_eq!(server.release(b"lock", b"ann", None).0, Answer::Yes);
}

#[test]
fn at_its_deadline_a_hold_is_over_for_everybody() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.advance_ms(30);
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    assert_eq!(server.extend(b"lock", b"ann", 30), (Answer::No, vec![]));
    assert_eq!(server.release(b"lock", b"ann", None), (Answer::No, vec![]));
    assert_eq!(
        server.acquire(b"lock", b"bob", 30).0,
        Answer::Token(token(2))
    );
}

#[test]
fn after_a_lapse_the_old_hold_ends_in_front_of_the_new_one() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    let old = server.handle(b"lock");
    server.advance_ms(30);
    let granted = server.acquire(b"lock", b"bob", 20);
    let lock = server.handle(b"lock");
    // A handle of its own: nothing of the old hold is left.
    assert_ne!(lock, old);
    assert!(server.locks.lock(old).is_none());
    assert_eq!(server.locks.len(), 1);
    let effects = vec![
        end(b"ann", 1),
        Effect::Store(lock),
        grant(lock, 2, 20),
        Effect::Signal,
    ];
    assert_eq!(granted, (Answer::Token(token(2)), effects));
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    assert_eq!(server.fence(b"lock", Some(token(2))), Answer::Yes);
}

#[test]
fn after_a_lapse_the_same_owner_gets_a_new_hold_with_a_larger_token() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.advance_ms(31);
    let granted = server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    let effects = vec![
        end(b"ann", 1),
        Effect::Store(lock),
        grant(lock, 2, 30),
        Effect::Signal,
    ];
    assert_eq!(granted, (Answer::Token(token(2)), effects));
}

#[test]
fn after_a_lapse_a_longer_lease_than_ever_is_covered_before_it_is_sent() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.advance_ms(30);
    let (_, effects) = server.acquire(b"lock", b"bob", 40);
    let lock = server.handle(b"lock");
    let expected = [
        end(b"ann", 1),
        first_cover(40),
        Effect::Store(lock),
        grant(lock, 2, 40),
        Effect::Signal,
    ];
    assert_eq!(effects, expected);
}

#[test]
fn the_lease_of_a_hold_after_a_lapse_runs_from_its_grant() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.advance_ms(45);
    server.acquire(b"lock", b"bob", 30);
    server.advance_ns(30_000_000 - 1);
    assert_eq!(server.sweep(10), []);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(2)));
    let lock = server.handle(b"lock");
    server.advance_ns(1);
    assert_eq!(server.sweep(10), [delete(0, b"lock", lock)]);
}

#[test]
fn locks_of_one_name_in_two_databases_have_nothing_to_do_with_each_other() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.db = 1;
    assert_eq!(
        server.acquire(b"lock", b"bob", 30).0,
        Answer::Token(token(2))
    );
    assert_eq!(server.release(b"lock", b"ann", None).0, Answer::No);
    server.db = 0;
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
}

#[test]
fn owners_are_compared_whole_and_as_bytes() {
    let long = [b'x'; 512];
    let mut nearly = long;
    nearly[511] = b'y';
    let mut server = Server::new();
    let owners: [&[u8]; 10] = [
        b"ann",
        b"an",
        b"anna",
        b"ANN",
        b"ann\0",
        b"\xff\xfe",
        &long[..22],
        &long[..23],
        &long,
        &nearly,
    ];
    for holder in owners {
        server.acquire(b"lock", holder, 30);
        for other in owners {
            let is_holder = server.extend(b"lock", other, 30).0 == Answer::Yes;
            assert_eq!(is_holder, holder == other, "{holder:?} and {other:?}");
        }
        assert_eq!(server.release(b"lock", holder, None).0, Answer::Yes);
    }
}

#[test]
fn a_key_of_any_length_is_named_whole_when_it_goes() {
    let mut server = Server::new();
    for length in [0, 1, 21, 22, 23, 24, 100, 70_000] {
        let key = vec![0xfe; length];
        server.acquire(&key, b"ann", 30);
        let lock = server.handle(&key);
        let (_, effects) = server.release(&key, b"ann", None);
        assert_eq!(effects, [delete(0, &key, lock)]);
    }
}

#[test]
fn a_lease_that_would_end_after_the_end_of_time_ends_there() {
    let mut server = Server::new();
    server.now = BootTime::from_ns(u64::MAX - 5);
    assert_eq!(
        server.acquire(b"lock", b"ann", 30).0,
        Answer::Token(token(1))
    );
    server.advance_ns(4);
    assert_eq!(
        server.acquire(b"lock", b"bob", 30),
        (Answer::NoToken, vec![])
    );
}

/// A server that has issued the very last token.
fn exhausted() -> Server {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.silently(Event::LoadCounter(StoredCounter {
        last: TOKEN_MOST,
        ceiling: TOKEN_MOST,
        ttl_most_ms: 30,
        since_ms: 0,
    }));
    server
}

#[test]
fn without_tokens_a_free_lock_is_not_granted_and_nothing_changes() {
    let mut server = exhausted();
    let refused = server.acquire(b"free", b"ann", 30);
    assert_eq!(refused, (Answer::TokensExhausted, vec![]));
    assert_eq!(server.found(0, b"free"), None);
    assert_eq!(server.locks.len(), 1);
    assert_eq!(server.locks.tokens().last(), TOKEN_MOST);
}

#[test]
fn without_tokens_a_lapsed_lock_is_not_granted_and_nothing_changes() {
    let mut server = exhausted();
    let lock = server.handle(b"lock");
    server.advance_ms(30);
    for owner in [b"ann", b"bob"] {
        let refused = server.acquire(b"lock", owner, 30);
        assert_eq!(refused, (Answer::TokensExhausted, vec![]));
    }
    assert_eq!(server.sweep(10), [delete(0, b"lock", lock)]);
}

#[test]
fn without_tokens_a_holder_still_keeps_extends_and_releases_its_lock() {
    let mut server = exhausted();
    server.advance_ms(10);
    let lock = server.handle(b"lock");
    let again = server.acquire(b"lock", b"ann", 30);
    assert_eq!(again, (Answer::Token(token(1)), vec![grant(lock, 1, 30)]));
    assert_eq!(server.extend(b"lock", b"ann", 30).0, Answer::Yes);
    assert_eq!(server.release(b"lock", b"ann", None).0, Answer::Yes);
}

#[test]
fn the_last_token_there_is_is_granted() {
    let mut server = Server::new();
    server.silently(Event::LoadCounter(StoredCounter {
        last: TOKEN_MOST - 1,
        ceiling: TOKEN_MOST - 1,
        ttl_most_ms: 30,
        since_ms: 0,
    }));
    let (answer, effects) = server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    assert_eq!(answer, Answer::Token(token(TOKEN_MOST)));
    let expected = [
        cover(TOKEN_MOST, 30),
        Effect::Store(lock),
        grant(lock, TOKEN_MOST, 30),
        Effect::Signal,
    ];
    assert_eq!(effects, expected);
    assert_eq!(
        server.acquire(b"other", b"ann", 30),
        (Answer::TokensExhausted, vec![])
    );
}
