//! A shutdown that waits for a replica, with clients in line.

use super::support::resp::Wire;
use super::support::{eventually, Client, Server, Waiter};

/// A master that is about to shut down, and waits for a replica that is stopped. A
/// lease has ended meanwhile, and somebody waits for the lock.
struct Scene {
    master: Server,
    replica: Server,
    on_master: Client,
    waiter: Waiter,
    brief: Waiter,
    /// The connection that asked for it.
    ends: Wire,
    old: i64,
}

fn scene() -> Scene {
    let master = Server::with(&["shutdown-timeout 60"]);
    let replica = Server::start();
    let (mut on_master, mut on_replica) = (master.client(), replica.client());
    on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    on_master.say("SET before x");
    assert_eq!(on_master.number("WAIT 1 20000"), 1);
    replica.signal("STOP");
    let old = on_master.acquired("k", "holder", 1_500);
    let ask = "LOCK.ACQUIRE k a 60000 BLOCK 0";
    let waiter = Waiter::joins(&master, &mut on_master, ask);
    let ask = "LOCK.ACQUIRE k b 60000 BLOCK 1500";
    let brief = Waiter::joins(&master, &mut on_master, ask);
    let mut ends = Wire::connect(master.port());
    ends.send_command(&[b"SHUTDOWN", b"NOSAVE"])
        .expect("it listens");
    eventually("it is shutting down", || {
        let info = on_master.text("INFO server");
        info.contains("shutdown_in_milliseconds").then_some(())
    });
    let mut scene = Scene {
        master,
        replica,
        on_master,
        waiter,
        brief,
        ends,
        old,
    };
    // Waits run out all the same, and nobody is granted.
    eventually("the lease ends", || {
        let is_live = scene.on_master.is_live("k", scene.old);
        (!is_live).then_some(())
    });
    scene.brief.is_told_nil();
    assert!(scene.waiter.is_silent());
    scene.master.assert_healthy();
    scene
}

#[test]
fn grants_go_on_when_a_shutdown_is_called_off() {
    let mut scene = scene();
    scene.on_master.say("SHUTDOWN ABORT");
    assert!(scene.waiter.token() > scene.old);
    let told = scene.ends.line().expect("an answer");
    assert!(told.starts_with(b"-ERR "), "{}", told.escape_ascii());
    scene.replica.signal("CONT");
    assert_eq!(scene.on_master.release("k", "a"), 1);
    scene.master.assert_healthy();
    scene.replica.assert_healthy();
}

#[test]
fn a_shutdown_that_comes_to_its_end_grants_nobody() {
    let mut scene = scene();
    scene.replica.signal("CONT");
    let told = scene.waiter.answer();
    assert!(told.starts_with("closed"), "{told}");
    let log = eventually("it ends", || {
        let log = scene.master.log();
        log.contains("ready to exit").then_some(log)
    });
    for sign in ["BUG REPORT", "panicked", "a bug in redislock"] {
        assert!(!log.contains(sign), "{sign}");
    }
    // What the replica has is what was granted: the lock and its first holder.
    let mut on_replica = scene.replica.client();
    on_replica.say("REPLICAOF NO ONE");
    let token = eventually("it can be acquired", || {
        on_replica.acquire("k", "new", 60_000)
    });
    assert!(token > scene.old);
    scene.replica.assert_healthy();
}
