//! A session that ends early: its line goes on, log and replicas are told.

use super::holding::{ask, granted};
use super::keeping::ways;
use super::support::{catch_up, eventually, replica_of, Listening, Server, Waiter};

/// Nobody may have a token come back to life that was seen to be over.
#[test]
fn a_session_that_died_stays_dead_after_a_restart() {
    for way in ways() {
        let mut server = Server::with(&way.settings);
        let mut client = server.client();
        let line = "LOCK.ACQUIRE k me 600000 SESSION DELAY 600000";
        let mut holder = Waiter::asks(&server, line);
        let token = holder.token();
        drop(holder);
        eventually("the session ends", || {
            (!client.is_live("k", token)).then_some(())
        });
        (way.again)(&mut server, &mut client);
        let mut client = server.client();
        assert!(!client.is_live("k", token), "{}", way.name);
        assert_eq!(ask(&mut client, "k you 1000"), None, "{}", way.name);
    }
}

/// What the master saw end must not be live again on the next one.
#[test]
fn a_session_that_died_stays_dead_where_its_replica_is_promoted() {
    let mut master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    let line = "LOCK.ACQUIRE k me 600000 SESSION DELAY 600000";
    let mut holder = Waiter::asks(&master, line);
    let token = holder.token();
    drop(holder);
    eventually("the session ends", || {
        (!on_master.is_live("k", token)).then_some(())
    });
    catch_up(&mut on_master, &mut on_replica);
    master.kill();
    on_replica.say("REPLICAOF NO ONE");
    assert!(!on_replica.is_live("k", token));
    assert_eq!(ask(&mut on_replica, "k you 1000"), None);
}

#[test]
fn a_session_that_died_beside_others_is_sent_as_its_end() {
    let mut on = Listening::start(600_000);
    granted(&mut on.client, "k other 60000 SHARED");
    let mut holder = Waiter::asks(&on.server, "LOCK.ACQUIRE k me 60000 SESSION SHARED");
    let token = holder.token();
    on.heard();
    drop(holder);
    on.hears(&[format!("LOCK._END k me {token}")]);
}

/// Nobody else could know that.
#[test]
fn that_a_session_died_and_its_hold_cools_is_sent() {
    let mut on = Listening::start(600_000);
    let line = "LOCK.ACQUIRE k me 60000 SESSION DELAY 5000";
    let mut holder = Waiter::asks(&on.server, line);
    let token = holder.token();
    on.heard();
    drop(holder);
    eventually("it cools", || {
        (!on.client.is_live("k", token)).then_some(())
    });
    on.hears(&[format!("LOCK._GRANT k me {token} 0 1 5000")]);
}

#[test]
fn a_session_that_died_beside_others_lets_the_head_of_the_line_in() {
    let server = Server::start();
    let mut client = server.client();
    granted(&mut client, "k other 600000 LIMIT 2");
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k me 600000 LIMIT 2 SESSION");
    holder.token();
    let line = "LOCK.ACQUIRE k next 600000 LIMIT 2 BLOCK 0";
    let mut next = Waiter::joins(&server, &mut client, line);
    drop(holder);
    next.token();
}
