//! Where the commands are sent from and to: protocols, databases, replicas,
//! servers without memory.

use crate::hourglass::until_free;
use crate::support::resp::Wire;
use crate::support::{eventually, Client, Server};
use redis::Value;

const LONG_MS: u64 = 600_000;

fn lines(wire: &mut Wire, count: usize) -> Vec<String> {
    let line = |_| String::from_utf8(wire.line().expect("an answer")).expect("text");
    (0..count).map(line).collect()
}

#[test]
fn resp3_has_a_nil_of_its_own() {
    let server = Server::start();
    let token = server.client().acquired("lock", "me", LONG_MS);
    let mut wire = Wire::connect(server.port());
    let calls = b"LOCK.ACQUIRE lock you 1000\r\nLOCK.FENCE free\r\n\
                  LOCK.EXTEND free you 1000 RAISE 1\r\nLOCK.FENCE lock\r\nLOCK.RELEASE lock me\r\n";
    wire.send(b"HELLO 3\r\nPING\r\n").expect("it listens");
    while lines(&mut wire, 1) != ["+PONG"] {}
    wire.send(calls).expect("it listens");
    let number = format!(":{token}");
    assert_eq!(lines(&mut wire, 5), ["_", "_", "_", &number, ":1"]);
}

#[test]
fn resp2_has_the_nil_of_a_missing_string() {
    let server = Server::start();
    let mut wire = Wire::connect(server.port());
    wire.send(b"LOCK.FENCE free\r\nPING\r\n")
        .expect("it listens");
    assert_eq!(lines(&mut wire, 2), ["$-1", "+PONG"]);
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let server = Server::start();
    let mut wire = Wire::connect(server.port());
    let round = "LOCK.ACQUIRE lock me 600000\r\nLOCK.ACQUIRE lock you 600000\r\n\
                 LOCK.RELEASE lock me\r\nLOCK.RELEASE lock me\r\n";
    wire.send(round.repeat(250).as_bytes()).expect("it listens");
    let mut last = 0;
    for _ in 0..250 {
        let said = lines(&mut wire, 4);
        let token: i64 = said[0][1..].parse().expect("a token");
        assert_eq!(said[1..], ["$-1", ":1", ":0"]);
        assert!(token > last);
        last = token;
    }
}

#[test]
fn each_database_has_locks_of_its_own() {
    let server = Server::start();
    let (mut here, mut there) = (server.client(), server.client());
    there.say("SELECT 3");
    let mine = here.acquired("lock", "me", LONG_MS);
    let yours = there.acquired("lock", "you", LONG_MS);
    assert!(yours > mine);
    assert_eq!(here.fence("lock"), Some(mine));
    assert_eq!(there.fence("lock"), Some(yours));
    assert_eq!(here.release("lock", "you"), 0);
    assert_eq!(here.release("lock", "me"), 1);
    assert_eq!(there.fence("lock"), Some(yours));
    there.say("FLUSHDB");
    assert_eq!(there.fence("lock"), None);
}

#[test]
fn a_lease_ends_in_its_own_database() {
    let server = Server::start();
    let (mut here, mut there) = (server.client(), server.client());
    there.say("SELECT 3");
    let token = here.acquired("lock", "me", LONG_MS);
    there.acquired("lock", "you", 1);
    until_free(&mut there, "lock");
    eventually("the key is swept", || {
        (there.say("DBSIZE") == Value::Int(0)).then_some(())
    });
    assert_eq!(here.fence("lock"), Some(token));
    assert!(here.exists("lock"));
}

#[test]
fn flushing_one_database_leaves_the_others() {
    let server = Server::start();
    let (mut here, mut there) = (server.client(), server.client());
    there.say("SELECT 3");
    let mine = here.acquired("lock", "me", LONG_MS);
    there.acquired("lock", "you", LONG_MS);
    there.say("FLUSHDB");
    assert_eq!(there.fence("lock"), None);
    assert!(here.is_live("lock", mine));
    assert_eq!(here.number("LOCK.EXTEND lock me 600000"), 1);
}

fn replica_of(master: &Server, settings: &[&str]) -> Server {
    let address = format!("replicaof 127.0.0.1 {}", master.port());
    let mut all = vec![address.as_str()];
    all.extend(settings);
    let replica = Server::with(&all);
    let mut client = replica.client();
    eventually("the replica is in step", || {
        (client.info("master_link_status") == "up").then_some(())
    });
    replica
}

fn assert_only_looks(master: &Server, replica: &Server) {
    let (mut on_master, mut on_replica) = (master.client(), replica.client());
    let token = on_master.acquired("lock", "me", LONG_MS);
    eventually("the grant arrives", || on_replica.fence("lock"));
    let before = on_replica.text("DEBUG DIGEST");
    for line in [
        "LOCK.ACQUIRE lock me 600000",
        "LOCK.ACQUIRE free me 600000",
        "LOCK.RELEASE lock me",
        "LOCK.RELEASE free me",
        "LOCK.EXTEND lock me 600000",
        "LOCK.EXTEND lock me 600000 RAISE 1",
    ] {
        let error = on_replica.error_of(line);
        let expected = "READONLY You can't write against a read only replica.";
        assert_eq!(error, expected, "{line}");
    }
    assert!(on_replica.is_live("lock", token));
    assert!(!on_replica.is_live("lock", token + 1));
    assert_eq!(on_replica.fence("free"), None);
    assert_eq!(on_replica.text("DEBUG DIGEST"), before);
    on_master.release("lock", "me");
    eventually("the release arrives", || {
        on_replica.fence("lock").is_none().then_some(())
    });
}

#[test]
fn a_replica_only_looks() {
    let master = Server::start();
    let replica = replica_of(&master, &[]);
    assert_only_looks(&master, &replica);
}

#[test]
fn a_replica_only_looks_even_where_it_may_be_written_to() {
    let master = Server::start();
    let replica = replica_of(&master, &["replica-read-only no"]);
    let mut client = replica.client();
    client.say("SET written here");
    client.say("DEL written");
    assert_only_looks(&master, &replica);
    let script = "return redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 1000)";
    let error = client.error(&["EVAL", script, "1", "lock"]);
    assert!(error.starts_with("READONLY "), "{error}");
}

fn fill_memory(client: &mut Client) {
    client.say("CONFIG SET maxmemory 1");
    let error = client.error_of("SET filling x");
    assert!(error.starts_with("OOM "), "{error}");
}

#[test]
fn without_memory_nothing_is_granted_but_everything_else_works() {
    let server = Server::with(&["maxmemory-policy noeviction"]);
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    client.acquired("short", "me", 300);
    fill_memory(&mut client);
    for line in ["LOCK.ACQUIRE free me 1000", "LOCK.ACQUIRE lock me 1000"] {
        let error = client.error_of(line);
        assert!(error.starts_with("OOM "), "{error}");
    }
    assert!(!client.exists("free"));
    assert_eq!(client.fence("lock"), Some(token));
    assert_eq!(client.number("LOCK.EXTEND lock me 600000"), 1);
    let raised = format!("LOCK.EXTEND lock me 600000 RAISE {}", token + 9);
    assert_eq!(client.number(&raised), token + 9);
    until_free(&mut client, "short");
    assert_eq!(client.release("lock", "me"), 1);
    client.say("CONFIG SET maxmemory 0");
    assert!(client.acquired("lock", "me", 1000) > token + 9);
}
