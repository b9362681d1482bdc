//! What happened, for those who watch: counted for INFO, and listed for keyspace
//! events while somebody listens.
//!
//! Only what this server decides is noted. What a replica or a server that loads a
//! file repeats was noted where it happened.
//!
//! The end of a hold is noted once: where somebody brings it about (RELEASE, the end
//! of a session, DEL), or else when a lease that ran out is seen to.

mod histogram;
mod timeline;

pub use histogram::Histogram;
pub use timeline::Timeline;

use super::bytes::ShortBytes;
use super::holders::{CoolingNews, HoldRef};
use super::token::Token;

/// What can happen to a lock. The names of the keyspace events are made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody was granted.
    Acquired,
    /// A holder gave it up.
    Released,
    /// A holder's lease or token moved.
    Extended,
    /// A hold ended by itself: its lease ran out, or its connection went.
    Expired,
    /// The holders were there still, and the key went.
    Broken,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// The database.
    pub db: u32,
    /// The key's name.
    pub key: ShortBytes,
    /// What happened.
    pub what: What,
}

/// Whether anybody wants the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listeners {
    /// It is not kept.
    #[default]
    None,
    /// It is kept until [`Journal::take_happenings`].
    Some,
}

/// Whose doing it is what happens here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// That of a master, or of a file: it was noted there.
    #[default]
    Elsewhere,
    /// That of this server and its clients.
    Here,
}

/// Whether the end of a hold was noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Noted {
    /// Not yet.
    #[default]
    No,
    /// It was.
    Yes,
}

/// How often what happened since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were granted without waiting.
    pub grants_at_once: u64,
    /// Owners who were granted in line.
    pub grants_after_wait: u64,
    /// Tries that were told that others hold the lock or are first in line.
    pub failed_tries: u64,
    /// Connections whose BLOCK ran out.
    pub wait_timeouts: u64,
    /// Connections that were told that too many wait.
    pub refused_waits: u64,
    /// Holds that were given up.
    pub releases: u64,
    /// EXTENDs that were answered with yes or a token, and ACQUIREs by the holder.
    pub extends: u64,
    /// Holds whose lease ran out.
    pub expired_leases: u64,
    /// Holds that ended with their connection.
    pub session_ends: u64,
    /// Holds whose key went while they were live.
    pub forced_breaks: u64,
    /// Guarded commands that were refused because the token was not live.
    pub stale_guards: u64,
}

/// The notes.
#[derive(Debug, Default)]
pub struct Journal {
    counts: Counts,
    waits: Histogram,
    /// When which token was issued.
    pub(super) timeline: Timeline,
    happenings: Vec<Happening>,
    listeners: Listeners,
    origin: Origin,
    /// Whether holds began or ended here that were noted elsewhere.
    has_gaps: bool,
    /// The hold that is being given up in this step: its end is noted.
    pub(super) closing: Option<Token>,
}

impl Journal {
    /// How often what happened.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How long those waited who were granted in line, in microseconds.
    pub fn waits(&self) -> &Histogram {
        &self.waits
    }

    /// From now on the list is kept, or not.
    pub fn set_listeners(&mut self, listeners: Listeners) {
        self.listeners = listeners;
    }

    /// Whether the list has entries.
    pub fn has_happenings(&self) -> bool {
        !self.happenings.is_empty()
    }

    /// The list so far, in the order in which it happened.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// A guarded command was refused because its token is not live.
    pub fn stale_guard(&mut self) {
        self.counts.stale_guards += 1;
    }

    pub(super) fn granted_at_once(&mut self, (db, key): (u32, &[u8])) {
        self.counts.grants_at_once += 1;
        self.list(db, key, What::Acquired);
    }

    pub(super) fn granted_in_line(&mut self, (db, key): (u32, &[u8]), waited_us: u64) {
        self.counts.grants_after_wait += 1;
        self.waits.add(waited_us);
        self.list(db, key, What::Acquired);
    }

    pub(super) fn try_failed(&mut self) {
        self.counts.failed_tries += 1;
    }

    pub(super) fn wait_ran_out(&mut self) {
        self.counts.wait_timeouts += 1;
    }

    pub(super) fn wait_refused(&mut self) {
        self.counts.refused_waits += 1;
    }

    pub(super) fn released(&mut self, (db, key): (u32, &[u8])) {
        self.counts.releases += 1;
        self.list(db, key, What::Released);
    }

    /// The holder asked for more time, or for its hold again.
    pub(super) fn extend_granted(&mut self) {
        self.counts.extends += 1;
    }

    /// Its lease or token moved by that.
    pub(super) fn moved(&mut self, (db, key): (u32, &[u8])) {
        self.list(db, key, What::Extended);
    }

    pub(super) fn session_ended(&mut self, (db, key): (u32, &[u8])) {
        self.counts.session_ends += 1;
        self.list(db, key, What::Expired);
    }

    /// A hold is over, or cools. Noted unless it was before.
    pub(super) fn lapsed(&mut self, (db, key): (u32, &[u8]), hold: HoldRef<'_>) {
        if is_noted(hold) || self.closing == Some(hold.token) || self.origin == Origin::Elsewhere {
            return;
        }
        self.counts.expired_leases += 1;
        self.list(db, key, What::Expired);
    }

    /// A key went that so many held.
    pub(super) fn broken(&mut self, (db, key): (u32, &[u8]), holds: usize) {
        if holds > 0 && self.origin == Origin::Here {
            self.counts.forced_breaks += holds as u64;
            self.list(db, key, What::Broken);
        }
    }

    /// A lock went with its whole database: that is no event of the lock.
    pub(super) fn flushed(&mut self, holds: usize) {
        if self.origin == Origin::Here {
            self.counts.forced_breaks += holds as u64;
        }
    }

    /// From now on what happens is this server's doing, or not.
    pub(super) fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
        self.has_gaps |= origin == Origin::Elsewhere;
    }

    /// A hold came or went by the word of a master or a file.
    pub(super) fn repeated(&mut self) {
        self.has_gaps = true;
    }

    /// Whether all holds that began here have ended here, but for so many.
    pub(super) fn balances(&self, open: u64) -> bool {
        let counts = self.counts;
        let began = counts.grants_at_once + counts.grants_after_wait;
        let by_somebody = counts.releases + counts.session_ends + counts.forced_breaks;
        let ended = by_somebody + counts.expired_leases;
        self.origin == Origin::Elsewhere || self.has_gaps || began == ended + open
    }

    fn list(&mut self, db: u32, key: &[u8], what: What) {
        if self.listeners == Listeners::Some {
            let key = key.into();
            self.happenings.push(Happening { db, key, what });
        }
    }
}

/// Whether the end of a hold was noted already.
pub(super) fn is_noted(hold: HoldRef<'_>) -> bool {
    hold.noted == Noted::Yes || hold.cooling == CoolingNews::Said
}
