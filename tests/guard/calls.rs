//! Where a guarded command runs: in transactions, scripts and functions, in every
//! database, beside leases that end; and what log and replicas are told.

use super::support::{eventually, Server, Stream};
use redis::Value;

fn queued() -> Value {
    Value::SimpleString("QUEUED".into())
}

#[test]
fn only_the_guarded_command_is_replicated() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    client.say("SADD set a b c");
    let mut stream = Stream::of(server.port());
    for (call, sent) in [
        ("SET k v", vec!["SET k v"]),
        ("INCR n", vec!["INCR n"]),
        ("GET k", vec![]),
        ("DEL nothing", vec![]),
        ("LPUSH k x", vec![]),
        ("RPUSH list a b", vec!["RPUSH list a b"]),
        ("MSET a 1 b 2", vec!["MSET a 1 b 2"]),
        ("SETRANGE k 3 x", vec!["SETRANGE k 3 x"]),
    ] {
        let line = format!("LOCK.GUARD lock {token} {call}");
        let _ = client.try_call(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(stream.heard(&mut client), sent, "{call}");
    }
    // What the server writes for a command in another way, it does here too.
    client.say(&format!("LOCK.GUARD lock {token} SPOP set 1"));
    let heard = stream.heard(&mut client);
    assert!(
        matches!(&heard[..], [line] if line.starts_with("SREM set ")),
        "{heard:?}"
    );
    client.say(&format!("LOCK.GUARD lock {token} EXPIRE k 1000"));
    let heard = stream.heard(&mut client);
    assert!(
        matches!(&heard[..], [line] if line.starts_with("PEXPIREAT k ")),
        "{heard:?}"
    );
}

#[test]
fn in_a_transaction_the_token_is_checked_when_it_is_executed() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    let mut stream = Stream::of(server.port());
    let token = client.acquired("lock", "me", 600_000);
    let guard = |token| format!("LOCK.GUARD lock {token} INCR n");
    stream.heard(&mut other);
    client.say("MULTI");
    assert_eq!(client.say(&guard(token)), queued());
    client.say("LOCK.RELEASE lock me");
    assert_eq!(client.say(&guard(token)), queued());
    assert!(client.try_call(&["EXEC"]).is_ok() || other.exists("n"));
    assert_eq!(other.text("GET n"), "1");
    assert_eq!(
        stream.heard(&mut other),
        ["MULTI", "INCR n", "DEL lock", "EXEC"]
    );
    // And the other way round: not live when it is queued.
    client.say("MULTI");
    client.say("LOCK.ACQUIRE lock me 600000");
    client.say("LOCK.GUARD lock 1 INCR n");
    let _ = client.try_call(&["EXEC"]);
    assert_eq!(other.text("GET n"), "1");
    let token = other.fence("lock").expect("it is held");
    client.say("MULTI");
    assert_eq!(client.say(&guard(token)), queued());
    other.say("DEL lock");
    let _ = client.try_call(&["EXEC"]);
    assert_eq!(other.text("GET n"), "1", "the lock was broken in between");
}

#[test]
fn scripts_and_functions_may_guard() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000).to_string();
    let mut stream = Stream::of(server.port());
    let script = "return redis.call('LOCK.GUARD', KEYS[1], ARGV[1], 'INCRBY', KEYS[2], ARGV[2])";
    let eval = ["EVAL", script, "2", "lock", "n", &token, "5"];
    assert_eq!(client.call(&eval), Value::Int(5));
    assert_eq!(stream.heard(&mut client), ["INCRBY n 5"]);
    let stale = ["EVAL", script, "2", "lock", "n", "7", "5"];
    let error = client.error(&stale);
    assert!(
        error.contains("STALE") || error.contains("is not live"),
        "{error}"
    );
    assert_eq!(stream.heard(&mut client), [""; 0]);
    let caught = "local r = redis.pcall('LOCK.GUARD', KEYS[1], ARGV[1], 'INCR', KEYS[2])
                  return r.err or r";
    let told = client.bytes(&["EVAL", caught, "2", "lock", "n", "7"]);
    assert!(told.starts_with(b"STALE "), "{}", told.escape_ascii());
    let table = "local r = redis.call('LOCK.GUARD', KEYS[1], ARGV[1], 'HGETALL', KEYS[2])
                 return #r .. r[1] .. r[2]";
    client.say("HSET hash f v");
    assert_eq!(
        client.bytes(&["EVAL", table, "2", "lock", "hash", &token]),
        b"2fv"
    );
    let read_only = client.error(&["EVAL_RO", script, "2", "lock", "n", &token, "5"]);
    assert!(
        read_only.contains("Write commands are not allowed"),
        "{read_only}"
    );
    let library = "#!lua name=l\nredis.register_function('f', function(keys, args)
        return redis.call('LOCK.GUARD', keys[1], args[1], 'INCR', keys[2]) end)";
    client.call(&["FUNCTION", "LOAD", library]);
    assert_eq!(
        client.call(&["FCALL", "f", "2", "lock", "n", &token]),
        Value::Int(6)
    );
    assert!(client.is_live("lock", token.parse().expect("a number")));
}

#[test]
fn the_lock_and_the_keys_are_of_the_selected_database() {
    let server = Server::start();
    let mut client = server.client();
    let here = client.acquired("lock", "me", 600_000);
    client.say("SELECT 3");
    let there = client.acquired("lock", "me", 600_000);
    client.say(&format!("LOCK.GUARD lock {there} SET k three"));
    let error = client.error_of(&format!("LOCK.GUARD lock {here} SET k zero"));
    assert!(error.starts_with("STALE "), "{error}");
    assert_eq!(client.text("GET k"), "three");
    client.say("SELECT 0");
    assert!(!client.exists("k"));
    client.say(&format!("LOCK.GUARD lock {here} SET k zero"));
    client.say(&format!("LOCK.GUARD lock {here} MOVE k 4"));
    client.say("SELECT 4");
    assert_eq!(client.text("GET k"), "zero");
}

#[test]
fn a_guarded_command_may_not_copy_over_the_lock_of_another_database() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    client.say("SET k v");
    let error = client.error_of(&format!("LOCK.GUARD lock {token} COPY k lock DB 1"));
    assert!(
        error.starts_with("ERR LOCK.GUARD does not run commands on"),
        "{error}"
    );
}

#[test]
fn between_two_guarded_writes_the_lease_may_end() {
    let mut server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 300);
    let guard = format!("LOCK.GUARD lock {token} INCR n");
    let words: Vec<&str> = guard.split(' ').collect();
    assert_eq!(client.call(&words), Value::Int(1));
    let mut written = 1;
    let error = eventually("it is refused", || match client.try_call(&words) {
        Ok(_) => {
            written += 1;
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(error.code(), Some("STALE"));
    assert_eq!(client.fence("lock"), None);
    assert_eq!(client.text("GET n"), written.to_string());
    let next = client.acquired("lock", "you", 60_000);
    assert_eq!(client.error_of(&guard).split(' ').next(), Some("STALE"));
    client.say(&format!("LOCK.GUARD lock {next} SET n done"));
    server.assert_healthy();
}

/// From the deadline on, whether or not anybody has swept.
#[test]
fn in_a_script_that_outlives_the_lease_the_guard_closes_at_the_deadline() {
    let server = Server::start();
    let mut client = server.client();
    let script = "local t = redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 20)
        local n = 0
        while redis.call('LOCK.FENCE', KEYS[1], t) == 1 do n = n + 1 end
        local r = redis.pcall('LOCK.GUARD', KEYS[1], t, 'SET', KEYS[2], 'late')
        return r.err or 'it ran'";
    let told = client.bytes(&["EVAL", script, "2", "lock", "n"]);
    assert!(told.starts_with(b"STALE "), "{}", told.escape_ascii());
    assert!(!client.exists("n"));
}

#[test]
fn each_of_many_holders_may_guard_with_its_own_token() {
    let server = Server::start();
    let mut client = server.client();
    let tokens =
        ["a", "b", "c"].map(|it| client.number(&format!("LOCK.ACQUIRE lock {it} 60000 SHARED")));
    for token in tokens {
        client.say(&format!("LOCK.GUARD lock {token} INCR n"));
    }
    client.release("lock", "b");
    let error = client.error_of(&format!("LOCK.GUARD lock {} INCR n", tokens[1]));
    assert!(error.starts_with("STALE "), "{error}");
    client.say(&format!("LOCK.GUARD lock {} INCR n", tokens[2]));
    assert_eq!(client.text("GET n"), "4");
}

#[test]
fn writes_through_the_guard_reach_those_who_watch_and_track() {
    let server = Server::start();
    let (mut client, mut watching) = (server.client(), server.client());
    let token = client.acquired("lock", "me", 600_000);
    watching.say("WATCH k lock");
    client.say(&format!("LOCK.GUARD lock {token} GET k"));
    watching.say("MULTI");
    watching.say("PING");
    assert_ne!(watching.say("EXEC"), Value::Nil, "a look is no change");
    watching.say("WATCH k");
    client.say(&format!("LOCK.GUARD lock {token} SET k v"));
    watching.say("MULTI");
    watching.say("PING");
    assert_eq!(watching.say("EXEC"), Value::Nil);
}

#[test]
fn what_a_guarded_write_serves_is_served() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    let mut waiter = super::support::Waiter::joins(&server, &mut client, "BLPOP list 0");
    client.say(&format!("LOCK.GUARD lock {token} RPUSH list x"));
    let told = ["*2", "$4", "list", "$1", "x"];
    assert_eq!(told.map(|_| waiter.answer()), told);
}
