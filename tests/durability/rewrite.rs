//! The log begun anew: what must be in the new files, whenever the crash comes.

use super::holds::{digest, raise_far, Hold, RESERVE};
use super::log_file::{
    base_path, lines, rewrite, tail, tail_lines_without_times, tail_path, wait_for_rewrite, ALWAYS,
};
use super::support::{eventually, Client, Server};
use std::fs;

const PREAMBLES: [&str; 2] = ["aof-use-rdb-preamble yes", "aof-use-rdb-preamble no"];

/// A server with a log, whose base is written in the given way.
fn server_with(preamble: &str) -> Server {
    Server::with(&[&ALWAYS[..], &[preamble]].concat())
}

/// Raises the token of a lock far ahead of the clock and gives the lock back:
/// from here on only the ceiling keeps tokens from going down.
fn raised_and_released(client: &mut Client) -> i64 {
    client.acquired("raised", "alice", 60_000);
    let far = raise_far(client, "raised", "alice");
    client.release("raised", "alice");
    far
}

fn assert_above_ceiling(client: &mut Client, far: i64) {
    let next = client.acquired("next", "bob", 60_000);
    assert!(next > far + RESERVE, "{next} is within the ceiling");
}

#[test]
fn a_crash_right_after_a_rewrite_began_loses_nothing() {
    for preamble in PREAMBLES {
        for _ in 0..5 {
            let mut server = server_with(preamble);
            let mut client = server.client();
            let far = raised_and_released(&mut client);
            let holds = ["a", "b"].map(|key| Hold::take(&mut client, 0, key, "alice"));
            client.say("BGREWRITEAOF");
            let after = Hold::take(&mut client, 0, "c", "carol");
            client.release("b", "alice");
            let sum = digest(&mut client);
            server.crash();
            let mut client = server.client();
            assert_eq!(digest(&mut client), sum, "{preamble}");
            holds[0].assert_live(&mut client);
            holds[1].assert_over(&mut client);
            after.assert_live(&mut client);
            assert_above_ceiling(&mut client, far);
        }
    }
}

#[test]
fn a_crash_right_after_a_rewrite_ended_loses_nothing() {
    for preamble in PREAMBLES {
        let mut server = server_with(preamble);
        let mut client = server.client();
        let far = raised_and_released(&mut client);
        let held = Hold::take(&mut client, 0, "a", "alice");
        let sum = digest(&mut client);
        for _ in 0..3 {
            rewrite(&mut client);
            server.crash();
            client = server.client();
            assert_eq!(digest(&mut client), sum, "{preamble}");
        }
        held.assert_live(&mut client);
        assert_above_ceiling(&mut client, far);
        server.assert_healthy();
    }
}

#[test]
fn the_ceiling_is_in_the_new_file_when_no_lock_is_held() {
    let mut server = server_with("aof-use-rdb-preamble no");
    let mut client = server.client();
    let far = raised_and_released(&mut client);
    rewrite(&mut client);
    assert_eq!(fs::read(base_path(&server)).expect("a file"), b"");
    let ceiling = format!("LOCK._CEILING {} 60000", far + RESERVE);
    assert_eq!(tail_lines_without_times(&server), [ceiling.as_str()]);
    server.crash();
    assert_above_ceiling(&mut server.client(), far);
}

#[test]
fn the_ceiling_outlives_any_number_of_rewrites_and_restarts() {
    for preamble in PREAMBLES {
        let mut server = server_with(preamble);
        let far = raised_and_released(&mut server.client());
        for _ in 0..3 {
            let mut client = server.client();
            rewrite(&mut client);
            rewrite(&mut client);
            server.crash();
        }
        assert_above_ceiling(&mut server.client(), far);
    }
}

#[test]
fn a_log_rewritten_as_commands_says_who_holds_what() {
    let server = server_with("aof-use-rdb-preamble no");
    let mut client = server.client();
    let hold = Hold::take(&mut client, 0, "k", "alice");
    rewrite(&mut client);
    let base = lines(&fs::read(base_path(&server)).expect("a file"));
    let [line] = &base[..] else {
        panic!("{base:?}");
    };
    let words: Vec<&str> = line.split(' ').collect();
    let token = hold.token.to_string();
    assert_eq!(words[..4], ["LOCK._GRANT", "k", "alice", &token]);
    assert_eq!(words.len(), 5, "{line}");
    let left: u64 = words[4].parse().expect("a number");
    assert!((30_000..=60_000).contains(&left), "{line}");
}

#[test]
fn keys_and_owners_of_any_bytes_survive_a_rewrite_as_commands() {
    let mut server = server_with("aof-use-rdb-preamble no");
    let mut client = server.client();
    let all: Vec<u8> = (0..=255).collect();
    let owner = all.repeat(2);
    let acquire: [&[u8]; 4] = [b"LOCK.ACQUIRE", &all, &owner, b"60000"];
    client.call(&acquire);
    client.call(&[b"LOCK.ACQUIRE" as &[u8], b"", b"\r\n$3\r\n", b"60000"]);
    let sum = digest(&mut client);
    rewrite(&mut client);
    server.crash();
    let mut client = server.client();
    assert_eq!(digest(&mut client), sum);
    let extend: [&[u8]; 4] = [b"LOCK.EXTEND", &all, &owner, b"60000"];
    assert_eq!(client.call(&extend), redis::Value::Int(1));
}

#[test]
fn a_dead_handle_is_rewritten_as_nothing() {
    for preamble in PREAMBLES {
        let mut server = server_with(preamble);
        let mut client = server.client();
        let alice = Hold::take(&mut client, 0, "k", "alice");
        client.say("MULTI");
        client.say("RENAME k x");
        client.say("CLIENT PAUSE 600000 WRITE");
        client.say("EXEC");
        rewrite(&mut client);
        assert!(client.exists("x"), "there is nothing to be rewritten");
        server.crash();
        let mut client = server.client();
        for key in ["k", "x"] {
            let hold = Hold {
                key,
                ..alice.clone()
            };
            hold.assert_over(&mut client);
        }
        super::holds::empties(&mut client, 0);
        server.assert_healthy();
    }
}

#[test]
fn a_rewrite_that_the_server_begins_by_itself_keeps_the_ceiling() {
    let mut server = server_with("aof-use-rdb-preamble no");
    let mut client = server.client();
    let far = raised_and_released(&mut client);
    let old = tail_path(&server);
    client.say("CONFIG SET auto-aof-rewrite-min-size 1");
    client.say("CONFIG SET auto-aof-rewrite-percentage 1");
    eventually("the log is begun anew", || {
        (tail_path(&server) != old).then_some(())
    });
    client.say("CONFIG SET auto-aof-rewrite-percentage 0");
    wait_for_rewrite(&mut client);
    assert!(!old.exists(), "the old log is still read");
    server.crash();
    assert_above_ceiling(&mut server.client(), far);
}

/// Nothing may be written while writes are paused, so the ceiling must follow
/// as soon as they are not.
#[test]
fn the_ceiling_follows_a_rewrite_that_began_while_writes_were_paused() {
    let server = server_with("aof-use-rdb-preamble no");
    let mut client = server.client();
    let far = raised_and_released(&mut client);
    client.say("CLIENT PAUSE 600000 WRITE");
    rewrite(&mut client);
    assert_eq!(tail(&server), b"", "written while paused");
    client.say("CLIENT UNPAUSE");
    let ceiling = format!("LOCK._CEILING {} 60000", far + RESERVE);
    eventually("the ceiling is written", || {
        (tail_lines_without_times(&server) == [ceiling.as_str()]).then_some(())
    });
}
