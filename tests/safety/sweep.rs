//! The sweep: it tidies up what is over, in the order in which it ended, and
//! touches nothing that is not.

use crate::lock::Answer;
use crate::server::Server;
use crate::values::{delete, token};

#[test]
fn a_lapsed_lock_is_deleted_and_leaves_nothing() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    server.advance_ms(30);
    assert_eq!(server.sweep(10), [delete(0, b"lock", lock)]);
    assert_eq!(server.found(0, b"lock"), None);
    assert!(server.locks.is_empty());
    assert_eq!(server.locks.next_deadline(), None);
    assert_eq!(server.sweep(10), []);
}

#[test]
fn nothing_is_swept_before_its_deadline() {
    let mut server = Server::new();
    server.acquire(b"short", b"ann", 10);
    server.acquire(b"long", b"ann", 11);
    server.advance_ns(10_000_000 - 1);
    assert_eq!(server.sweep(10), []);
    server.advance_ns(1);
    let lock = server.handle(b"short");
    assert_eq!(server.sweep(10), [delete(0, b"short", lock)]);
    assert_eq!(server.fence(b"long", None), Answer::Token(token(2)));
}

#[test]
fn what_ended_first_is_swept_first_and_no_more_than_was_allowed() {
    let mut server = Server::new();
    let keys: [&[u8]; 5] = [b"50", b"20", b"40", b"10", b"30"];
    for (key, ttl_ms) in keys.into_iter().zip([50, 20, 40, 10, 30]) {
        server.acquire(key, b"ann", ttl_ms);
    }
    let lock = keys.map(|key| server.handle(key));
    server.advance_ms(50);
    assert_eq!(server.sweep(0), []);
    assert_eq!(
        server.sweep(2),
        [delete(0, b"10", lock[3]), delete(0, b"20", lock[1])]
    );
    assert_eq!(server.sweep(1), [delete(0, b"30", lock[4])]);
    assert_eq!(
        server.sweep(9),
        [delete(0, b"40", lock[2]), delete(0, b"50", lock[0])]
    );
}

#[test]
fn an_extended_lease_is_swept_at_its_new_deadline_only() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 10);
    server.extend(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    server.advance_ms(10);
    assert_eq!(server.sweep(10), []);
    server.advance_ms(20);
    assert_eq!(server.sweep(10), [delete(0, b"lock", lock)]);
}

#[test]
fn the_next_deadline_is_that_of_the_lease_that_ends_first() {
    let mut server = Server::new();
    let start = server.now.as_ns();
    let next_ms = |server: &Server| {
        let next = server.locks.next_deadline();
        next.map(|next| (next.as_ns() - start) / 1_000_000)
    };
    assert_eq!(next_ms(&server), None);
    server.acquire(b"long", b"ann", 30);
    assert_eq!(next_ms(&server), Some(30));
    server.acquire(b"short", b"ann", 10);
    assert_eq!(next_ms(&server), Some(10));
    server.extend(b"short", b"ann", 50);
    assert_eq!(next_ms(&server), Some(30));
    server.release(b"long", b"ann", None);
    assert_eq!(next_ms(&server), Some(50));
}

#[test]
fn leases_that_end_in_one_instant_are_all_swept_in_slices() {
    let mut server = Server::new();
    let keys: Vec<_> = (0..1_000u32).map(u32::to_be_bytes).collect();
    for key in &keys {
        server.acquire(key, b"ann", 10);
    }
    server.advance_ms(10);
    let mut swept = 0;
    while !server.locks.is_empty() {
        let slice = server.sweep(64).len();
        assert!((1..=64).contains(&slice));
        swept += slice;
    }
    assert_eq!(swept, keys.len());
    assert_eq!(server.keys().count(), 0);
}
