//! With how many others a hold puts up. See `holders` for what follows from it.

/// How many holders a request tolerates, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tolerance(u32);

impl Tolerance {
    /// Nobody beside itself.
    pub const ALONE: Self = Self(1);
    /// Any number.
    pub const ANY: Self = Self(u32::MAX);
    /// The most that `LIMIT` may say.
    pub const LIMIT_MOST: u32 = 1_024;

    /// `None` unless `count` is from 1 to [`Tolerance::LIMIT_MOST`].
    pub fn limit(count: u64) -> Option<Self> {
        let count = u32::try_from(count).ok()?;
        (1..=Self::LIMIT_MOST)
            .contains(&count)
            .then_some(Self(count))
    }

    /// The number that log, replicas and files are given; 0 stands for any.
    pub fn to_number(self) -> u64 {
        match self {
            Self::ANY => 0,
            Self(count) => u64::from(count),
        }
    }

    /// What [`Tolerance::to_number`] gave.
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::ANY),
            count => Self::limit(count),
        }
    }

    /// Whether so many may hold a lock, itself included.
    pub(super) fn allows(self, holders: usize) -> bool {
        self == Self::ANY || holders <= self.most()
    }

    /// No more than so many hold a lock of which one tolerates this.
    pub(super) fn most(self) -> usize {
        self.0 as usize
    }
}
