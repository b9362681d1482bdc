//! What a lock is to the rest of the server: a key of a type of its own, which
//! cannot be copied and which a backup brings back dead.

use crate::hourglass::run_out;
use crate::support::{eventually, Client, Server, Stream};
use redis::Value;

const LONG_MS: u64 = 600_000;

#[test]
fn its_type_is_redislock() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("lock", "me", LONG_MS);
    client.say("SET string x");
    assert_eq!(client.text("TYPE lock"), "redislock");
    assert!(client.exists("lock"));
    assert_eq!(client.number("TTL lock"), -1);
    client.release("lock", "me");
    assert_eq!(client.text("TYPE lock"), "none");
}

#[test]
fn scan_lists_the_held_locks() {
    let server = Server::start();
    let mut client = server.client();
    for number in 0..20 {
        client.acquired(&format!("lock:{number}"), "me", LONG_MS);
        client.say(&format!("SET string:{number} x"));
    }
    for number in 10..20 {
        client.release(&format!("lock:{number}"), "me");
    }
    let mut found = client.names_of_type("redislock");
    found.sort();
    let expected: Vec<String> = (0..10).map(|number| format!("lock:{number}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn whoever_looks_at_the_key_does_not_disturb_the_hold() {
    let mut server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    for line in [
        "OBJECT ENCODING lock",
        "OBJECT REFCOUNT lock",
        "OBJECT IDLETIME lock",
        "DEBUG OBJECT lock",
        "DEBUG DIGEST-VALUE lock",
        "MEMORY USAGE lock",
        "MEMORY USAGE lock SAMPLES 0",
        "MEMORY STATS",
        "DUMP lock",
        "KEYS *",
        "RANDOMKEY",
        "TOUCH lock",
        "DEBUG HTSTATS-KEY lock",
    ] {
        // Some are errors for a type that the server does not know by heart.
        let words: Vec<&str> = line.split(' ').collect();
        client.try_call(&words).ok();
        assert!(client.is_live("lock", token), "{line}");
    }
    server.assert_healthy();
}

#[test]
fn its_memory_is_counted() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("lock", "me", LONG_MS);
    let small = client.number("MEMORY USAGE lock");
    client.release("lock", "me");
    client.acquired("lock", &"o".repeat(512), LONG_MS);
    let large = client.number("MEMORY USAGE lock");
    assert!(small > 0);
    assert!(large >= small + 512 - 22, "{small} and {large}");
}

#[test]
fn commands_for_other_types_are_refused_and_leave_the_hold_alone() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    client.say("RPUSH list x");
    client.say("SADD set x");
    for line in [
        "GET lock",
        "GETDEL lock",
        "GETEX lock EX 1",
        "GETSET lock x",
        "SET lock x GET",
        "STRLEN lock",
        "APPEND lock x",
        "INCR lock",
        "SETRANGE lock 0 x",
        "SETBIT lock 0 1",
        "LPUSH lock x",
        "LPOP lock",
        "LMOVE list lock LEFT LEFT",
        "HSET lock field x",
        "SADD lock x",
        "SMOVE set lock x",
        "ZADD lock 1 x",
        "XADD lock * field x",
        "PFADD lock x",
        "SORT lock",
    ] {
        let error = client.error_of(line);
        assert!(error.starts_with("WRONGTYPE"), "{line}: {error}");
        assert!(client.is_live("lock", token), "{line}");
    }
    assert_eq!(client.text("TYPE lock"), "redislock");
}

#[test]
fn a_lock_cannot_be_copied() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    client.say("SET string x");
    for line in [
        "COPY lock copy",
        "COPY lock string REPLACE",
        "COPY lock lock DB 1",
    ] {
        let error = client.error_of(line);
        assert!(error.starts_with("ERR not supported"), "{line}: {error}");
    }
    assert!(!client.exists("copy"));
    assert_eq!(client.text("TYPE string"), "string");
    assert!(client.is_live("lock", token));
    client.say("SELECT 1");
    assert_eq!(client.say("DBSIZE"), Value::Int(0));
}

fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    client.bytes(&["DUMP", key])
}

/// RESTORE with options behind the payload.
fn restore(client: &mut Client, key: &str, payload: &[u8], options: &[&str]) {
    let mut words = vec![b"RESTORE", key.as_bytes(), b"0", payload];
    words.extend(options.iter().map(|option| option.as_bytes()));
    assert_eq!(client.call(&words), Value::Okay, "{key} {options:?}");
}

fn until_gone(client: &mut Client, key: &str) {
    eventually(&format!("{key} is removed"), || {
        let names = client.names_of_type("redislock");
        (!names.contains(&key.to_owned())).then_some(())
    });
}

#[test]
fn a_restored_lock_holds_nothing_and_disappears_for_the_replicas_too() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    let payload = dump(&mut client, "lock");
    let mut stream = Stream::of(server.port());
    restore(&mut client, "copy", &payload, &[]);
    assert_eq!(client.fence("copy"), None);
    assert!(!client.is_live("copy", token));
    assert_eq!(client.number("LOCK.EXTEND copy me 600000"), 0);
    assert_eq!(client.release("copy", "me"), 0);
    until_gone(&mut client, "copy");
    assert!(client.is_live("lock", token), "the original is as it was");
    let heard = stream.heard(&mut client);
    let [restored, deleted] = &heard[..] else {
        panic!("{heard:?}");
    };
    assert!(restored.starts_with("RESTORE copy"), "{restored}");
    assert_eq!(deleted, "DEL copy");
}

#[test]
fn a_restored_lock_is_free_and_who_takes_it_keeps_it() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("lock", "me", LONG_MS);
    let payload = dump(&mut client, "lock");
    client.say("MULTI");
    client.call(&[&b"RESTORE"[..], b"copy", b"0", &payload]);
    client.say("LOCK.FENCE copy");
    client.say("LOCK.ACQUIRE copy you 600000");
    let Value::Array(said) = client.say("EXEC") else {
        panic!("it was executed");
    };
    let [Value::Okay, Value::Nil, Value::Int(token)] = said[..] else {
        panic!("{said:?}");
    };
    assert!(token > old);
    run_out(&mut client, 5);
    assert!(client.is_live("copy", token));
    assert!(client.is_live("lock", old));
}

#[test]
fn a_backup_over_the_lock_itself_ends_the_hold() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    let payload = dump(&mut client, "lock");
    let busy = client.error(&[&b"RESTORE"[..], b"lock", b"0", &payload]);
    assert!(busy.starts_with("BUSYKEY"), "{busy}");
    assert!(client.is_live("lock", token));
    restore(&mut client, "lock", &payload, &["REPLACE"]);
    assert!(!client.is_live("lock", token));
    until_gone(&mut client, "lock");
    assert!(client.acquired("lock", "me", LONG_MS) > token);
}

#[test]
fn no_backup_brings_a_released_lock_back() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    let payload = dump(&mut client, "lock");
    client.release("lock", "me");
    for options in [
        &[][..],
        &["REPLACE"],
        &["IDLETIME", "1"],
        &["REPLACE", "FREQ", "1"],
    ] {
        restore(&mut client, "lock", &payload, options);
        assert!(!client.is_live("lock", token), "{options:?}");
        until_gone(&mut client, "lock");
    }
    let next = client.acquired("lock", "me", LONG_MS);
    assert_eq!(next, token + 1, "no backup moves the counter");
}
