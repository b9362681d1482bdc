//! A slot that moves while somebody waits for a key of it.

use super::support::cluster::{alone, give, lets_modules_see_its_map, migrate, open, two};
use super::support::eventually::within;
use super::support::process::cpu_ns;
use super::support::{blocked_clients, eventually, now, Client, Server, Waiter};
use std::time::Duration;

/// Slot 12182, by the example in the specification of Redis Cluster.
const KEY: &str = "foo";
const SLOT: u32 = 12_182;
/// A key of another slot.
const STRANGER: &str = "bar";

/// It is told what anybody is told who asks for the key.
fn is_sent_to(waiter: &mut Waiter, to: &Server, from: &Server) {
    let told = waiter.answer();
    if !lets_modules_see_its_map(from) {
        assert!(told.starts_with("-TRYAGAIN "), "{told}");
        return;
    }
    let expected = Waiter::asks(from, &format!("GET {KEY}")).answer();
    assert_eq!(told, expected);
    assert!(told.starts_with(&format!("-MOVED {SLOT} ")), "{told}");
    assert!(told.ends_with(&format!(":{}", to.port())), "{told}");
}

/// That nobody of them is told anything while their slots are looked at twice.
fn stay_in_line(waiters: &[&Waiter], client: &mut Client) {
    let end = now() + Duration::from_millis(2_500);
    while now() < end {
        client.text("PING");
        assert!(waiters.iter().all(|waiter| waiter.is_silent()));
    }
}

#[test]
fn who_waits_in_a_slot_that_moved_is_sent_after_it_and_nobody_else_is() {
    let (mut one, mut other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let token = on_one.acquired(KEY, "holder", 60_000);
    on_one.acquired(STRANGER, "holder", 60_000);
    let ask = |owner: &str, key: &str| format!("LOCK.ACQUIRE {key} {owner} 60000 BLOCK 0");
    let mut first = Waiter::joins(&one, &mut on_one, &ask("a", KEY));
    let mut second = Waiter::joins(&one, &mut on_one, &ask("b", KEY));
    let mut stranger = Waiter::joins(&one, &mut on_one, &ask("c", STRANGER));

    open(SLOT, &mut on_one, &mut on_other);
    migrate(KEY, &mut on_one, &other);
    give(SLOT, &mut on_one, &mut on_other);
    is_sent_to(&mut first, &other, &one);
    is_sent_to(&mut second, &other, &one);
    assert!(stranger.is_silent());
    assert_eq!(blocked_clients(&mut on_one), 1);

    // There the lock is still held, and the line is formed anew.
    let mut first = Waiter::joins(&other, &mut on_other, &ask("a", KEY));
    assert_eq!(on_other.release(KEY, "holder"), 1);
    assert!(first.token() > token);
    assert_eq!(on_one.release(STRANGER, "holder"), 1);
    assert!(stranger.token() > token);
    one.assert_healthy();
    other.assert_healthy();
}

#[test]
fn waiters_stay_in_line_while_the_keys_of_their_slot_are_on_their_way() {
    let (mut one, mut other) = two();
    if !lets_modules_see_its_map(&one) {
        return;
    }
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let token = on_one.acquired(KEY, "holder", 60_000);
    let mut here = Waiter::joins(&one, &mut on_one, "LOCK.ACQUIRE foo a 60000 BLOCK 0");
    let later = Waiter::joins(&one, &mut on_one, "LOCK.ACQUIRE foo b 60000 BLOCK 0");
    open(SLOT, &mut on_one, &mut on_other);
    stay_in_line(&[&here, &later], &mut on_one);
    // The key is still here, and so is its line.
    assert_eq!(on_one.release(KEY, "holder"), 1);
    assert!(here.token() > token);

    migrate(KEY, &mut on_one, &other);
    let mut there = Waiter::asks(&other, "ASKING");
    assert_eq!(there.answer(), "+OK");
    there.waits(&mut on_other, "LOCK.ACQUIRE foo c 60000 BLOCK 0");
    stay_in_line(&[&there, &later], &mut on_other);
    give(SLOT, &mut on_one, &mut on_other);
    assert_eq!(on_other.release(KEY, "a"), 1);
    assert!(there.token() > token);
    let mut later = later;
    is_sent_to(&mut later, &other, &one);
    one.assert_healthy();
    other.assert_healthy();
}

#[test]
fn tokens_rise_also_if_the_slot_stays_after_all() {
    let (one, other) = two();
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let first = on_one.acquired(KEY, "alice", 60_000);
    on_one.release(KEY, "alice");
    open(SLOT, &mut on_one, &mut on_other);
    let mut last = first;
    let end = now() + Duration::from_millis(2_500);
    while now() < end {
        on_other.say("ASKING");
        last = last.max(on_other.acquired(KEY, "bob", 60_000));
        on_other.say("ASKING");
        on_other.release(KEY, "bob");
    }
    for client in [&mut on_one, &mut on_other] {
        client.say(&format!("CLUSTER SETSLOT {SLOT} STABLE"));
    }
    let token = on_one.acquired(KEY, "carol", 60_000);
    assert!(token > last, "{token} is not above {last}");
}

/// Lines whose keys went ahead of their slot cannot be served, and must not keep
/// others from being served.
#[test]
fn lines_of_a_slot_on_its_way_hold_up_nobody_else() {
    // More than are looked at in one turn of the loop.
    const LINES: usize = 300;
    let (one, other) = two();
    if !lets_modules_see_its_map(&one) {
        return;
    }
    let (mut on_one, mut on_other) = (one.client(), other.client());
    let mut stuck: Vec<Waiter> = Vec::new();
    for number in 0..LINES {
        let key = format!("{{foo}}{number}");
        on_one.acquired(&key, "holder", 60_000);
        let ask = format!("LOCK.ACQUIRE {key} a 60000 BLOCK 0");
        stuck.push(Waiter::joins(&one, &mut on_one, &ask));
    }
    on_one.acquired(STRANGER, "holder", 1_000);
    let mut stranger = Waiter::joins(&one, &mut on_one, "LOCK.ACQUIRE bar a 60000 BLOCK 0");
    open(SLOT, &mut on_one, &mut on_other);
    for number in 0..LINES {
        on_one.say(&format!("DEL {{foo}}{number}"));
    }
    eventually("the lease ends", || {
        (on_one.fence(STRANGER).is_none() || !stranger.is_silent()).then_some(())
    });
    let ended = now();
    stranger.token();
    let waited = ended.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    // Nor do they keep the server busy.
    let before = cpu_ns(one.pid());
    let told = within(Duration::from_secs(1), || {
        (!stuck.iter().all(Waiter::is_silent)).then_some(())
    });
    assert_eq!(told, None);
    let busy = Duration::from_nanos(cpu_ns(one.pid()) - before);
    assert!(busy < Duration::from_millis(200), "{busy:?} in a second");
    on_one.say(&format!("CLUSTER SETSLOT {SLOT} STABLE"));
    for waiter in &mut stuck {
        waiter.token();
    }
}

#[test]
fn the_address_is_the_one_under_which_clients_know_the_other_server() {
    for (kind, shown) in [("hostname", " locks.example:"), ("unknown-endpoint", " :")] {
        let (one, other) = two();
        let (mut on_one, mut on_other) = (one.client(), other.client());
        on_other.say("CONFIG SET cluster-announce-hostname locks.example");
        eventually("its name is known", || {
            let nodes = on_one.text("CLUSTER NODES");
            nodes.contains("locks.example").then_some(())
        });
        on_one.say(&format!(
            "CONFIG SET cluster-preferred-endpoint-type {kind}"
        ));
        on_one.acquired(KEY, "holder", 60_000);
        let ask = "LOCK.ACQUIRE foo a 60000 BLOCK 0";
        let mut waiter = Waiter::joins(&one, &mut on_one, ask);
        open(SLOT, &mut on_one, &mut on_other);
        migrate(KEY, &mut on_one, &other);
        give(SLOT, &mut on_one, &mut on_other);
        let expected = Waiter::asks(&one, &format!("GET {KEY}")).answer();
        assert!(expected.contains(shown), "{expected}");
        is_sent_to(&mut waiter, &other, &one);
    }
}

/// There is no address then. Who asks again is told that the slot is not served.
#[test]
fn who_waits_in_a_slot_that_nobody_serves_any_more_is_told_to_ask_again() {
    let (mut server, mut client) = alone();
    let token = client.acquired(KEY, "holder", 60_000);
    let ask = "LOCK.ACQUIRE foo a 60000 BLOCK 0";
    let mut waiter = Waiter::joins(&server, &mut client, ask);
    client.say(&format!("CLUSTER DELSLOTS {SLOT}"));
    let told = waiter.answer();
    assert!(told.starts_with("-TRYAGAIN "), "{told}");
    waiter.say(ask);
    let told = waiter.answer();
    assert!(told.starts_with("-CLUSTERDOWN "), "{told}");
    client.say(&format!("CLUSTER ADDSLOTS {SLOT}"));
    waiter.waits(&mut client, ask);
    assert_eq!(client.release(KEY, "holder"), 1);
    assert!(waiter.token() > token);
    server.assert_healthy();
}
