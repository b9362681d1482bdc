//! DELAY: a hold that was lost, not given back, keeps others out for a while.

use super::holding::{ask, granted};
use super::support::{eventually, now, Client, Server, Waiter};
use std::time::Duration;

/// Longer than any test.
const LONG: &str = "600000";

fn over(client: &mut Client, token: i64) {
    eventually("the token is not live", || {
        (!client.is_live("k", token)).then_some(())
    });
}

#[test]
fn after_its_lease_a_hold_cools_and_nobody_is_granted() {
    let mut server = Server::start();
    let mut client = server.client();
    let token = granted(&mut client, &format!("k me 50 DELAY {LONG}"));
    over(&mut client, token);
    assert!(client.exists("k"));
    assert_eq!(client.fence("k"), None);
    assert_eq!(ask(&mut client, "k you 1000"), None);
    assert_eq!(ask(&mut client, "k you 1000 SHARED"), None);
    assert_eq!(
        ask(&mut client, "k me 1000"),
        None,
        "not even its own owner"
    );
    assert_eq!(client.number("LOCK.EXTEND k me 1000"), 0);
    let raise = format!("LOCK.EXTEND k me 1000 RAISE {}", token + 1);
    assert_eq!(client.number_or_nil(&raise), None);
    assert_eq!(
        client
            .error_of(&format!("LOCK.GUARD k {token} SET x 1"))
            .split(' ')
            .next(),
        Some("STALE")
    );
    assert_eq!(client.names_of_type("redislock"), ["k"]);
    server.assert_healthy();
}

#[test]
fn a_delay_lasts_as_long_as_it_says_and_then_the_line_goes_on() {
    let server = Server::start();
    let mut client = server.client();
    let start = now();
    let token = granted(&mut client, "k me 100 DELAY 400");
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k you 60000 BLOCK 0");
    assert!(next.token() > token);
    assert!(
        start.elapsed() >= Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    client.release("k", "you");
    let start = now();
    granted(&mut client, "k me 100 DELAY 400");
    eventually("the key goes", || (!client.exists("k")).then_some(()));
    assert!(
        start.elapsed() >= Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn after_its_session_died_a_hold_cools() {
    let server = Server::start();
    let mut client = server.client();
    let line = format!("LOCK.ACQUIRE k me 600000 SESSION DELAY {LONG}");
    let mut holder = Waiter::asks(&server, &line);
    let token = holder.token();
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k you 60000 BLOCK 0");
    drop(holder);
    over(&mut client, token);
    assert!(next.is_silent());
    assert_eq!(ask(&mut client, "k other 1000"), None);
    assert_eq!(client.release("k", "me"), 0, "it holds nothing");
    assert!(next.token() > token, "but it said that it is done");
}

#[test]
fn after_release_nothing_cools() {
    let server = Server::start();
    let mut client = server.client();
    let token = granted(&mut client, &format!("k me 60000 DELAY {LONG}"));
    assert_eq!(client.release("k", "me"), 1);
    assert!(!client.exists("k"));
    granted(&mut client, &format!("k me 60000 DELAY {LONG}"));
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k you 60000 BLOCK 0");
    assert_eq!(client.release("k", "me"), 1);
    assert!(next.token() > token);
}

#[test]
fn del_ends_cooling_at_once() {
    let server = Server::start();
    let mut client = server.client();
    for ttl in ["600000", "20"] {
        for break_it in ["DEL k", "FLUSHALL", "RENAME k x"] {
            let token = granted(&mut client, &format!("k me {ttl} DELAY {LONG}"));
            if ttl == "20" {
                over(&mut client, token);
            }
            let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k you 60000 BLOCK 0");
            client.say(break_it);
            assert!(next.token() > token, "{break_it}");
            client.say("FLUSHALL");
        }
    }
}

#[test]
fn release_by_its_owner_ends_cooling_and_answers_0() {
    let server = Server::start();
    let mut client = server.client();
    let token = granted(&mut client, &format!("k me 20 DELAY {LONG}"));
    over(&mut client, token);
    assert_eq!(client.release("k", "you"), 0);
    assert_eq!(
        client.number(&format!("LOCK.RELEASE k me TOKEN {}", token + 1)),
        0
    );
    assert_eq!(ask(&mut client, "k you 1000"), None);
    assert_eq!(
        client.number(&format!("LOCK.RELEASE k me TOKEN {token}")),
        0
    );
    assert!(!client.exists("k"));
}

#[test]
fn a_hold_that_cools_counts_among_those_who_share() {
    let server = Server::start();
    let mut client = server.client();
    let lost = granted(&mut client, &format!("k a 20 LIMIT 2 DELAY {LONG}"));
    let held = granted(&mut client, "k b 60000 LIMIT 2");
    over(&mut client, lost);
    assert_eq!(client.fence("k"), Some(held));
    assert_eq!(
        ask(&mut client, "k c 60000 LIMIT 2"),
        None,
        "one cools, one is live"
    );
    client.release("k", "b");
    assert!(client.exists("k"));
    granted(&mut client, "k a 60000 LIMIT 2");
    assert_eq!(ask(&mut client, "k c 60000 LIMIT 2"), None);
    // Its owner releases both: the one it has and the one it lost.
    assert_eq!(client.release("k", "a"), 1);
    assert_eq!(client.release("k", "a"), 0);
    assert!(!client.exists("k"));
}

#[test]
fn the_delay_is_that_of_the_owner_s_latest_call() {
    let server = Server::start();
    let mut client = server.client();
    let token = granted(&mut client, &format!("k me 60000 DELAY {LONG}"));
    assert_eq!(granted(&mut client, "k me 100"), token);
    assert_eq!(client.number("LOCK.EXTEND k me 200"), 1);
    let info = format!("{:?}", client.say("LOCK.INFO k"));
    assert!(!info.contains(LONG), "{info}");
    client.release("k", "me");
    let token = granted(&mut client, "k me 100");
    assert_eq!(
        granted(&mut client, &format!("k me 100 DELAY {LONG}")),
        token
    );
    over(&mut client, token);
    assert_eq!(ask(&mut client, "k you 1000"), None);
}

#[test]
fn who_waits_hands_its_delay_to_the_hold() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let line = format!("LOCK.ACQUIRE k me 100 DELAY {LONG} BLOCK 0");
    let mut waiter = Waiter::joins(&server, &mut client, &line);
    client.release("k", "holder");
    let token = waiter.token();
    over(&mut client, token);
    assert_eq!(ask(&mut client, "k you 1000"), None);
    assert!(client.exists("k"));
}
