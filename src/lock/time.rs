//! The two clocks and the length of a lease.
//!
//! [`BootTime`] is what leases run on. [`WallTime`] has two uses only: it opens
//! a term of tokens and it bounds RAISE. They are different types so that they
//! cannot be mixed, and neither can be read in this room: the shell passes them
//! in (`src/redis/clock.rs`).

/// A moment on a clock that never jumps and counts through suspend
/// (`CLOCK_BOOTTIME`), in nanoseconds since the machine started.
///
/// Nanoseconds, because a clock rounded down at the grant and again at the
/// check could end a lease up to one unit early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootTime(u64);

impl BootTime {
    /// The moment `ns` nanoseconds after the machine started.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the machine started.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The end of a lease of length `ttl` that starts now.
    #[must_use]
    pub const fn after(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(ttl.0.saturating_mul(NS_PER_MS)))
    }

    /// Whole milliseconds since `earlier`; 0 if that is later.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / NS_PER_MS
    }

    /// Whole microseconds since `earlier`; 0 if that is later.
    pub const fn us_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / NS_PER_US
    }

    /// The end of a delay that starts now.
    #[must_use]
    pub const fn after_delay(self, delay: Delay) -> Self {
        Self(self.0.saturating_add(delay.0.saturating_mul(NS_PER_MS)))
    }

    /// How long it is until `end`, rounded up to whole milliseconds, and at
    /// least one: a lease that is carried elsewhere ends later, never earlier.
    pub const fn left_until(self, end: Self) -> Ttl {
        let left_ms = end.0.saturating_sub(self.0).div_ceil(NS_PER_MS);
        if left_ms == 0 {
            Ttl(1)
        } else if left_ms > Ttl::MOST.0 {
            Ttl::MOST
        } else {
            Ttl(left_ms)
        }
    }
}

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_US: u64 = 1_000;

/// The length of a lease in milliseconds: from 1 to [`Ttl::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    /// The longest lease that any server, file or master may speak of: ten
    /// years. What clients may ask for is bounded further by configuration.
    pub const MOST: Self = Self(10 * 365 * 24 * 3_600_000);

    /// `None` unless `ms` is from 1 to [`Ttl::MOST`].
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms >= 1 && ms <= Self::MOST.0 {
            Some(Self(ms))
        } else {
            None
        }
    }

    /// The length in milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

/// How long a hold cools after its lease, in milliseconds: from 0, which is not
/// at all, to [`Ttl::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Delay(u64);

impl Delay {
    /// It does not cool.
    pub const NONE: Self = Self(0);

    /// The longest.
    pub const MOST: Self = Self(Ttl::MOST.0);

    /// For constants.
    pub(super) const fn short(ms: u16) -> Self {
        Self(ms as u64)
    }

    /// `None` unless `ms` is from 0 to [`Delay::MOST`].
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms <= Self::MOST.0 {
            Some(Self(ms))
        } else {
            None
        }
    }

    /// The delay in milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

impl From<Ttl> for Delay {
    fn from(ttl: Ttl) -> Self {
        Self(ttl.0)
    }
}

/// Time of day in milliseconds since 2024-01-01T00:00:00Z. A clock that is set
/// before that date reads as zero, one after 2093 as the end of that year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct WallTime(u64);

/// 2024-01-01T00:00:00Z in seconds of Unix time.
const START_OF_2024_S: u64 = 1_704_067_200;

impl WallTime {
    /// From milliseconds since 1970; never wraps, whatever the clock says.
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        let ms = unix_ms.saturating_sub(START_OF_2024_S * 1_000);
        if ms > Self::MS_MOST {
            return Self(Self::MS_MOST);
        }
        Self(ms)
    }

    /// `None` after the year 2093, from when on there are no tokens by the clock.
    pub const fn from_ms_since_2024(ms: u64) -> Option<Self> {
        if ms <= Self::MS_MOST {
            Some(Self(ms))
        } else {
            None
        }
    }

    /// The last millisecond that has tokens of its own: 2^41 - 1.
    const MS_MOST: u64 = (1 << 41) - 1;

    /// The last moment there is.
    pub const LAST: Self = Self(Self::MS_MOST);

    /// Milliseconds since 1970.
    pub const fn as_unix_ms(self) -> u64 {
        self.0 + START_OF_2024_S * 1_000
    }

    /// Milliseconds since the start of 2024.
    pub const fn as_ms_since_2024(self) -> u64 {
        self.0
    }
}
