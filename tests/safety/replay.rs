//! How random tests are run, and how a failing run is run again.
//!
//! `PROPTEST_CASES` sets the number of cases (1,000 unless said), and
//! `PROPTEST_RNG_SEED` repeats a run.
//! Each test prints its seed; the test runner shows that if the test fails, below
//! the smallest input that fails.

use proptest::prelude::Rng;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// The configuration of every random test: seeded, and nothing written to disk.
pub(crate) fn config() -> Config {
    let from_environment = Config::default();
    let seed = match from_environment.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => TestRunner::default().rng().next_u64(),
    };
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => from_environment.cases,
        None => 1_000,
    };
    let config = Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..from_environment
    };
    println!(
        "REPLAY WITH: PROPTEST_RNG_SEED={seed} PROPTEST_CASES={cases} cargo test --test safety {}",
        std::thread::current().name().unwrap_or_default(),
    );
    config
}
