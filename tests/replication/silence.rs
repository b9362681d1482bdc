//! What replicas do not hear: looks, failed tries, refused calls, and calls
//! that leave everything as it was.

use super::support::{Server, Stream};

#[test]
fn looks_failed_tries_and_refused_calls_send_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("k", "alice", 30_000);
    client.say("SET string x");
    let mut stream = Stream::of(server.port());
    let silent = [
        "LOCK.FENCE k".to_owned(),
        format!("LOCK.FENCE k {token}"),
        "LOCK.FENCE nothing".into(),
        "LOCK.ACQUIRE k bob 1000".into(),
        "LOCK.ACQUIRE k bob 90000000".into(),
        "LOCK.ACQUIRE k bob 0".into(),
        "LOCK.ACQUIRE k bob 1000 SHARED".into(),
        "LOCK.ACQUIRE string bob 1000".into(),
        "LOCK.ACQUIRE k".into(),
        "LOCK.ACQUIRE k alice 1".into(),
        "LOCK.RELEASE k bob".into(),
        "LOCK.RELEASE nothing bob".into(),
        format!("LOCK.RELEASE k alice TOKEN {}", token + 1),
        "LOCK.RELEASE k alice TOKEN x".into(),
        "LOCK.EXTEND k bob 90000".into(),
        "LOCK.EXTEND k alice 1".into(),
        format!("LOCK.EXTEND k alice 90000 TOKEN {}", token + 1),
        format!("LOCK.EXTEND k alice 1 RAISE {token}"),
        "LOCK.EXTEND k alice 1 RAISE 1".into(),
        "LOCK.EXTEND k alice 40000 RAISE 9007199254740991".into(),
        "LOCK._GRANT k bob 5 1000 1 0".into(),
        format!("LOCK._END k alice {token}"),
        "LOCK._CEILING 9007199254740991 1000 5".into(),
        "COPY k copy".into(),
        "TYPE k".into(),
        "MEMORY USAGE k".into(),
    ];
    for line in &silent {
        let _ = client.try_call(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(stream.heard(&mut client), [""; 0], "{line}");
    }
    assert_eq!(client.fence("k"), Some(token));
}

#[test]
fn a_lease_that_another_one_outlives_sends_nothing_until_it_ends() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    let mut stream = Stream::of(server.port());
    for _ in 0..20 {
        client.acquire("k", "bob", 60_000);
    }
    assert_eq!(stream.heard(&mut client), [""; 0]);
}
