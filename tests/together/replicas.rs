//! Replicas know every holder, and one that is promoted goes on with them.

use super::holding::{ask, granted};
use super::support::{catch_up, eventually, replica_of, Client, Server, Waiter};

fn agree(master: &mut Client, replica: &mut Client) {
    catch_up(master, replica);
    assert_eq!(replica.text("DEBUG DIGEST"), master.text("DEBUG DIGEST"));
}

#[test]
fn a_replica_has_the_digest_of_its_master_after_every_step() {
    let mut master = Server::start();
    let mut on_master = master.client();
    granted(&mut on_master, "early a 600000 SHARED");
    granted(&mut on_master, "early b 600000 SHARED DELAY 5");
    let mut replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    agree(&mut on_master, &mut on_replica);
    for line in [
        "LOCK.ACQUIRE k a 600000 LIMIT 3",
        "LOCK.ACQUIRE k b 600000 LIMIT 3 DELAY 600000",
        "LOCK.ACQUIRE k c 600000 SHARED",
        "LOCK.EXTEND k a 700000",
        "LOCK.RELEASE k b",
        "LOCK.ACQUIRE early c 600000 SHARED",
        "LOCK.RELEASE early a",
        "LOCK.RELEASE early b",
        "LOCK.ACQUIRE alone a 600000 DELAY 10",
        "LOCK.ACQUIRE alone a 600000",
        "LOCK.RELEASE k a",
        "LOCK.RELEASE k c",
        "DEL early",
    ] {
        on_master.say(line);
        agree(&mut on_master, &mut on_replica);
        let shown = on_replica.say("LOCK.INFO k") != redis::Value::Nil;
        assert!(shown, "{line}");
    }
    assert_eq!(on_replica.names_of_type("redislock"), ["alone"]);
    // A lease that ends beside another one, and one that cools.
    let brief = granted(&mut on_master, "k brief 100 SHARED");
    granted(&mut on_master, "k long 600000 SHARED");
    let cooling = granted(&mut on_master, "cold a 100 DELAY 600000");
    eventually("the leases end", || {
        (!on_master.is_live("k", brief) && !on_master.is_live("cold", cooling)).then_some(())
    });
    eventually("they agree", || {
        let digest = on_master.text("DEBUG DIGEST");
        (on_replica.text("DEBUG DIGEST") == digest).then_some(())
    });
    assert!(on_replica.exists("cold"));
    eventually("it cools there, too", || {
        on_replica.fence("cold").is_none().then_some(())
    });
    master.assert_healthy();
    replica.assert_healthy();
}

#[test]
fn a_promoted_replica_goes_on_with_every_holder() {
    let master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    let readers = ["a", "b"].map(|it| granted(&mut on_master, &format!("k {it} 600000 SHARED")));
    granted(&mut on_master, "pool a 600000 LIMIT 2");
    let brief = granted(&mut on_master, "pool b 1500 LIMIT 2");
    catch_up(&mut on_master, &mut on_replica);
    on_replica.say("REPLICAOF NO ONE");
    assert!(readers.iter().all(|&it| on_replica.is_live("k", it)));
    assert_eq!(ask(&mut on_replica, "k w 1000"), None);
    assert!(granted(&mut on_replica, "k c 600000 SHARED") > brief);
    assert_eq!(on_replica.release("k", "a"), 1);
    let line = "LOCK.ACQUIRE pool c 60000 LIMIT 2 BLOCK 0";
    let mut next = Waiter::joins(&replica, &mut on_replica, line);
    assert!(next.token() > brief, "when the brief lease ends there");
}

#[test]
fn a_hold_that_cools_cools_on_where_its_replica_is_promoted() {
    let mut master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    let lost = granted(&mut on_master, "k me 100 DELAY 600000");
    let brief = granted(&mut on_master, "brief me 100 DELAY 1000");
    catch_up(&mut on_master, &mut on_replica);
    eventually("it cools", || {
        (!on_replica.is_live("k", lost)).then_some(())
    });
    let error = on_replica.error_of("LOCK.RELEASE k me");
    assert!(error.starts_with("READONLY "), "{error}");
    master.kill();
    on_replica.say("REPLICAOF NO ONE");
    assert!(on_replica.exists("k"));
    assert_eq!(ask(&mut on_replica, "k you 1000"), None);
    eventually("it has cooled", || {
        ask(&mut on_replica, "brief you 60000").filter(|&token| token > brief)
    });
    assert_eq!(on_replica.release("k", "me"), 0);
    assert!(granted(&mut on_replica, "k you 1000") > lost);
}
