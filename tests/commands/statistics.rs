//! INFO redislock: what it counts, and that it costs no scan.

use crate::hourglass::until_free;
use crate::support::{eventually, replica_of, Client, Server, Waiter};
use std::collections::BTreeMap;

const FIELDS: [&str; 25] = [
    "locks",
    "waiters",
    "longest_line",
    "grants_at_once",
    "grants_after_wait",
    "failed_tries",
    "wait_timeouts",
    "refused_waits",
    "releases",
    "extends",
    "expired_leases",
    "session_ends",
    "forced_breaks",
    "stale_guards",
    "wait_us_sum",
    "wait_us_p50",
    "wait_us_p90",
    "wait_us_p99",
    "wait_us_p999",
    "wait_us_max",
    "last_token",
    "ceiling",
    "term_start_unix_ms",
    "longest_lease_ms",
    "quarantine_left_ms",
];

fn pairs(client: &mut Client, section: &str) -> Vec<(String, u64)> {
    let text = client.text(&format!("INFO {section}"));
    let pairs = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.strip_prefix("redislock_")?;
        Some((name.to_owned(), value.parse().expect("a number")))
    });
    pairs.collect()
}

fn info(client: &mut Client) -> BTreeMap<String, u64> {
    pairs(client, "redislock").into_iter().collect()
}

#[test]
fn the_section_has_these_fields_in_this_order_and_is_found_as_others_are() {
    let server = Server::start();
    let mut client = server.client();
    for section in ["redislock", "modules", "everything"] {
        let names = pairs(&mut client, section).into_iter().map(|it| it.0);
        assert_eq!(names.collect::<Vec<_>>(), FIELDS, "INFO {section}");
    }
    assert_eq!(pairs(&mut client, "default"), []);
    assert!(client.text("INFO redislock").contains("# redislock"));
}

#[test]
fn everything_that_happens_is_counted_once() {
    let server = Server::with(&["redislock.max-waiters 1"]);
    let mut client = server.client();
    let token = client.acquired("k", "me", 60_000);
    client.acquire("k", "other", 60_000); // failed
    client.say("LOCK.EXTEND k me 90000");
    client.say("LOCK.ACQUIRE k other 60000 BLOCK 1"); // runs out
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k next 60000 BLOCK 0");
    let refused = client.error_of("LOCK.ACQUIRE k third 60000 BLOCK 1");
    assert!(refused.starts_with("QUEUEFULL"), "{refused}");
    let now = info(&mut client);
    assert_eq!(
        (now["locks"], now["waiters"], now["longest_line"]),
        (1, 1, 1)
    );
    client.release("k", "me");
    waiter.token();
    client.error_of(&format!("LOCK.GUARD k {token} SET x 1")); // stale
    client.say("DEL k");
    client.acquired("short", "me", 1);
    until_free(&mut client, "short");
    let mut other = server.client();
    other.say("LOCK.ACQUIRE bound me 60000 SESSION");
    drop(other);
    until_free(&mut client, "bound");
    let now = eventually("all has ended", || {
        Some(info(&mut client)).filter(|now| now["locks"] == 0)
    });
    let expected = [
        ("waiters", 0),
        ("longest_line", 0),
        ("grants_at_once", 3),
        ("grants_after_wait", 1),
        ("failed_tries", 1),
        ("wait_timeouts", 1),
        ("refused_waits", 1),
        ("releases", 1),
        ("extends", 1),
        ("expired_leases", 1),
        ("session_ends", 1),
        ("forced_breaks", 1),
        ("stale_guards", 1),
        ("longest_lease_ms", 90_000),
    ];
    for (name, value) in expected {
        assert_eq!(now[name], value, "{name}: {now:?}");
    }
    assert!(now["wait_us_p50"] > 0 && now["wait_us_max"] >= now["wait_us_p50"]);
    assert_eq!(now["wait_us_sum"], now["wait_us_max"], "one has waited");
    assert!(now["last_token"] >= token as u64 + 3 && now["ceiling"] > now["last_token"]);
    let clock: u64 = client.texts("TIME")[0].parse().expect("seconds");
    let age_ms = (clock * 1_000 + 1_000).saturating_sub(now["term_start_unix_ms"]);
    assert!(age_ms < 600_000, "the term began {age_ms} ms ago");
}

#[test]
fn a_replica_counts_the_locks_it_has_and_no_deeds_of_its_master() {
    let server = Server::start();
    let mut client = server.client();
    let replica = replica_of(&server, &[]);
    client.acquired("stays", "me", 60_000);
    client.acquired("goes", "me", 60_000);
    client.release("goes", "me");
    client.say("WAIT 1 10000");
    let now = info(&mut replica.client());
    assert_eq!(
        (now["locks"], now["grants_at_once"], now["releases"]),
        (1, 0, 0)
    );
    assert!(now["last_token"] > 0);
}

#[test]
fn counters_begin_at_zero_and_the_counter_of_tokens_does_not() {
    let mut server = Server::with(&["appendonly yes"]);
    let token = server.client().acquired("k", "me", 60_000);
    server.kill();
    server.start_again();
    let now = info(&mut server.client());
    assert_eq!((now["locks"], now["grants_at_once"]), (1, 0));
    assert!(now["last_token"] >= token as u64);
}

#[test]
fn what_is_left_of_a_quarantine_is_shown() {
    let server = Server::with(&["redislock.quarantine yes", "redislock.max-ttl-ms 50000"]);
    let left = info(&mut server.client())["quarantine_left_ms"];
    assert!((1..=50_000).contains(&left), "{left} ms");
    let without = Server::start();
    assert_eq!(info(&mut without.client())["quarantine_left_ms"], 0);
}

/// A number of everything that is asked for, and none that would need a scan: with
/// thousand times as many locks it takes no longer.
#[test]
fn it_costs_the_same_with_many_locks() {
    let server = Server::start();
    let mut client = server.client();
    let fill = "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
        redis.call('LOCK.ACQUIRE', 'k' .. i, 'me', 600000) end";
    let mut cost = |from: u32, to: u32| {
        client.call(&["EVAL", fill, "0", &from.to_string(), &to.to_string()]);
        client.say("CONFIG RESETSTAT");
        for _ in 0..200 {
            client.text("INFO redislock");
        }
        let stats = client.text("INFO commandstats");
        let line = stats.lines().find(|line| line.starts_with("cmdstat_info:"));
        let usec = line.and_then(|line| line.split("usec_per_call=").nth(1));
        let usec = usec.and_then(|rest| rest.split(',').next());
        usec.and_then(|it| it.parse::<f64>().ok()).expect("a cost")
    };
    let few = cost(1, 100);
    let many = cost(101, 100_000);
    // A scan of 100,000 locks would take milliseconds.
    assert!(
        many < few + 500.0,
        "{few} µs with 100 locks, {many} µs with 100,000"
    );
}
