//! never-early, and the sweep within 20 ms on an idle loop.

use super::support::{now, Client, Server};
use std::time::Duration;

/// How late a key may go, seen from outside, half of the time. The machine may
/// be busy with something else the other half.
const LATE_MOST: Duration = Duration::from_millis(20);

/// Fills the server with leases that do not end soon.
pub fn hold(client: &mut Client, count: usize) {
    const AT_ONCE: usize = 20_000;
    let script = "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
        redis.call('LOCK.ACQUIRE', 'held:' .. i, 'somebody', 3600000 + i) end";
    let mut from = 1;
    while from <= count {
        let to = count.min(from + AT_ONCE - 1);
        let (first, last) = (from.to_string(), to.to_string());
        client.call(&["EVAL", script, "0", &first, &last]);
        from = to + 1;
    }
}

/// How long after its deadline, at the most, the key was gone. Fails if that
/// was before the deadline.
fn lateness(client: &mut Client, ttl_ms: u64) -> Duration {
    let asked = now();
    client.acquired("short", "alice", ttl_ms);
    let deadline_earliest = asked + Duration::from_millis(ttl_ms);
    loop {
        let is_held = client.exists("short");
        let seen = now();
        if !is_held {
            assert!(seen >= deadline_earliest, "the lease ended early");
            return seen - deadline_earliest;
        }
        assert!(
            seen < deadline_earliest + super::support::patience(),
            "the key never goes"
        );
    }
}

fn median_lateness(client: &mut Client) -> Duration {
    let mut seen: Vec<Duration> = (0..21)
        .map(|round| lateness(client, 20 + round * 3))
        .collect();
    seen.sort();
    seen[seen.len() / 2]
}

#[test]
fn a_lease_that_ends_deletes_its_key_within_20_ms() {
    let server = Server::start();
    let mut client = server.client();
    let late = median_lateness(&mut client);
    assert!(late <= LATE_MOST, "{late:?}");
    assert_eq!(client.number("DBSIZE"), 0);
}

#[test]
fn a_lease_that_ends_among_a_million_deletes_its_key_within_20_ms() {
    let server = Server::start();
    let mut client = server.client();
    hold(&mut client, 1_000_000);
    let late = median_lateness(&mut client);
    assert!(late <= LATE_MOST, "{late:?}");
    assert_eq!(client.number("DBSIZE"), 1_000_000);
}

/// Nobody touches the key: the only thing that is asked is how many there are.
#[test]
fn a_lease_ends_without_anyone_touching_its_key() {
    let server = Server::start();
    let mut client = server.client();
    let asked = now();
    client.acquired("k", "alice", 50);
    super::support::eventually("no key is left", || {
        (client.number("DBSIZE") == 0).then_some(())
    });
    assert!(asked.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_lease_is_over_for_every_command_at_its_deadline_even_before_the_sweep() {
    let server = Server::start();
    let mut client = server.client();
    // While a script runs nothing is swept.
    let script = "local token = redis.call('LOCK.ACQUIRE', 'k', 'alice', '5')
        repeat until not redis.call('LOCK.FENCE', 'k')
        return {
            redis.call('EXISTS', 'k'),
            redis.call('LOCK.FENCE', 'k', string.format('%.0f', token)),
            redis.call('LOCK.EXTEND', 'k', 'alice', '1000'),
            redis.call('LOCK.RELEASE', 'k', 'alice'),
            redis.call('LOCK.ACQUIRE', 'k', 'bob', '60000') > token and 1 or 0 }";
    let answers = client.call(&["EVAL", script, "1", "k"]);
    let numbers = [1, 0, 0, 0, 1].map(redis::Value::Int).to_vec();
    assert_eq!(answers, redis::Value::Array(numbers));
}

#[test]
fn a_lease_does_not_end_in_the_middle_of_a_busy_script() {
    let server = Server::with(&["busy-reply-threshold 10"]);
    let mut client = server.client();
    client.acquired("k", "alice", 100);
    // The server serves its event loop now and then while this runs.
    let script = "local exists = redis.call('EXISTS', 'k')
        local t = redis.call('TIME')
        local from = t[1] * 1000 + t[2] / 1000
        repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 - from > 400
        return {exists, redis.call('EXISTS', 'k')}";
    let answers = client.call(&["EVAL", script, "1", "k"]);
    let numbers = [1, 1].map(redis::Value::Int).to_vec();
    assert_eq!(answers, redis::Value::Array(numbers));
    super::support::eventually("the key goes", || (!client.exists("k")).then_some(()));
}

#[test]
fn an_extended_lease_outlives_its_first_deadline() {
    let server = Server::start();
    let mut client = server.client();
    let asked = now();
    let token = client.acquired("k", "alice", 60);
    client.say("LOCK.EXTEND k alice 400");
    while client.is_live("k", token) {}
    assert!(asked.elapsed() >= Duration::from_millis(400));
}

/// A hundred thousand leases that end together are ended in slices: another
/// client is served all the while.
#[test]
fn leases_that_end_together_do_not_hold_the_server() {
    let server = Server::start();
    let mut client = server.client();
    let mut other = server.client();
    // All of them end in the same millisecond or two: the later a lease is asked
    // for, the shorter it is.
    let script = "local function ms()
            local t = redis.call('TIME')
            return t[1] * 1000 + math.floor(t[2] / 1000)
        end
        local last = ms() + 4000
        for i = 1, 100000 do
            redis.call('LOCK.ACQUIRE', 'k' .. i, 'a', last - ms())
        end";
    client.call(&["EVAL", script, "0"]);
    assert_eq!(client.number("DBSIZE"), 100_000);
    let mut slices = 0;
    let mut left = 100_000;
    super::support::eventually("all leases end", || {
        let now_left = other.number("DBSIZE");
        slices += usize::from(now_left < left);
        left = now_left;
        (left == 0).then_some(())
    });
    assert!(slices > 20, "another client saw only {slices} slices");
}
