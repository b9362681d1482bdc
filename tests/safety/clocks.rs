//! The arithmetic of leases and clocks: nothing wraps, and whatever is rounded is
//! rounded so that a lease ends later.

use crate::lock::{BootTime, Ttl, WallTime};
use crate::replay;
use crate::values::{ttl, wall, START_OF_2024_UNIX_MS};
use proptest::prelude::*;

const TEN_YEARS_MS: u64 = 315_360_000_000;

#[test]
fn a_lease_is_from_one_millisecond_to_ten_years_long() {
    assert_eq!(Ttl::MOST.as_ms(), TEN_YEARS_MS);
    for ms in [1, 2, 86_400_000, TEN_YEARS_MS] {
        assert_eq!(Ttl::from_ms(ms).map(Ttl::as_ms), Some(ms));
    }
    for ms in [0, TEN_YEARS_MS + 1, u64::MAX] {
        assert_eq!(Ttl::from_ms(ms), None);
    }
}

#[test]
fn what_is_left_is_rounded_up_and_is_never_nothing() {
    let left_ms = |now, end| {
        let left = BootTime::from_ns(now).left_until(BootTime::from_ns(end));
        left.as_ms()
    };
    assert_eq!(left_ms(0, 5_000_000), 5);
    assert_eq!(left_ms(0, 5_000_001), 6);
    assert_eq!(left_ms(1, 5_000_000), 5);
    assert_eq!(left_ms(0, 1), 1);
    assert_eq!(left_ms(7, 7), 1, "over, but not yet swept");
    assert_eq!(left_ms(u64::MAX, 0), 1);
    assert_eq!(left_ms(0, u64::MAX), TEN_YEARS_MS);
}

#[test]
fn a_lease_ends_at_the_end_of_time_at_the_latest() {
    let last = BootTime::from_ns(u64::MAX);
    assert_eq!(last.after(ttl(1)), last);
    assert_eq!(BootTime::from_ns(u64::MAX - 999_999).after(ttl(1)), last);
}

#[test]
fn the_wall_clock_counts_from_2024_and_reads_zero_before() {
    let read = |unix_ms| WallTime::from_unix_ms(unix_ms).as_ms_since_2024();
    for before in [0, 1, START_OF_2024_UNIX_MS - 1, START_OF_2024_UNIX_MS] {
        assert_eq!(read(before), 0);
    }
    assert_eq!(read(START_OF_2024_UNIX_MS + 5), 5);
    // From the end of 2093 on there are no tokens by the clock.
    let end = (1 << 41) - 1;
    assert_eq!(read(START_OF_2024_UNIX_MS + end), end);
    assert_eq!(read(START_OF_2024_UNIX_MS + end + 1), end);
    assert_eq!(read(u64::MAX), end);
    assert_eq!(WallTime::from_ms_since_2024(end), Some(wall(end)));
    assert_eq!(WallTime::from_ms_since_2024(end + 1), None);
}

proptest! {
    #![proptest_config(replay::config())]

    #[test]
    fn a_lease_that_is_carried_elsewhere_never_ends_earlier_there(
        granted in 0..1u64 << 60, ms in 1..=TEN_YEARS_MS, waited in any::<prop::sample::Index>(),
    ) {
        let granted = BootTime::from_ns(granted);
        let deadline = granted.after(ttl(ms));
        let lease_ns = ms * 1_000_000;
        let sent = BootTime::from_ns(granted.as_ns() + waited.index(lease_ns as usize) as u64);
        let carried = sent.after(sent.left_until(deadline));
        prop_assert!(carried >= deadline);
        prop_assert!(carried.as_ns() - deadline.as_ns() < 1_000_000);
    }
}
