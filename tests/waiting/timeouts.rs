//! BLOCK's own deadline.

use super::support::{blocked_clients, eventually, now, Server, Waiter};

#[test]
fn a_wait_that_runs_out_is_nil_on_time_and_the_connection_goes_on() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let asked = now();
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 1000 BLOCK 300");
    waiter.is_told_nil();
    let waited = asked.elapsed().as_millis();
    assert!((300..5_000).contains(&waited), "{waited} ms");
    waiter.say("PING");
    assert_eq!(waiter.answer(), "+PONG");
    // It left the line: nobody is granted.
    client.release("k", "alice");
    assert_eq!(client.number("DBSIZE"), 0);
    assert_eq!(blocked_clients(&mut client), 0);
}

#[test]
fn block_zero_waits_for_as_long_as_it_takes() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 700);
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 1000 BLOCK 0");
    waiter.token();
}

#[test]
fn each_of_many_waits_ends_at_its_own_time() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let mut waiters: Vec<Waiter> = (0..10)
        .map(|number| {
            let ms = 1_000 - number * 50;
            let ask = format!("LOCK.ACQUIRE k w{number} 1000 BLOCK {ms}");
            Waiter::joins(&server, &mut client, &ask)
        })
        .collect();
    // The last who came has the shortest patience.
    for waiter in waiters.iter_mut().rev() {
        waiter.is_told_nil();
    }
    assert_eq!(blocked_clients(&mut client), 0);
}

#[test]
fn in_multi_scripts_and_functions_block_is_a_try() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    client.say("MULTI");
    client.say("LOCK.ACQUIRE k bob 1000 BLOCK 0");
    let nil = redis::Value::Nil;
    assert_eq!(client.say("EXEC"), redis::Value::Array(vec![nil.clone()]));
    let script = "return redis.call('LOCK.ACQUIRE', KEYS[1], 'bob', '1000', 'BLOCK', '0')";
    assert_eq!(client.call(&["EVAL", script, "1", "k"]), nil);
    let library = "#!lua name=lib
        redis.register_function('try', function(keys)
            return redis.call('LOCK.ACQUIRE', keys[1], 'bob', '1000', 'BLOCK', '0') end)";
    client.call(&["FUNCTION", "LOAD", library]);
    assert_eq!(client.say("FCALL try 1 k"), nil);
    client.release("k", "alice");
    assert!(matches!(client.say("FCALL try 1 k"), redis::Value::Int(_)));
}

#[test]
fn a_wait_that_cannot_be_meant_is_refused() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let range = "ERR BLOCK must be from 0 (no limit) to 315360000000 milliseconds";
    for (words, error) in [
        ("BLOCK -1", range),
        ("BLOCK 315360000001", range),
        (
            "BLOCK x",
            "ERR value is not an integer or out of range: BLOCK needs a number",
        ),
        ("BLOCK", "ERR syntax error: BLOCK needs a number"),
        ("BLOCK 1 BLOCK 1", "ERR syntax error: BLOCK twice"),
        ("SESSION SESSION", "ERR syntax error: SESSION twice"),
        (
            "BLOCK 1 NONSENSE",
            "ERR syntax error: argument 6 is not part",
        ),
    ] {
        let line = format!("LOCK.ACQUIRE k bob 1000 {words}");
        let said = client.error_of(&line);
        assert!(said.starts_with(error), "{line}: {said}");
    }
    assert_eq!(blocked_clients(&mut client), 0);
}

#[test]
fn waits_run_out_while_writes_are_paused_and_grants_come_afterwards() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let mut brief = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 1000 BLOCK 200");
    let mut patient = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k carol 1000 BLOCK 0");
    client.say("CLIENT PAUSE 60000 WRITE");
    brief.is_told_nil();
    assert!(patient.is_silent());
    client.say("CLIENT UNPAUSE");
    client.release("k", "alice");
    patient.token();
    server.assert_healthy();
    eventually("nobody waits", || {
        (blocked_clients(&mut client) == 0).then_some(())
    });
}
