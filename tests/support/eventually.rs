//! Waiting for a condition, with a deadline. Nothing else in the tests waits.

#![allow(
    clippy::disallowed_methods,
    reason = "tests measure time from outside the module"
)]

use super::valgrind;
use std::time::{Duration, Instant};

/// How long a condition may take before a test fails: long enough for a machine
/// that is busy with something else.
pub fn patience() -> Duration {
    match valgrind::is_watching() {
        false => Duration::from_secs(20),
        true => Duration::from_secs(120),
    }
}

/// The time, as the test sees it.
pub fn now() -> Instant {
    Instant::now()
}

/// Asks until there is an answer; fails after [`patience`], saying `what` was
/// waited for.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    match within(patience(), ask) {
        Some(answer) => answer,
        None => panic!("{what}: not within {:?}", patience()),
    }
}

/// Asks until there is an answer, for as long as `patience`.
pub fn within<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if now() >= end {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Lets so much time go by: for a fault at a random instant, or a client that thinks
/// or is paused. Never for waiting until something is so.
pub fn pass(time: Duration) {
    let end = now() + time;
    loop {
        let left = end.saturating_duration_since(now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
