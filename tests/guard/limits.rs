//! What the server refuses a client, it refuses a guarded command: memory, replicas,
//! roles, slots.

use super::support::cluster::alone;
use super::support::{eventually, Server};

#[test]
fn without_memory_writes_are_refused_and_others_are_not() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    client.say("SET k v");
    client.say("CONFIG SET maxmemory 1");
    let error = client.error_of(&format!("LOCK.GUARD lock {token} SET k w"));
    assert!(error.starts_with("OOM "), "{error}");
    assert_eq!(client.text(&format!("LOCK.GUARD lock {token} GET k")), "v");
    assert_eq!(client.number(&format!("LOCK.GUARD lock {token} DEL k")), 1);
    assert!(client.is_live("lock", token));
}

#[test]
fn without_enough_replicas_writes_are_refused() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    client.say("SET k v");
    client.say("CONFIG SET min-replicas-to-write 1");
    let error = client.error_of(&format!("LOCK.GUARD lock {token} SET k w"));
    assert!(error.starts_with("NOREPLICAS "), "{error}");
    assert_eq!(client.text("GET k"), "v");
}

#[test]
fn a_replica_guards_nothing() {
    let master = Server::start();
    let mut on_master = master.client();
    let token = on_master.acquired("lock", "me", 600_000);
    for setting in ["replica-read-only yes", "replica-read-only no"] {
        let replica = Server::with(&[setting]);
        let mut on_replica = replica.client();
        on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
        eventually("it follows", || {
            let told = on_replica.try_call(&["LOCK.FENCE", "lock"]).ok()?;
            (told == redis::Value::Int(token)).then_some(())
        });
        for inner in ["SET k v", "GET k"] {
            let error = on_replica.error_of(&format!("LOCK.GUARD lock {token} {inner}"));
            assert!(error.starts_with("READONLY "), "{error}");
        }
    }
}

#[test]
fn in_a_cluster_the_keys_are_in_the_slot_of_the_lock() {
    let (mut server, mut client) = alone();
    let token = client.acquired("{job}lock", "me", 600_000);
    for inner in [
        "SET other v",
        "GET other",
        "MSET {job}a 1 other 2",
        "RENAME {job}a other",
    ] {
        let error = client.error_of(&format!("LOCK.GUARD {{job}}lock {token} {inner}"));
        assert!(error.starts_with("CROSSSLOT "), "{inner}: {error}");
    }
    assert_eq!(client.number("DBSIZE"), 1);
    client.say(&format!(
        "LOCK.GUARD {{job}}lock {token} MSET {{job}}a 1 {{job}}b 2"
    ));
    assert_eq!(client.number("DBSIZE"), 3);
    let stale = format!("LOCK.GUARD {{job}}lock {} SET {{job}}a 9", token + 1);
    assert!(client.error_of(&stale).starts_with("STALE "));
    client.say("MULTI");
    let error = client.error_of(&format!("LOCK.GUARD {{job}}lock {token} SET other v"));
    assert!(error.starts_with("CROSSSLOT "), "{error}");
    assert!(client.error_of("EXEC").starts_with("EXECABORT "));
    let script = "return redis.call('LOCK.GUARD', KEYS[1], ARGV[1], 'SET', 'other', 'v')";
    let token = token.to_string();
    let error = client.error(&["EVAL", script, "1", "{job}lock", &token]);
    assert!(!client.exists("other"), "{error}");
    server.assert_healthy();
}

#[test]
fn in_a_cluster_a_slot_of_another_server_is_moved() {
    let (one, mut client) = alone();
    let token = client.acquired("{job}lock", "me", 600_000);
    let slot = client.number("CLUSTER KEYSLOT {elsewhere}");
    client.say(&format!("CLUSTER DELSLOTS {slot}"));
    let guard = format!("LOCK.GUARD {{elsewhere}}lock {token} SET {{elsewhere}}k v");
    let error = eventually("it is not served here", || {
        let words: Vec<&str> = guard.split(' ').collect();
        let error = client.try_call(&words).err()?;
        (error.code() == Some("CLUSTERDOWN")).then_some(error)
    });
    drop((one, error));
}

#[test]
fn with_threads_that_read_for_the_server_the_keys_are_found_as_well() {
    let mut server = Server::with(&["io-threads 4", "io-threads-do-reads yes"]);
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    let port = server.port();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                let mut wire = super::support::resp::Wire::connect(port);
                let line = format!("LOCK.GUARD lock {token} MSET a:{thread} 1 b:{thread} 2\r\n");
                for _ in 0..20 {
                    wire.send(line.repeat(50).as_bytes()).expect("it listens");
                    for _ in 0..50 {
                        assert_eq!(wire.line().expect("an answer"), b"+OK");
                    }
                }
            });
        }
    });
    assert_eq!(client.number("DBSIZE"), 17);
    server.assert_healthy();
}
