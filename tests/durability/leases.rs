//! Leases across a restart: what was left starts anew, never earlier, and ends
//! by itself.

use super::keeping::each_at_once;
use super::support::{eventually, now, Client};
use std::time::{Duration, Instant};

/// Lets time pass until `end`: what is tested is that nothing happens before.
pub fn pass(end: Instant) {
    eventually("time goes by", || (now() >= end).then_some(()));
}

/// The first moment at which the lock was seen to be free.
pub fn freed(client: &mut Client, key: &str) -> Instant {
    eventually("the lease ends", || client.fence(key).is_none().then(now))
}

#[test]
fn what_was_left_of_a_lease_starts_anew_at_load_and_then_ends_by_itself() {
    let ttl = Duration::from_millis(700);
    each_at_once(|keeping| {
        let mut server = keeping.server();
        let mut client = server.client();
        let granted = now();
        client.acquired("k", "alice", 700);
        keeping.keep(&mut client);
        let left = ttl.saturating_sub(granted.elapsed());
        server.kill();
        // By the time it starts the lease would be long over.
        pass(granted + ttl + Duration::from_millis(100));
        let started = now();
        server.start_again();
        let mut client = server.client();
        let lasted = freed(&mut client, "k") - started;
        let name = keeping.name;
        assert!(lasted >= left, "{name}: {left:?} left, {lasted:?} lasted");
        eventually("the key goes", || (!client.exists("k")).then_some(()));
        assert!(client.acquire("k", "bob", 1_000).is_some());
        server.assert_healthy();
    });
}

#[test]
fn a_loaded_lease_lasts_no_longer_than_it_was_granted_for() {
    each_at_once(|keeping| {
        let mut server = keeping.server();
        let mut client = server.client();
        client.acquired("short", "alice", 500);
        client.acquired("long", "alice", 600_000);
        keeping.keep(&mut client);
        server.crash();
        let running = now();
        let mut client = server.client();
        let lasted = freed(&mut client, "short") - running;
        // Far more than the 20 ms of the sweep, as the machine may be busy.
        let most = Duration::from_secs(5);
        assert!(lasted < most, "{}: {lasted:?}", keeping.name);
        assert!(client.fence("long").is_some(), "{}", keeping.name);
    });
}

#[test]
fn a_moved_lease_is_kept_as_it_was_moved() {
    each_at_once(|keeping| {
        let mut server = keeping.server();
        let mut client = server.client();
        client.acquired("extended", "alice", 1_500);
        client.acquired("acquired-again", "alice", 1_500);
        client.say("LOCK.EXTEND extended alice 60000");
        client.acquired("acquired-again", "alice", 60_000);
        keeping.keep(&mut client);
        server.crash();
        pass(now() + Duration::from_millis(1_550));
        let mut client = server.client();
        for key in ["extended", "acquired-again"] {
            assert!(client.fence(key).is_some(), "{}: {key}", keeping.name);
        }
    });
}
