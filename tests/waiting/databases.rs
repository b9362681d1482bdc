//! Lines in several databases, and many lines at once.

use super::support::{blocked_clients, eventually, Client, Server, Waiter};
use redis::Value;

/// A connection in database 1 that waits there.
fn in_db_1(server: &Server, watcher: &mut Client, line: &str) -> Waiter {
    let mut waiter = Waiter::asks(server, "SELECT 1");
    assert_eq!(waiter.answer(), "+OK");
    waiter.waits(watcher, line);
    waiter
}

fn holds_in(client: &mut Client, db: u8, owner: &str) -> i64 {
    client.say(&format!("SELECT {db}"));
    client.acquired("k", owner, 60_000)
}

#[test]
fn a_waiter_is_killed_and_its_lock_released_from_other_databases() {
    let mut server = Server::start();
    let mut client = server.client();
    let mut killer = server.client();
    holds_in(&mut client, 1, "holder");
    let ask = |owner: &str| format!("LOCK.ACQUIRE k {owner} 60000 BLOCK 0");
    let killed = in_db_1(&server, &mut killer, &ask("a"));
    let mut stays = in_db_1(&server, &mut killer, &ask("b"));
    let mut behind = in_db_1(&server, &mut killer, &ask("c"));
    assert_eq!(killer.number(&format!("CLIENT KILL ID {}", killed.id)), 1);
    // In database 0 nobody waits under this name, and nobody there is meant.
    assert_eq!(killer.release("k", "b"), 0);
    let other = killer.acquired("k", "other", 60_000);
    assert_eq!(client.release("k", "holder"), 1);
    let token = stays.token();
    assert!(client.is_live("k", token));
    assert!(killer.is_live("k", other));
    // A break from another database, in the middle of a transaction.
    killer.say("MULTI");
    killer.say("SELECT 1");
    killer.say("DEL k");
    killer.say("SELECT 0");
    killer.say("EXEC");
    assert!(behind.token() > token);
    assert!(killer.is_live("k", other));
    server.assert_healthy();
}

#[test]
fn a_swap_of_two_databases_with_lines_grants_both_heads_where_they_wait() {
    for swap in ["SWAPDB 0 1", "SWAPDB 1 0"] {
        let mut server = Server::start();
        let mut client = server.client();
        let mut watcher = server.client();
        let old = [0, 1].map(|db| holds_in(&mut client, db, "holder"));
        let ask = |owner: &str| format!("LOCK.ACQUIRE k {owner} 60000 BLOCK 0");
        let mut zero = ["a", "b"].map(|it| Waiter::joins(&server, &mut watcher, &ask(it)));
        let mut one = ["c", "d"].map(|it| in_db_1(&server, &mut watcher, &ask(it)));
        client.say(swap);
        for (db, line, owners) in [(0, &mut zero, ["a", "b"]), (1, &mut one, ["c", "d"])] {
            client.say(&format!("SELECT {db}"));
            let token = line[0].token();
            assert!(old.iter().all(|&old| token > old));
            assert_eq!(client.fence("k"), Some(token), "{swap}: in {db}");
            assert!(line[1].is_silent());
            assert_eq!(client.release("k", owners[0]), 1);
            assert!(line[1].token() > token);
            assert_eq!(client.number("DBSIZE"), 1);
        }
        server.assert_healthy();
    }
}

/// What comes in from the other database is not waited for, whatever it is.
#[test]
fn a_swap_that_brings_a_key_of_another_type_sends_everybody_away() {
    let mut server = Server::start();
    let mut client = server.client();
    let mut watcher = server.client();
    client.say("SELECT 1");
    client.say("SET k v");
    holds_in(&mut client, 0, "holder");
    let ask = "LOCK.ACQUIRE k a 60000 BLOCK 0";
    let mut waiter = Waiter::joins(&server, &mut watcher, ask);
    client.say("SWAPDB 0 1");
    let told = waiter.answer();
    assert!(told.starts_with("-WRONGTYPE "), "{told}");
    assert_eq!(client.text("GET k"), "v");
    // The connection may wait again, once the key is free for it.
    client.say("DEL k");
    client.acquired("k", "holder", 60_000);
    waiter.waits(&mut watcher, ask);
    client.release("k", "holder");
    waiter.token();
    server.assert_healthy();
}

#[test]
fn flushdb_of_one_database_leaves_the_line_of_another_waiting() {
    let server = Server::start();
    let mut client = server.client();
    let mut watcher = server.client();
    holds_in(&mut client, 0, "holder");
    holds_in(&mut client, 1, "holder");
    let ask = "LOCK.ACQUIRE k a 60000 BLOCK 0";
    let mut zero = Waiter::joins(&server, &mut watcher, ask);
    let mut one = in_db_1(&server, &mut watcher, ask);
    client.say("FLUSHDB");
    one.token();
    assert!(zero.is_silent());
    client.say("FLUSHALL");
    zero.token();
}

#[test]
fn flushall_with_a_thousand_lines_grants_the_head_of_each() {
    const LINES: usize = 1_000;
    let mut server = Server::start();
    let mut client = server.client();
    let mut newest = 0;
    let mut heads: Vec<Waiter> = Vec::new();
    for number in 0..LINES {
        newest = client.acquired(&format!("k{number}"), "holder", 60_000);
        let ask = format!("LOCK.ACQUIRE k{number} a 60000 BLOCK 0");
        heads.push(Waiter::asks(&server, &ask));
    }
    eventually("all are in line", || {
        (blocked_clients(&mut client) == LINES as i64).then_some(())
    });
    client.say("FLUSHALL");
    let mut tokens: Vec<i64> = heads.iter_mut().map(Waiter::token).collect();
    for (number, &token) in tokens.iter().enumerate() {
        assert!(token > newest);
        assert!(client.is_live(&format!("k{number}"), token));
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), LINES, "no token was given twice");
    assert_eq!(client.number("DBSIZE"), LINES as i64);
    server.assert_healthy();
}

#[test]
fn one_transaction_that_releases_several_locks_grants_the_head_of_each() {
    let mut server = Server::start();
    let mut client = server.client();
    let keys = ["x", "y", "z"];
    let mut line: Vec<Waiter> = Vec::new();
    for key in keys {
        client.acquired(key, "holder", 60_000);
        let ask = format!("LOCK.ACQUIRE {key} same 60000 BLOCK 0");
        line.push(Waiter::joins(&server, &mut client, &ask));
    }
    client.say("MULTI");
    for key in keys {
        client.say(&format!("LOCK.RELEASE {key} holder"));
    }
    // Granted already, for what follows in the transaction.
    client.say("LOCK.ACQUIRE y newcomer 60000");
    let Value::Array(answers) = client.say("EXEC") else {
        panic!("no transaction");
    };
    let one = Value::Int(1);
    assert_eq!(answers, [one.clone(), one.clone(), one, Value::Nil]);
    let tokens: Vec<i64> = line.iter_mut().map(Waiter::token).collect();
    assert!(tokens.is_sorted(), "{tokens:?}");
    for (key, token) in keys.iter().zip(tokens) {
        assert!(client.is_live(key, token));
    }
    server.assert_healthy();
}
