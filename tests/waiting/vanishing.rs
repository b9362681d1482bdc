//! Every way a waiter can vanish: it is never granted, and costs nothing.

use super::support::{blocked_clients, eventually, Client, Server, Stream, Version, Waiter};

fn nobody_waits(client: &mut Client) {
    eventually("nobody waits", || {
        (blocked_clients(client) == 0).then_some(())
    });
}

/// A lock that is held, with one who will vanish and one who stays.
struct Scene {
    server: Server,
    client: Client,
    vanishing: Waiter,
    staying: Waiter,
}

fn scene(settings: &[&str]) -> Scene {
    let server = Server::with(settings);
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let vanishing = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let staying = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k b 60000 BLOCK 0");
    Scene {
        server,
        client,
        vanishing,
        staying,
    }
}

impl Scene {
    /// Only the one who stays is granted.
    fn check(mut self) {
        eventually("one waiter is left", || {
            (blocked_clients(&mut self.client) == 1).then_some(())
        });
        let mut stream = Stream::of(self.server.port());
        assert_eq!(self.client.release("k", "holder"), 1);
        let token = self.staying.token();
        assert!(self.client.is_live("k", token));
        // Nor was the other one granted for a moment.
        let heard = stream.heard(&mut self.client);
        let grants = heard.iter().filter(|line| line.starts_with("LOCK._GRANT"));
        let expected = format!("LOCK._GRANT k b {token} 60000");
        assert_eq!(grants.collect::<Vec<_>>(), [&expected]);
        drop(stream);
        assert_eq!(self.client.release("k", "b"), 1);
        assert_eq!(self.client.number("DBSIZE"), 0);
        nobody_waits(&mut self.client);
        self.server.assert_healthy();
    }
}

#[test]
fn a_dead_waiter_is_never_granted() {
    let mut scene = scene(&[]);
    let other = Waiter::asks(&scene.server, "PING");
    scene.vanishing = other;
    scene.check();
}

#[test]
fn a_killed_waiter_is_never_granted() {
    let mut scene = scene(&[]);
    let id = scene.vanishing.id;
    assert_eq!(scene.client.number(&format!("CLIENT KILL ID {id}")), 1);
    scene.check();
}

/// For each the server keeps 24 to 34 KB until the module says that it is done with it.
#[test]
fn waiters_that_vanish_leave_no_memory_behind() {
    const CROWD: i64 = 300;
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut come_and_go = || {
        let ask = |number| format!("LOCK.ACQUIRE k w{number} 60000 BLOCK 0");
        let crowd: Vec<_> = (0..CROWD)
            .map(|number| Waiter::asks(&server, &ask(number)))
            .collect();
        eventually("all wait", || {
            (blocked_clients(&mut client) == CROWD).then_some(())
        });
        drop(crowd);
        nobody_waits(&mut client);
    };
    // What a first crowd makes the server allocate stays allocated.
    come_and_go();
    let mut watcher = server.client();
    let mut memory = || -> i64 { watcher.info("used_memory").parse().expect("bytes") };
    let before = memory();
    come_and_go();
    eventually("their memory is given back", || {
        (memory() - before < CROWD * 8_000).then_some(())
    });
}

/// Where the server does not let a module take part, the answer is 0 and the client
/// waits on.
#[test]
fn client_unblock_ends_a_wait_where_the_server_lets_it() {
    for (way, answer) in [("TIMEOUT", "$-1"), ("ERROR", "-UNBLOCKED ")] {
        let mut scene = scene(&[]);
        let id = scene.vanishing.id;
        let done = scene.client.number(&format!("CLIENT UNBLOCK {id} {way}"));
        let can_end = Version::of(&mut scene.client).lets_modules_end_waits();
        assert_eq!(done, i64::from(can_end), "{way}");
        if can_end {
            let told = scene.vanishing.answer();
            assert!(told.starts_with(answer), "{way}: {told}");
            scene.check();
        } else {
            assert!(scene.vanishing.is_silent());
            scene.client.release("k", "holder");
            scene.vanishing.token();
        }
    }
}

/// Killed in the very turn in which it was granted: the lock goes to the next.
#[test]
fn a_waiter_that_dies_between_grant_and_reply_gives_the_lock_back() {
    let mut scene = scene(&[]);
    let id = scene.vanishing.id;
    scene.client.say("MULTI");
    scene.client.say("LOCK.RELEASE k holder");
    scene.client.say(&format!("CLIENT KILL ID {id}"));
    scene.client.say("EXEC");
    let token = scene.staying.token();
    assert!(scene.client.is_live("k", token));
    assert_eq!(scene.client.release("k", "b"), 1);
    assert_eq!(scene.client.number("DBSIZE"), 0);
    nobody_waits(&mut scene.client);
    scene.server.assert_healthy();
}

#[test]
fn a_waiter_that_dies_granted_with_nobody_behind_it_leaves_no_ghost() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let id = waiter.id;
    client.say("MULTI");
    client.say("LOCK.RELEASE k holder");
    client.say(&format!("CLIENT KILL ID {id}"));
    client.say("EXEC");
    eventually("no ghost holds it", || {
        (client.number("DBSIZE") == 0).then_some(())
    });
    assert_eq!(client.fence("k"), None);
    server.assert_healthy();
}

#[test]
fn an_owner_that_hears_of_its_grant_in_another_way_keeps_it() {
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let id = waiter.id;
    client.say("MULTI");
    client.say("LOCK.RELEASE k holder");
    client.say("LOCK.ACQUIRE k a 60000");
    client.say(&format!("CLIENT KILL ID {id}"));
    let redis::Value::Array(answers) = client.say("EXEC") else {
        panic!("no transaction");
    };
    nobody_waits(&mut client);
    let redis::Value::Int(token) = answers[1] else {
        panic!("{answers:?}");
    };
    assert!(client.is_live("k", token));
    server.assert_healthy();
}

#[test]
fn waiters_of_a_server_that_becomes_a_replica_get_an_error_and_no_lock() {
    let master = Server::start();
    let mut scene = scene(&[]);
    let port = master.port();
    scene.client.say(&format!("REPLICAOF 127.0.0.1 {port}"));
    for waiter in [&mut scene.vanishing, &mut scene.staying] {
        let told = waiter.answer();
        assert!(told.starts_with("-UNBLOCKED "), "{told}");
    }
    eventually("the link is up", || {
        (scene.client.info("master_link_status") == "up").then_some(())
    });
    assert_eq!(scene.client.number("DBSIZE"), 0);
    // Back to being a master: the line is gone, and a new order begins.
    scene.client.say("REPLICAOF NO ONE");
    assert!(scene.client.acquire("k", "new", 60_000).is_some());
    scene.server.assert_healthy();
}

/// Valkey redirects clients that can be, but only those that wait for the server
/// itself: one that waits for a module it leaves where it is. Redis has no such
/// clients, and sends everybody away.
#[test]
fn who_could_be_redirected_is_sent_away_too_when_the_server_becomes_a_replica() {
    let master = Server::start();
    let mut server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut waiter = Waiter::asks(&server, "CLIENT CAPA redirect");
    let answer = waiter.answer();
    assert!(answer == "+OK" || answer.starts_with("-ERR "), "{answer}");
    waiter.waits(&mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    let told = waiter.answer();
    assert!(told.starts_with("-UNBLOCKED "), "{told}");
    client.say("REPLICAOF NO ONE");
    assert_eq!(blocked_clients(&mut client), 0);
    server.assert_healthy();
}

#[test]
fn a_server_shuts_down_with_waiters_in_line() {
    let mut scene = scene(&[]);
    let _ = scene.client.try_call(&["SHUTDOWN", "NOSAVE"]);
    let told = scene.staying.answer();
    assert!(told.starts_with("closed"), "{told}");
    let log = eventually("it ends", || {
        let log = scene.server.log();
        log.contains("ready to exit").then_some(log)
    });
    assert!(!log.contains("BUG REPORT"));
}

#[test]
fn a_waiter_that_is_evicted_as_a_client_is_gone() {
    let scene = scene(&[]);
    let mut client = scene.server.client();
    client.say("CLIENT NO-EVICT on");
    let mut fat = Waiter::joins(
        &scene.server,
        &mut client,
        "LOCK.ACQUIRE k fat 60000 BLOCK 0",
    );
    // A long command behind it makes it the largest client.
    fat.say(&format!("SET x {}", "x".repeat(4_000_000)));
    eventually("its input is there", || {
        let list = client.text("CLIENT LIST");
        let largest = list.lines().filter_map(|line| {
            let field = line.split(" tot-mem=").nth(1)?;
            field.split(' ').next()?.parse::<u64>().ok()
        });
        (largest.max()? > 2_000_000).then_some(())
    });
    let blocked = blocked_clients(&mut client);
    client.say("CONFIG SET maxmemory-clients 2mb");
    eventually("it is evicted", || {
        (blocked_clients(&mut client) < blocked).then_some(())
    });
}
