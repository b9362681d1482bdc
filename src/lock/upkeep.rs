//! The part of `step` in which things end or arrive by themselves: leases that
//! run out, databases that are emptied, and what a master or a file says.

use super::effect::Effect;
use super::event::{Answer, Place};
use super::machine::Locks;
use super::table::{Hold, LockId};
use super::time::BootTime;
use super::token::Token;

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
    pub(super) fn unlinked(&mut self, id: LockId) -> Answer {
        match self.remove(id) {
            Some(lock) => {
                self.lines.note_ready(lock.db, &lock.key);
                Answer::Yes
            }
            None => Answer::No,
        }
    }

    pub(super) fn sweep(
        &mut self,
        now: BootTime,
        most: usize,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        for _ in 0..most {
            match self.deadlines.first() {
                Some((deadline, slot)) if deadline <= now => {
                    let Some((id, _)) = self.table.at(slot) else {
                        unreachable!("the queue holds deadlines of locks in the table");
                    };
                    self.end(id, effects);
                }
                _ => break,
            }
        }
        Answer::Yes
    }

    pub(super) fn apply_grant(
        &mut self,
        at: Place<'_>,
        owner: &[u8],
        (token, deadline): (Token, BootTime),
        effects: &mut Vec<Effect>,
    ) -> Answer {
        self.tokens.observe(token);
        let Some((id, _)) = self.found(at) else {
            let id = self.insert(at, owner, token, deadline);
            effects.push(Effect::Store(id));
            effects.push(Effect::Signal);
            return Answer::Yes;
        };
        // The session was with this server, before it had a master.
        self.bind(id, None);
        if let Some(lock) = self.table.get_mut(id) {
            if *lock.hold.owner != *owner || lock.hold.token != token {
                effects.push(Effect::Signal);
            }
            lock.hold = Hold {
                owner: owner.into(),
                token,
                deadline,
                session: None,
            };
        }
        self.deadlines.set(id.slot(), deadline, &mut self.table);
        Answer::Yes
    }

    pub(super) fn apply_end(
        &mut self,
        at: Place<'_>,
        owner: &[u8],
        token: Token,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        match self.found(at) {
            Some((id, lock)) if *lock.hold.owner == *owner && lock.hold.token == token => {
                self.end(id, effects);
                Answer::Yes
            }
            _ => Answer::No,
        }
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
            if let (Some(lock), KeysOfTheEnded::SomewhereStill) = (self.remove(ended), reclaim.keys)
            {
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
