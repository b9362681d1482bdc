//! Cluster mode: tokens that came with a key from another server count as this
//! server's own, also after a crash.

use super::holds::{raise_far, Hold};
use super::keeping::{each_at_once, Keeping};
use super::support::{eventually, Client, Server};

/// A lock on another server, whose token is far ahead of the clock, as DUMP
/// gives it.
fn exported() -> (Hold, Vec<u8>) {
    let server = Server::start();
    let mut client = server.client();
    let mut hold = Hold::take(&mut client, 0, "k", "alice");
    hold.token = raise_far(&mut client, "k", "alice");
    let payload = client.bytes(&["DUMP", "k"]);
    (hold, payload)
}

/// Waits until the cluster of one serves all slots.
fn serves(client: &mut Client) {
    eventually("the cluster is up", || {
        let info = client.text("CLUSTER INFO");
        info.contains("cluster_state:ok").then_some(())
    });
}

fn cluster_of_one(keeping: &Keeping) -> (Server, Client) {
    let server = keeping.server_with(&["cluster-enabled yes"]);
    let mut client = server.client();
    client.say("CLUSTER ADDSLOTSRANGE 0 16383");
    serves(&mut client);
    (server, client)
}

#[test]
fn an_imported_lock_survives_a_crash() {
    let (hold, payload) = exported();
    each_at_once(|keeping| {
        let (mut server, mut client) = cluster_of_one(keeping);
        client.call(&[b"RESTORE" as &[u8], b"k", b"0", &payload]);
        assert_eq!(client.fence("k"), Some(hold.token));
        keeping.keep(&mut client);
        server.crash();
        let mut client = server.client();
        serves(&mut client);
        assert_eq!(client.fence("k"), Some(hold.token), "{}", keeping.name);
        assert_eq!(client.number("LOCK.EXTEND k alice 60000"), 1);
        assert_eq!(client.release("k", "alice"), 1);
        let next = client.acquired("k", "bob", 60_000);
        assert!(next > hold.token, "{}: {next}", keeping.name);
        server.assert_healthy();
    });
}

/// The server itself has granted nothing, so it has written no ceiling.
#[test]
fn the_token_of_an_imported_lock_that_is_over_is_never_issued_again() {
    let (hold, payload) = exported();
    each_at_once(|keeping| {
        let (mut server, mut client) = cluster_of_one(keeping);
        client.call(&[b"RESTORE" as &[u8], b"k", b"0", &payload]);
        assert_eq!(client.release("k", "alice"), 1);
        keeping.keep(&mut client);
        server.crash();
        let mut client = server.client();
        serves(&mut client);
        let next = client.acquired("k", "bob", 60_000);
        let name = keeping.name;
        assert!(next > hold.token, "{name}: {next} after {}", hold.token);
    });
}

/// It has granted before, so its ceiling is known, but below the token.
#[test]
fn the_token_of_an_imported_lock_counts_beside_a_lower_ceiling() {
    let (hold, payload) = exported();
    each_at_once(|keeping| {
        let (mut server, mut client) = cluster_of_one(keeping);
        client.acquired("before", "carol", 60_000);
        client.call(&[b"RESTORE" as &[u8], b"k", b"0", &payload]);
        assert_eq!(client.release("k", "alice"), 1);
        keeping.keep(&mut client);
        server.crash();
        let mut client = server.client();
        serves(&mut client);
        let next = client.acquired("k", "bob", 60_000);
        let name = keeping.name;
        assert!(next > hold.token, "{name}: {next} after {}", hold.token);
    });
}
