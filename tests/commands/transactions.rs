//! The commands in MULTI, EXEC and DISCARD. What WATCH hears is in `watch.rs`.

use crate::support::resp::Wire;
use crate::support::Server;
use redis::Value;

const LONG_MS: u64 = 600_000;

#[test]
fn in_a_transaction_they_answer_as_they_do_alone() {
    let server = Server::start();
    let mut client = server.client();
    let last = client.acquired("before", "me", LONG_MS);
    client.say("MULTI");
    for line in [
        "LOCK.FENCE lock",
        "LOCK.ACQUIRE lock me 600000",
        "LOCK.ACQUIRE lock you 600000",
        "LOCK.ACQUIRE lock me 600000",
        "LOCK.FENCE lock",
        "LOCK.EXTEND lock me 600000",
        "LOCK.EXTEND lock you 600000",
        "LOCK.RELEASE lock you",
        "LOCK.RELEASE lock me",
        "LOCK.FENCE lock",
        "LOCK.ACQUIRE lock you 600000",
    ] {
        let said = client.say(line);
        assert_eq!(said, Value::SimpleString("QUEUED".into()), "{line}");
    }
    let [token, next] = [last + 1, last + 2].map(Value::Int);
    let expected = [
        Value::Nil,
        token.clone(),
        Value::Nil,
        token.clone(),
        token,
        Value::Int(1),
        Value::Int(0),
        Value::Int(0),
        Value::Int(1),
        Value::Nil,
        next.clone(),
    ];
    assert_eq!(client.say("EXEC"), Value::Array(expected.to_vec()));
    assert_eq!(client.say("LOCK.FENCE lock"), next);
}

#[test]
fn before_exec_nothing_has_happened() {
    let server = Server::start();
    let (mut queueing, mut other) = (server.client(), server.client());
    queueing.say("MULTI");
    queueing.say("LOCK.ACQUIRE lock me 600000");
    let token = other.acquired("lock", "you", LONG_MS);
    assert_eq!(queueing.say("EXEC"), Value::Array(vec![Value::Nil]));
    assert_eq!(other.fence("lock"), Some(token));
}

#[test]
fn a_discarded_transaction_grants_and_ends_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("held", "me", LONG_MS);
    client.say("MULTI");
    client.say("LOCK.ACQUIRE free me 600000");
    client.say("LOCK.RELEASE held me");
    client.say("DISCARD");
    assert_eq!(client.fence("free"), None);
    assert!(!client.exists("free"));
    assert_eq!(client.fence("held"), Some(token));
    assert_eq!(client.acquired("next", "me", LONG_MS), token + 1);
}

#[test]
fn a_call_that_cannot_be_queued_aborts_the_transaction() {
    let server = Server::start();
    let mut client = server.client();
    client.say("MULTI");
    client.say("LOCK.ACQUIRE lock me 600000");
    let error = client.error_of("LOCK.ACQUIRE lock me");
    assert!(error.starts_with("ERR wrong number"), "{error}");
    let error = client.error_of("EXEC");
    assert!(error.starts_with("EXECABORT"), "{error}");
    assert!(!client.exists("lock"));
}

#[test]
fn a_call_that_fails_in_exec_leaves_the_others_alone() {
    let server = Server::start();
    let mut wire = Wire::connect(server.port());
    for words in [
        "MULTI",
        "SET string x",
        "LOCK.ACQUIRE string me 600000",
        "LOCK.ACQUIRE lock me 0",
        "LOCK.ACQUIRE lock me 600000 SHARED LIMIT 3",
        "LOCK.RELEASE lock me",
        "EXEC",
    ] {
        wire.send(format!("{words}\r\n").as_bytes())
            .expect("it listens");
    }
    let mut lines = (0..12).map(|_| {
        let line = wire.line().expect("an answer");
        String::from_utf8(line).expect("text")
    });
    assert_eq!(lines.next().as_deref(), Some("+OK"));
    assert!(lines.by_ref().take(5).all(|line| line == "+QUEUED"));
    let executed: Vec<String> = lines.collect();
    let [count, set, wrong_type, ttl, block, release] = &executed[..] else {
        panic!("{executed:?}");
    };
    assert_eq!([count.as_str(), set, release], ["*5", "+OK", ":0"]);
    assert!(wrong_type.starts_with("-WRONGTYPE"), "{wrong_type}");
    assert!(ttl.starts_with("-ERR ttl-ms"), "{ttl}");
    assert!(block.starts_with("-ERR syntax error: "), "{block}");
    assert!(!server.client().exists("lock"));
}
