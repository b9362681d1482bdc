//! A cluster that is down: nobody is granted, and everybody is told.

use super::support::cluster::is_ready;
use super::support::{blocked_clients, eventually, Server, Waiter};

#[test]
fn while_the_cluster_is_down_nobody_is_granted_and_every_waiter_is_told() {
    let mut server = Server::with(&["cluster-enabled yes", "cluster-node-timeout 1000"]);
    let mut client = server.client();
    client.say("CLUSTER ADDSLOTSRANGE 0 16383");
    eventually("the cluster is ready", || is_ready(&mut client));
    client.acquired("brief", "holder", 1_000);
    client.acquired("long", "holder", 60_000);
    let mut line: Vec<Waiter> = Vec::new();
    for number in 0..5 {
        for key in ["brief", "long"] {
            let ask = format!("LOCK.ACQUIRE {key} w{number} 60000 BLOCK 0");
            line.push(Waiter::joins(&server, &mut client, &ask));
        }
    }
    client.say("CLUSTER DELSLOTS 0");
    eventually("the cluster is down", || {
        is_ready(&mut client).is_none().then_some(())
    });
    // Ends the hold on both, if the lease of one was not over before.
    client.say("FLUSHALL");
    for waiter in &mut line {
        let told = waiter.answer();
        // The lease may have ended before the cluster did.
        let was_granted_before = told.starts_with(':') && client.number("DBSIZE") == 0;
        assert!(
            told.starts_with("-CLUSTERDOWN ") || was_granted_before,
            "{told}"
        );
    }
    eventually("nobody waits", || {
        (blocked_clients(&mut client) == 0).then_some(())
    });
    assert_eq!(client.number("DBSIZE"), 0, "nobody was granted");
    client.say("CLUSTER ADDSLOTS 0");
    eventually("the cluster is up", || is_ready(&mut client));
    for key in ["brief", "long"] {
        client.acquired(key, "new", 60_000);
        let ask = format!("LOCK.ACQUIRE {key} next 60000 BLOCK 0");
        let mut next = Waiter::joins(&server, &mut client, &ask);
        client.release(key, "new");
        next.token();
    }
    server.assert_healthy();
}
