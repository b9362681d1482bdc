//! A lock is kept alive for as long as its guard lives, and its validity is in the guard.

use super::support::{eventually, pass, Server};
use super::{number, seat, TTL};
use redis_lock_client::clock::BootTime;
use redis_lock_client::lease::drift;
use redis_lock_client::Released;
use std::pin::pin;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_keeps_its_lock_for_longer_than_the_lease() {
    let server = Server::start();
    let mut client = server.client();
    let guard = seat(server.port()).acquire().await.expect("it is free");
    let work = async {
        tokio::task::spawn_blocking(|| pass(TTL * 3))
            .await
            .expect("no panic");
        assert!(client.is_live("seat:42", number(guard.token())));
        "done"
    };
    assert_eq!(guard.run(work).await.expect("it is held"), "done");
    assert!(!guard.is_lost());
    assert_eq!(guard.release().await.expect("an answer"), Released::Held);
    assert_eq!(client.fence("seat:42"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_validity_is_shorter_than_the_lease_of_the_server_at_any_time() {
    let server = Server::start();
    let mut client = server.client();
    let before = BootTime::now();
    let guard = seat(server.port()).acquire().await.expect("it is free");
    let first = guard.valid_until();
    assert!(first >= before + (TTL - drift(TTL)));
    assert!(first <= BootTime::now() + (TTL - drift(TTL)));
    eventually(
        "it is extended, and shorter than the lease all the time",
        || {
            let left = guard.validity_left();
            // Asked later, the server has less left of it.
            let info = client.say("LOCK.INFO seat:42");
            let server_has = ttl_ms(&info);
            assert!(left.as_millis() as i64 <= server_has + drift(TTL).as_millis() as i64);
            (guard.valid_until() > first).then_some(())
        },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_validity_counts_from_the_request_and_not_from_its_answer() {
    let server = Server::start();
    let lock = seat(server.port());
    drop(lock.try_acquire().await.expect("it is free"));
    eventually("it is free", || {
        (!server.client().exists("seat:42")).then_some(())
    });
    server.signal("STOP");
    let asked = BootTime::now();
    let mut asking = pin!(lock.try_acquire());
    // It is sent, and the answer takes its time.
    tokio::select! {
        biased;
        _ = &mut asking => panic!("the server sleeps"),
        () = std::future::ready(()) => {}
    }
    let late = Duration::from_millis(250);
    pass(late);
    server.signal("CONT");
    let guard = asking.await.expect("it is free");
    assert!(guard.valid_until() < asked + (TTL - drift(TTL)) + late / 2);
}

/// What is left of the lease of the first holder.
fn ttl_ms(info: &redis::Value) -> i64 {
    let redis::Value::Array(info) = info else {
        panic!("{info:?}");
    };
    let Some(redis::Value::Array(holders)) = info.get(7) else {
        panic!("{info:?}");
    };
    match holders.first() {
        Some(redis::Value::Array(holder)) => match holder.get(5) {
            Some(redis::Value::Int(ttl_ms)) => *ttl_ms,
            _ => panic!("{holder:?}"),
        },
        _ => panic!("{holders:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_kept_although_connections_break_again_and_again() {
    let server = Server::start();
    let mut client = server.client();
    let guard = seat(server.port()).acquire().await.expect("it is free");
    let end = BootTime::now() + TTL * 3;
    while !end.is_over() {
        client.say("CLIENT KILL TYPE normal SKIPME yes");
        pass(TTL / 10);
        assert!(!guard.is_lost());
    }
    assert!(client.is_live("seat:42", number(guard.token())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_outlives_a_restart_that_is_shorter_than_its_lease() {
    let mut server = Server::with(&["appendonly yes", "appendfsync always"]);
    let guard = seat(server.port())
        .ttl(TTL * 5)
        .acquire()
        .await
        .expect("it is free");
    let first = guard.valid_until();
    server.crash();
    eventually("it is extended", || {
        (guard.valid_until() > first).then_some(())
    });
    assert!(!guard.is_lost());
    assert_eq!(guard.release().await.expect("an answer"), Released::Held);
}
