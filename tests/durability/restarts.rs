//! Many restarts in quick succession: tokens rise through all of them.

use super::holds::{raise_far, token_by_clock};
use super::keeping::wait_for_log;
use super::support::{now, Client, Server};
use std::time::Duration;

const CYCLES: usize = 60;

/// Kills the server and starts it again, over and over; fails as soon as a token
/// is not above all earlier ones. `each` is what else happens before each kill.
fn tokens_rise_through_restarts(server: &mut Server, mut each: impl FnMut(usize, &mut Client)) {
    let mut last = 0;
    let start = now();
    for cycle in 0..CYCLES {
        let mut client = server.client();
        for key in ["k", "l"] {
            client.say(&format!("DEL {key}"));
            let token = client.acquired(key, "alice", 60_000);
            assert!(token > last, "cycle {cycle}: {token} is not above {last}");
            last = token;
        }
        each(cycle, &mut client);
        server.crash();
    }
    server.assert_healthy();
    // Far below a second a cycle, or it would not try what it is meant to.
    let cycle = start.elapsed() / CYCLES as u32;
    assert!(cycle < Duration::from_millis(500), "{cycle:?} a cycle");
}

#[test]
fn tokens_rise_through_restarts_that_keep_nothing() {
    let mut server = Server::start();
    tokens_rise_through_restarts(&mut server, |_, client| {
        assert_eq!(client.number("DBSIZE"), 2, "something was kept");
    });
}

#[test]
fn tokens_rise_through_restarts_with_a_log_that_is_always_synced() {
    let mut server = Server::with(&["appendonly yes", "appendfsync always"]);
    tokens_rise_through_restarts(&mut server, |_, _| {});
}

#[test]
fn tokens_rise_through_restarts_with_a_log_that_is_synced_each_second() {
    let mut server = Server::with(&["appendonly yes", "appendfsync everysec"]);
    tokens_rise_through_restarts(&mut server, |_, client| wait_for_log(client));
}

#[test]
fn tokens_rise_through_restarts_in_the_middle_of_rewrites() {
    for preamble in ["yes", "no"] {
        let preamble = format!("aof-use-rdb-preamble {preamble}");
        let mut server = Server::with(&["appendonly yes", "appendfsync always", &preamble]);
        tokens_rise_through_restarts(&mut server, |cycle, client| {
            if cycle % 2 == 0 {
                client.say("BGREWRITEAOF");
            }
        });
    }
}

#[test]
fn tokens_rise_through_restarts_with_a_file_saved_each_time() {
    let mut server = Server::start();
    tokens_rise_through_restarts(&mut server, |_, client| drop(client.say("SAVE")));
}

#[test]
fn tokens_rise_through_restarts_with_a_file_saved_now_and_then() {
    let mut server = Server::start();
    tokens_rise_through_restarts(&mut server, |cycle, client| match cycle % 4 {
        1 => drop(client.say("SAVE")),
        3 => drop(client.say("BGSAVE")),
        _ => {}
    });
}

/// 4,096 tokens a millisecond are more than a server can grant.
#[test]
fn a_server_that_grants_as_fast_as_it_can_is_not_faster_than_the_clock() {
    let mut server = Server::start();
    let script = "local t for i = 1, 5000 do
        t = redis.call('LOCK.ACQUIRE', KEYS[1], 'x', '1000')
        redis.call('LOCK.RELEASE', KEYS[1], 'x') end return t";
    let mut last = 0;
    for _ in 0..10 {
        let mut client = server.client();
        let first = client.acquired("first", "x", 1_000);
        assert!(first > last, "{first} is not above {last}");
        let redis::Value::Int(token) = client.call(&["EVAL", script, "1", "k"]) else {
            panic!("no token");
        };
        assert_eq!(token, first + 5_000);
        last = token;
        server.crash();
    }
}

#[test]
fn a_term_opens_at_load_at_the_millisecond_of_the_clock() {
    for keeps in ["appendonly no", "appendonly yes"] {
        let mut server = Server::with(&[keeps]);
        let before = token_by_clock(&mut server.client());
        server.crash();
        let mut client = server.client();
        let after = token_by_clock(&mut client) + (1 << 12);
        let token = client.acquired("k", "alice", 60_000);
        assert!(token > before, "{keeps}: {token} was due before {before}");
        assert!(token <= after, "{keeps}: {token} was not due at {after}");
    }
}

/// The file says where to start, but not that a server already did. Here its
/// ceiling is far ahead of the clock; a plain one is 64 ms ahead.
#[test]
fn two_crashes_after_one_save_never_repeat_a_token() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    raise_far(&mut client, "k", "alice");
    client.release("k", "alice");
    client.say("SAVE");
    server.crash();
    let bob = server.client().acquired("k", "bob", 60_000);
    server.crash();
    let carol = server.client().acquired("k", "carol", 60_000);
    assert!(carol > bob, "{carol} is not above {bob}");
}
