//! Who holds a lock and who waits for it, for those who want to look.

use super::event::Place;
use super::machine::Locks;
use super::table::ClientId;
use super::time::BootTime;
use super::token::Token;
use super::tolerance::Tolerance;

/// Holders and waiters listed, each, at most.
pub const LISTED_MOST: usize = 100;

/// What can be seen of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// How many hold it, those that cool included.
    pub holders: usize,
    /// How many wait for it: owners, not connections.
    pub waiters: usize,
    /// The lowest live token.
    pub lowest_token: Option<Token>,
    /// The first of the holders: the live ones by token, then those that cool.
    pub held_by: Vec<ShownHold>,
    /// The first in line.
    pub line: Vec<ShownWaiter>,
}

/// One who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownHold {
    /// Who.
    pub owner: Vec<u8>,
    /// With which token.
    pub token: Token,
    /// What is left of the lease, rounded up; 0: it cools.
    pub left_ms: u64,
    /// For how long it is there, on this server at least: to a second, or a fiftieth.
    pub held_ms: u64,
    /// Together with how many.
    pub tolerates: Tolerance,
    /// The connection that it is bound to.
    pub session: Option<ClientId>,
    /// For how long it would cool.
    pub delay_ms: u64,
    /// For how long it cools yet, rounded up; 0: it is live.
    pub cooling_ms: u64,
}

/// One who waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownWaiter {
    /// Who.
    pub owner: Vec<u8>,
    /// Together with how many it would hold it.
    pub tolerates: Tolerance,
    /// For how long it has waited.
    pub waited_ms: u64,
}

impl Locks {
    /// Who holds the lock under a key, and who waits for it. O(n) in the number of
    /// waiters, whom it counts.
    pub fn info(&mut self, now: BootTime, at: Place<'_>) -> Info {
        let found = self.look(now, at);
        let timeline = &self.journal.timeline;
        let holders = found
            .and_then(|id| self.table.get(id))
            .map(|it| &it.holders);
        let counted = holders.into_iter().flat_map(|holders| holders.iter());
        let counted = counted.filter(|hold| hold.counts(now));
        let shown = counted.take(LISTED_MOST).map(|hold| {
            let is_live = hold.is_live(now);
            ShownHold {
                owner: hold.owner.to_vec(),
                token: hold.token,
                left_ms: match is_live {
                    true => now.left_until(hold.deadline).as_ms(),
                    false => 0,
                },
                held_ms: now.ms_since(timeline.since(hold.token).unwrap_or(now)),
                tolerates: hold.tolerates,
                session: hold.session,
                delay_ms: hold.delay.as_ms(),
                cooling_ms: match is_live {
                    true => 0,
                    false => now.left_until(hold.over_at()).as_ms(),
                },
            }
        });
        let waiters = || self.lines.waiters(at.db, at.key);
        let line = waiters().take(LISTED_MOST).map(|waiter| ShownWaiter {
            owner: waiter.owner.to_vec(),
            tolerates: waiter.tolerates,
            waited_ms: now.ms_since(waiter.since),
        });
        Info {
            holders: holders.map_or(0, |holders| holders.count(now)),
            waiters: waiters().count(),
            lowest_token: holders.and_then(|holders| holders.lowest_live(now)),
            held_by: shown.collect(),
            line: line.collect(),
        }
    }
}
