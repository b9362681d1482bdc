//! What the README says of locks over several servers: its example is run for real, and its
//! numbers are computed.

#[allow(dead_code, reason = "its main is for programs")]
#[path = "../../examples/quorum.rs"]
mod quorum;

use super::Nodes;
use quorum::{book, Seat};
use redis_lock_client::clock::BootTime;
use redis_lock_client::{lease, quorum::protocol};
use std::time::Duration;

const README: &str = include_str!("../../../README.md");
const EXAMPLE: &str = include_str!("../../examples/quorum.rs");

fn addresses(nodes: &Nodes) -> Vec<String> {
    let ports = nodes.0.iter().map(|server| server.port());
    ports
        .map(|port| format!("redis://127.0.0.1:{port}/"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_books_the_seat_also_when_a_server_is_gone() {
    let mut nodes = Nodes::start(3);
    let (addresses, seat) = (addresses(&nodes), Seat::default());
    let first = book(&addresses, &seat, "alice").await.expect("it is free");
    nodes.are_free();
    drop(nodes.0.remove(0));
    let second = book(&addresses, &seat, "bob").await.expect("it is free");
    assert!(second > first);
    assert!(seat.write(first, "alice").is_err(), "she came too late");
    nodes.are_free();
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let shown = README.split("```rust\n").skip(1);
    let shown: Vec<_> = shown
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(!shown.is_empty(), "it shows one");
    for block in shown {
        assert!(EXAMPLE.contains(block), "{block}");
    }
}

/// As the README writes numbers.
fn grouped(time: Duration) -> String {
    let number = time.as_millis();
    match number / 1_000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1_000),
    }
}

#[test]
fn the_readme_computes_a_validity_as_the_crate_does() {
    let took = Duration::from_millis(40);
    for ttl in [30_000, 1_000].map(Duration::from_millis) {
        let drift = lease::drift(ttl);
        assert_eq!(drift, protocol::drift(ttl));
        let start = BootTime::at(Duration::from_secs(1));
        let valid_for = lease::valid_until(start, ttl).since(start + took);
        let line = [valid_for, ttl, took, drift].map(grouped);
        let [valid_for, ttl, took, drift] = line;
        let line = format!("{valid_for} ms = {ttl} - {took} - {drift}");
        let is_said = README.lines().any(|it| it.trim() == line);
        assert!(is_said, "the README does not say {line}");
    }
}
