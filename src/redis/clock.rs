//! The only readings of the two clocks.

use crate::lock::{BootTime, WallTime};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::UNIX_EPOCH;

/// The clock that leases run on: `CLOCK_BOOTTIME`, which counts through suspend,
/// or `CLOCK_MONOTONIC` where that does not exist.
static BOOT_CLOCK: AtomicI32 = AtomicI32::new(libc::CLOCK_BOOTTIME);

/// Finds out which clock there is; called once, at load.
pub(super) fn choose() {
    if read(libc::CLOCK_BOOTTIME).is_none() {
        BOOT_CLOCK.store(libc::CLOCK_MONOTONIC, Ordering::Relaxed);
    }
}

/// Which clock leases run on.
pub(super) fn boot_clock() -> libc::clockid_t {
    BOOT_CLOCK.load(Ordering::Relaxed)
}

/// Now, on the clock of the leases.
pub(super) fn boot() -> BootTime {
    match read(boot_clock()) {
        Some(time) => time,
        None => unreachable!("the clock was there when the module was loaded"),
    }
}

fn read(clock: libc::clockid_t) -> Option<BootTime> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is ours to be written.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return None;
    }
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let ns = u64::try_from(time.tv_nsec).ok()?;
    Some(BootTime::from_ns(seconds * 1_000_000_000 + ns))
}

/// Time of day. Used to open a term and to bound RAISE, and for nothing else.
pub(super) fn wall() -> WallTime {
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    let now = std::time::SystemTime::now();
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_ms(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
