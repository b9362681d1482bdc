//! A lock that a majority grants, keeps alive and gives back.

use super::support::{eventually, pass, Server};
use super::{Nodes, KEY, TTL};
use redis_lock_client::quorum::error::{Said, Why};
use redis_lock_client::{Quorum, QuorumLock, Released};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_holds_the_same_token_until_it_is_given_back_everywhere() {
    let nodes = Nodes::start(5);
    let guard = nodes.lock().try_acquire().await.expect("it is free");
    assert!(nodes.majority_holds(&guard), "{:?}", nodes.tokens());
    assert!(!guard.is_lost() && guard.validity_left() < TTL);
    let released = guard.release().await;
    assert_eq!(released.was_held(), Released::Held, "{released:?}");
    assert_eq!(released.nodes().len(), 5);
    assert_eq!(nodes.tokens(), [None; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_rise_though_the_counters_of_the_servers_are_far_apart() {
    let nodes = Nodes::start(3);
    let mut clients = nodes.clients();
    // One is far ahead, as after a clock that was wrong.
    let token = clients[0].acquired("other", "me", 60_000) + 1_000_000_000;
    clients[0].say(&format!("LOCK.EXTEND other me 60000 RAISE {token}"));
    let mut last = 0;
    for _ in 0..5 {
        let guard = nodes.lock().acquire().await.expect("it is free");
        assert!(guard.token().get() > last);
        assert!(nodes.majority_holds(&guard), "{:?}", nodes.tokens());
        last = guard.token().get();
        guard.release().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_second_is_told_that_others_hold_it_and_leaves_nothing_behind() {
    let nodes = Nodes::start(3);
    let guard = nodes.lock().try_acquire().await.expect("it is free");
    let refused = nodes.lock().try_acquire().await.expect_err("it is held");
    assert_eq!(refused.why(), Why::Refused, "{refused}");
    assert!(refused.is_not_acquired());
    let said: Vec<_> = refused.said().iter().map(|(_, said)| said).collect();
    let refusals = said.iter().filter(|said| matches!(said, Said::Refused));
    assert!(refusals.count() >= 2, "{refused}");
    assert!(!guard.is_lost() && nodes.majority_holds(&guard));
    guard.release().await;
    nodes.are_free();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_gets_it_when_it_is_given_back_or_is_told_why_not() {
    let nodes = Nodes::start(3);
    let guard = nodes.lock().try_acquire().await.expect("it is free");
    let short = nodes.lock().wait(Duration::from_millis(100));
    let refused = short.acquire().await.expect_err("it is held");
    assert_eq!(refused.why(), Why::Refused, "{refused}");
    let lock = nodes.lock();
    let waiting = tokio::spawn(async move { lock.acquire().await });
    guard.release().await;
    let next = waiting.await.expect("no panic").expect("it is free");
    assert!(nodes.majority_holds(&next));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_kept_alive_for_longer_than_its_lease() {
    let nodes = Nodes::start(3);
    let guard = nodes.lock().try_acquire().await.expect("it is free");
    let work = guard.run(tokio::task::spawn_blocking(|| pass(TTL * 2)));
    let worked = work.await.expect("it is held all the time");
    worked.expect("no panic");
    assert!(nodes.majority_holds(&guard));
    assert_eq!(guard.release().await.was_held(), Released::Held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_the_record_gets_it_again() {
    let nodes = Nodes::start(3);
    let guard = nodes.lock().try_acquire().await.expect("it is free");
    let number = guard.token().get_signed();
    let token = Some(number);
    let holding = eventually("a server holds it", || {
        nodes.tokens().iter().position(|&held| held == token)
    });
    nodes.clients()[holding].say(&format!("DEL {KEY}"));
    eventually("it holds it again", || {
        (nodes.tokens()[holding] >= token).then_some(())
    });
    assert!(!guard.is_lost());
    assert_eq!(guard.token().get_signed(), number);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_guard_and_a_dropped_request_give_back_what_they_had() {
    let nodes = Nodes::start(3);
    let long = nodes.lock().ttl(TTL * 1_000);
    drop(long.acquire().await.expect("it is free"));
    nodes.are_free();
    let _one_holds = nodes.clients()[0].acquired(KEY, "somebody", 600_000);
    for wait_ms in 0..20 {
        let patience = Duration::from_micros(wait_ms * 100);
        let _dropped = tokio::time::timeout(patience, long.acquire()).await;
    }
    nodes.clients()[0].release(KEY, "somebody");
    nodes.are_free();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_there_at_the_same_time() {
    let nodes = Nodes::start(3);
    let inside = Arc::new(AtomicU64::new(0));
    let tokens = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut workers = Vec::new();
    for _ in 0..4 {
        let lock = nodes.lock();
        let (inside, tokens) = (Arc::clone(&inside), Arc::clone(&tokens));
        workers.push(tokio::spawn(async move {
            for _ in 0..10 {
                let guard = lock.acquire().await.expect("it comes free");
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                assert!(!guard.is_lost());
                tokens.lock().expect("no panic").push(guard.token());
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                guard.release().await;
            }
        }));
    }
    for worker in workers {
        worker.await.expect("no panic");
    }
    let tokens = tokens.lock().expect("no panic");
    assert_eq!(tokens.len(), 40);
    assert!(
        tokens.windows(2).all(|pair| pair[0] < pair[1]),
        "{tokens:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_quorum_is_asked_for_is_refused_at_once() {
    let nobody = QuorumLock::new(&Quorum::new([]), KEY);
    let server = Server::start();
    let short = Nodes(vec![server]).lock().ttl(Duration::from_millis(99));
    for lock in [nobody, short] {
        let refused = lock.acquire().await.expect_err("out of range");
        assert_eq!(refused.why(), Why::OutOfRange);
    }
}
