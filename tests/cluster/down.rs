//! A cluster that is down: nobody is granted until it is up again.

use super::support::cluster::is_ready;
use super::support::{blocked_clients, eventually, now, Client, Server, Waiter};
use std::time::Duration;

const KEYS: [&str; 2] = ["brief", "long"];
const WAITERS: usize = 5;

fn ask(key: &str, number: usize) -> String {
    format!("LOCK.ACQUIRE {key} w{number} 60000 BLOCK 0")
}

/// Who was told something while the cluster was down was told so; the others.
fn still_silent(line: Vec<Waiter>) -> Vec<(usize, Waiter)> {
    let mut silent = Vec::new();
    for (number, mut waiter) in line.into_iter().enumerate() {
        if waiter.is_silent() {
            silent.push((number, waiter));
        } else {
            let told = waiter.answer();
            assert!(told.starts_with("-CLUSTERDOWN "), "{told}");
        }
    }
    silent
}

/// Over several crons, in which leases end and lines are looked at.
fn serves_on(client: &mut Client) {
    let end = now() + Duration::from_millis(2_500);
    while now() < end {
        assert_eq!(client.number("DBSIZE"), 0, "nobody is granted");
    }
}

/// Redis 7.0 answers those who wait by itself; elsewhere they stay in line, and
/// are granted when the cluster is up again.
#[test]
fn while_the_cluster_is_down_nobody_is_granted_and_nobody_is_forgotten() {
    let mut server = Server::with(&["cluster-enabled yes", "cluster-node-timeout 1000"]);
    let mut client = server.client();
    client.say("CLUSTER ADDSLOTSRANGE 0 16383");
    eventually("the cluster is ready", || is_ready(&mut client));
    let lines = KEYS.map(|key| {
        client.acquired(key, "holder", 60_000);
        let join = |number| Waiter::joins(&server, &mut client, &ask(key, number));
        (0..WAITERS).map(join).collect::<Vec<Waiter>>()
    });
    client.say("CLUSTER DELSLOTS 0");
    eventually("the cluster is down", || {
        is_ready(&mut client).is_none().then_some(())
    });
    client.say("FLUSHALL");
    serves_on(&mut client);
    let lines = lines.map(still_silent);
    let silent: usize = lines.iter().map(Vec::len).sum();
    assert_eq!(blocked_clients(&mut client), silent as i64);

    client.say("CLUSTER ADDSLOTS 0");
    eventually("the cluster is up", || is_ready(&mut client));
    for (key, line) in KEYS.iter().zip(lines) {
        let mut last = 0;
        for (number, mut waiter) in line {
            let token = waiter.token();
            assert!(token > last, "{token} is not above {last}");
            last = token;
            assert_eq!(client.release(key, &format!("w{number}")), 1);
        }
        client.acquired(key, "new", 60_000);
        let mut next = Waiter::joins(&server, &mut client, &ask(key, 0));
        client.release(key, "new");
        assert!(next.token() > last);
    }
    server.assert_healthy();
}

/// A lease that ends while the cluster is down ends, as always.
#[test]
fn a_lease_that_ends_while_the_cluster_is_down_is_over() {
    let mut server = Server::with(&["cluster-enabled yes", "cluster-node-timeout 1000"]);
    let mut client = server.client();
    client.say("CLUSTER ADDSLOTSRANGE 0 16383");
    eventually("the cluster is ready", || is_ready(&mut client));
    client.acquired("k", "holder", 1_500);
    let waiter = Waiter::joins(&server, &mut client, &ask("k", 0));
    client.say("CLUSTER DELSLOTS 0");
    eventually("the cluster is down", || {
        is_ready(&mut client).is_none().then_some(())
    });
    eventually("the key goes", || {
        (client.number("DBSIZE") == 0).then_some(())
    });
    serves_on(&mut client);
    let silent = still_silent(vec![waiter]);
    client.say("CLUSTER ADDSLOTS 0");
    for (_, mut waiter) in silent {
        waiter.token();
    }
    server.assert_healthy();
}
