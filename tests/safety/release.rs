//! RELEASE: only the holder ends its hold, once, and nothing is left of it.

use crate::lock::{Answer, Effect};
use crate::server::Server;
use crate::values::{delete, grant, token};

#[test]
fn the_holder_ends_its_hold_and_the_key_goes() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    let released = server.release(b"lock", b"ann", None);
    assert_eq!(released, (Answer::Yes, vec![delete(0, b"lock", lock)]));
    assert_eq!(server.found(0, b"lock"), None);
    assert!(server.locks.is_empty());
    assert_eq!(server.locks.next_deadline(), None);
}

#[test]
fn a_key_is_deleted_in_the_database_in_which_it_is() {
    let mut server = Server::new();
    server.db = 2;
    server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    let (_, effects) = server.release(b"lock", b"ann", None);
    assert_eq!(effects, [delete(2, b"lock", lock)]);
}

#[test]
fn a_second_release_is_told_no_and_changes_nothing() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.release(b"lock", b"ann", None);
    let again = server.release(b"lock", b"ann", None);
    assert_eq!(again, (Answer::No, vec![]));
}

#[test]
fn a_lock_that_never_was_cannot_be_released() {
    let mut server = Server::new();
    let refused = server.release(b"lock", b"ann", None);
    assert_eq!(refused, (Answer::No, vec![]));
}

#[test]
fn another_owner_cannot_release() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    for number in [None, Some(token(1)), Some(token(2))] {
        let refused = server.release(b"lock", b"bob", number);
        assert_eq!(refused, (Answer::No, vec![]));
    }
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
}

#[test]
fn with_a_token_only_the_hold_with_that_token_is_released() {
    let mut server = Server::new();
    server.acquire(b"other", b"ann", 30);
    server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    for wrong in [1, 3] {
        let refused = server.release(b"lock", b"ann", Some(token(wrong)));
        assert_eq!(refused, (Answer::No, vec![]));
    }
    let released = server.release(b"lock", b"ann", Some(token(2)));
    assert_eq!(released, (Answer::Yes, vec![delete(0, b"lock", lock)]));
}

#[test]
fn a_late_release_with_its_token_does_not_end_the_next_hold_of_the_owner() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.release(b"lock", b"ann", Some(token(1)));
    server.acquire(b"lock", b"ann", 30);
    let late = server.release(b"lock", b"ann", Some(token(1)));
    assert_eq!(late, (Answer::No, vec![]));
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(2)));
}

#[test]
fn a_lapsed_hold_cannot_be_released() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.advance_ms(30);
    for number in [None, Some(token(1))] {
        let refused = server.release(b"lock", b"ann", number);
        assert_eq!(refused, (Answer::No, vec![]));
    }
}

#[test]
fn after_a_release_anyone_is_granted_a_new_lock_with_a_larger_token() {
    let mut server = Server::new();
    for (number, owner) in [b"ann", b"ann", b"bob"].into_iter().enumerate() {
        let (answer, effects) = server.acquire(b"lock", owner, 30);
        assert_eq!(answer, Answer::Token(token(number as u64 + 1)));
        let lock = server.handle(b"lock");
        let stored = &effects[effects.len() - 3..];
        assert_eq!(
            stored,
            [
                Effect::Store(lock),
                grant(lock, number as u64 + 1, 30),
                Effect::Signal
            ]
        );
        server.release(b"lock", owner, None);
    }
}

#[test]
fn a_release_ends_no_other_lock_of_the_owner() {
    let mut server = Server::new();
    for key in [b"a", b"b", b"c"] {
        server.acquire(key, b"ann", 30);
    }
    server.release(b"b", b"ann", None);
    assert_eq!(server.fence(b"a", None), Answer::Token(token(1)));
    assert_eq!(server.fence(b"b", None), Answer::NoToken);
    assert_eq!(server.fence(b"c", None), Answer::Token(token(3)));
}
