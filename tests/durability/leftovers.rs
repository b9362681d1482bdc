//! What nobody holds occupies no memory, however it ended.

use super::leases::pass;
use super::support::{eventually, now, Client, Server};
use std::time::Duration;

/// Locks a test fills the server with.
const LOCKS: usize = 10_000;

fn fill(client: &mut Client) {
    let script = "for i = 1, ARGV[1] do
        redis.call('LOCK.ACQUIRE', 'k' .. i, 'a', '86400000') end";
    client.call(&["EVAL", script, "0", &LOCKS.to_string()]);
}

fn dataset_bytes(client: &mut Client) -> i64 {
    client
        .info("used_memory_dataset")
        .parse()
        .expect("a number")
}

/// Waits until there is far less than `full`, of which `empty` is always there.
fn is_given_back(client: &mut Client, empty: i64, full: i64) {
    eventually("the memory is given back", || {
        let kept = dataset_bytes(client) - empty;
        (kept < (full - empty) / 2).then_some(())
    });
}

#[test]
fn flushed_locks_occupy_no_memory() {
    for flush in [
        "FLUSHALL SYNC",
        "FLUSHALL ASYNC",
        "FLUSHDB SYNC",
        "FLUSHDB ASYNC",
    ] {
        let mut server = Server::start();
        let mut client = server.client();
        let empty = dataset_bytes(&mut client);
        fill(&mut client);
        let full = dataset_bytes(&mut client);
        for _ in 0..5 {
            client.say(flush);
            fill(&mut client);
        }
        client.say(flush);
        is_given_back(&mut client, empty, full);
        server.assert_healthy();
    }
}

#[test]
fn reloads_occupy_no_memory() {
    let mut server = Server::start();
    let mut client = server.client();
    let empty = dataset_bytes(&mut client);
    fill(&mut client);
    let full = dataset_bytes(&mut client);
    for _ in 0..8 {
        client.say("DEBUG RELOAD");
    }
    // Some pages of the table are no longer full, but each lock is there once.
    eventually("it is not twice as much as before", || {
        let more = dataset_bytes(&mut client) - full;
        (more < full - empty).then_some(())
    });
    assert_eq!(client.number("DBSIZE"), LOCKS as i64);
    server.assert_healthy();
}

/// The server reads such a key and drops it; nobody could end its lock but its
/// lease.
#[test]
fn locks_whose_keys_expired_before_they_were_loaded_occupy_no_memory() {
    let mut server = Server::start();
    let mut client = server.client();
    let empty = dataset_bytes(&mut client);
    fill(&mut client);
    let full = dataset_bytes(&mut client);
    let expires = now() + Duration::from_millis(2_000);
    let script = "for i = 1, ARGV[1] do redis.call('PEXPIRE', 'k' .. i, '2000') end";
    client.call(&["EVAL", script, "0", &LOCKS.to_string()]);
    client.say("SAVE");
    server.kill();
    pass(expires + Duration::from_millis(500));
    server.start_again();
    let expired = format!("keys expired: {LOCKS}");
    assert!(server.log().contains(&expired), "not all expired");
    let mut client = server.client();
    assert_eq!(client.number("DBSIZE"), 0);
    is_given_back(&mut client, empty, full);
}
