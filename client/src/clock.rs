//! Time that counts through suspend: a lease ends while the machine sleeps, too.
//!
//! All deadlines of this crate are on this clock, and none is on that of [`tokio::time`],
//! which stands still while the machine sleeps. It is only used to be woken, in slices.

use rustix::time::{clock_gettime, ClockId};
use std::ops::{Add, Sub};
use std::time::Duration;

/// After a suspend, a sleeper notices by then how late it is.
const SLICE: Duration = Duration::from_millis(500);

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// An instant of this machine, since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    /// Now.
    pub fn now() -> Self {
        let now = clock_gettime(CLOCK);
        Self(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
    }

    /// How long it is until then; zero if that is over.
    pub fn left(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    /// Whether that is over.
    pub fn is_over(self) -> bool {
        Self::now() >= self
    }

    /// From `earlier` to this; zero if that was not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Since the machine was started.
    pub fn since_start(self) -> Duration {
        self.0
    }

    /// So long after the machine was started.
    pub fn at(since_start: Duration) -> Self {
        Self(since_start)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

impl Sub<Duration> for BootTime {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }
}

/// Sleeps until then; after a suspend of the machine it may be half a second late.
pub async fn sleep_until(end: BootTime) {
    loop {
        let left = end.left();
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLICE)).await;
    }
}
