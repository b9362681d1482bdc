//! Waits and releases in one pipeline.

use super::support::{eventually, Server, Waiter};

const CONNECTIONS: usize = 60;
const ROUNDS: usize = 5;

#[test]
fn chains_of_waits_and_releases_in_pipelines_all_come_to_their_end() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut waiters: Vec<Waiter> = (0..CONNECTIONS)
        .map(|number| {
            let mut waiter = Waiter::asks(&server, "PING");
            for round in 0..ROUNDS {
                let owner = format!("w{number}.{round}");
                waiter.say(&format!("LOCK.ACQUIRE k {owner} 60000 BLOCK 0"));
                waiter.say(&format!("LOCK.RELEASE k {owner}"));
            }
            waiter
        })
        .collect();
    eventually("all are in line", || {
        (super::support::blocked_clients(&mut client) == CONNECTIONS as i64).then_some(())
    });
    client.release("k", "holder");
    let mut tokens = Vec::new();
    for waiter in &mut waiters {
        assert_eq!(waiter.answer(), "+PONG");
        let mut last = 0;
        for _ in 0..ROUNDS {
            let token = waiter.token();
            assert!(token > last, "{token} is not above {last}");
            last = token;
            tokens.push(token);
            assert_eq!(waiter.answer(), ":1", "it held the lock");
        }
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(
        tokens.len(),
        CONNECTIONS * ROUNDS,
        "each grant its own token"
    );
    assert_eq!(client.number("DBSIZE"), 0);
    server.assert_healthy();
}

#[test]
fn in_a_pipeline_a_connection_takes_its_turn_behind_the_others() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut one = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let mut two = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    one.say("LOCK.RELEASE k a");
    one.say("LOCK.ACQUIRE k a2 60000 BLOCK 0");
    client.release("k", "holder");
    let first = one.token();
    assert_eq!(one.answer(), ":1");
    let second = two.token();
    assert!(second > first);
    assert!(one.is_silent());
    client.release("k", "b");
    assert!(one.token() > second);
}

/// What is pipelined behind a wait dies with the connection.
#[test]
fn a_pipeline_that_dies_in_line_does_nothing_more() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut dies = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    dies.say("SET trace x");
    dies.say("LOCK.ACQUIRE other a 60000");
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    drop(dies);
    eventually("it is gone", || {
        (super::support::blocked_clients(&mut client) == 1).then_some(())
    });
    client.release("k", "holder");
    next.token();
    assert_eq!(client.number("DBSIZE"), 1);
    server.assert_healthy();
}
