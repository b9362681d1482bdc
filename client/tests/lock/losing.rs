//! A lock that is lost: it is told in time, and the work stops.

use super::proxy::Proxy;
use super::support::{eventually, pass, Server};
use super::{number, seat, TTL};
use redis_lock_client::clock::BootTime;
use redis_lock_client::{ErrorKind, LossReason};
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn who_is_cut_off_knows_that_the_lock_is_lost_before_somebody_else_is_granted() {
    let server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    for _ in 0..2 {
        let lock = seat(proxy.port()).ttl(TTL * 3);
        let guard = lock.acquire().await.expect("it is free");
        let token = guard.token();
        let next = seat(server.port());
        let next = tokio::spawn(async move {
            let guard = next.acquire().await.expect("its turn comes");
            (BootTime::now(), guard)
        });
        proxy.falls_silent();
        assert_eq!(guard.lost().await, LossReason::Expired);
        let lost = BootTime::now();
        let (granted, after) = next.await.expect("no panic");
        assert!(lost < granted, "{:?} late", lost.since(granted));
        assert!(after.token() > token);
        assert!(guard.is_lost() && guard.validity_left().is_zero());
        proxy.speaks_again();
        // What was lost stays so, and giving it back takes nothing from anybody.
        drop(guard);
        assert!(!after.is_lost());
        after.release().await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_stopped_before_somebody_else_is_granted() {
    let server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    // A lease that has a drift of 32 ms: that long this test may be held up by the machine.
    let lock = seat(proxy.port()).ttl(TTL * 3);
    let guard = lock.acquire().await.expect("it is free");
    let next = seat(server.port());
    let next = tokio::spawn(async move {
        let guard = next.acquire().await.expect("its turn comes");
        (BootTime::now(), guard.token())
    });
    proxy.falls_silent();
    let latest = Mutex::new(BootTime::now());
    let is_dropped = Arc::<AtomicBool>::default();
    let mark = OnDrop(Arc::clone(&is_dropped));
    let work = async {
        let _mark = mark;
        loop {
            *latest.lock().expect("no panic") = BootTime::now();
            tokio::task::yield_now().await;
        }
    };
    let stopped: Result<(), _> = guard.run(work).await;
    let error = stopped.expect_err("it never ends by itself");
    assert!(
        matches!(error.kind(), ErrorKind::Lost(LossReason::Expired)),
        "{error}"
    );
    assert!(is_dropped.load(Ordering::SeqCst));
    let latest = *latest.lock().expect("no panic");
    let (granted, token) = next.await.expect("no panic");
    assert!(latest < granted && token > guard.token());
}

struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn work_that_was_paused_for_longer_than_the_lease_never_goes_on() {
    let server = Server::start();
    let guard = seat(server.port()).acquire().await.expect("it is free");
    let work = async {
        // The whole program stands still, the keeper too: no timer has run since.
        pass(TTL + TTL / 2);
        ReadyNext(false).await;
        panic!("it went on");
    };
    let mut running = pin!(guard.run(work));
    // It is looked at twice before any timer has a chance, as after a suspend, which the
    // timers do not count.
    let stopped: Result<(), _> = poll_fn(|context| {
        assert!(running.as_mut().poll(context).is_pending());
        running.as_mut().poll(context)
    })
    .await;
    assert!(stopped.is_err_and(|error| error.is_lost()));
}

/// Ready at the second look.
struct ReadyNext(bool);

impl Future for ReadyNext {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        match std::mem::replace(&mut self.0, true) {
            true => std::task::Poll::Ready(()),
            false => {
                context.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_told_before_the_lease_is_over() {
    let mut server = Server::start();
    let guard = seat(server.port()).acquire().await.expect("it is free");
    server.kill();
    let killed = BootTime::now();
    assert_eq!(guard.lost().await, LossReason::Expired);
    let took = BootTime::now().since(killed);
    assert!(guard.valid_until().is_over());
    assert!(took < TTL + Duration::from_millis(500), "{took:?}");
    let error = guard.release().await.expect_err("nobody is there");
    assert!(matches!(error.kind(), ErrorKind::Connection(_)), "{error}");
    assert_eq!(error.node(), format!("127.0.0.1:{}", server.port()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_lock_is_told_with_the_next_extension() {
    let server = Server::start();
    let mut client = server.client();
    for break_it in ["DEL seat:42", "SET seat:42 nonsense"] {
        let guard = seat(server.port()).acquire().await.expect("it is free");
        client.say(break_it);
        let broken = BootTime::now();
        let stopped = guard.run(std::future::pending::<()>()).await;
        let took = BootTime::now().since(broken);
        let error = stopped.expect_err("it never ends by itself");
        assert!(
            matches!(error.kind(), ErrorKind::Lost(LossReason::Ended)),
            "{error}"
        );
        assert!(took < TTL, "{took:?}");
        client.say("DEL seat:42");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_command_of_a_dead_token_does_nothing_and_the_lock_counts_as_lost() {
    let server = Server::start();
    let mut client = server.client();
    let guard = seat(server.port())
        .ttl(TTL * 20)
        .acquire()
        .await
        .expect("it is free");
    let set = |value: &str| redis::cmd("SET").arg("seat:42:is").arg(value).to_owned();
    let () = guard
        .guard_command(&set("taken"))
        .await
        .expect("it is held");
    client.say("DEL seat:42");
    client.acquired("seat:42", "somebody", 60_000);
    let error = guard
        .guard_command::<()>(&set("mine"))
        .await
        .expect_err("it is not held");
    let stale = format!(
        "127.0.0.1:{}: STALE token {} is not live: nothing was done",
        server.port(),
        guard.token()
    );
    assert_eq!(error.to_string(), stale);
    assert!(error.is_lost() && guard.is_lost());
    assert_eq!(guard.lost().await, LossReason::Ended);
    assert_eq!(client.text("GET seat:42:is"), "taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_validity_does_not_bring_a_lost_lock_back() {
    let server = Server::start();
    let mut client = server.client();
    let guard = seat(server.port()).acquire().await.expect("it is free");
    server.signal("STOP");
    assert_eq!(guard.lost().await, LossReason::Expired);
    server.signal("CONT");
    // The server hears of an extension that was under way, or finds the lease over.
    eventually("it answers", || client.try_call(&["PING"]).ok());
    pass(TTL / 2);
    assert!(guard.is_lost());
    let live = client.is_live("seat:42", number(guard.token()));
    drop(guard);
    if live {
        eventually("it is given back", || {
            client.fence("seat:42").is_none().then_some(())
        });
    }
}
