//! The quorum protocol in every order.

#[path = "../../src/quorum/protocol/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the driver uses more of it")]
mod protocol;

mod bend;
mod claims;
mod steps;
mod world;

use stateright::{Checker, Model};
use steps::{Leases, Quorum, Size};

#[test]
fn probe() {
    let counters: Vec<u64> = std::env::var("COUNTERS")
        .expect("c")
        .split(',')
        .map(|it| it.parse().expect("n"))
        .collect();
    let ticks: u8 = std::env::var("TICKS").expect("c").parse().expect("n");
    let rounds: u8 = std::env::var("ROUNDS")
        .unwrap_or("0".into())
        .parse()
        .expect("n");
    let restarts: u8 = std::env::var("RESTARTS")
        .unwrap_or("0".into())
        .parse()
        .expect("n");
    let attempts: usize = std::env::var("ATTEMPTS")
        .unwrap_or("2".into())
        .parse()
        .expect("n");
    let most: usize = std::env::var("MOST")
        .unwrap_or("3000000".into())
        .parse()
        .expect("n");
    let leases = if ticks == 0 {
        Leases::EndAnyTime
    } else {
        Leases::LastFor(ticks)
    };
    let mut size = Size::new(&counters, attempts, leases);
    size.rounds = rounds;
    size.restarts = restarts;
    size.silences = std::env::var("SILENCES").is_ok();
    let checker = Quorum::as_written(size)
        .checker()
        .target_state_count(std::num::NonZero::new(most).expect("n").get())
        .spawn_bfs()
        .join();
    println!(
        "{} {} depth {} {:?} done {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        checker.model().met.lock().expect("m"),
        checker.is_done()
    );
    checker.assert_properties();
}
