//! How a hold ends: by release, which says how it was, or by drop.

use super::proxy::Proxy;
use super::support::{eventually, Server};
use super::{number, seat, TTL};
use redis_lock_client::Released;

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_guard_gives_its_lock_back_long_before_the_lease_ends() {
    let server = Server::start();
    let mut client = server.client();
    let guard = seat(server.port())
        .ttl(TTL * 1_000)
        .acquire()
        .await
        .expect("it is free");
    assert!(client.is_live("seat:42", number(guard.token())));
    drop(guard);
    eventually("it is free", || (!client.exists("seat:42")).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_aborted_or_panics_gives_its_lock_back() {
    let server = Server::start();
    let mut client = server.client();
    let long = seat(server.port()).ttl(TTL * 1_000);
    for panics in [true, false] {
        let lock = long.clone();
        let task = tokio::spawn(async move {
            let _guard = lock.acquire().await.expect("it is free");
            assert!(!panics, "on purpose");
            std::future::pending::<()>().await;
        });
        if !panics {
            eventually("it is held", || client.exists("seat:42").then_some(()));
            task.abort();
        }
        assert!(task.await.is_err());
        eventually("it is free", || (!client.exists("seat:42")).then_some(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn release_says_whether_the_lock_was_held_until_then() {
    let server = Server::start();
    let mut client = server.client();
    let long = seat(server.port()).ttl(TTL * 1_000);
    let guard = long.acquire().await.expect("it is free");
    assert_eq!(guard.release().await.expect("an answer"), Released::Held);
    assert!(!client.exists("seat:42"));

    let guard = long.acquire().await.expect("it is free");
    client.say("DEL seat:42");
    let other = client.acquired("seat:42", "somebody", 60_000);
    assert_eq!(guard.release().await.expect("an answer"), Released::Lost);
    assert_eq!(client.fence("seat:42"), Some(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_answer_was_lost_is_repeated_and_says_that_it_does_not_know() {
    let server = Server::start();
    let mut client = server.client();
    let proxy = Proxy::to(server.port()).await;
    let guard = seat(proxy.port()).acquire().await.expect("it is free");
    proxy.loses_answer_to("LOCK.RELEASE");
    assert_eq!(guard.release().await.expect("an answer"), Released::Unknown);
    assert_eq!(proxy.lost(), 1);
    assert!(!client.exists("seat:42"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_granted_without_anybody_knowing_is_given_back() {
    let server = Server::start();
    let mut client = server.client();
    let proxy = Proxy::to(server.port()).await;
    let long = seat(proxy.port()).ttl(TTL * 1_000);
    proxy.loses_answers_to("LOCK.ACQUIRE", 3);
    let error = long.try_acquire().await.expect_err("no answer came");
    assert!(error.is_unanswered(), "{error}");
    assert_eq!(proxy.lost(), 3);
    eventually("it is free", || (!client.exists("seat:42")).then_some(()));

    // Whoever asked has gone in the meantime.
    proxy.loses_answers_to("LOCK.ACQUIRE", usize::MAX);
    let asking = tokio::spawn(async move { long.acquire().await.map(|_| ()) });
    eventually("it is granted", || client.exists("seat:42").then_some(()));
    asking.abort();
    assert!(asking.await.is_err());
    eventually("it is free", || (!client.exists("seat:42")).then_some(()));
}
