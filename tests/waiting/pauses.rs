//! Background grants obey what the server would tell a client.

use super::support::{eventually, now, stretched_ms, Client, Server, Waiter};
use std::time::Duration;

/// That the waiter is not granted over many crons.
fn stays_silent(client: &mut Client, waiter: &Waiter) {
    let end = now() + Duration::from_millis(500);
    while now() < end {
        client.number("DBSIZE");
        assert!(waiter.is_silent());
    }
}

#[test]
fn a_lease_that_ends_while_writes_are_paused_is_handed_over_afterwards() {
    for mode in ["WRITE", "ALL"] {
        let mut server = Server::start();
        let mut client = server.client();
        client.acquired("k", "holder", 200);
        let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
        client.say(&format!("CLIENT PAUSE 1000 {mode}"));
        let paused = now();
        waiter.token();
        assert!(paused.elapsed() >= Duration::from_millis(900), "{mode}");
        server.assert_healthy();
    }
}

#[test]
fn nobody_is_granted_while_there_are_too_few_replicas() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", stretched_ms(200));
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.say("CONFIG SET min-replicas-to-write 1");
    eventually("the lease ends", || (!client.exists("k")).then_some(()));
    stays_silent(&mut client, &waiter);
    client.say("CONFIG SET min-replicas-to-write 0");
    waiter.token();
}

#[test]
fn nobody_is_granted_while_memory_is_full() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", stretched_ms(200));
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    client.say("CONFIG SET maxmemory 1");
    eventually("the lease ends", || (!client.exists("k")).then_some(()));
    stays_silent(&mut client, &waiter);
    client.say("CONFIG SET maxmemory 0");
    waiter.token();
}

#[test]
fn nobody_is_granted_while_the_disk_is_full() {
    let server = Server::with(&["save 3600 1", "enable-protected-configs yes"]);
    let mut client = server.client();
    client.acquired("k", "holder", stretched_ms(300));
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    // A snapshot that cannot be written, as on a full disk.
    client.say("CONFIG SET dbfilename nowhere.rdb");
    let blocker = server.directory().join("nowhere.rdb");
    std::fs::create_dir(&blocker).expect("a directory in the way");
    client.say("BGSAVE");
    eventually("the snapshot fails", || {
        (client.info("rdb_last_bgsave_status") == "err").then_some(())
    });
    eventually("the lease ends", || (!client.exists("k")).then_some(()));
    stays_silent(&mut client, &waiter);
    client.say("CONFIG SET stop-writes-on-bgsave-error no");
    waiter.token();
}

#[test]
fn waiters_survive_a_failover_of_their_server_as_errors() {
    let mut master = Server::start();
    let mut replica = Server::start();
    let mut on_master = master.client();
    let mut on_replica = replica.client();
    on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("the link is up", || {
        (on_replica.info("master_link_status") == "up").then_some(())
    });
    on_master.acquired("k", "holder", 100);
    let mut waiters: Vec<Waiter> = (0..20)
        .map(|number| {
            let ask = format!("LOCK.ACQUIRE k w{number} 20 BLOCK 0");
            Waiter::asks(&master, &ask)
        })
        .collect();
    on_master.say("FAILOVER TIMEOUT 10000");
    let mut last = 0;
    for waiter in &mut waiters {
        let told = waiter.answer();
        match told.strip_prefix(':') {
            Some(number) => last = number.parse().expect("a token"),
            None => assert!(
                told.starts_with('-') || told.starts_with("closed"),
                "{told}"
            ),
        }
    }
    eventually("the roles change", || {
        (on_replica.info("role") == "master").then_some(())
    });
    let token = eventually("it can be acquired", || {
        on_replica.acquire("k", "new", 60_000)
    });
    assert!(token > last);
    master.assert_healthy();
    replica.assert_healthy();
}
