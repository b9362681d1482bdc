//! What differs when `make test-valgrind` runs the tests: the servers are slow, and
//! must end by themselves to be asked what they leaked.

use std::time::Duration;

/// Whether the servers run under valgrind.
pub fn is_watching() -> bool {
    std::env::var_os("UNDER_VALGRIND").is_some()
}

/// So long a lease that what must come before its end does, on a server that is slow,
/// too.
pub fn stretched_ms(ms: u64) -> u64 {
    match is_watching() {
        false => ms,
        true => ms * 20,
    }
}

/// A last line of redis.conf: asked to end, the server does, whatever else it has
/// to do and whoever lags behind.
pub const ENDS_AT_ONCE: &str = "shutdown-on-sigterm nosave now force\n";

/// For how long a server may take to end before it is killed: a script that runs
/// for ever keeps it from ending.
pub const ENDS_WITHIN: Duration = Duration::from_secs(10);
