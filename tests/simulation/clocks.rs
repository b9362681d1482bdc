//! The two clocks of a machine: one that counts since the boot and drifts, and one
//! that somebody sets, and that jumps.
//!
//! Nobody but the simulation knows the true time, which is a number of nanoseconds.

use crate::lock::{BootTime, WallTime};

/// A millisecond of true time.
pub(crate) const MS: u64 = 1_000_000;

/// A second of true time.
pub(crate) const SECOND: u64 = 1_000 * MS;

/// 2026-01-01T00:00:00Z in milliseconds of Unix time, when the simulation begins.
const BEGINNING_UNIX_MS: i64 = 1_767_225_600_000;

/// Clocks go this much too fast or too slow at most, in millionths.
pub(crate) const DRIFT_PPM_MOST: i64 = 500;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// How far a clock goes in a nanosecond, in 2^-32.
    rate: u64,
    booted_at: u64,
    boot_read: u64,
    wall_ahead_ms: i64,
}

impl Clocks {
    pub(crate) fn new(drift_ppm: i64, wall_ahead_ms: i64, boot_read: u64) -> Self {
        let drift = (1 << 32) * drift_ppm / 1_000_000;
        Self {
            rate: (1_u64 << 32).saturating_add_signed(drift),
            booted_at: 0,
            boot_read,
            wall_ahead_ms,
        }
    }

    fn scaled(&self, true_ns: u64) -> u64 {
        ((u128::from(true_ns) * u128::from(self.rate)) >> 32) as u64
    }

    pub(crate) fn boot(&self, now: u64) -> BootTime {
        BootTime::from_ns(self.boot_read + self.scaled(now - self.booted_at))
    }

    /// The first moment of true time at which the clock has reached `then`.
    pub(crate) fn true_time_of(&self, then: BootTime) -> u64 {
        let ns = then.as_ns().saturating_sub(self.boot_read);
        let true_ns = ((u128::from(ns) << 32).div_ceil(u128::from(self.rate))) as u64;
        self.booted_at + true_ns
    }

    pub(crate) fn wall(&self, now: u64) -> WallTime {
        let elapsed_ms = (self.scaled(now) / MS) as i64;
        let unix_ms = BEGINNING_UNIX_MS + elapsed_ms + self.wall_ahead_ms;
        WallTime::from_unix_ms(unix_ms.max(0) as u64)
    }

    /// Somebody, or a program, sets the clock.
    pub(crate) fn jump_ms(&mut self, ms: i64) {
        self.wall_ahead_ms += ms;
    }

    /// The machine starts anew.
    pub(crate) fn reboot(&mut self, now: u64) {
        self.booted_at = now;
        self.boot_read = 5 * SECOND;
    }
}
