//! same-answer: the same owner asks twice, on one connection or on two.

use super::support::{blocked_clients, eventually, Server, Waiter};

#[test]
fn the_same_owner_on_two_connections_has_one_place_and_one_token() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut one = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let mut behind = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    let mut two = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.release("k", "holder");
    let token = one.token();
    assert_eq!(two.token(), token);
    assert!(behind.is_silent());
    assert_eq!(client.release("k", "a"), 1);
    assert!(behind.token() > token);
}

#[test]
fn a_client_that_reconnects_keeps_its_place() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let lost = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let behind = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    // It reconnects and asks again before the server knows that it was gone.
    let mut again = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    drop(lost);
    eventually("the first connection is gone", || {
        (blocked_clients(&mut client) == 2).then_some(())
    });
    client.release("k", "holder");
    let token = again.token();
    assert!(client.is_live("k", token));
    assert!(behind.is_silent());
}

#[test]
fn a_client_that_lost_the_reply_gets_the_same_token_again() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.release("k", "holder");
    let token = waiter.token();
    drop(waiter);
    let mut again = Waiter::asks(&server, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    assert_eq!(again.token(), token);
}

#[test]
fn a_place_takes_the_newest_lease() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut one = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 50 BLOCK 0");
    let _two = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.release("k", "holder");
    let token = one.token();
    let end = super::support::now() + std::time::Duration::from_millis(300);
    while super::support::now() < end {
        assert!(client.is_live("k", token));
    }
}

#[test]
fn a_place_outlives_the_shorter_of_its_two_waits() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut brief = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 100");
    let mut patient = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    brief.is_told_nil();
    client.release("k", "holder");
    patient.token();
}

#[test]
fn release_by_an_owner_that_waits_leaves_the_line() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut one = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let mut two = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let mut behind = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    assert_eq!(client.release("k", "a"), 0);
    one.is_told_nil();
    two.is_told_nil();
    client.release("k", "holder");
    behind.token();
}
