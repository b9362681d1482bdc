//! Whatever ends a lock grants the head of its line.

use super::support::{eventually, Client, Server, Stream, Waiter};

struct Queue {
    server: Server,
    client: Client,
    token: i64,
    first: Waiter,
    second: Waiter,
}

/// A lock that is held, with two in line.
fn queue(settings: &[&str]) -> Queue {
    let server = Server::with(settings);
    let mut client = server.client();
    let token = client.acquired("k", "holder", 60_000);
    let first = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let second = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    Queue {
        server,
        client,
        token,
        first,
        second,
    }
}

impl Queue {
    /// The head was granted, with a larger token, and the other one waits on.
    fn check(mut self, how: &str) {
        let token = self.first.token();
        assert!(token > self.token, "{how}: {token} is not larger");
        assert!(self.client.is_live("k", token), "{how}");
        assert!(!self.client.is_live("k", self.token), "{how}");
        assert!(self.second.is_silent(), "{how}");
        assert_eq!(self.client.release("k", "a"), 1, "{how}");
        assert!(self.second.token() > token, "{how}");
        self.server.assert_healthy();
    }
}

#[test]
fn every_forced_break_grants_the_head_of_the_line() {
    let breaks: [&[&str]; 10] = [
        &["DEL k"],
        &["UNLINK k"],
        &["FLUSHALL"],
        &["FLUSHALL ASYNC"],
        &["FLUSHDB"],
        &["RENAME k x"],
        &["MOVE k 1"],
        &["SWAPDB 0 1"],
        &["PEXPIRE k 1"],
        &["SET other x", "RENAME other k", "DEL k"],
    ];
    for steps in breaks {
        let mut queue = queue(&[]);
        if steps.len() > 1 {
            queue.client.say("MULTI");
        }
        for step in steps {
            queue.client.say(step);
        }
        if steps.len() > 1 {
            queue.client.say("EXEC");
        }
        queue.check(&steps.join(", "));
    }
}

/// Cron comes once a second here, and must not be what the line waits for.
#[test]
fn the_next_in_line_is_granted_before_the_command_after_the_break() {
    let breaks: [&[&str]; 6] = [
        &["DEL k"],
        &["UNLINK k"],
        &["FLUSHALL"],
        &["RENAME k x"],
        &["SWAPDB 0 1"],
        &["SET k x", "DEL k"],
    ];
    for steps in breaks {
        for delay in ["", " DELAY 60000"] {
            let server = Server::with(&["hz 1"]);
            let mut client = server.client();
            let old = client.number(&format!("LOCK.ACQUIRE k holder 60000{delay}"));
            let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
            client.say("MULTI");
            for step in steps {
                client.say(step);
            }
            client.say("EXEC");
            let seen = client.number("LOCK.FENCE k");
            assert_ne!(seen, old, "{steps:?}");
            assert_eq!(seen, next.token(), "{steps:?}");
        }
    }
}

#[test]
fn who_stood_behind_one_that_left_the_line_is_granted_before_the_next_command() {
    let server = Server::with(&["hz 1"]);
    let mut client = server.client();
    for round in 0..4 {
        let key = format!("k{round}");
        client.say(&format!("LOCK.ACQUIRE {key} reader 60000 SHARED"));
        let writer = format!("LOCK.ACQUIRE {key} writer 60000 BLOCK 0");
        let _writer = Waiter::joins(&server, &mut client, &writer);
        let reader = format!("LOCK.ACQUIRE {key} other 60000 SHARED BLOCK 0");
        let mut reader = Waiter::joins(&server, &mut client, &reader);
        assert_eq!(client.release(&key, "writer"), 0);
        let extended = client.number(&format!("LOCK.EXTEND {key} other 60000"));
        assert_eq!(extended, 1, "round {round}");
        reader.token();
    }
}

#[test]
fn a_lease_that_ends_grants_the_head_of_the_line() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("k", "holder", 300);
    let mut first = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let token = first.token();
    assert!(token > old);
    assert!(client.is_live("k", token));
}

#[test]
fn no_key_is_left_under_the_name_it_was_renamed_to() {
    let mut queue = queue(&[]);
    queue.client.say("RENAME k x");
    queue.first.token();
    let client = &mut queue.client;
    eventually("the dead key goes", || (!client.exists("x")).then_some(()));
}

#[test]
fn a_key_of_another_type_sends_everybody_away() {
    for steps in [["SET k v"].as_slice(), &["SET o v", "RENAME o k"]] {
        let mut queue = queue(&[]);
        for step in steps {
            queue.client.say(step);
        }
        for waiter in [&mut queue.first, &mut queue.second] {
            let answer = waiter.answer();
            assert!(answer.starts_with("-WRONGTYPE "), "{answer}");
        }
        assert_eq!(queue.client.text("GET k"), "v");
        queue.first.say("PING");
        assert_eq!(queue.first.answer(), "+PONG");
        queue.client.say("DEL k");
        assert!(queue.client.acquire("k", "new", 1_000).is_some());
    }
}

#[test]
fn an_evicted_lock_goes_to_the_head_of_its_line() {
    let mut queue = queue(&["maxmemory-policy allkeys-random"]);
    let client = &mut queue.client;
    client.say("CONFIG SET maxmemory 1");
    // Any command that may need memory makes room first.
    let _ = client.try_call(&["SET", "x", "y"]);
    eventually("the lock is evicted", || {
        (!client.exists("k")).then_some(())
    });
    // While memory is full nobody is granted unasked.
    assert!(queue.first.is_silent());
    client.say("CONFIG SET maxmemory 0");
    queue.check("eviction");
}

/// On Valkey 8.1.1 a module that listens for moves must see to that.
#[test]
fn who_moves_a_key_stays_in_its_database_and_replicas_move_the_same_key() {
    for in_multi in [false, true] {
        let server = Server::start();
        let mut client = server.client();
        let mut stream = Stream::of(server.port());
        client.say("SELECT 2");
        client.say("SET k v");
        let steps: &[&str] = match in_multi {
            false => &["MOVE k 1", "SET here x"],
            true => &["MULTI", "MOVE k 1", "SET here x", "EXEC"],
        };
        for step in steps {
            client.say(step);
        }
        let heard = stream.heard_with_databases(&mut client);
        let selected = heard.iter().filter(|line| line.starts_with("SELECT "));
        assert_eq!(selected.collect::<Vec<_>>(), ["SELECT 2"], "{heard:?}");
        for (db, key) in [(2, "here"), (1, "k")] {
            client.say(&format!("SELECT {db}"));
            assert!(client.exists(key), "{key}");
        }
    }
}

#[test]
fn swapdb_leaves_the_line_with_its_database() {
    let mut queue = queue(&[]);
    queue.client.say("SWAPDB 0 1");
    queue.client.say("SELECT 0");
    queue.first.token();
    let client = &mut queue.client;
    client.say("SELECT 1");
    eventually("the dead key goes", || (!client.exists("k")).then_some(()));
}

#[test]
fn a_release_grants_in_the_same_turn() {
    let mut queue = queue(&[]);
    queue.client.say("MULTI");
    queue.client.say("LOCK.RELEASE k holder");
    queue.client.say("LOCK.FENCE k");
    let redis::Value::Array(answers) = queue.client.say("EXEC") else {
        panic!("no transaction");
    };
    let token = queue.first.token();
    assert_eq!(answers[1], redis::Value::Int(token));
}
