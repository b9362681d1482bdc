//! CLUSTER FAILOVER while somebody waits and leases end.

use super::support::cluster::{is_ready, pair};
use super::support::{eventually, Version, Waiter};

#[test]
fn in_a_failover_waiters_get_errors_and_the_new_master_starts_above_every_token() {
    let (mut master, mut replica) = pair();
    let (mut on_master, mut on_replica) = (master.client(), replica.client());
    on_master.acquired("k", "holder", 50);
    let held = on_master.acquired("held", "holder", 60_000);
    let mut waits = Waiter::joins(&master, &mut on_master, "LOCK.ACQUIRE held a 60000 BLOCK 0");
    // One that waits for the server itself, for a key of the same slot.
    let mut pops = Waiter::joins(&master, &mut on_master, "BLPOP {held}list 0");
    // Short leases, which end one after the other before, in and after the change.
    let mut line: Vec<Waiter> = (0..50)
        .map(|number| {
            let ask = format!("LOCK.ACQUIRE k w{number} 15 BLOCK 0");
            Waiter::asks(&master, &ask)
        })
        .collect();
    on_replica.say("CLUSTER FAILOVER");
    eventually("the roles change", || {
        (on_replica.info("role") == "master").then_some(())
    });
    let fate = pops.answer();
    let word = Version::of(&mut on_replica).error_upon_failover();
    assert!(fate.starts_with(word), "{fate}");
    let mut last = held;
    for waiter in &mut line {
        let told = waiter.answer();
        match told.strip_prefix(':') {
            Some(number) => {
                let token = number.parse().expect("a token");
                assert!(token > last, "{token} is not above {last}");
                last = token;
            }
            None => assert!(told.starts_with(word), "{told}"),
        }
    }
    assert_eq!(waits.answer(), fate);
    eventually("the new master serves", || is_ready(&mut on_replica));
    // What was held is held, by the same owner; what ended is over.
    assert_eq!(on_replica.fence("held"), Some(held));
    let token = eventually("it can be acquired", || {
        on_replica.acquire("k", "new", 60_000)
    });
    assert!(token > last, "{token} is not above {last}");
    let ask = "LOCK.ACQUIRE held a 60000 BLOCK 0";
    let mut again = Waiter::joins(&replica, &mut on_replica, ask);
    assert_eq!(on_replica.release("held", "holder"), 1);
    assert!(again.token() > token);
    master.assert_healthy();
    replica.assert_healthy();
}
