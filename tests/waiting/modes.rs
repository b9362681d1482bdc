//! Connections in other modes: RESP3, subscribed, monitoring, without replies,
//! and such as ask how far their writes have come.

use super::support::{eventually, Server, Version, Waiter};

#[test]
fn in_resp3_a_wait_is_answered_in_resp3() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut brief = Waiter::in_resp3(&server);
    brief.say("LOCK.ACQUIRE k brief 60000 BLOCK 50");
    assert_eq!(brief.answer(), "_");
    brief.waits(&mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.release("k", "holder");
    let token = brief.token();
    assert!(client.is_live("k", token));
    let mut refused = Waiter::in_resp3(&server);
    refused.waits(&mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    client.say("SET k v");
    assert!(refused.answer().starts_with("-WRONGTYPE "));
}

#[test]
fn a_subscriber_in_resp3_hears_messages_while_it_waits() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut waiter = Waiter::in_resp3(&server);
    waiter.say("SUBSCRIBE news");
    let subscribed = [">3", "$9", "subscribe", "$4", "news", ":1"];
    assert_eq!(subscribed.map(|_| waiter.answer()), subscribed);
    let can_wait = Version::of(&mut client).lets_subscribers_wait();
    if can_wait {
        waiter.waits(&mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    } else {
        // It is a try, and takes no place in the line.
        for _ in 0..2 {
            waiter.say("LOCK.ACQUIRE k a 60000 BLOCK 0");
            assert_eq!(waiter.answer(), "_");
        }
    }
    // That it is one is said in the server's log, once.
    let said = server.log().matches("a subscriber cannot wait").count();
    assert_eq!(said, usize::from(!can_wait));
    client.say("PUBLISH news hello");
    let message = [">3", "$7", "message", "$4", "news", "$5", "hello"];
    assert_eq!(message.map(|_| waiter.answer()), message);
    assert!(waiter.is_silent());
    client.release("k", "holder");
    if can_wait {
        assert!(client.is_live("k", waiter.token()));
        return;
    }
    assert_eq!(client.number("DBSIZE"), 0);
    assert!(waiter.is_silent());
    // Who is no subscriber any more can wait.
    client.acquired("k", "holder", 60_000);
    waiter.say("UNSUBSCRIBE news");
    let unsubscribed = [">3", "$11", "unsubscribe", "$4", "news", ":0"];
    assert_eq!(unsubscribed.map(|_| waiter.answer()), unsubscribed);
    waiter.waits(&mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.release("k", "holder");
    assert!(client.is_live("k", waiter.token()));
}

#[test]
fn a_subscriber_in_resp2_and_a_monitor_cannot_wait() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut subscriber = Waiter::asks(&server, "SUBSCRIBE news");
    let subscribed = ["*3", "$9", "subscribe", "$4", "news", ":1"];
    assert_eq!(subscribed.map(|_| subscriber.answer()), subscribed);
    subscriber.say("LOCK.ACQUIRE k a 60000 BLOCK 0");
    assert!(subscriber.answer().starts_with("-ERR Can't execute"));

    let mut monitor = Waiter::asks(&server, "MONITOR");
    assert_eq!(monitor.answer(), "+OK");
    monitor.say("LOCK.ACQUIRE k b 60000 BLOCK 0");
    // The server shows a monitor whatever is called, and this it refuses.
    let told = eventually("an answer", || {
        let line = monitor.answer();
        (!line.starts_with('+')).then_some(line)
    });
    assert!(told.starts_with("-ERR "), "{told}");
    assert_eq!(super::support::blocked_clients(&mut client), 0);
    client.release("k", "holder");
    assert_eq!(client.number("DBSIZE"), 0);
    server.assert_healthy();
}

/// As with every write: the grant counts, though nobody hears of it.
#[test]
fn with_replies_off_the_grant_counts_and_nobody_hears_of_it() {
    let mut server = Server::start();
    let mut client = server.client();
    let old = client.acquired("k", "holder", 60_000);
    let mut mute = Waiter::asks(&server, "CLIENT REPLY OFF");
    mute.waits(&mut client, "LOCK.ACQUIRE k mute 60000 BLOCK 0");
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k next 60000 BLOCK 0");
    assert_eq!(client.release("k", "holder"), 1);
    let token = client.fence("k").expect("it is held");
    assert!(token > old);
    assert!(next.is_silent());
    // It is there, and can ask: the same owner is told the same token.
    mute.say("CLIENT REPLY ON");
    assert_eq!(mute.answer(), "+OK");
    mute.say("LOCK.ACQUIRE k mute 60000");
    assert_eq!(mute.token(), token);
    assert_eq!(client.release("k", "mute"), 1);
    assert!(next.token() > token);
    server.assert_healthy();
}

#[test]
fn a_single_reply_that_is_skipped_is_that_of_the_wait() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut waiter = Waiter::asks(&server, "CLIENT REPLY SKIP");
    waiter.waits(&mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.release("k", "holder");
    let token = client.fence("k").expect("it is held");
    waiter.say("LOCK.ACQUIRE k a 60000");
    assert_eq!(waiter.answer(), format!(":{token}"));
}

/// WAIT on the connection that waited speaks of the grant, not of what that
/// connection had written before.
#[test]
fn wait_behind_a_block_waits_for_the_replica_to_have_the_grant() {
    let mut master = Server::start();
    let mut replica = Server::start();
    let (mut on_master, mut on_replica) = (master.client(), replica.client());
    on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    on_master.acquired("k", "holder", 60_000);
    assert_eq!(on_master.number("WAIT 1 10000"), 1);
    let ask = "LOCK.ACQUIRE k a 60000 BLOCK 0";
    let mut waiter = Waiter::joins(&master, &mut on_master, ask);
    replica.signal("STOP");
    on_master.release("k", "holder");
    let token = waiter.token();
    waiter.say("WAIT 1 200");
    assert_eq!(waiter.answer(), ":0", "the replica has not heard of it");
    replica.signal("CONT");
    waiter.say("WAIT 1 20000");
    assert_eq!(waiter.answer(), ":1");
    assert!(on_replica.is_live("k", token));
    master.assert_healthy();
    replica.assert_healthy();
}

/// Errors that waiters are told count as errors of the command, as others do.
#[test]
fn an_error_to_a_waiter_is_counted_as_one() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.say("CONFIG RESETSTAT");
    client.say("SET k v");
    assert!(waiter.answer().starts_with("-WRONGTYPE "));
    assert_eq!(client.info("errorstat_WRONGTYPE"), "count=1");
    let stats = client.info("cmdstat_lock.acquire");
    assert!(stats.contains("failed_calls=1"), "{stats}");
}
