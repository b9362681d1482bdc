//! FENCE: which token is live, and that asking changes nothing.

use crate::lock::Answer;
use crate::server::Server;
use crate::values::{delete, token, wall};

#[test]
fn without_a_holder_no_token_is_live() {
    let mut server = Server::new();
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
}

#[test]
fn exactly_the_holders_token_is_live() {
    let mut server = Server::new();
    server.acquire(b"other", b"ann", 30);
    server.acquire(b"lock", b"ann", 30);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(2)));
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    assert_eq!(server.fence(b"lock", Some(token(2))), Answer::Yes);
    assert_eq!(server.fence(b"lock", Some(token(3))), Answer::No);
}

#[test]
fn a_released_token_is_never_live_again() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.release(b"lock", b"ann", None);
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    server.acquire(b"lock", b"ann", 30);
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
}

#[test]
fn a_token_that_was_raised_away_is_not_live() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    server.raise(b"lock", b"ann", 30, (token(9), wall(0)));
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(9)));
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    assert_eq!(server.fence(b"lock", Some(token(9))), Answer::Yes);
}

#[test]
fn asking_about_a_lapsed_hold_does_not_end_it() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    server.advance_ms(30);
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    assert_eq!(server.sweep(10), [delete(0, b"lock", lock)]);
}

#[test]
fn asking_does_not_keep_a_lease_alive() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    for _ in 0..30 {
        assert_eq!(server.fence(b"lock", Some(token(1))), Answer::Yes);
        server.advance_ms(1);
    }
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
}
