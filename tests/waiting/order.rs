//! in-line: first come, first granted, and nobody overtakes.

use super::support::{Server, Stream, Waiter};

#[test]
fn a_free_lock_is_granted_at_once_also_with_block() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.number("LOCK.ACQUIRE k alice 60000 BLOCK 1000");
    assert!(client.is_live("k", token));
}

#[test]
fn waiters_are_granted_in_the_order_in_which_they_came() {
    let server = Server::start();
    let mut client = server.client();
    let mut last = client.acquired("k", "holder", 60_000);
    let mut line: Vec<Waiter> = (0..20)
        .map(|number| {
            let ask = format!("LOCK.ACQUIRE k w{number} 60000 BLOCK 0");
            Waiter::joins(&server, &mut client, &ask)
        })
        .collect();
    let mut owner = "holder".to_owned();
    for number in 0..line.len() {
        assert_eq!(client.release("k", &owner), 1);
        let token = line[number].token();
        assert!(token > last, "{token} is not above {last}");
        assert!(client.is_live("k", token));
        assert!(line[number + 1..].iter().all(Waiter::is_silent));
        last = token;
        owner = format!("w{number}");
    }
}

#[test]
fn a_newcomer_never_overtakes_and_a_try_is_told_no() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut first = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    // In one transaction: released, and asked for at once.
    client.say("MULTI");
    client.say("LOCK.RELEASE k holder");
    client.say("LOCK.ACQUIRE k newcomer 60000");
    client.say("LOCK.ACQUIRE k newcomer 60000 BLOCK 1000");
    let answers = client.say("EXEC");
    let expected = [redis::Value::Int(1), redis::Value::Nil, redis::Value::Nil];
    assert_eq!(answers, redis::Value::Array(expected.to_vec()));
    assert!(first.token() > 0);
}

#[test]
fn lines_of_different_keys_and_databases_do_not_mix() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("a", "holder", 60_000);
    client.acquired("b", "holder", 60_000);
    let mut on_a = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE a x 60000 BLOCK 0");
    let mut on_b = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE b y 60000 BLOCK 0");
    client.say("SELECT 1");
    assert!(client.acquire("a", "z", 60_000).is_some());
    client.say("SELECT 0");
    client.release("b", "holder");
    on_b.token();
    assert!(on_a.is_silent());
    client.release("a", "holder");
    on_a.token();
}

#[test]
fn a_hand_over_is_one_transaction_on_the_wire() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("k", "alice", 60_000);
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 30000 BLOCK 0");
    let mut stream = Stream::of(server.port());
    client.release("k", "alice");
    let new = next.token();
    let expected = [
        "MULTI".to_owned(),
        format!("LOCK._END k alice {old}"),
        format!("LOCK._GRANT k bob {new} 30000"),
        "EXEC".to_owned(),
    ];
    assert_eq!(stream.heard(&mut client), expected);
}

#[test]
fn waiting_itself_sends_nothing_and_makes_no_key() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let mut stream = Stream::of(server.port());
    let waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 30000 BLOCK 0");
    let mut brief = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k carol 30000 BLOCK 50");
    brief.is_told_nil();
    drop(waiter);
    super::support::eventually("nobody waits", || {
        (super::support::blocked_clients(&mut client) == 0).then_some(())
    });
    assert_eq!(stream.heard(&mut client), [""; 0]);
    assert_eq!(client.number("DBSIZE"), 1);
}

/// The lease starts at the grant, not when the wait began.
#[test]
fn the_lease_starts_at_the_grant() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 400);
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 300 BLOCK 0");
    let token = next.token();
    let granted = super::support::now();
    while client.is_live("k", token) {}
    let lived = granted.elapsed().as_millis();
    assert!(lived > 250, "the lease was over after {lived} ms");
}

#[test]
fn commands_behind_a_block_wait_with_it() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 60000 BLOCK 0");
    waiter.say("PING");
    client.release("k", "alice");
    waiter.token();
    assert_eq!(waiter.answer(), "+PONG");
}
