//! A first grant in a slot opens a term; keys that move keep their holder.

use super::support::cluster::{alone, give, is_ready, migrate, open, two};
use super::support::payload::OF_VERSION_1;
use super::support::{eventually, now, varint, Server};
use redis::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Slot 12182, by the example in the specification of Redis Cluster.
const KEY: &str = "foo";
const SLOT: u32 = 12_182;
/// Another key of that slot.
const NEIGHBOUR: &str = "{foo}2";
/// A key of another slot.
const STRANGER: &str = "bar";

/// The first token of this millisecond.
#[allow(clippy::disallowed_methods, reason = "the test's own clock")]
pub(super) fn token_by_clock() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since_1970.expect("a clock after 1970").as_millis() as i64;
    (ms - 1_704_067_200_000) << 12
}

#[test]
fn the_first_grant_in_a_slot_opens_a_term_and_the_next_does_not() {
    let (_server, mut client) = alone();
    let first = client.acquired(KEY, "alice", 60_000);
    let by_clock = clock_beyond(first);
    let second = client.acquired(NEIGHBOUR, "alice", 60_000);
    assert!(second < by_clock, "no term for a slot that is known");
    let by_clock = clock_beyond(second);
    let stranger = client.acquired(STRANGER, "alice", 60_000);
    assert!(stranger > by_clock, "{stranger} does not start a term");
    client.release(KEY, "alice");
    let next = client.acquired(KEY, "bob", 60_000);
    assert_eq!(next, stranger + 1);
}

/// Waits for a millisecond whose tokens are all above `token`, and returns the
/// first of them. Terms of two servers that begin in the same millisecond are
/// not ordered, and no slot moves that fast.
pub(super) fn clock_beyond(token: i64) -> i64 {
    eventually("the clock goes on", || {
        let by_clock = token_by_clock();
        (by_clock > token).then_some(by_clock)
    })
}

/// A server that is ahead of its clock outbids all others that its slots go to.
#[test]
fn a_server_that_starts_again_is_not_ahead_of_its_clock() {
    // As many as a server reserves, twice.
    const RESERVE: i64 = 2 * (1 << 18);
    let mut server = Server::with(&[
        "cluster-enabled yes",
        "appendonly yes",
        "appendfsync always",
    ]);
    let mut client = server.client();
    client.say("CLUSTER ADDSLOTSRANGE 0 16383");
    eventually("the cluster is ready", || is_ready(&mut client));
    let first = client.acquired(KEY, "alice", 60_000);
    // Half of that was the lead; two seconds go by until the cluster is up again.
    clock_beyond(first + (6_000 << 12));
    let last = client.acquired(STRANGER, "alice", 60_000);
    server.crash();
    let mut client = server.client();
    eventually("the cluster is ready", || is_ready(&mut client));
    let token = client.acquired(NEIGHBOUR, "alice", 60_000);
    let by_clock = token_by_clock();
    assert!(token > last, "{token} is not above {last}");
    assert!(token < by_clock + RESERVE, "{token} is ahead of {by_clock}");
}

#[test]
fn tokens_rise_when_a_slot_leaves_and_comes_back() {
    let (one, other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let first = on_one.acquired(KEY, "alice", 60_000);
    on_one.release(KEY, "alice");
    clock_beyond(first);
    give(SLOT, &mut on_one, &mut on_other);
    // Away for longer than a look at the slots takes to come round.
    let back = now() + Duration::from_millis(2_500);
    let mut last = first;
    while now() < back {
        let token = on_other.acquired(KEY, "bob", 60_000);
        assert!(token > last, "{token} is not above {last}");
        last = token;
        on_other.release(KEY, "bob");
    }
    clock_beyond(last);
    give(SLOT, &mut on_other, &mut on_one);
    let token = on_one.acquired(KEY, "carol", 60_000);
    assert!(token > last, "{token} is not above {last}");
}

#[test]
fn a_held_lock_that_moves_keeps_its_holder_and_its_token() {
    let (one, other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let token = on_one.acquired(KEY, "alice", 60_000);
    open(SLOT, &mut on_one, &mut on_other);
    migrate(KEY, &mut on_one, &other);
    give(SLOT, &mut on_one, &mut on_other);
    assert!(on_other.is_live(KEY, token));
    assert_eq!(on_other.acquire(KEY, "bob", 1_000), None);
    assert_eq!(
        on_other.number(&format!("LOCK.EXTEND {KEY} alice 60000")),
        1
    );
    assert_eq!(on_other.release(KEY, "alice"), 1);
    assert!(on_other.acquired(KEY, "bob", 60_000) > token);
}

#[test]
fn a_restore_far_ahead_of_the_clock_is_refused() {
    let (mut server, mut client) = alone();
    client.say("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    let token = client.acquired(KEY, "alice", 60_000);
    let dump = client.bytes(&["DUMP", KEY]);
    let written = varint(token as u64);
    // As many bytes, and the largest number that fits: over a year ahead.
    let mut far = vec![0xff; written.len() - 1];
    far.push(0x7f);
    let at = dump
        .windows(written.len())
        .position(|bytes| bytes == written)
        .expect("the token is in the record");
    let mut forged = dump.clone();
    forged[at..at + far.len()].copy_from_slice(&far);
    client.release(KEY, "alice");
    let restore = |bytes| [b"RESTORE", KEY.as_bytes(), b"0", bytes, b"REPLACE"];
    let error = client.error(&restore(&forged));
    assert!(error.contains("Bad data format"), "{error}");
    assert_eq!(client.call(&restore(&dump)), Value::Okay);
    assert!(client.is_live(KEY, token), "an honest one is taken");
    server.assert_healthy();
}

#[test]
fn a_lock_that_a_server_with_version_1_hands_over_is_held() {
    let (mut server, mut client) = alone();
    let words = [&b"RESTORE"[..], KEY.as_bytes(), b"0", OF_VERSION_1];
    assert_eq!(client.call(&words), Value::Okay);
    assert_eq!(client.fence(KEY), Some(373_517_181_145_089));
    assert_eq!(client.acquire(KEY, "somebody", 1_000), None);
    assert_eq!(client.release(KEY, "holder-of-version-1"), 1);
    assert!(!client.exists(KEY));
    server.assert_healthy();
}
