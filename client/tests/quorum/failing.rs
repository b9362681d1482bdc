//! Servers that die, stop, forget, or have no module.

use super::support::{eventually, pass, patience, Server};
use super::{Nodes, KEY, TTL};
use redis_lock_client::quorum::error::Why;
use redis_lock_client::{LossReason, QuorumLock, Released};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn any_two_of_five_may_be_killed_and_no_lower_token_is_ever_shown() {
    let mut nodes = Nodes::start(5);
    let mut last = 0;
    for one in 0..5 {
        for other in 0..one {
            // Once while the lock is held, and they come back without anything.
            let guard = nodes.lock().acquire().await.expect("a majority is there");
            assert!(guard.token().get() > last, "after {one} and {other}");
            last = guard.token().get();
            nodes.0[one].kill();
            nodes.0[other].kill();
            let work = guard.run(tokio::task::spawn_blocking(|| pass(TTL)));
            let worked = work.await.expect("three of five keep it");
            worked.expect("no panic");
            guard.release().await;
            let guard = nodes.lock().acquire().await.expect("three are there");
            assert!(guard.token().get() > last, "without {one} and {other}");
            last = guard.token().get();
            nodes.0[one].start_again();
            nodes.0[other].start_again();
            guard.release().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_that_alone_had_the_largest_token_may_be_killed() {
    let mut nodes = Nodes::start(5);
    for client in &mut nodes.clients()[..2] {
        let token = client.acquired("other", "me", 60_000) + 1_000_000_000;
        client.say(&format!("LOCK.EXTEND other me 60000 RAISE {token}"));
    }
    // So these two and one more grant it.
    nodes.0[3].signal("STOP");
    nodes.0[4].signal("STOP");
    let guard = nodes.lock().acquire().await.expect("three of five");
    let token = guard.token();
    guard.release().await;
    nodes.0[0].kill();
    nodes.0[1].kill();
    nodes.0[3].signal("CONT");
    nodes.0[4].signal("CONT");
    let guard = nodes.lock().acquire().await.expect("the other three");
    assert!(guard.token() > token, "{:?} {token:?}", guard.token());
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_there_is_no_lock_and_each_server_is_named() {
    let mut nodes = Nodes::start(3);
    nodes.0[0].kill();
    nodes.0[2].kill();
    let refused = nodes.lock().try_acquire().await.expect_err("one of three");
    assert_eq!(refused.why(), Why::Unreachable, "{refused}");
    let text = refused.to_string();
    for server in &nodes.0 {
        assert!(
            text.contains(&format!("127.0.0.1:{}", server.port())),
            "{text}"
        );
    }
    // The two that are dead may have decided before the third has answered.
    let of_third = ["granted, with token", "nothing yet"];
    assert!(of_third.iter().any(|said| text.contains(said)), "{text}");
    assert!(text.contains("no connection"), "{text}");
    eventually("what was granted is given back", || {
        nodes.0[1].client().fence(KEY).is_none().then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_whose_majority_dies_is_lost_before_its_lease_ends() {
    let mut nodes = Nodes::start(3);
    let guard = nodes.lock().try_acquire().await.expect("it is free");
    nodes.0[0].kill();
    nodes.0[1].kill();
    let work = guard.run(std::future::pending::<()>()).await;
    assert!(work.expect_err("it is lost").is_lost());
    assert!(guard.is_lost() && guard.validity_left().is_zero());
    let released = guard.release().await;
    assert_eq!(released.was_held(), Released::Lost, "{released:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_broken_on_a_majority_is_lost_at_once() {
    let nodes = Nodes::start(3);
    let guard = nodes.lock().ttl(TTL * 3).try_acquire().await;
    let guard = guard.expect("it is free");
    for client in &mut nodes.clients()[..2] {
        client.say(&format!("DEL {KEY}"));
    }
    assert_eq!(guard.lost().await, LossReason::Ended);
    assert!(!guard.valid_until().is_over(), "with time left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_stopped_holds_nobody_up() {
    let nodes = Nodes::start(3);
    nodes
        .lock()
        .acquire()
        .await
        .expect("it is free")
        .release()
        .await;
    nodes.0[2].signal("STOP");
    // By the clock of the servers that run: a lease of twice the time-out outlasts this.
    let mut client = nodes.0[0].client();
    client.acquired("hourglass", "me", 2_000);
    let patient = nodes.lock().timeout(Duration::from_secs(20));
    for _ in 0..3 {
        let guard = patient.acquire().await.expect("two of three");
        drop(guard);
        eventually("two of three are free", || {
            let free = |at: usize| nodes.0[at].client().fence(KEY).is_none();
            (free(0) && free(1)).then_some(())
        });
    }
    assert!(client.fence("hourglass").is_some(), "it took too long");
    nodes.0[2].signal("CONT");
    nodes.are_free();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_type_is_said_by_whom() {
    let nodes = Nodes::start(3);
    for client in &mut nodes.clients()[..2] {
        client.say(&format!("SET {KEY} 1"));
    }
    let refused = nodes.lock().try_acquire().await.expect_err("no majority");
    assert_eq!(refused.why(), Why::Unreachable);
    assert!(refused.to_string().contains("WRONGTYPE"), "{refused}");
    let one = Server::start();
    let alone = Nodes(vec![one]);
    let guard = alone.lock().try_acquire().await.expect("a majority of one");
    guard.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_at_once_what_a_majority_will_always_say() {
    let nodes = Nodes::start(3);
    for client in &mut nodes.clients()[1..] {
        client.say("ACL SETUSER default -lock.acquire");
    }
    let refused = nodes.lock().acquire().await.expect_err("no right");
    assert_eq!(refused.why(), Why::Unreachable);
    assert!(refused.to_string().contains("NOPERM"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_share_a_connection_leave_nothing_on_a_server_that_comes_back_late() {
    let nodes = Nodes::start(3);
    let quorum = nodes.quorum();
    let of = |number: u32| {
        let lock = QuorumLock::new(&quorum, format!("seat:{number}"));
        let lock = lock.ttl(TTL * 1_000).wait(patience());
        lock.timeout(Duration::from_millis(100))
    };
    of(0).acquire().await.expect("it is free").release().await;
    nodes.0[2].signal("STOP");
    let mut workers = Vec::new();
    for worker in 0..8 {
        let locks: Vec<_> = (0..8).map(|number| of(1 + worker * 8 + number)).collect();
        workers.push(tokio::spawn(async move {
            for lock in locks {
                let guard = lock.acquire().await.expect("two of three");
                drop(guard);
            }
        }));
    }
    for worker in workers {
        worker.await.expect("no panic");
    }
    // All have given up by then: what they asked stands in the server's buffers.
    let mut watched = nodes.0[0].client();
    eventually("nobody holds anything elsewhere", || {
        (watched.number("DBSIZE") == 0).then_some(())
    });
    pass(Duration::from_secs(1));
    nodes.0[2].signal("CONT");
    let mut late = nodes.0[2].client();
    eventually("nothing is left on the late one", || {
        (late.number("DBSIZE") == 0).then_some(())
    });
}
