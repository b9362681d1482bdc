//! To build messages for nobody would be a waste, so nothing is sent while nobody
//! listens. Whoever begins to listen misses nothing all the same.

use super::support::{catch_up, eventually, replica_of, Client, Server};

fn changes(client: &mut Client) -> i64 {
    client
        .info("rdb_changes_since_last_save")
        .parse()
        .expect("a number")
}

/// Waits until a grant sends nothing: the server counts no change.
fn falls_silent(client: &mut Client) {
    eventually("nothing is sent to nobody", || {
        let before = changes(client);
        client.acquired("probe", "probe", 60_000);
        let is_silent = changes(client) == before;
        client.release("probe", "probe");
        is_silent.then_some(())
    });
}

/// Both have the same keys with the same tokens.
fn assert_same(master: &mut Client, replica: &mut Client) {
    assert_eq!(master.text("DEBUG DIGEST"), replica.text("DEBUG DIGEST"));
    assert!(master.number("DBSIZE") > 0);
}

#[test]
fn a_replica_that_comes_after_a_silence_misses_nothing() {
    for settings in [
        ["repl-diskless-sync yes", "repl-diskless-sync-delay 1"],
        ["repl-diskless-sync no", "rdb-key-save-delay 20000"],
    ] {
        let master = Server::with(&settings);
        let mut on_master = master.client();
        falls_silent(&mut on_master);
        for number in 0..20 {
            on_master.acquired(&format!("before{number}"), "alice", 600_000);
        }
        let replica = Server::start();
        let mut on_replica = replica.client();
        on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
        // Granted, extended and released all through the copying.
        let mut during = 0;
        eventually("the link is up", || {
            let key = format!("during{during}");
            on_master.acquired(&key, "bob", 600_000);
            on_master.say(&format!("LOCK.EXTEND {key} bob 700000"));
            if during % 3 == 0 {
                on_master.release(&key, "bob");
                on_master.release(&format!("before{}", during / 3), "alice");
            }
            during += 1;
            (on_replica.info("master_link_status") == "up").then_some(())
        });
        on_master.acquired("after", "carol", 600_000);
        catch_up(&mut on_master, &mut on_replica);
        assert_same(&mut on_master, &mut on_replica);
    }
}

#[test]
fn a_log_that_is_begun_after_a_silence_has_every_hold() {
    let mut server = Server::with(&["appendfsync always", "rdb-key-save-delay 20000"]);
    let mut client = server.client();
    falls_silent(&mut client);
    for number in 0..20 {
        client.acquired(&format!("before{number}"), "alice", 600_000);
    }
    client.say("CONFIG SET appendonly yes");
    let mut last = 0;
    let mut during = 0;
    eventually("the log is there", || {
        last = client.acquired(&format!("during{during}"), "bob", 600_000);
        during += 1;
        let is_rewritten = client.info("aof_rewrite_in_progress") == "0"
            && client.info("aof_rewrite_scheduled") == "0";
        (during > 20 && is_rewritten).then_some(())
    });
    let held = client.number("DBSIZE");
    let tokens: Vec<_> = (0..during)
        .map(|number| client.fence(&format!("during{number}")))
        .collect();
    server.kill();
    server.configure(&["appendonly yes"]);
    server.start_again();
    let mut client = server.client();
    assert_eq!(client.number("DBSIZE"), held);
    for (number, token) in tokens.into_iter().enumerate() {
        assert_eq!(client.fence(&format!("during{number}")), token);
    }
    assert!(client.acquired("next", "carol", 600_000) > last);
}

/// A master that comes back from its file knows its old replicas, and they go on
/// without a new copy.
#[test]
fn a_replica_that_goes_on_where_it_was_misses_nothing() {
    let mut master = Server::with(&["save 3600 1000000"]);
    let replica = replica_of(&master, &[]);
    let mut on_master = master.client();
    let mut on_replica = replica.client();
    on_master.acquired("before", "alice", 600_000);
    catch_up(&mut on_master, &mut on_replica);
    let _ = on_master.try_call(&["SHUTDOWN", "SAVE"]);
    eventually("the link is down", || {
        (on_replica.info("master_link_status") == "down").then_some(())
    });
    master.kill();
    master.configure(&["save \"\""]);
    master.start_again();
    let mut on_master = master.client();
    for number in 0..200 {
        on_master.acquired(&format!("k{number}"), "bob", 600_000);
    }
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    on_master.acquired("after", "carol", 600_000);
    catch_up(&mut on_master, &mut on_replica);
    assert_same(&mut on_master, &mut on_replica);
}

#[test]
fn who_was_a_replica_tells_those_that_follow_it() {
    let first = Server::start();
    let second = replica_of(&first, &[]);
    let third = replica_of(&first, &[]);
    let (mut on_second, mut on_third) = (second.client(), third.client());
    on_second.say("REPLICAOF NO ONE");
    on_second.acquired("at-once", "alice", 600_000);
    on_third.say(&format!("REPLICAOF 127.0.0.1 {}", second.port()));
    on_second.acquired("meanwhile", "bob", 600_000);
    eventually("the link is up", || {
        let text = on_third.text("INFO replication");
        text.contains("master_link_status:up").then_some(())
    });
    on_second.acquired("after", "carol", 600_000);
    catch_up(&mut on_second, &mut on_third);
    assert_same(&mut on_second, &mut on_third);
}

#[test]
fn save_points_count_locks() {
    let server = Server::with(&["save 3600 1000000"]);
    let mut client = server.client();
    let before = changes(&mut client);
    for number in 0..20 {
        client.acquired(&format!("k{number}"), "alice", 600_000);
        eventually("another cron comes by", || {
            let uptime = client.info("uptime_in_seconds");
            (uptime != "0").then_some(())
        });
    }
    assert!(changes(&mut client) >= before + 20);
}
