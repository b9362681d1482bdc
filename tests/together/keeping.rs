//! Every kind of hold comes back from a file: whole, with its token, and no
//! shorter than it was.

use super::holding::{ask, granted};
use super::support::{eventually, Client, Server};

const ALWAYS: [&str; 3] = ["appendonly yes", "appendfsync always", "hz 100"];

/// A way to have the server read again what it wrote.
pub struct Keeping {
    pub settings: Vec<&'static str>,
    pub again: fn(&mut Server, &mut Client),
    pub name: &'static str,
}

pub fn ways() -> Vec<Keeping> {
    let aof = |preamble: &'static str| [&ALWAYS[..], &[preamble]].concat();
    let crash: fn(&mut Server, &mut Client) = |server, _| server.crash();
    let rewrite: fn(&mut Server, &mut Client) = |server, client| {
        client.say("BGREWRITEAOF");
        eventually("the log is rewritten", || {
            let is_over = client.info("aof_rewrite_in_progress") == "0"
                && client.info("aof_rewrite_scheduled") == "0";
            is_over.then_some(())
        });
        server.crash();
    };
    vec![
        Keeping {
            settings: aof("aof-use-rdb-preamble yes"),
            again: crash,
            name: "kill -9 with a log",
        },
        Keeping {
            settings: aof("aof-use-rdb-preamble no"),
            again: rewrite,
            name: "a log rewritten as commands",
        },
        Keeping {
            settings: aof("aof-use-rdb-preamble yes"),
            again: rewrite,
            name: "a log rewritten with a preamble",
        },
        Keeping {
            settings: vec![],
            again: |server, client| {
                client.say("SAVE");
                server.crash();
            },
            name: "SAVE and a restart",
        },
        Keeping {
            settings: vec![],
            again: |_, client| {
                client.say("DEBUG RELOAD");
            },
            name: "DEBUG RELOAD",
        },
    ]
}

#[test]
fn holds_of_every_kind_come_back() {
    for way in ways() {
        let mut server = Server::with(&way.settings);
        let mut client = server.client();
        let readers: Vec<i64> = (0..300)
            .map(|i| granted(&mut client, &format!("readers r{i} 600000 SHARED")))
            .collect();
        let permits =
            ["a", "b"].map(|it| granted(&mut client, &format!("pool {it} 600000 LIMIT 3")));
        let alone = granted(&mut client, "alone me 600000 DELAY 600000");
        let gone = granted(&mut client, "readers gone 600000 SHARED");
        client.release("readers", "gone");
        let digest = client.text("DEBUG DIGEST");
        (way.again)(&mut server, &mut client);
        let mut client = server.client();
        assert_eq!(client.text("DEBUG DIGEST"), digest, "{}", way.name);
        assert!(
            readers.iter().all(|&it| client.is_live("readers", it)),
            "{}",
            way.name
        );
        assert!(
            permits.iter().all(|&it| client.is_live("pool", it)),
            "{}",
            way.name
        );
        assert!(!client.is_live("readers", gone), "{}", way.name);
        assert_eq!(client.fence("alone"), Some(alone));
        // They tolerate what they tolerated.
        assert_eq!(ask(&mut client, "readers w 1000"), None);
        assert_eq!(ask(&mut client, "alone w 1000 SHARED"), None);
        assert!(granted(&mut client, "readers late 60000 SHARED") > gone);
        granted(&mut client, "pool c 60000 LIMIT 3");
        assert_eq!(
            ask(&mut client, "pool d 60000 LIMIT 3"),
            None,
            "{}",
            way.name
        );
        let error = client.error_of("LOCK.ACQUIRE pool a 60000 LIMIT 4");
        assert!(error.starts_with("ERR this owner"), "{error}");
        assert_eq!(client.release("readers", "r0"), 1);
        assert_eq!(client.fence("readers"), Some(readers[1]));
        server.assert_healthy();
    }
}

#[test]
fn a_hold_that_cools_cools_on() {
    for way in ways() {
        let mut server = Server::with(&way.settings);
        let mut client = server.client();
        let token = granted(&mut client, "k me 50 DELAY 600000");
        let beside = granted(&mut client, "pool a 600000 LIMIT 2 DELAY 600000");
        let lost = granted(&mut client, "pool b 50 LIMIT 2 DELAY 600000");
        eventually("the leases end", || {
            (!client.is_live("k", token) && !client.is_live("pool", lost)).then_some(())
        });
        (way.again)(&mut server, &mut client);
        let mut client = server.client();
        // A lease that is read from a log begins again, and ends again.
        eventually("the tokens are not live", || {
            (!client.is_live("k", token) && !client.is_live("pool", lost)).then_some(())
        });
        assert!(client.exists("k"), "{}", way.name);
        assert_eq!(ask(&mut client, "k you 1000"), None, "{}", way.name);
        assert_eq!(
            ask(&mut client, "pool c 1000 LIMIT 2"),
            None,
            "{}",
            way.name
        );
        assert!(client.is_live("pool", beside), "{}", way.name);
        assert_eq!(client.release("k", "me"), 0);
        assert!(granted(&mut client, "k you 1000") > lost);
        server.assert_healthy();
    }
}

#[test]
fn the_delay_of_a_lease_that_runs_comes_back_with_it() {
    for way in ways() {
        let mut server = Server::with(&way.settings);
        let mut client = server.client();
        let token = granted(&mut client, "k me 300 DELAY 600000");
        (way.again)(&mut server, &mut client);
        let mut client = server.client();
        eventually("the lease ends", || {
            (!client.is_live("k", token)).then_some(())
        });
        assert_eq!(ask(&mut client, "k you 1000"), None, "{}", way.name);
    }
}

#[test]
fn what_was_given_back_does_not_cool_after_a_restart() {
    for way in ways() {
        let mut server = Server::with(&way.settings);
        let mut client = server.client();
        granted(&mut client, "k me 600000 DELAY 600000");
        granted(&mut client, "pool a 600000 LIMIT 2 DELAY 600000");
        granted(&mut client, "pool b 600000 LIMIT 2 DELAY 600000");
        client.release("k", "me");
        client.release("pool", "a");
        (way.again)(&mut server, &mut client);
        let mut client = server.client();
        assert!(!client.exists("k"), "{}", way.name);
        granted(&mut client, "pool c 600000 LIMIT 2");
        assert_eq!(
            ask(&mut client, "pool d 600000 LIMIT 2"),
            None,
            "{}",
            way.name
        );
    }
}
