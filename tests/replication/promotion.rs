//! A replica that becomes master goes on above every token it has heard of.

use super::support::{catch_up, eventually, replica_of, stretched_ms, Server};

#[test]
fn tokens_rise_across_promotion() {
    let master = Server::start();
    let mut on_master = master.client();
    let mut last = on_master.acquired("k", "alice", 60_000);
    for _ in 0..5 {
        let replica = replica_of(&master, &[]);
        let mut on_replica = replica.client();
        on_master.acquired("other", "alice", 60_000);
        on_master.release("other", "alice");
        last = last.max(on_master.acquired("mine", "alice", 60_000));
        catch_up(&mut on_master, &mut on_replica);
        on_replica.say("REPLICAOF NO ONE");
        assert_eq!(on_replica.fence("mine"), Some(last), "the holder stays");
        let token = on_replica.acquired("new", "bob", 60_000);
        assert!(token > last, "{token} is not above {last}");
        on_master.release("mine", "alice");
    }
}

/// The promoted server starts above the ceiling, so tokens that it never heard
/// of are covered as well.
#[test]
fn a_promoted_replica_starts_above_tokens_that_were_lost_on_the_way() {
    let master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    let token = on_master.acquired("k", "alice", 60_000);
    // Far ahead of what any clock gives.
    let far = token + (1 << 32);
    on_master.say(&format!("LOCK.EXTEND k alice 60000 RAISE {far}"));
    catch_up(&mut on_master, &mut on_replica);
    on_replica.say("REPLICAOF NO ONE");
    let token = on_replica.acquired("new", "bob", 60_000);
    assert!(token > far + (1 << 18), "{token} is within the ceiling");
}

#[test]
fn a_lease_goes_on_after_promotion_and_then_ends() {
    let master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    on_master.acquired("k", "alice", 1_500);
    catch_up(&mut on_master, &mut on_replica);
    on_replica.say("REPLICAOF NO ONE");
    assert_eq!(on_replica.acquire("k", "bob", 1_000), None);
    eventually("the lease ends", || (!on_replica.exists("k")).then_some(()));
    assert!(on_replica.acquire("k", "bob", 1_000).is_some());
}

#[test]
fn a_lease_that_ended_while_it_was_a_replica_is_swept_after_promotion() {
    let mut master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    on_master.acquired("k", "alice", stretched_ms(200));
    catch_up(&mut on_master, &mut on_replica);
    // The master dies before it can say that the lease is over.
    master.kill();
    eventually("the lease is over", || {
        on_replica.fence("k").is_none().then_some(())
    });
    assert!(on_replica.exists("k"));
    on_replica.say("REPLICAOF NO ONE");
    eventually("the key goes", || (!on_replica.exists("k")).then_some(()));
}

#[test]
fn a_deposed_master_stops_granting_and_takes_over_what_its_master_has() {
    let old = Server::start();
    let new = Server::start();
    let mut on_old = old.client();
    let mut on_new = new.client();
    let lost = on_old.acquired("k", "alice", 60_000);
    let kept = on_new.acquired("n", "bob", 60_000);
    on_old.say(&format!("REPLICAOF 127.0.0.1 {}", new.port()));
    assert!(on_old
        .error_of("LOCK.ACQUIRE x y 1000")
        .starts_with("READONLY "));
    eventually("it follows", || {
        (on_old.fence("n") == Some(kept)).then_some(())
    });
    assert!(!on_old.is_live("k", lost));
    // Back to being a master, it goes on above everything it ever saw.
    on_old.say("REPLICAOF NO ONE");
    let token = on_old.acquired("k", "carol", 60_000);
    assert!(token > lost && token > kept);
}

#[test]
fn a_dead_handle_that_a_replica_inherits_is_deleted_after_promotion() {
    let mut master = Server::start();
    let mut on_master = master.client();
    let replica = replica_of(&master, &[]);
    let mut on_replica = replica.client();
    on_master.acquired("k", "alice", 60_000);
    // The RENAME reaches the replica; the DEL that follows it must not.
    on_master.say("MULTI");
    on_master.say("RENAME k x");
    on_master.say("CLIENT PAUSE 60000 WRITE");
    on_master.say("EXEC");
    eventually("the replica renames", || {
        on_replica.exists("x").then_some(())
    });
    assert_eq!(on_replica.fence("x"), None);
    master.kill();
    on_replica.say("REPLICAOF NO ONE");
    eventually("the dead key goes", || {
        (!on_replica.exists("x")).then_some(())
    });
}
