//! The one global: the locks of this server, and what the shell knows beside
//! them.
//!
//! [`with`] lends it for as long as a closure runs. No function of the server
//! that may call back into the module (opening, storing or deleting a key) may
//! be called inside; the loan is checked at run time.

use super::alarm::Alarm;
use super::blocked::Waiters;
use super::cluster::MapSafety;
use super::quarantine::Keeper;
use crate::lock::slots::Slot;
use crate::lock::{Answer, BootTime, Effect, Event, Locks, Ttl};
use lazy_static::lazy_static;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

/// What this server is. Kept here because the server's own flags lie while
/// roles change; set at load and in the role event only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// It grants and ends.
    #[default]
    Master,
    /// It applies what its master says.
    Replica,
}

/// Whether slots have to be looked after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Deployment {
    /// All keys are ours for good.
    #[default]
    Alone,
    /// Slots come and go.
    Cluster,
}

/// A key that may hold a dead handle.
#[derive(Debug)]
pub(super) struct Suspect {
    /// Where; `None`: in any database.
    pub(super) db: Option<u32>,
    /// The key's name.
    pub(super) key: Vec<u8>,
}

/// Whether `turn` has something to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Attention {
    /// Nothing that was left for later.
    #[default]
    Idle,
    /// Something happened, or it is time to try again.
    Wanted,
}

/// Everything the module remembers.
pub(super) struct Shell {
    pub(super) locks: Locks,
    pub(super) role: Role,
    /// The database out of which a key is being moved right now.
    pub(super) moves_from: Option<u32>,
    pub(super) deployment: Deployment,
    /// The longest lease a client may ask for.
    pub(super) ttl_most: Ttl,
    /// How many connections may wait.
    pub(super) waiters_most: usize,
    /// What is left behind for the next start.
    pub(super) keeper: Keeper,
    /// Who waits.
    pub(super) waiters: Waiters,
    /// A list that is used again and again.
    pub(super) effects: Vec<Effect>,
    /// What callbacks leave for `turn`.
    pub(super) suspects: VecDeque<Suspect>,
    pub(super) attention: Attention,
    pub(super) alarm: Option<Alarm>,
    /// Cluster: its epoch at the last cron.
    pub(super) epoch_seen: Option<u64>,
    /// Cluster: slots below this one were asked about in this round.
    pub(super) slots_asked: u16,
    /// Cluster: slots of which only some keys are here, for now.
    pub(super) slots_open: BTreeSet<Slot>,
    /// Cluster: whether its map may be asked for; asked once.
    pub(super) map_safety: Option<MapSafety>,
}

impl Default for Shell {
    fn default() -> Self {
        Self {
            locks: Locks::default(),
            role: Role::default(),
            moves_from: None,
            deployment: Deployment::default(),
            ttl_most: super::config::TTL_MOST_DEFAULT,
            waiters_most: super::config::WAITERS_MOST_DEFAULT,
            keeper: Keeper::default(),
            waiters: Waiters::default(),
            effects: Vec::new(),
            suspects: VecDeque::new(),
            attention: Attention::default(),
            alarm: None,
            epoch_seen: None,
            slots_asked: 0,
            slots_open: BTreeSet::new(),
            map_safety: None,
        }
    }
}

impl Shell {
    /// Lets `event` happen in the middle of a command. Whoever it leaves next in line
    /// for a lock that may be free is looked at as soon as the command is over; so is
    /// what is late by the time that the command saw, before the next command of
    /// anybody who was told of it.
    pub(super) fn step(
        &mut self,
        now: BootTime,
        event: Event<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let ready_before = self.locks.lines_ready();
        let answer = self.locks.step(now, event, effects);
        // What is late on a replica is its master's to end.
        let is_late =
            self.role == Role::Master && self.locks.next_deadline().is_some_and(|due| due <= now);
        if is_late || self.locks.lines_ready() > ready_before {
            self.attention = Attention::Wanted;
        }
        answer
    }

    /// A lease may end before the alarm rings: has it set again before the loop goes
    /// to sleep.
    pub(super) fn wake_for_deadline(&mut self) {
        let leases = self.locks.next_deadline();
        let waits = self.locks.next_wait_deadline();
        let Some(deadline) = earlier(leases, waits) else {
            return;
        };
        let alarm = self.alarm.as_ref();
        if !alarm.is_some_and(|alarm| alarm.rings_by(deadline)) {
            self.attention = Attention::Wanted;
        }
    }
}

/// The earlier of two times, if there is any.
pub(super) fn earlier(one: Option<BootTime>, other: Option<BootTime>) -> Option<BootTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

struct UnderTheServersLock(RefCell<Shell>);

// SAFETY: everything but `free` of a value runs under the server's global lock,
// one call at a time; `free` comes here on the thread that loads only.
unsafe impl Sync for UnderTheServersLock {}
// SAFETY: as above; which thread holds the lock does not matter.
unsafe impl Send for UnderTheServersLock {}

lazy_static! {
    static ref SHELL: UnderTheServersLock = UnderTheServersLock(RefCell::default());
}

/// Lends the global to `use_it`.
///
/// # Panics
/// If it is lent already: a bug, which the fence turns into an error reply.
pub(super) fn with<R>(use_it: impl FnOnce(&mut Shell) -> R) -> R {
    use_it(&mut SHELL.0.borrow_mut())
}
