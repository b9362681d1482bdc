//! Real replicas reach the same holders and tokens, and change nothing by
//! themselves.

use super::support::{catch_up, eventually, now, replica_of, stretched_ms, Client, Server};
use std::fs;
use std::time::Duration;

fn digest(client: &mut Client) -> String {
    client.text("DEBUG DIGEST")
}

#[test]
fn a_replica_has_the_same_holders_and_tokens_live_and_after_a_full_sync() {
    let master = Server::start();
    let mut on_master = master.client();
    on_master.acquired("before", "alice", 60_000);
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    let token = on_master.acquired("after", "bob", 60_000);
    on_master.acquired("released", "carol", 60_000);
    on_master.release("released", "carol");
    on_master.say(&format!("LOCK.EXTEND after bob 70000 RAISE {}", token + 9));
    catch_up(&mut on_master, &mut on_replica);
    for key in ["before", "after", "released"] {
        assert_eq!(on_master.fence(key), on_replica.fence(key), "{key}");
    }
    assert_eq!(on_replica.fence("after"), Some(token + 9));
    assert_eq!(digest(&mut on_master), digest(&mut on_replica));
}

#[test]
fn a_replica_ends_no_lease_by_itself() {
    let master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    on_master.acquired("k", "alice", stretched_ms(100));
    catch_up(&mut on_master, &mut on_replica);
    // While its writes are paused the master does not end the lease either.
    on_master.say("CLIENT PAUSE 60000 WRITE");
    eventually("the lease is over on the replica", || {
        on_replica.fence("k").is_none().then_some(())
    });
    // Twenty crons later, of which one would be enough, the key is still there.
    let end = now() + Duration::from_secs(2);
    while now() < end {
        assert!(on_replica.exists("k"), "a replica ended a lease");
    }
    on_master.say("CLIENT UNPAUSE");
    eventually("the master ends it", || {
        (!on_replica.exists("k")).then_some(())
    });
}

#[test]
fn a_replica_hands_on_to_its_own_replica_and_its_own_log() {
    let master = Server::start();
    let mut on_master = master.client();
    let mut middle = replica_of(&master, &["appendonly yes", "appendfsync always"]);
    let last = replica_of(&middle, &[]);
    let mut on_middle = middle.client();
    let mut on_last = last.client();
    let token = on_master.acquired("k", "alice", 60_000);
    catch_up(&mut on_master, &mut on_middle);
    eventually("the last one hears of it", || {
        (on_last.fence("k") == Some(token)).then_some(())
    });
    // Its own log alone brings the lock back.
    middle.kill();
    middle.start_again();
    let mut on_middle = middle.client();
    assert_eq!(on_middle.fence("k"), Some(token));
}

/// What would be lost is how far its master may have gone, if the replica is started
/// as a master.
#[test]
fn a_replica_writes_the_ceiling_of_its_master_into_its_own_log() {
    let master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &["appendonly yes", "appendfsync always"]);
    let mut on_replica = replica.client();
    on_master.acquired("k", "alice", 60_000);
    catch_up(&mut on_master, &mut on_replica);
    let folder = replica.directory().join("appendonlydir");
    let files = fs::read_dir(folder).expect("a log").flatten();
    let mut log = Vec::new();
    for file in files {
        log.extend(fs::read(file.path()).expect("a file"));
    }
    let log = String::from_utf8_lossy(&log);
    let at = |word| log.find(word).unwrap_or_else(|| panic!("no {word} in it"));
    assert!(at("LOCK._CEILING") < at("LOCK._GRANT"));
}

#[test]
fn a_replica_refuses_writes_even_where_it_may_be_written_to() {
    let master = Server::start();
    let replica = replica_of(&master, &["replica-read-only no"]);
    let mut on_replica = replica.client();
    for line in [
        "LOCK.ACQUIRE k alice 1000",
        "LOCK.RELEASE k alice",
        "LOCK.EXTEND k alice 1000",
    ] {
        let error = on_replica.error_of(line);
        assert!(error.starts_with("READONLY "), "{line}: {error}");
    }
    assert_eq!(on_replica.fence("k"), None);
    let error = on_replica.error_of("LOCK._GRANT k alice 5 1000 1 0");
    assert!(error.starts_with("ERR "), "{error}");
    assert_eq!(on_replica.number("DBSIZE"), 0);
}

#[test]
fn a_flush_on_the_master_ends_the_locks_of_the_replica_and_frees_their_memory() {
    let master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    let script = "for i = 1, 20000 do redis.call('LOCK.ACQUIRE', 'k' .. i, 'a', '60000') end";
    // Redis 8 may subtract more than there was: below zero, shown without a sign.
    let memory = |client: &mut Client| -> i64 {
        let shown = client.info("used_memory_dataset").parse::<u64>();
        shown.expect("bytes").cast_signed()
    };
    let before = memory(&mut on_replica);
    on_master.call(&["EVAL", script, "0"]);
    catch_up(&mut on_master, &mut on_replica);
    assert_eq!(on_replica.number("DBSIZE"), 20_000);
    let full = memory(&mut on_replica);
    on_master.say("FLUSHALL");
    catch_up(&mut on_master, &mut on_replica);
    assert_eq!(on_replica.number("DBSIZE"), 0);
    assert_eq!(on_replica.fence("k7"), None);
    eventually("the memory is given back", || {
        let now = memory(&mut on_replica);
        (now - before < (full - before) / 4).then_some(())
    });
}
