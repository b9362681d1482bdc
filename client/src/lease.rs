//! How long a holder may rely on its lock. Pure: no clock is read here.

use crate::clock::BootTime;
use std::time::Duration;

/// What clocks may differ in their pace, and something for their coarseness: the rule is the
/// same for one server and for several.
pub use crate::quorum::protocol::drift;

/// The shortest lease: of a shorter one the drift leaves too little.
pub(crate) const TTL_LEAST: Duration = Duration::from_millis(100);

/// The servers count in milliseconds: nobody is to believe in a part of one.
pub(crate) fn in_millis(ttl: Duration) -> Duration {
    ttl - Duration::from_nanos(u64::from(ttl.subsec_nanos() % 1_000_000))
}

/// Until when a lease is valid that was asked for at `asked`: ttl from then on, less the
/// drift. The server starts it when it hears of it, which is later.
pub fn valid_until(asked: BootTime, ttl: Duration) -> BootTime {
    asked + ttl.saturating_sub(drift(ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_valid_for_its_length_short_of_the_drift() {
        let asked = BootTime::at(Duration::from_secs(1_000));
        let valid = |ttl_ms| valid_until(asked, Duration::from_millis(ttl_ms)).since(asked);
        assert_eq!(valid(30_000), Duration::from_millis(29_698));
        assert_eq!(valid(1_000), Duration::from_millis(988));
        assert_eq!(valid(2), Duration::ZERO);
    }
}
