//! Leases that end while nothing may be written: the server asserts that
//! nothing is replicated then, so the sweep must wait.

use super::support::{eventually, now, Client, Server};
use std::time::Duration;

/// Looks at the server for some time, over many crons.
fn serves_on(client: &mut Client, time: Duration) {
    let end = now() + time;
    while now() < end {
        client.text("PING");
    }
}

#[test]
fn a_lease_that_ends_while_writes_are_paused_is_swept_afterwards() {
    for mode in ["WRITE", "ALL"] {
        let mut server = Server::start();
        let mut client = server.client();
        let mut other = server.client();
        client.acquired("k", "alice", 50);
        client.say(&format!("CLIENT PAUSE 600 {mode}"));
        if mode == "WRITE" {
            let script = "return redis.call('EXISTS', KEYS[1])";
            serves_on(&mut other, Duration::from_millis(300));
            let exists = other.call(&["EVAL_RO", script, "1", "k"]);
            assert_eq!(exists, redis::Value::Int(1), "the pause holds the sweep");
            assert_eq!(other.fence("k"), None, "but not the answer");
        }
        eventually("the key goes", || (!other.exists("k")).then_some(()));
        server.assert_healthy();
    }
}

#[test]
fn leases_that_end_during_a_failover_do_not_end_the_server() {
    let mut master = Server::start();
    let mut replica = Server::start();
    let mut on_master = master.client();
    let mut on_replica = replica.client();
    on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    for number in 0..2_000 {
        on_master.acquired(&format!("k{number}"), "alice", 20 + number / 4);
    }
    let kept = on_master.acquired("kept", "alice", 60_000);
    on_master.say("FAILOVER TIMEOUT 10000");
    eventually("the roles change", || {
        (on_replica.info("role") == "master").then_some(())
    });
    eventually("the leases end", || {
        (on_replica.number("DBSIZE") == 1).then_some(())
    });
    assert_eq!(on_replica.fence("kept"), Some(kept));
    let token = on_replica.acquired("new", "bob", 60_000);
    assert!(token > kept);
    master.assert_healthy();
    replica.assert_healthy();
}

#[test]
fn leases_that_end_during_a_shutdown_do_not_end_it_in_a_crash() {
    let mut master = Server::with(&["shutdown-timeout 2", "repl-timeout 600"]);
    let replica = Server::start();
    let mut on_master = master.client();
    let mut on_replica = replica.client();
    on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    // The replica hears nothing, so the master waits for it before it ends.
    stop(replica.pid());
    for number in 0..200 {
        on_master.acquired(&format!("k{number}"), "alice", 100 + number * 5);
    }
    let _ = on_master.try_call(&["SHUTDOWN", "NOSAVE"]);
    let log = eventually("the server ends", || {
        let log = master.log();
        let has_ended = log.contains("ready to exit") || log.contains("BUG REPORT");
        has_ended.then_some(log)
    });
    proceed(replica.pid());
    assert!(!log.contains("BUG REPORT"), "it crashed");
    master.kill();
}

fn stop(pid: u32) {
    signal(pid, "STOP");
}

fn proceed(pid: u32) {
    signal(pid, "CONT");
}

fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
}
