//! nothing-left: what was released early leaves nothing behind.

use super::on_time::hold;
use super::support::{eventually, Client, Server};

fn used(client: &mut Client) -> i64 {
    client.info("used_memory").parse().expect("bytes")
}

#[test]
fn locks_that_are_released_early_leave_nothing_behind() {
    const LOCKS: usize = 200_000;
    let server = Server::start();
    let mut client = server.client();
    client.acquired("warm-up", "x", 1_000);
    client.release("warm-up", "x");
    let before = used(&mut client);
    hold(&mut client, LOCKS);
    let full = used(&mut client);
    let script = "for i = 1, tonumber(ARGV[1]) do
        redis.call('LOCK.RELEASE', 'held:' .. i, 'somebody') end";
    client.call(&["EVAL", script, "0", &LOCKS.to_string()]);
    assert_eq!(client.number("DBSIZE"), 0);
    // The server shrinks its own table of keys bit by bit.
    eventually("the memory is given back", || {
        let left = used(&mut client) - before;
        (left < (full - before) / 50).then_some(())
    });
}

#[test]
fn a_lock_that_comes_and_goes_a_million_times_needs_no_more_memory() {
    let server = Server::start();
    let mut client = server.client();
    let script = "for i = 1, 100000 do
        redis.call('LOCK.ACQUIRE', KEYS[1], 'somebody', '3600000')
        redis.call('LOCK.RELEASE', KEYS[1], 'somebody') end";
    client.call(&["EVAL", script, "1", "k"]);
    let before = used(&mut client);
    for _ in 0..9 {
        client.call(&["EVAL", script, "1", "k"]);
    }
    let grown = used(&mut client) - before;
    assert!(grown < 100_000, "{grown} bytes more");
}

/// The server counts a lock's memory as its own: in MEMORY USAGE, and against
/// maxmemory.
#[test]
fn the_memory_of_locks_counts() {
    let server = Server::start();
    let mut client = server.client();
    let before = used(&mut client);
    hold(&mut client, 100_000);
    let each = (used(&mut client) - before) / 100_000;
    let said = client.number("MEMORY USAGE held:77");
    assert!((150..400).contains(&each), "{each} bytes for each lock");
    assert!(
        said > each / 2 && said < each * 2,
        "{said}, but it is {each}"
    );
}
