//! SESSION: the hold ends with its connection.

use super::support::resp::Wire;
use super::support::{eventually, now, Server, Waiter};

#[test]
fn a_session_ends_with_its_connection_and_the_next_is_granted() {
    let server = Server::start();
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000 SESSION");
    let token = holder.token();
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 60000 BLOCK 0");
    let closed = now();
    drop(holder);
    assert!(next.token() > token);
    assert!(closed.elapsed().as_secs() < 10);
    assert!(!client.is_live("k", token));
}

#[test]
fn a_killed_session_holder_frees_the_lock() {
    let server = Server::start();
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000 SESSION");
    let token = holder.token();
    // Over for every command of the same transaction.
    client.say("MULTI");
    client.say(&format!("CLIENT KILL ID {}", holder.id));
    client.say(&format!("LOCK.FENCE k {token}"));
    client.say("EXEC");
    eventually("no key is left", || {
        (client.number("DBSIZE") == 0).then_some(())
    });
}

#[test]
fn a_hold_without_session_outlives_its_connection() {
    let server = Server::start();
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000");
    let token = holder.token();
    let id = holder.id;
    drop(holder);
    eventually("the connection is gone", || {
        (!client.text("CLIENT LIST").contains(&format!("id={id} "))).then_some(())
    });
    assert!(client.is_live("k", token));
}

#[test]
fn the_ttl_still_bounds_a_session() {
    let server = Server::start();
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k alice 50 SESSION");
    holder.token();
    eventually("the lease ends", || (!client.exists("k")).then_some(()));
    holder.say("PING");
    assert_eq!(holder.answer(), "+PONG");
}

#[test]
fn the_latest_acquire_decides_to_which_connection_the_hold_is_bound() {
    let server = Server::start();
    let mut client = server.client();
    let mut first = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000 SESSION");
    let token = first.token();
    let mut second = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000 SESSION");
    assert_eq!(second.token(), token);
    let id = first.id;
    drop(first);
    eventually("the first connection is gone", || {
        (!client.text("CLIENT LIST").contains(&format!("id={id} "))).then_some(())
    });
    assert!(client.is_live("k", token), "it is bound to the second");
    // Without SESSION it is bound to none.
    assert_eq!(client.acquired("k", "alice", 60_000), token);
    let id = second.id;
    drop(second);
    eventually("the second connection is gone", || {
        (!client.text("CLIENT LIST").contains(&format!("id={id} "))).then_some(())
    });
    assert!(client.is_live("k", token));
}

#[test]
fn a_session_that_waited_ends_with_the_connection_that_waited() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let ask = "LOCK.ACQUIRE k alice 60000 SESSION BLOCK 0";
    let mut waiter = Waiter::joins(&server, &mut client, ask);
    client.release("k", "holder");
    let token = waiter.token();
    assert!(client.is_live("k", token));
    drop(waiter);
    eventually("no key is left", || {
        (client.number("DBSIZE") == 0).then_some(())
    });
}

#[test]
fn a_session_works_in_multi_and_is_an_error_in_scripts() {
    let server = Server::start();
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "MULTI");
    assert_eq!(holder.answer(), "+OK");
    holder.say("LOCK.ACQUIRE k alice 60000 SESSION");
    assert_eq!(holder.answer(), "+QUEUED");
    holder.say("EXEC");
    assert_eq!(holder.answer(), "*1");
    let token = holder.token();
    assert!(client.is_live("k", token));
    drop(holder);
    eventually("no key is left", || {
        (client.number("DBSIZE") == 0).then_some(())
    });
    let script = "return redis.call('LOCK.ACQUIRE', KEYS[1], 'a', '1000', 'SESSION')";
    let error = client.error(&["EVAL", script, "1", "k"]);
    assert!(
        error.contains("SESSION is not allowed in scripts"),
        "{error}"
    );
    assert_eq!(client.number("DBSIZE"), 0);
}

#[test]
fn after_a_restart_only_the_ttl_is_left_of_a_session() {
    let mut server = Server::with(&["appendonly yes", "appendfsync always"]);
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000 SESSION");
    let token = holder.token();
    server.crash();
    let mut client = server.client();
    assert!(client.is_live("k", token));
    // The first connections of the new process have the old numbers.
    for _ in 0..20 {
        drop(server.client());
    }
    assert!(client.is_live("k", token));
}

#[test]
fn a_session_that_ends_while_writes_are_paused_ends_the_lock_afterwards() {
    let mut server = Server::start();
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000 SESSION");
    let token = holder.token();
    client.say("CLIENT PAUSE 60000 WRITE");
    drop(holder);
    eventually("it is over for every command", || {
        (!client.is_live("k", token)).then_some(())
    });
    assert!(client.exists("k"));
    client.say("CLIENT UNPAUSE");
    eventually("the key goes", || (!client.exists("k")).then_some(()));
    server.assert_healthy();
}

/// A script looks on while the connection goes: in the middle of it the hold is over,
/// and nothing else happens.
#[test]
fn a_session_that_ends_in_the_middle_of_a_busy_script_is_handed_over_afterwards() {
    let mut server = Server::with(&["busy-reply-threshold 10"]);
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k alice 60000 SESSION");
    let token = holder.token();
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 60000 BLOCK 0");
    let script = "local function seconds() return tonumber(redis.call('TIME')[1]) end
        local from, own, lowest = seconds(), tonumber(ARGV[1])
        repeat lowest = redis.call('LOCK.FENCE', KEYS[1])
        until lowest ~= own or seconds() - from > 10
        return {redis.call('EXISTS', KEYS[1]), lowest or 0}";
    let mut runs = Wire::connect(server.port());
    let own = token.to_string();
    let words = ["EVAL", script, "1", "k", &own].map(str::as_bytes);
    runs.send_command(&words).expect("it listens");
    eventually("the script is busy", || {
        let error = client.try_call(&["EXISTS", "k"]).err()?;
        error.to_string().contains("BUSY").then_some(())
    });
    drop(holder);
    let lines: Vec<_> = (0..3)
        .map(|_| runs.line().expect("the script ends"))
        .collect();
    assert_eq!(lines, [&b"*2"[..], b":1", b":0"]);
    assert!(next.token() > token);
    server.assert_healthy();
}

/// A server that was demoted and promoted again, without losing its data.
#[test]
fn after_two_failovers_only_the_ttl_is_left_of_a_session() {
    let first = Server::start();
    let second = Server::start();
    let (mut on_first, mut on_second) = (first.client(), second.client());
    on_second.say(&format!("REPLICAOF 127.0.0.1 {}", first.port()));
    eventually("the link is up", || {
        (on_second.info("master_link_status") == "up").then_some(())
    });
    let mut holder = Waiter::asks(&first, "LOCK.ACQUIRE k alice 60000 SESSION");
    let token = holder.token();
    on_first.say("FAILOVER TIMEOUT 10000");
    eventually("the link is up the other way", || {
        let text = on_first.text("INFO replication");
        text.contains("master_link_status:up").then_some(())
    });
    let id = holder.id;
    drop(holder);
    eventually("the connection is gone", || {
        (!on_first.text("CLIENT LIST").contains(&format!("id={id} "))).then_some(())
    });
    on_second.say("FAILOVER TIMEOUT 10000");
    eventually("the first is a master again", || {
        (on_first.info("role") == "master").then_some(())
    });
    eventually("its background work is done", || {
        on_first.acquire("other", "bob", 60_000)
    });
    assert!(on_first.is_live("k", token));
    assert!(
        first.log().contains("Partial resynchronization"),
        "no data was lost"
    );
}

#[test]
fn a_session_is_an_error_in_functions() {
    let server = Server::start();
    let mut client = server.client();
    let library = "#!lua name=lib
        redis.register_function('session', function(keys, args)
            return redis.call('LOCK.ACQUIRE', keys[1], 'a', '1000', unpack(args)) end)";
    client.call(&["FUNCTION", "LOAD", library]);
    for call in ["SESSION", "BLOCK 0 SESSION", "SESSION BLOCK 1000"] {
        let error = client.error_of(&format!("FCALL session 1 k {call}"));
        assert!(
            error.contains("SESSION is not allowed in scripts"),
            "{error}"
        );
        assert_eq!(client.number("DBSIZE"), 0);
    }
    // Without it the same function works, and the hold outlives the connection.
    let mut other = server.client();
    assert!(other.number("FCALL session 1 k BLOCK 0") > 0);
    drop(other);
    assert!(client.fence("k").is_some());
}
