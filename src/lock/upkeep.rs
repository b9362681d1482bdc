//! The part of `step` in which things end or arrive by themselves: leases that
//! run out, databases that are emptied, and what a master or a file says.

use super::effect::Effect;
use super::event::{Answer, Place};
use super::holders::{Hold, HoldRef};
use super::journal::Noted;
use super::machine::Locks;
use super::many::LOOK_MOST;
use super::table::{Lock, LockId};
use super::time::{BootTime, Delay};
use super::token::Token;
use super::tolerance::Tolerance;

/// When a lock is swept again if nobody could look at it.
const LOOK_AGAIN: Delay = Delay::short(100);

/// A walk over the table that frees what FLUSH and SWAPDB ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reclaim {
    next_slot: u32,
    keys: KeysOfTheEnded,
}

/// Whether keys with dead handles may be left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysOfTheEnded {
    /// FLUSH took them all.
    Gone,
    /// SWAPDB left them, in one database or another.
    SomewhereStill,
}

impl Locks {
    /// The server took the key's value out of the keyspace.
    pub(super) fn unlinked(&mut self, now: BootTime, id: LockId) -> Answer {
        match self.remove(id) {
            Some(lock) => {
                self.note_broken(now, &lock);
                self.lines.note_ready(lock.db, &lock.key);
                Answer::Yes
            }
            None => Answer::No,
        }
    }

    /// The key went. Holds that were over by then were not broken.
    fn note_broken(&mut self, now: BootTime, lock: &Lock) {
        let lapsed = lock.holders.iter().filter(|hold| !hold.is_live(now));
        for hold in lapsed {
            self.journal.lapsed((lock.db, &lock.key), hold);
        }
        let live = lock.holders.iter().filter(|hold| hold.is_live(now));
        self.journal.broken((lock.db, &lock.key), live.count());
    }

    pub(super) fn sweep(
        &mut self,
        now: BootTime,
        most: usize,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        self.sweep_quarantine(now);
        let mut moved = 0;
        for _ in 0..most {
            match self.deadlines.first() {
                Some((deadline, slot)) if deadline <= now => {
                    let Some((id, _)) = self.table.at(slot) else {
                        unreachable!("the queue holds deadlines of locks in the table");
                    };
                    moved += self.sweep_lock(now, id, effects);
                    // A lock that is not finished is still the first in the queue.
                    if moved >= LOOK_MOST {
                        break;
                    }
                }
                _ => break,
            }
        }
        Answer::Yes
    }

    /// Something in the lock changed by itself. How many of its many holds did.
    fn sweep_lock(&mut self, now: BootTime, id: LockId, effects: &mut Vec<Effect>) -> usize {
        let Some(lock) = self.table.get_mut(id) else {
            self.end(id, effects);
            return 0;
        };
        let moved = lock.holders.look(now);
        if !lock.holders.is_behind(now) && lock.holders.count(now) == 0 {
            self.end(id, effects);
            return moved;
        }
        let has_news = lock.holders.has_news(now);
        if has_news {
            effects.push(Effect::Look {
                db: lock.db,
                key: lock.key.clone(),
            });
        }
        // News are seen to by whoever looks; if that may not be now, again soon.
        let mut end = lock.holders.next_end().unwrap_or(now);
        if has_news {
            end = end.min(now.after_delay(LOOK_AGAIN));
        }
        self.deadlines.set(id.slot(), end, &mut self.table);
        moved
    }

    pub(super) fn apply_grant(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        hold: Hold,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        self.journal.repeated();
        self.tokens.observe(hold.token);
        self.journal.timeline.note(now, hold.token);
        let Some(id) = self.look(now, at) else {
            let id = self.insert(at, hold);
            effects.push(Effect::Store(id));
            effects.push(Effect::Signal);
            return Answer::Yes;
        };
        let is_known = self
            .hold((id, hold.token))
            .is_some_and(|it| *it.owner == *hold.owner);
        if !is_known || !hold.is_live(now) {
            effects.push(Effect::Signal);
        }
        if hold.tolerates == Tolerance::ALONE {
            // Whoever else was there is not there any more; and RAISE gave the same
            // hold another token.
            self.replace_all(now, id, hold);
            return Answer::Yes;
        }
        // There the owner's earlier hold is not live any more; here it may be. (A hold
        // that cools is the earlier one itself, if a file lists it behind.)
        let is_live = hold.is_live(now);
        let before = self.live_hold(now, Some(id), &hold.owner);
        let before = before.filter(|_| is_live);
        let before = before.map(|(_, before)| before.token);
        if let Some(before) = before.filter(|before| *before != hold.token) {
            self.cut_short(now, (id, before), Delay::MOST, Noted::Yes);
        }
        self.put(now, id, hold);
        Answer::Yes
    }

    pub(super) fn apply_end(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        token: Token,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        self.journal.repeated();
        let found = self
            .look(now, at)
            .and_then(|id| Some((id, self.table.get_mut(id)?)));
        let Some((id, lock)) = found else {
            return Answer::No;
        };
        let is_it = |hold: HoldRef<'_>| *hold.owner == *owner;
        if !lock.holders.with_token(token).is_some_and(is_it) {
            return Answer::No;
        }
        match lock.holders.take(token) {
            Some(hold) => {
                self.forget(id, hold.view());
                self.queue(now, id);
                effects.push(Effect::Signal);
            }
            None => {
                self.journal.closing = Some(token);
                self.end(id, effects);
                self.journal.closing = None;
            }
        }
        Answer::Yes
    }

    /// Ends all locks of the databases; their memory is reclaimed in slices.
    pub(super) fn end_all(&mut self, dbs: &[Option<u32>], keys: KeysOfTheEnded) -> Answer {
        for &db in dbs {
            self.table.end_all(db);
            self.lines.note_all_ready(db);
        }
        let keys = match self.reclaim {
            Some(unfinished) if unfinished.keys == KeysOfTheEnded::SomewhereStill => {
                KeysOfTheEnded::SomewhereStill
            }
            _ => keys,
        };
        self.reclaim = Some(Reclaim { next_slot: 0, keys });
        Answer::Yes
    }

    pub(super) fn reclaim(&mut self, most: u32, effects: &mut Vec<Effect>) -> Answer {
        let Some(reclaim) = self.reclaim else {
            return Answer::Yes;
        };
        let end = reclaim
            .next_slot
            .saturating_add(most)
            .min(self.table.slots());
        for slot in reclaim.next_slot..end {
            let ended = match self.table.at(slot) {
                Some((id, lock)) if self.table.is_ended(lock) => id,
                _ => continue,
            };
            let Some(lock) = self.remove(ended) else {
                continue;
            };
            self.note_flushed(&lock);
            if reclaim.keys == KeysOfTheEnded::SomewhereStill {
                effects.push(Effect::Search { key: lock.key });
            }
        }
        let is_finished = end == self.table.slots();
        self.reclaim = (!is_finished).then_some(Reclaim {
            next_slot: end,
            ..reclaim
        });
        Answer::Yes
    }

    pub(super) fn keys_of_the_ended(&self) -> KeysOfTheEnded {
        self.reclaim.map_or(KeysOfTheEnded::Gone, |walk| walk.keys)
    }
}
