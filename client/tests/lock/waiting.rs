//! Waiting: in order, for as long as was said, and across broken connections.

use super::proxy::Proxy;
use super::support::{blocked_clients, eventually, now, pass, Client, Server};
use super::{at, number, seat, TTL};
use redis_lock_client::{ErrorKind, Lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many wait for the lock, as the server says.
fn waiters(client: &mut Client) -> i64 {
    let redis::Value::Array(info) = client.say("LOCK.INFO seat:42") else {
        panic!("no list");
    };
    match info.as_slice() {
        [_, _, _, redis::Value::Int(waiters), ..] => *waiters,
        other => panic!("{other:?}"),
    }
}

fn stand_in_line(client: &mut Client, many: i64) {
    eventually("they stand in line", || {
        (waiters(client) == many).then_some(())
    });
}

/// Kills the connection that waits in line.
fn kill_waiter(client: &mut Client) {
    let list = client.text("CLIENT LIST TYPE normal");
    let line = list
        .lines()
        .find(|line| line.contains("cmd=lock.acquire flags=b"));
    let line = line.or(list.lines().find(|line| line.contains(" flags=b ")));
    let id = line.and_then(|line| line.split(' ').find_map(|word| word.strip_prefix("id=")));
    let id = id.unwrap_or_else(|| panic!("nobody waits: {list}"));
    assert_eq!(client.number(&format!("CLIENT KILL ID {id}")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_are_granted_in_their_order_and_tokens_rise() {
    let server = Server::start();
    let mut client = server.client();
    let first = seat(server.port()).acquire().await.expect("it is free");
    let turns = Arc::new(Mutex::new(vec![(0, first.token())]));
    let mut others = Vec::new();
    for turn in 1..=5 {
        let (lock, turns) = (seat(server.port()), Arc::clone(&turns));
        others.push(tokio::spawn(async move {
            let guard = lock.acquire().await.expect("its turn comes");
            turns.lock().expect("no panic").push((turn, guard.token()));
            guard.release().await.expect("an answer")
        }));
        stand_in_line(&mut client, turn);
    }
    first.release().await.expect("an answer");
    for other in others {
        let released = other.await.expect("no panic");
        assert_eq!(released, redis_lock_client::Released::Held);
    }
    let turns = turns.lock().expect("no panic");
    let order: Vec<i64> = turns.iter().map(|(turn, _)| *turn).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    assert!(turns.windows(2).all(|pair| pair[0].1 < pair[1].1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_runs_out_says_where_others_hold_the_lock_and_leaves_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let held = client.acquired("seat:42", "somebody", 60_000);
    let lock = seat(server.port()).wait(Duration::from_millis(300));
    let from = now();
    let error = lock.acquire().await.expect_err("it is held");
    assert!(now() - from >= Duration::from_millis(300));
    assert!(matches!(error.kind(), ErrorKind::NotAcquired), "{error}");
    let said = format!("127.0.0.1:{}: others hold the lock", server.port());
    assert_eq!(error.to_string(), said);
    assert_eq!(waiters(&mut client), 0);
    let error = lock.try_acquire().await.expect_err("it is held");
    assert!(error.is_not_acquired(), "{error}");
    assert_eq!(client.fence("seat:42"), Some(held));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_leaves_the_line_at_once() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("seat:42", "somebody", 60_000);
    let lock = seat(server.port());
    let waiting = tokio::spawn(async move { lock.acquire().await.map(|_| ()) });
    stand_in_line(&mut client, 1);
    waiting.abort();
    stand_in_line(&mut client, 0);
    assert_eq!(client.release("seat:42", "somebody"), 1);
    assert_eq!(client.fence("seat:42"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_killed_while_it_waits_is_replaced_and_the_wait_goes_on() {
    let server = Server::start();
    let mut client = server.client();
    let held = client.acquired("seat:42", "somebody", 60_000);
    let lock = seat(server.port()).wait(Duration::from_secs(30));
    let waiting = tokio::spawn(async move { lock.acquire().await });
    for _ in 0..3 {
        stand_in_line(&mut client, 1);
        kill_waiter(&mut client);
        eventually("the line is formed anew", || {
            (blocked_clients(&mut client) == 1).then_some(())
        });
    }
    assert_eq!(client.release("seat:42", "somebody"), 1);
    let guard = waiting.await.expect("no panic").expect("its turn comes");
    assert!(number(guard.token()) > held);
    assert_eq!(client.fence("seat:42"), Some(number(guard.token())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_goes_on_while_its_server_is_killed_and_started_again() {
    let mut server = Server::with(&["appendonly yes", "appendfsync always"]);
    let mut client = server.client();
    let held = client.acquired("seat:42", "somebody", 2_000);
    let lock = seat(server.port()).wait(Duration::from_secs(30));
    let waiting = tokio::spawn(async move { lock.acquire().await });
    stand_in_line(&mut client, 1);
    server.kill();
    server.start_again();
    // The lease starts anew with the server, and its end is the waiter's turn.
    let guard = waiting.await.expect("no panic").expect("its turn comes");
    assert!(number(guard.token()) > held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_whose_answer_was_lost_is_found_again_with_its_token() {
    let server = Server::start();
    let mut client = server.client();
    let proxy = Proxy::to(server.port()).await;
    // The first answer to a plain try; then the one to a place in line.
    proxy.loses_answer_to("LOCK.ACQUIRE");
    let guard = seat(proxy.port()).acquire().await.expect("it is free");
    assert_eq!(proxy.lost(), 1);
    assert_eq!(client.fence("seat:42"), Some(number(guard.token())));
    let first = guard.token();

    let lock = seat(proxy.port());
    proxy.loses_answer_to("BLOCK");
    let waiting = tokio::spawn(async move { lock.acquire().await });
    stand_in_line(&mut client, 1);
    guard.release().await.expect("an answer");
    let guard = waiting.await.expect("no panic").expect("its turn comes");
    assert_eq!(proxy.lost(), 2);
    // The very next token: it was granted once.
    assert_eq!(guard.token().get(), first.get() + 1);
    assert_eq!(client.fence("seat:42"), Some(number(guard.token())));
    guard.release().await.expect("an answer");
    assert!(!client.exists("seat:42"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_granted_after_a_wait_may_lose_the_answer_that_says_for_how_long() {
    let server = Server::start();
    let mut client = server.client();
    let proxy = Proxy::to(server.port()).await;
    let held = client.acquired("seat:42", "somebody", 60_000);
    let lock = seat(proxy.port());
    proxy.loses_answer_to("LOCK.EXTEND");
    let waiting = tokio::spawn(async move { lock.acquire().await });
    stand_in_line(&mut client, 1);
    // Longer than the drift, so that the request says too little of the lease.
    pass(TTL / 10);
    assert_eq!(client.release("seat:42", "somebody"), 1);
    let guard = waiting.await.expect("no panic").expect("its turn comes");
    assert_eq!(proxy.lost(), 1);
    assert_eq!(number(guard.token()), held + 1);
    assert!(!guard.is_lost());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_whose_answer_was_lost_gets_the_same_hold() {
    let server = Server::start();
    let mut client = server.client();
    let proxy = Proxy::to(server.port()).await;
    proxy.loses_answer_to("LOCK.ACQUIRE");
    let guard = seat(proxy.port()).try_acquire().await.expect("it is free");
    assert_eq!(proxy.lost(), 1);
    assert_eq!(client.fence("seat:42"), Some(number(guard.token())));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_wait_the_validity_counts_from_the_grant_and_not_from_the_request() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("seat:42", "somebody", 3 * TTL.as_millis() as u64);
    let guard = seat(server.port()).acquire().await.expect("its turn comes");
    let left = guard.validity_left();
    assert!(left > TTL / 2, "{left:?}");
    // And not from later: the server has it for longer.
    let line = client.text("CLIENT INFO");
    assert!(!line.is_empty());
    assert!(left <= TTL - redis_lock_client::lease::drift(TTL));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_hold_it_together_and_a_pool_has_its_limit() {
    let server = Server::start();
    let reader = seat(server.port()).shared();
    let one = reader.try_acquire().await.expect("a reader");
    let two = reader.try_acquire().await.expect("another reader");
    assert!(one.token() < two.token());
    let error = seat(server.port()).try_acquire().await;
    assert!(error.is_err_and(|error| error.is_not_acquired()));
    let pool = Lock::new(&at(server.port()), "printers").ttl(TTL).limit(2);
    let held = [pool.try_acquire().await, pool.try_acquire().await];
    assert!(held.iter().all(Result::is_ok));
    assert!(pool
        .try_acquire()
        .await
        .is_err_and(|error| error.is_not_acquired()));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_a_server_in_quarantine_is_granted_at_its_end() {
    let settings = ["redislock.quarantine yes", "redislock.max-ttl-ms 3000"];
    let server = Server::with(&settings);
    let refused = seat(server.port()).try_acquire().await;
    let refused = refused.expect_err("it grants nothing yet");
    assert!(refused.is_quarantine(), "{refused}");
    let guard = seat(server.port()).acquire().await.expect("at its end");
    assert!(!guard.is_lost());
}
