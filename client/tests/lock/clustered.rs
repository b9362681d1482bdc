//! A cluster of several masters: each key is locked where its slot is.

use super::support::cluster::{give, migrate, node, open, pair, two};
use super::support::{blocked_clients, catch_up, eventually, pass, Client, Server};
use super::{number, TTL, WAIT};
use redis_lock_client::{Lock, LossReason, Released, Servers};

/// Slot 12182, by the example in the specification of Redis Cluster.
const KEY: &str = "foo";
const SLOT: u32 = 12_182;
/// A key of another slot, which stays.
const OTHER: &str = "bar";

/// A cluster, of which only these are named.
fn servers<const N: usize>(nodes: [&Server; N]) -> Servers {
    let address = |node: &Server| format!("redis://127.0.0.1:{}/", node.port());
    Servers::cluster(nodes.map(address)).expect("addresses")
}

fn lock(servers: &Servers, key: &str) -> Lock {
    Lock::new(servers, key).ttl(TTL * 20).wait(WAIT)
}

/// One more master, which serves a slot that nobody needs.
fn third_master(on_one: &mut Client) -> Server {
    let third = node();
    let mut on_third = third.client();
    let meet = format!("CLUSTER MEET 127.0.0.1 {}", third.port());
    eventually("they know each other", || {
        on_one.say(&meet);
        let known = [&mut *on_one, &mut on_third].map(|client| client.text("CLUSTER NODES"));
        let is_known = |nodes: &String| nodes.lines().count() == 3 && !nodes.contains("handshake");
        known.iter().all(is_known).then_some(())
    });
    give(0, on_one, &mut on_third);
    eventually("it counts as a master", || {
        let info = on_one.text("CLUSTER INFO");
        info.contains("cluster_size:3").then_some(())
    });
    third
}

fn is_waited(client: &mut Client) {
    eventually("somebody waits", || {
        (blocked_clients(client) == 1).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_is_locked_and_waited_for_at_the_master_of_its_slot() {
    let (one, other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    give(SLOT, &mut on_one, &mut on_other);
    // One that serves the one key, and only knows where the other is.
    let servers = servers([&one]);
    for (key, client) in [(KEY, &mut on_other), (OTHER, &mut on_one)] {
        let lock = lock(&servers, key);
        let guard = lock.acquire().await.expect("it is free");
        assert_eq!(client.fence(key), Some(number(guard.token())));
        let waiting = tokio::spawn(async move { lock.acquire().await });
        is_waited(client);
        // In the lock's slot.
        let value = format!("{{{key}}}:value");
        let set = redis::cmd("SET").arg(&value).arg("x").to_owned();
        let () = guard.guard_command(&set).await.expect("it is held");
        assert_eq!(client.text(&format!("GET {value}")), "x");
        let token = guard.token();
        assert_eq!(guard.release().await.expect("an answer"), Released::Held);
        let next = waiting.await.expect("no panic").expect("its turn comes");
        assert!(next.token() > token);
        drop(next);
        eventually("it is given back", || (!client.exists(key)).then_some(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_wait_follow_their_slot_to_another_master() {
    let (one, other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let lock = lock(&servers([&one]), KEY);
    let guard = lock
        .clone()
        .ttl(TTL * 3)
        .acquire()
        .await
        .expect("it is free");
    let waiting = tokio::spawn(async move { lock.acquire().await });
    is_waited(&mut on_one);
    open(SLOT, &mut on_one, &mut on_other);
    migrate(KEY, &mut on_one, &other);
    // The key is there, and its slot still here: ASK.
    let until = guard.valid_until();
    eventually("it is extended at both ends of the way", || {
        (guard.valid_until() > until).then_some(())
    });
    give(SLOT, &mut on_one, &mut on_other);
    is_waited(&mut on_other);
    let until = guard.valid_until();
    eventually("it is extended there", || {
        (guard.valid_until() > until).then_some(())
    });
    assert!(on_other.is_live(KEY, number(guard.token())));
    let token = guard.token();
    assert_eq!(guard.release().await.expect("an answer"), Released::Held);
    let next = waiting.await.expect("no panic").expect("its turn comes");
    assert!(next.token() > token);
    assert_eq!(on_other.fence(KEY), Some(number(next.token())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_wait_outlive_the_death_of_a_master() {
    let (mut master, replica) = pair();
    let lock = lock(&servers([&master, &replica]), KEY);
    let guard = lock.acquire().await.expect("it is free");
    let waiting = tokio::spawn(async move { lock.acquire().await });
    is_waited(&mut master.client());
    let mut client = replica.client();
    catch_up(&mut master.client(), &mut client);
    let until = guard.valid_until();
    master.kill();
    client.say("CLUSTER FAILOVER TAKEOVER");
    eventually("it is extended by the new master", || {
        (guard.valid_until() > until).then_some(())
    });
    let token = guard.token();
    assert!(client.is_live(KEY, number(token)));
    assert_eq!(guard.release().await.expect("an answer"), Released::Held);
    let next = waiting.await.expect("no panic").expect("its turn comes");
    assert!(next.token() > token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_costs_no_lock_of_another_node() {
    let (one, other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    give(SLOT, &mut on_one, &mut on_other);
    // Two of three masters are a cluster; one of two is not.
    let third = third_master(&mut on_one);
    let servers = servers([&one, &other, &third]);
    let guard = lock(&servers, OTHER).ttl(TTL).acquire().await;
    let guard = guard.expect("it is free");
    let lost = lock(&servers, KEY).ttl(TTL).acquire().await;
    let lost = lost.expect("it is free");
    other.signal("STOP");
    assert_eq!(lost.lost().await, LossReason::Expired);
    pass(TTL * 3);
    assert!(!guard.is_lost());
    assert!(on_one.is_live(OTHER, number(guard.token())));
    other.signal("CONT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_wait_outlive_a_master_that_hangs() {
    let (master, replica) = pair();
    let lock = lock(&servers([&master, &replica]), KEY);
    let guard = lock.acquire().await.expect("it is free");
    let waiting = tokio::spawn(async move { lock.acquire().await });
    is_waited(&mut master.client());
    let mut client = replica.client();
    catch_up(&mut master.client(), &mut client);
    let until = guard.valid_until();
    master.signal("STOP");
    client.say("CLUSTER FAILOVER TAKEOVER");
    eventually("it is extended by the new master", || {
        (guard.valid_until() > until).then_some(())
    });
    assert!(client.is_live(KEY, number(guard.token())));
    is_waited(&mut client);
    let token = guard.token();
    assert_eq!(guard.release().await.expect("an answer"), Released::Held);
    let next = waiting.await.expect("no panic").expect("its turn comes");
    assert!(next.token() > token);
    master.signal("CONT");
}
