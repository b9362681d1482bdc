//! Dead keys: where the value of a broken lock went, or came back. It holds
//! nothing, the next owner may have it, and it is removed without anybody
//! touching it.

use crate::breaks::{in_one_go, prepare, until_left, OTHERS};
use crate::hourglass::run_out;
use crate::support::{Server, Stream};
use redis::Value;

const LONG_MS: u64 = 600_000;

/// Ways that lead away and back.
const THERE_AND_BACK: [&[&str]; 6] = [
    &["RENAME lock elsewhere", "RENAME elsewhere lock"],
    &["MOVE lock 1", "SELECT 1", "MOVE lock 0", "SELECT 0"],
    &["SWAPDB 0 1", "SWAPDB 0 1"],
    &["SWAPDB 0 1", "SWAPDB 1 2", "SWAPDB 0 2"],
    &["SWAPDB 0 1", "SELECT 1", "MOVE lock 0", "SELECT 0"],
    &[
        "RENAME lock elsewhere",
        "MOVE elsewhere 1",
        "SWAPDB 0 1",
        "RENAME elsewhere lock",
    ],
];

#[test]
fn a_hold_that_comes_back_under_its_old_name_is_dead_and_its_key_goes() {
    let server = Server::start();
    let mut client = server.client();
    for acts in THERE_AND_BACK {
        let shown = acts.join(", ");
        let token = prepare(&mut client);
        let questions = [
            "EXISTS lock".to_owned(),
            "LOCK.FENCE lock".to_owned(),
            format!("LOCK.FENCE lock {token}"),
            "LOCK.EXTEND lock me 600000".to_owned(),
            "LOCK.RELEASE lock me".to_owned(),
        ];
        let said = in_one_go(&mut client, acts, &questions);
        let [exists, fence, is_live, extended, released] = &said[..] else {
            panic!("{said:?}");
        };
        assert_eq!(*exists, Value::Int(1), "{shown}: it came back");
        assert_eq!(*fence, Value::Nil, "{shown}");
        for no in [is_live, extended, released] {
            assert_eq!(*no, Value::Int(0), "{shown}");
        }
        until_left(&mut client, OTHERS, &shown);
        assert!(client.acquired("lock", "me", LONG_MS) > token, "{shown}");
    }
}

#[test]
fn a_dead_key_goes_wherever_swapdb_carries_it() {
    let server = Server::start();
    let mut client = server.client();
    for act in ["MOVE lock 1", "RENAME lock elsewhere", "SWAPDB 0 2"] {
        for swaps in [&["SWAPDB 0 1"][..], &["SWAPDB 0 1", "SWAPDB 1 2"]] {
            prepare(&mut client);
            let mut acts = vec![act];
            acts.extend(swaps);
            in_one_go(&mut client, &acts, &[]);
            until_left(&mut client, OTHERS, &acts.join(", "));
        }
    }
}

#[test]
fn a_dead_key_is_free_and_who_takes_it_keeps_it() {
    let server = Server::start();
    let mut client = server.client();
    for acts in THERE_AND_BACK {
        let shown = acts.join(", ");
        let old = prepare(&mut client);
        let taken = in_one_go(&mut client, acts, &["LOCK.ACQUIRE lock you 600000".into()]);
        let [Value::Int(token)] = taken[..] else {
            panic!("{shown}: {taken:?}");
        };
        assert!(token > old, "{shown}");
        run_out(&mut client, 5);
        assert!(client.is_live("lock", token), "{shown}");
        assert_eq!(client.number("LOCK.EXTEND lock you 600000"), 1, "{shown}");
    }
}

#[test]
fn replicas_are_told_that_a_dead_key_is_gone() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("lock", "me", LONG_MS);
    let mut stream = Stream::of(server.port());
    client.say("RENAME lock elsewhere");
    until_left(&mut client, 0, "RENAME");
    let heard = stream.heard(&mut client);
    assert_eq!(heard, ["RENAME lock elsewhere", "DEL elsewhere"]);
    client.acquired("lock", "me", LONG_MS);
    stream.heard(&mut client);
    client.say("SWAPDB 0 1");
    until_left(&mut client, 0, "SWAPDB");
    assert_eq!(stream.heard(&mut client), ["SWAPDB 0 1", "DEL lock"]);
}

#[test]
fn a_ttl_that_a_dead_key_brought_back_does_not_break_the_next_hold() {
    let server = Server::start();
    let mut client = server.client();
    for acts in THERE_AND_BACK {
        let shown = acts.join(", ");
        prepare(&mut client);
        client.say("EXPIRE lock 1000");
        let questions = ["LOCK.ACQUIRE lock you 600000", "TTL lock"].map(str::to_owned);
        let said = in_one_go(&mut client, acts, &questions);
        assert_eq!(said[1], Value::Int(-1), "{shown}");
    }
}
