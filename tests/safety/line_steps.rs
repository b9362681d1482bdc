//! What can happen in a random history in which somebody waits, and how often.
//!
//! Fewer keys and more owners than in `random_steps`: lines are what it is about.

use crate::lock::Tolerance;
use crate::random_steps::{Force, Spot, DBS_USED};
use crate::server::{Leave, Slices};
use proptest::prelude::*;

/// The keys: one is too long to be kept without an allocation.
pub(crate) const KEYS: [&str; 2] = ["a", "a key of more than 22 bytes"];
/// The owners: likewise.
pub(crate) const OWNERS: [&str; 4] = ["ann", "bob", "eve", "somebody with quite a long name"];
/// As many connections as there can be at once.
pub(crate) const CONNECTIONS: usize = 7;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Acquire {
        at: Spot,
        owner: &'static str,
        ttl_ms: u64,
        together: Together,
        delay_ms: u64,
        /// The first connection from this one on that is not blocked.
        from: usize,
        binding: Binding,
        wait: Wait,
    },
    /// With a token: so many before the last one issued.
    Release {
        at: Spot,
        owner: Whose,
        back: Option<u64>,
    },
    Extend {
        at: Spot,
        owner: Whose,
        ttl_ms: u64,
        by: By,
    },
    /// A connection that was told something reads it.
    Read { from: usize },
    /// A connection goes.
    Die { from: usize },
    /// A blocked connection is answered by the server itself.
    Unblock { from: usize },
    /// The server becomes a replica: so are all.
    UnblockAll,
    /// A cluster slot goes to another server.
    SlotLeft { key: &'static str },
    /// Keys change without the rules being asked.
    Force(Force),
    /// A key comes to hold something that is not a lock.
    Set { at: Spot },
    /// The event loop does a slice of what is due.
    Turn(Slices),
    /// Time goes by.
    Pass { ns: u64 },
}

/// Who gives back or extends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    Name(&'static str),
    /// Whoever holds the lock, or this one.
    Holder(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    None,
    Session,
}

/// Together with how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    Alone,
    Limit(u64),
    Shared,
}

impl Together {
    pub(crate) fn tolerance(self) -> Tolerance {
        match self {
            Self::Alone => Tolerance::ALONE,
            Self::Limit(most) => Tolerance::limit(most).expect("few"),
            Self::Shared => Tolerance::ANY,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Try,
    /// For so long, if no more than so many wait.
    Block {
        ms: Option<u64>,
        waiters_most: usize,
    },
}

/// What an extension is about besides the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Owner,
    /// So many before the last one issued.
    Token(u64),
    /// RAISE to so many above that.
    Raise(u64),
}

fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![5 => Just(KEYS[0]), 1 => Just(KEYS[1])]
}

fn spot() -> impl Strategy<Value = Spot> {
    let db = prop_oneof![5 => Just(0), 1 => 0..DBS_USED];
    (db, key()).prop_map(|(db, key)| Spot { db, key })
}

fn owner() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&OWNERS[..])
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![
        1 => owner().prop_map(Whose::Name),
        2 => owner().prop_map(Whose::Holder),
    ]
}

fn wait() -> impl Strategy<Value = Wait> {
    let most = prop_oneof![9 => Just(usize::MAX), 1 => 0..4usize];
    let block = (prop::option::of(1..=60u64), most)
        .prop_map(|(ms, waiters_most)| Wait::Block { ms, waiters_most });
    prop_oneof![2 => Just(Wait::Try), 5 => block]
}

fn acquire() -> impl Strategy<Value = Step> {
    let binding = prop_oneof![2 => Just(Binding::None), 1 => Just(Binding::Session)];
    let request = (1..=50u64, 0..CONNECTIONS, binding, wait());
    let options = (together(), delay_ms());
    (spot(), owner(), request, options).prop_map(
        |(at, owner, (ttl_ms, from, binding, wait), (together, delay_ms))| Step::Acquire {
            at,
            owner,
            ttl_ms,
            together,
            delay_ms,
            from,
            binding,
            wait,
        },
    )
}

fn together() -> impl Strategy<Value = Together> {
    prop_oneof![
        6 => Just(Together::Alone),
        3 => Just(Together::Limit(2)),
        2 => Just(Together::Limit(3)),
        8 => Just(Together::Shared),
    ]
}

fn delay_ms() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 2 => 1..=40u64]
}

fn release() -> impl Strategy<Value = Step> {
    let back = prop_oneof![3 => Just(None), 1 => (0..3u64).prop_map(Some)];
    (spot(), whose(), back).prop_map(|(at, owner, back)| Step::Release { at, owner, back })
}

fn extend() -> impl Strategy<Value = Step> {
    let by = prop_oneof![
        Just(By::Owner),
        (0..3u64).prop_map(By::Token),
        (0..3u64).prop_map(By::Raise),
    ];
    (spot(), whose(), 1..=50u64, by).prop_map(|(at, owner, ttl_ms, by)| Step::Extend {
        at,
        owner,
        ttl_ms,
        by,
    })
}

fn force() -> impl Strategy<Value = Step> {
    let forced = prop_oneof![
        3 => spot().prop_map(|at| Force::Del { at }),
        2 => (spot(), key()).prop_map(|(at, to)| Force::Rename { at, to }),
        2 => (spot(), 0..DBS_USED).prop_filter_map("MOVE goes elsewhere", |(at, to)| {
            (at.db != to).then_some(Force::Move { at, to })
        }),
        1 => (0..DBS_USED, 0..DBS_USED).prop_map(|(one, other)| Force::Swap { one, other }),
        1 => prop::option::of(0..DBS_USED).prop_map(|db| Force::Flush { db }),
    ];
    prop_oneof![
        6 => forced.prop_map(Step::Force),
        1 => spot().prop_map(|at| Step::Set { at }),
    ]
}

fn turn() -> impl Strategy<Value = Step> {
    let leave =
        prop_oneof![6 => Just(Leave::Write), 1 => Just(Leave::EndOnly), 1 => Just(Leave::Wait)];
    let part = (0..6u32, 0..3usize, 0..3usize, 0..3usize, leave);
    let part = part.prop_map(|(reclaim, waits, leases, lines, leave)| Slices {
        reclaim,
        waits,
        leases,
        lines,
        leave,
    });
    prop_oneof![Just(Slices::WHOLE), part].prop_map(Step::Turn)
}

/// Whole milliseconds, so that deadlines are met exactly, or one nanosecond
/// beside them.
fn pass() -> impl Strategy<Value = Step> {
    (0..=30u64, 0..=2u64).prop_map(|(ms, off)| Step::Pass {
        ns: (ms * 1_000_000 + off).saturating_sub(1),
    })
}

fn step() -> impl Strategy<Value = Step> {
    let from = || 0..CONNECTIONS;
    prop_oneof![
        30 => acquire(),
        8 => release(),
        4 => extend(),
        8 => from().prop_map(|from| Step::Read { from }),
        5 => from().prop_map(|from| Step::Die { from }),
        2 => from().prop_map(|from| Step::Unblock { from }),
        1 => prop_oneof![
            Just(Step::UnblockAll),
            key().prop_map(|key| Step::SlotLeft { key }),
        ],
        4 => force(),
        8 => turn(),
        8 => pass(),
    ]
}

/// A history of up to 250 steps.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..250)
}
