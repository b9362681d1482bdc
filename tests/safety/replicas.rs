//! Effects applied: a replica, and a server that reads its log, hold what the
//! master says, whatever they held before.

use crate::lock::{Answer, BootTime, Delay, Effect, Tolerance};
use crate::server::{Sent, Server};
use crate::values::{delete, the_hold, token, ttl};

#[test]
fn a_grant_makes_a_hold() {
    let mut replica = Server::new();
    let (answer, effects) = replica.apply_grant(b"lock", b"ann", token(7), ttl(30));
    assert_eq!(answer, Answer::Yes);
    let lock = replica.handle(b"lock");
    assert_eq!(effects, [Effect::Store(lock), Effect::Signal]);
    assert_eq!(replica.fence(b"lock", None), Answer::Token(token(7)));
}

#[test]
fn a_moved_lease_is_no_news_to_watchers() {
    let mut replica = Server::new();
    replica.apply_grant(b"lock", b"ann", token(7), ttl(30));
    let moved = replica.apply_grant(b"lock", b"ann", token(7), ttl(60));
    assert_eq!(moved, (Answer::Yes, vec![]));
    replica.advance_ms(59);
    assert_eq!(replica.fence(b"lock", None), Answer::Token(token(7)));
}

#[test]
fn a_grant_replaces_a_hold_whole_and_tells_watchers() {
    let mut replica = Server::new();
    replica.apply_grant(b"lock", b"ann", token(7), ttl(30));
    for (owner, number) in [(b"bob", 8), (b"bob", 9), (b"ann", 9)] {
        let (_, effects) = replica.apply_grant(b"lock", owner, token(number), ttl(30));
        assert_eq!(effects, [Effect::Signal]);
        assert_eq!(replica.fence(b"lock", None), Answer::Token(token(number)));
    }
    assert_eq!(replica.locks.len(), 1);
    assert_eq!(replica.extend(b"lock", b"bob", 99).0, Answer::No);
}

#[test]
fn an_end_ends_exactly_the_hold_it_names() {
    let mut replica = Server::new();
    replica.apply_grant(b"lock", b"ann", token(7), ttl(30));
    let lock = replica.handle(b"lock");
    let no = (Answer::No, vec![]);
    assert_eq!(replica.apply_end(b"lock", b"ann", token(6)), no);
    assert_eq!(replica.apply_end(b"lock", b"bob", token(7)), no);
    assert_eq!(replica.apply_end(b"other", b"ann", token(7)), no);
    let ended = replica.apply_end(b"lock", b"ann", token(7));
    assert_eq!(ended, (Answer::Yes, vec![delete(0, b"lock", lock)]));
    assert!(replica.locks.is_empty());
}

#[test]
fn a_hold_that_lapsed_here_is_still_ended_and_replaced_by_the_master() {
    let mut replica = Server::new();
    replica.apply_grant(b"lock", b"ann", token(7), ttl(30));
    replica.advance_ms(30);
    let ended = replica.apply_end(b"lock", b"ann", token(7));
    assert_eq!(ended.0, Answer::Yes);
    replica.apply_grant(b"lock", b"bob", token(8), ttl(30));
    replica.advance_ms(30);
    replica.apply_grant(b"lock", b"bob", token(8), ttl(30));
    assert_eq!(replica.fence(b"lock", None), Answer::Token(token(8)));
}

#[test]
fn a_grant_on_a_dead_handle_makes_a_lock_of_its_own() {
    let mut replica = Server::new();
    replica.apply_grant(b"lock", b"ann", token(7), ttl(30));
    let dead = replica.handle(b"lock");
    replica.swap_dbs(0, 1);
    replica.db = 1;
    let (_, effects) = replica.apply_grant(b"lock", b"bob", token(8), ttl(30));
    let lock = replica.handle(b"lock");
    assert_ne!(lock, dead);
    assert_eq!(effects, [Effect::Store(lock), Effect::Signal]);
}

#[test]
fn tokens_that_were_seen_are_never_issued_again() {
    let mut replica = Server::new();
    replica.apply_grant(b"lock", b"ann", token(500), ttl(30));
    replica.apply_grant(b"lock", b"ann", token(7), ttl(30));
    replica.del(b"lock");
    let (answer, _) = replica.acquire(b"lock", b"bob", 30);
    assert_eq!(answer, Answer::Token(token(501)));
}

#[test]
fn a_lease_ends_later_on_a_replica_by_what_it_lags_and_never_earlier() {
    let mut master = Server::new();
    let mut replica = Server::new();
    let lag_ns = 5_000_000;
    master.acquire(b"lock", b"ann", 30);
    for step_ns in [0, 10_000_001, 7_654_321] {
        master.advance_ns(step_ns);
        master.extend(b"lock", b"ann", 25);
        replica.now = BootTime::from_ns(master.now.as_ns() + lag_ns);
        for sent in std::mem::take(&mut master.sent) {
            replica.apply(&sent);
        }
        let later = deadline_ns(&replica) - deadline_ns(&master);
        assert_eq!(later, lag_ns);
    }
}

fn deadline_ns(server: &Server) -> u64 {
    let lock = server.locks.lock(server.handle(b"lock"));
    the_hold(lock.expect("it lives")).deadline.as_ns()
}

#[test]
fn a_promoted_replica_sweeps_at_the_deadlines_that_it_was_told_last() {
    let mut replica = Server::new();
    for (first_ms, last_ms) in [(30, 60), (60, 30), (30, 30)] {
        replica.apply_grant(b"lock", b"ann", token(7), ttl(first_ms));
        replica.apply_grant(b"lock", b"ann", token(7), ttl(last_ms));
        let lock = replica.handle(b"lock");
        replica.advance_ns(last_ms * 1_000_000 - 1);
        assert_eq!(replica.sweep(10), []);
        replica.advance_ns(1);
        assert_eq!(replica.sweep(10), [delete(0, b"lock", lock)]);
    }
}

#[test]
fn a_hand_over_after_a_lapse_is_sent_as_an_end_and_a_grant() {
    let mut master = Server::new();
    master.acquire(b"lock", b"ann", 30);
    master.advance_ms(30);
    master.sent.clear();
    master.acquire(b"lock", b"bob", 20);
    let at = (0, b"lock".to_vec());
    let expected = [
        Sent::End {
            at: at.clone(),
            owner: b"ann".to_vec(),
            token: token(1),
        },
        Sent::Grant {
            at,
            owner: b"bob".to_vec(),
            token: token(2),
            ttl: ttl(20),
            tolerates: Tolerance::ALONE,
            delay: Delay::NONE,
        },
    ];
    assert_eq!(master.sent, expected);
}
