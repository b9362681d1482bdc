//! What the server does to a key behind the rules' back: the old holder is never
//! live again, wherever the value turns up, and the next token is larger.

use crate::lock::{Answer, Effect, LockId};
use crate::server::Server;
use crate::values::{delete, grant, token};

/// A server on which ann holds `lock` with token 1 for a second.
fn held() -> Server {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 1_000);
    server
}

/// Ann has lost the lock, though its key may be there, and whoever comes next is
/// granted a lock of their own.
fn assert_lost(server: &mut Server, key: &[u8]) {
    assert_eq!(server.fence(key, None), Answer::NoToken);
    assert_eq!(server.fence(key, Some(token(1))), Answer::No);
    let no = (Answer::No, vec![]);
    assert_eq!(server.extend(key, b"ann", 9_000), no);
    assert_eq!(server.release(key, b"ann", None), no);
    let (answer, effects) = server.acquire(key, b"ann", 1_000);
    assert_eq!(answer, Answer::Token(token(2)));
    let lock = server.handle(key);
    let expected = [Effect::Store(lock), grant(lock, 2, 1_000), Effect::Signal];
    assert_eq!(effects, expected);
}

/// After everything is tidied up, one lock is left, and one key.
fn assert_one_is_left(server: &mut Server) {
    server.turn();
    assert_eq!(server.locks.len(), 1);
    assert_eq!(server.keys().count(), 1);
}

#[test]
fn a_deleted_lock_is_lost() {
    let mut server = held();
    assert!(server.del(b"lock"));
    assert!(server.locks.is_empty(), "nothing is left of it");
    assert_lost(&mut server, b"lock");
    assert_one_is_left(&mut server);
}

#[test]
fn a_lock_that_is_renamed_there_and_back_is_lost() {
    let mut server = held();
    server.rename(b"lock", b"elsewhere");
    assert_eq!(server.fence(b"elsewhere", Some(token(1))), Answer::No);
    server.rename(b"elsewhere", b"lock");
    assert!(server.found(0, b"lock").is_some(), "the key is back");
    assert_lost(&mut server, b"lock");
    assert_one_is_left(&mut server);
}

#[test]
fn a_lock_is_lost_under_its_new_name_too() {
    let mut server = held();
    server.rename(b"lock", b"elsewhere");
    assert_lost(&mut server, b"elsewhere");
    assert_one_is_left(&mut server);
}

#[test]
fn a_lock_that_another_is_renamed_onto_is_lost_and_so_is_the_other() {
    let mut server = held();
    server.acquire(b"other", b"bob", 1_000);
    server.rename(b"other", b"lock");
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    assert_eq!(server.fence(b"lock", Some(token(2))), Answer::No);
    assert!(server.locks.is_empty());
    server.turn();
    assert_eq!(server.keys().count(), 0);
}

#[test]
fn a_lock_that_is_moved_there_and_back_is_lost() {
    let mut server = held();
    server.move_to(b"lock", 1);
    server.db = 1;
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    server.move_to(b"lock", 0);
    server.db = 0;
    assert!(server.found(0, b"lock").is_some(), "the key is back");
    assert_lost(&mut server, b"lock");
    assert_one_is_left(&mut server);
}

#[test]
fn databases_that_are_swapped_twice_have_lost_their_locks() {
    let mut server = held();
    server.swap_dbs(0, 1);
    server.db = 1;
    assert_eq!(server.fence(b"lock", Some(token(1))), Answer::No);
    server.swap_dbs(0, 1);
    server.db = 0;
    assert!(server.found(0, b"lock").is_some(), "the key is back");
    assert_lost(&mut server, b"lock");
    assert_one_is_left(&mut server);
}

#[test]
fn a_swap_ends_the_locks_of_both_databases_and_of_no_other() {
    let mut server = held();
    for db in [1, 2] {
        server.db = db;
        server.acquire(b"lock", b"ann", 1_000);
    }
    server.swap_dbs(1, 0);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(3)));
    for db in [0, 1] {
        server.db = db;
        assert_eq!(server.fence(b"lock", None), Answer::NoToken);
    }
    assert_one_is_left(&mut server);
}

#[test]
fn a_flushed_database_has_lost_its_locks_and_no_other_has() {
    let mut server = held();
    server.db = 1;
    server.acquire(b"lock", b"bob", 1_000);
    server.flush(Some(1));
    assert_eq!(server.fence(b"lock", None), Answer::NoToken);
    server.db = 0;
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(1)));
    assert_one_is_left(&mut server);
}

#[test]
fn all_databases_flushed_have_lost_their_locks() {
    let mut server = held();
    server.flush(None);
    assert_lost(&mut server, b"lock");
    assert_one_is_left(&mut server);
}

#[test]
fn a_value_that_comes_back_from_before_a_flush_is_dead() {
    let mut server = held();
    let old = server.handle(b"lock");
    server.flush(None);
    server.acquire(b"lock", b"bob", 1_000);
    while server.locks.has_to_reclaim() {
        server.reclaim(1_000);
    }
    // The freed slot is used again; the old handle still finds nothing.
    server.acquire(b"other", b"bob", 1_000);
    assert!(server.locks.lock(old).is_none());
    for dead in [LockId::DEAD, LockId::from_bits(0)] {
        assert!(server.locks.lock(dead).is_none());
    }
}

#[test]
fn a_flush_is_reclaimed_in_slices_and_leaves_no_key_to_search_for() {
    let mut server = held();
    for key in 0..3_000u32 {
        server.acquire(&key.to_be_bytes(), b"ann", 1_000);
    }
    server.flush(None);
    let mut slices = 0;
    while server.locks.has_to_reclaim() {
        assert_eq!(server.reclaim(100), []);
        slices += 1;
    }
    assert!(slices >= 30, "{slices} slices of 100 are over 3,000 slots");
    assert!(server.locks.is_empty());
    assert_eq!(server.locks.next_deadline(), None);
}

#[test]
fn what_a_swap_ended_is_searched_for_and_nothing_else_is() {
    let mut server = held();
    server.db = 2;
    server.acquire(b"spared", b"ann", 1_000);
    server.swap_dbs(0, 1);
    let mut effects = Vec::new();
    while server.locks.has_to_reclaim() {
        effects.extend(server.reclaim(100));
    }
    let key = b"lock"[..].into();
    assert_eq!(effects, [Effect::Search { key }]);
    assert_one_is_left(&mut server);
}

#[test]
fn a_flush_during_the_walk_after_a_swap_does_not_end_the_search() {
    let mut server = held();
    server.swap_dbs(0, 1);
    server.reclaim(0);
    server.flush(Some(2));
    let (key, mut effects) = (b"lock"[..].into(), Vec::new());
    while server.locks.has_to_reclaim() {
        effects.extend(server.reclaim(100));
    }
    assert_eq!(effects, [Effect::Search { key }]);
    server.look_at_suspects();
    assert_eq!(server.keys().count(), 0);
}

#[test]
fn a_flush_behind_the_walk_is_walked_again() {
    let mut server = held();
    server.flush(Some(1));
    server.reclaim(500);
    server.flush(Some(0));
    while server.locks.has_to_reclaim() {
        server.reclaim(500);
    }
    assert!(server.locks.is_empty());
}

#[test]
fn a_sweep_that_is_faster_than_the_walk_searches_too() {
    let mut server = held();
    server.swap_dbs(0, 1);
    server.advance_ms(1_000);
    let key = b"lock"[..].into();
    assert_eq!(server.sweep(10), [Effect::Search { key }]);
    server.look_at_suspects();
    assert_eq!(server.keys().count(), 0);
}

#[test]
fn a_sweep_after_a_flush_has_no_key_to_delete() {
    let mut server = held();
    server.flush(None);
    server.acquire(b"lock", b"bob", 2_000);
    server.advance_ms(1_000);
    assert_eq!(server.sweep(10), []);
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(2)));
    assert_one_is_left(&mut server);
}

#[test]
fn a_search_spares_the_lock_that_was_granted_meanwhile() {
    let mut server = held();
    server.swap_dbs(0, 1);
    server.db = 1;
    server.acquire(b"lock", b"bob", 1_000);
    server.db = 0;
    server.acquire(b"lock", b"eve", 1_000);
    server.turn();
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(3)));
    server.db = 1;
    assert_eq!(server.fence(b"lock", None), Answer::Token(token(2)));
}

#[test]
fn a_lock_that_was_taken_away_is_not_swept_later() {
    let mut server = held();
    server.del(b"lock");
    server.acquire(b"lock", b"bob", 2_000);
    server.advance_ms(1_000);
    assert_eq!(server.sweep(10), []);
    let lock = server.handle(b"lock");
    server.advance_ms(1_000);
    assert_eq!(server.sweep(10), [delete(0, b"lock", lock)]);
}

#[test]
fn a_handle_is_told_dead_once() {
    let mut server = held();
    let lock = server.handle(b"lock");
    let unlinked = crate::lock::Event::Unlinked { lock };
    assert_eq!(server.silently(unlinked), Answer::Yes);
    assert_eq!(server.silently(unlinked), Answer::No);
}
