//! What can happen in a random history, and how often.
//!
//! Few keys, owners and databases, and leases as long as the waits between steps,
//! so that everything meets everything: a lapse with a release, a rename with a
//! swap, a sweep with a grant.

use crate::server::Server;
use proptest::prelude::*;

/// The keys: one is too long to be kept without an allocation.
pub(crate) const KEYS: [&str; 3] = ["a", "b", "a key of more than 22 bytes"];
/// The owners: likewise.
pub(crate) const OWNERS: [&str; 3] = ["ann", "bob", "somebody with quite a long name"];
/// Databases that steps act in.
pub(crate) const DBS_USED: u32 = 2;

/// A key in a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) db: u32,
    pub(crate) key: &'static str,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A client sends a command.
    Ask {
        at: Spot,
        owner: &'static str,
        ttl_ms: u64,
        what: What,
    },
    /// The server changes keys without asking the rules.
    Force(Force),
    /// The event loop does a slice of what is due.
    Tidy(Tidy),
    /// Time goes by.
    Wait { ns: u64 },
    /// The server's log is begun anew.
    LogBegun,
    /// The server becomes a source of tokens once more.
    OpenTerm { wall_ms: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Acquire,
    Release(Option<Pick>),
    Extend(Option<Pick>),
    Raise { to: Pick, wall_ms: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Force {
    Del { at: Spot },
    Rename { at: Spot, to: &'static str },
    Move { at: Spot, to: u32 },
    Swap { one: u32, other: u32 },
    Flush { db: Option<u32> },
}

/// A model, as far as it is told of what is forced.
pub(crate) trait Forced {
    /// Whatever was held there is not any more.
    fn end(&mut self, at: Spot);
    /// The same for all keys of a database, or of all.
    fn end_all(&mut self, db: Option<u32>);
}

impl Force {
    /// Lets it happen to the server, and tells the model.
    pub(crate) fn carry_out(self, server: &mut Server, model: &mut impl Forced) {
        match self {
            Self::Del { at } => {
                server.db = at.db;
                server.del(at.key.as_bytes());
                model.end(at);
            }
            Self::Rename { at, to } => {
                server.db = at.db;
                if server.rename(at.key.as_bytes(), to.as_bytes()) && at.key != to {
                    model.end(at);
                    model.end(Spot { key: to, ..at });
                }
            }
            Self::Move { at, to } => {
                server.db = at.db;
                if server.move_to(at.key.as_bytes(), to) {
                    model.end(at);
                }
            }
            Self::Swap { one, other } => {
                server.swap_dbs(one, other);
                if one != other {
                    model.end_all(Some(one));
                    model.end_all(Some(other));
                }
            }
            Self::Flush { db } => {
                server.flush(db);
                model.end_all(db);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Tidy {
    Sweep { most: usize },
    Reclaim { most: u32 },
    Suspects,
    Everything,
}

/// A token, said in terms of the server's state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick {
    /// So many before the last one issued.
    Back(u64),
    /// So many after it.
    Ahead(u64),
    /// The last that RAISE may go to, or so many above.
    Bound(u64),
}

impl Pick {
    /// The token's number now; at least 1.
    pub(crate) fn number(self, server: &Server, bound: u64) -> u64 {
        let last = server.locks.tokens().last();
        let number = match self {
            Self::Back(count) => last.saturating_sub(count),
            Self::Ahead(count) => last + count,
            Self::Bound(count) => bound + count,
        };
        number.max(1)
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&KEYS[..])
}

fn spot() -> impl Strategy<Value = Spot> {
    (0..DBS_USED, key()).prop_map(|(db, key)| Spot { db, key })
}

fn issued() -> impl Strategy<Value = Pick> {
    (0..5u64).prop_map(Pick::Back)
}

/// Mostly small; sometimes over half of a reserve, over all of it, or the bound.
fn raised() -> impl Strategy<Value = Pick> {
    prop_oneof![
        4 => issued(),
        4 => (1..4u64).prop_map(Pick::Ahead),
        2 => (1..600_000u64).prop_map(Pick::Ahead),
        1 => (0..2u64).prop_map(Pick::Bound),
    ]
}

fn what() -> impl Strategy<Value = What> {
    let only = || prop::option::of(issued());
    prop_oneof![
        6 => Just(What::Acquire),
        3 => only().prop_map(What::Release),
        3 => only().prop_map(What::Extend),
        2 => (raised(), 0..5u64).prop_map(|(to, wall_ms)| What::Raise { to, wall_ms }),
    ]
}

fn ask() -> impl Strategy<Value = Step> {
    (spot(), prop::sample::select(&OWNERS[..]), 1..=50u64, what()).prop_map(
        |(at, owner, ttl_ms, what)| Step::Ask {
            at,
            owner,
            ttl_ms,
            what,
        },
    )
}

fn force() -> impl Strategy<Value = Force> {
    prop_oneof![
        3 => spot().prop_map(|at| Force::Del { at }),
        3 => (spot(), key()).prop_map(|(at, to)| Force::Rename { at, to }),
        3 => (spot(), 0..DBS_USED).prop_filter_map("MOVE goes elsewhere", |(at, to)| {
            (at.db != to).then_some(Force::Move { at, to })
        }),
        2 => (0..DBS_USED, 0..DBS_USED).prop_map(|(one, other)| Force::Swap { one, other }),
        1 => prop::option::of(0..DBS_USED).prop_map(|db| Force::Flush { db }),
    ]
}

fn tidy() -> impl Strategy<Value = Tidy> {
    prop_oneof![
        4 => (0..4usize).prop_map(|most| Tidy::Sweep { most }),
        4 => prop_oneof![0..6u32, 0..2_000u32].prop_map(|most| Tidy::Reclaim { most }),
        1 => Just(Tidy::Suspects),
        1 => Just(Tidy::Everything),
    ]
}

/// Whole milliseconds, so that deadlines are met exactly, or one nanosecond
/// beside them.
fn wait() -> impl Strategy<Value = Step> {
    (0..=50u64, 0..=2u64).prop_map(|(ms, off)| Step::Wait {
        ns: (ms * 1_000_000 + off).saturating_sub(1),
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => ask(),
        3 => force().prop_map(Step::Force),
        3 => tidy().prop_map(Step::Tidy),
        5 => wait(),
        1 => Just(Step::LogBegun),
        1 => (0..5u64).prop_map(|wall_ms| Step::OpenTerm { wall_ms }),
    ]
}

/// A history of up to 200 steps.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..200)
}
