//! RDB files: the holders with their tokens, what is left of their leases, and
//! the counter.

use super::holds::{digest, empties, raise_far, Hold, RESERVE};
use super::leases::{freed, pass};
use super::support::{eventually, now, Server};
use std::time::Duration;

#[test]
fn saved_locks_survive_a_crash_with_holder_and_token() {
    let mut server = Server::start();
    let mut client = server.client();
    let alice = Hold::take(&mut client, 0, "a", "alice");
    let bob = Hold::take(&mut client, 0, "b", "bob");
    let released = Hold::take(&mut client, 0, "c", "carol");
    client.release("c", "carol");
    let saved = digest(&mut client);
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    assert_eq!(digest(&mut client), saved);
    alice.assert_live(&mut client);
    bob.assert_live(&mut client);
    released.assert_over(&mut client);
    assert_eq!(client.acquire("a", "bob", 1_000), None);
    assert_eq!(client.acquired("a", "alice", 60_000), alice.token);
    assert_eq!(client.release("b", "bob"), 1);
    let token = client.acquired("b", "alice", 60_000);
    assert!(token > released.token, "{token} is not above all");
    server.assert_healthy();
}

#[test]
fn owners_of_every_length_are_saved_and_loaded() {
    let mut server = Server::start();
    let mut client = server.client();
    // The server tries to compress from some length on.
    for length in (1..=150).chain([511, 512]) {
        client.acquired(&format!("of-{length}"), &"o".repeat(length), 600_000);
    }
    let saved = digest(&mut client);
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    assert_eq!(digest(&mut client), saved);
    assert_eq!(client.release("of-512", &"o".repeat(512)), 1);
    server.assert_healthy();
}

#[test]
fn tokens_issued_after_the_save_are_never_issued_again() {
    let mut server = Server::start();
    let mut client = server.client();
    Hold::take(&mut client, 0, "saved", "alice");
    // The clock will be behind these tokens when it starts again.
    raise_far(&mut client, "saved", "alice");
    client.say("SAVE");
    let script = "local t for i = 1, 1000 do
        t = redis.call('LOCK.ACQUIRE', KEYS[1], 'x', '1000')
        redis.call('LOCK.RELEASE', KEYS[1], 'x') end return t";
    client.call(&["EVAL", script, "1", "k"]);
    let lost = Hold::take(&mut client, 0, "lost", "bob");
    client.release("saved", "alice");
    server.crash();
    let mut client = server.client();
    lost.assert_over(&mut client);
    let token = client.acquired("lost", "carol", 1_000);
    assert!(token > lost.token, "{token} is not above {}", lost.token);
}

#[test]
fn the_counter_survives_when_no_lock_is_held() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let far = raise_far(&mut client, "k", "alice");
    client.release("k", "alice");
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    assert_eq!(client.number("DBSIZE"), 0);
    let token = client.acquired("k", "bob", 60_000);
    assert!(token > far + RESERVE, "{token} is within the ceiling");
}

#[test]
fn debug_reload_keeps_holders_tokens_and_leases() {
    let mut server = Server::start();
    let mut client = server.client();
    let alice = Hold::take(&mut client, 0, "a", "alice");
    let granted = now();
    client.acquired("short", "bob", 1_000);
    let saved = digest(&mut client);
    for _ in 0..3 {
        client.say("DEBUG RELOAD");
    }
    assert_eq!(digest(&mut client), saved);
    alice.assert_live(&mut client);
    let lasted = freed(&mut client, "short") - granted;
    assert!(lasted >= Duration::from_millis(1_000), "{lasted:?}");
    let token = client.acquired("new", "carol", 60_000);
    assert!(token > alice.token + 1);
    server.assert_healthy();
}

#[test]
fn a_snapshot_taken_while_locks_change_holds_one_moment_of_them() {
    // 8 ms a key, so that the child is still at it while locks change.
    let mut server = Server::with(&["rdb-key-save-delay 8000", "hz 100"]);
    let mut client = server.client();
    let script = "for i = 1, 100 do redis.call('LOCK.ACQUIRE', 'k' .. i, 'a', '60000') end";
    client.call(&["EVAL", script, "0"]);
    let moment = digest(&mut client);
    client.say("BGSAVE");
    let mut last = 0;
    for i in 1..=100 {
        assert_eq!(client.release(&format!("k{i}"), "a"), 1);
        last = client.acquired(&format!("k{i}"), "b", 60_000);
        client.say(&format!("LOCK.EXTEND k{i} b 70000"));
    }
    assert_eq!(client.info("rdb_bgsave_in_progress"), "1", "too late");
    eventually("the file is written", || {
        (client.info("rdb_bgsave_in_progress") == "0").then_some(())
    });
    assert_eq!(client.info("rdb_last_bgsave_status"), "ok");
    server.crash();
    let mut client = server.client();
    assert_eq!(digest(&mut client), moment);
    let token = client.acquired("new", "c", 60_000);
    assert!(token > last, "{token} is not above {last}");
}

#[test]
fn a_saved_lock_whose_key_expired_meanwhile_is_gone() {
    let mut server = Server::start();
    let mut client = server.client();
    let alice = Hold::take(&mut client, 0, "k", "alice");
    let stays = Hold::take(&mut client, 0, "stays", "bob");
    let expires = now() + Duration::from_millis(1_000);
    client.say("PEXPIRE k 1000");
    client.say("PEXPIRE stays 60000");
    client.say("SAVE");
    server.kill();
    pass(expires + Duration::from_millis(50));
    server.start_again();
    let mut client = server.client();
    assert!(!client.exists("k"));
    alice.assert_over(&mut client);
    stays.assert_live(&mut client);
    let token = client.acquired("k", "carol", 60_000);
    assert!(token > stays.token);
}

#[test]
fn locks_of_every_database_come_back_in_their_own() {
    let mut server = Server::start();
    let mut client = server.client();
    let holds: Vec<Hold> = (0..16)
        .map(|db| Hold::take(&mut client, db, "k", "alice"))
        .collect();
    client.say("SELECT 7");
    client.acquired("short", "bob", 500);
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    for hold in &holds {
        hold.assert_live(&mut client);
    }
    client.say("SELECT 7");
    eventually("the lease ends in its database", || {
        (client.number("DBSIZE") == 1).then_some(())
    });
    for db in 0..16 {
        client.say(&format!("SELECT {db}"));
        assert_eq!(client.number("DBSIZE"), 1, "database {db}");
    }
}

#[test]
fn a_saved_dead_handle_loads_as_nothing_and_its_key_goes() {
    let mut server = Server::start();
    let mut client = server.client();
    let alice = Hold::take(&mut client, 0, "k", "alice");
    // While writes are paused the dead key stays.
    client.say("MULTI");
    client.say("RENAME k x");
    client.say("CLIENT PAUSE 600000 WRITE");
    client.say("EXEC");
    client.say("SAVE");
    assert!(client.exists("x"), "there is nothing to be saved");
    server.crash();
    let mut client = server.client();
    assert!(server.log().contains("keys loaded: 1"), "nothing was saved");
    for key in ["k", "x"] {
        Hold {
            key,
            ..alice.clone()
        }
        .assert_over(&mut client);
    }
    empties(&mut client, 0);
    server.assert_healthy();
}

#[test]
fn keys_and_owners_of_any_bytes_survive() {
    let mut server = Server::start();
    let mut client = server.client();
    let all: Vec<u8> = (0..=255).collect();
    let longest = all.repeat(2);
    let pairs: [(&[u8], &[u8]); 6] = [
        (&all, &longest),
        (b"", b"\0"),
        (b"\r\n$5\r\n", b"*1\r\n$8\r\nFLUSHALL\r\n"),
        (b"\xff\xfe", b"\xf7\xff"),
        (b"number", b"12345"),
        (b"repeated", &[b'a'; 512]),
    ];
    let words = |command: &[u8], (key, owner): (&[u8], &[u8])| {
        [command, key, owner, b"60000"].map(<[u8]>::to_vec)
    };
    for pair in pairs {
        client.call(&words(b"LOCK.ACQUIRE", pair));
    }
    let saved = digest(&mut client);
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    assert_eq!(digest(&mut client), saved);
    for pair in pairs {
        let extended = client.call(&words(b"LOCK.EXTEND", pair));
        assert_eq!(extended, redis::Value::Int(1), "{pair:?}");
    }
}

#[test]
fn a_hundred_thousand_locks_survive() {
    let mut server = Server::start();
    let mut client = server.client();
    let script = "for i = 1, 100000 do
        redis.call('LOCK.ACQUIRE', 'lock:' .. i, 'owner-with-a-longer-name:' .. i, 200000 + i) end";
    client.call(&["EVAL", script, "0"]);
    let saved = digest(&mut client);
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    assert_eq!(client.number("DBSIZE"), 100_000);
    assert_eq!(digest(&mut client), saved);
    let last = client.fence("lock:100000").expect("it is held");
    assert!(client.acquired("new", "x", 1_000) > last);
    assert_eq!(client.release("lock:1", "owner-with-a-longer-name:1"), 1);
    server.assert_healthy();
}

#[test]
fn a_file_saved_before_the_first_grant_loads() {
    let mut server = Server::start();
    let mut client = server.client();
    client.say("SET string x");
    client.say("SAVE");
    server.crash();
    let mut client = server.client();
    assert!(client.exists("string"));
    let token = client.acquired("k", "alice", 1_000);
    assert!(token > 0);
    server.assert_healthy();
}
