//! `redislock.max-waiters`.

use super::support::{eventually, Server, Waiter};

#[test]
fn one_waiter_too_many_is_refused_and_a_place_that_is_given_up_is_free() {
    let server = Server::with(&["redislock.max-waiters 3"]);
    let mut client = server.client();
    client.acquired("a", "holder", 60_000);
    client.acquired("b", "holder", 60_000);
    let _one = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE a x 60000 BLOCK 0");
    let _two = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE b x 60000 BLOCK 0");
    let three = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE b y 60000 BLOCK 0");
    let error = client.error_of("LOCK.ACQUIRE a z 60000 BLOCK 1");
    assert!(error.starts_with("QUEUEFULL "), "{error}");
    // A try needs no place.
    assert_eq!(client.acquire("a", "z", 60_000), None);
    drop(three);
    let mut next = eventually("a place is free", || {
        let mut waiter = Waiter::asks(&server, "LOCK.ACQUIRE b z 60000 BLOCK 5000");
        client.text("PING");
        match waiter.is_silent() {
            true => Some(waiter),
            false => {
                assert!(waiter.answer().starts_with("-QUEUEFULL "));
                None
            }
        }
    });
    client.release("b", "holder");
    client.release("b", "x");
    assert!(next.token() > 0);
}

/// The server never unloads a module with a data type; were it to, the waiters
/// would be left with nobody to answer them.
#[test]
fn the_module_is_not_unloaded_under_its_waiters() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let ask = "LOCK.ACQUIRE k a 60000 BLOCK 0";
    let mut waiter = Waiter::joins(&server, &mut client, ask);
    let error = client.error_of("MODULE UNLOAD redislock");
    assert!(error.starts_with("ERR "), "{error}");
    client.release("k", "holder");
    waiter.token();
    server.assert_healthy();
}

#[test]
fn the_limit_is_a_setting() {
    let server = Server::start();
    let mut client = server.client();
    let value = |client: &mut super::support::Client| -> String {
        match client.say("CONFIG GET redislock.max-waiters") {
            redis::Value::Array(pair) => format!("{:?}", pair[1]),
            redis::Value::Map(pairs) => format!("{:?}", pairs[0].1),
            other => panic!("{other:?}"),
        }
    };
    assert!(value(&mut client).contains("10000"));
    client.say("CONFIG SET redislock.max-waiters 0");
    client.acquired("k", "alice", 60_000);
    let error = client.error_of("LOCK.ACQUIRE k bob 1000 BLOCK 1");
    assert!(error.starts_with("QUEUEFULL "), "{error}");
    let error = client.error_of("CONFIG SET redislock.max-waiters -1");
    assert!(error.starts_with("ERR "), "{error}");
}
