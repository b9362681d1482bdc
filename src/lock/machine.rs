//! The machine: one [`Locks::step`] through which all state changes.
//!
//! This file owns the rules of the lock: who is granted, what a repeated
//! request means, what a lease and a token may do. It asks for nothing and does
//! nothing: time comes in, effects go out. See `mod.rs` for the picture.

use super::deadlines::DeadlineQueue;
use super::effect::Effect;
use super::event::{Answer, Event, Extension, Place};
use super::slots::Slot;
use super::table::{Hold, Lock, LockId, Table};
use super::time::{BootTime, Ttl, WallTime};
use super::token::{Token, Tokens};

/// All locks of one server, and the counter their tokens come from.
#[derive(Debug, Default)]
pub struct Locks {
    pub(super) table: Table,
    pub(super) deadlines: DeadlineQueue,
    tokens: Tokens,
    reclaim: Option<Reclaim>,
}

/// A walk over the table that frees what FLUSH and SWAPDB ended.
#[derive(Clone, Copy, Debug)]
struct Reclaim {
    next_slot: u32,
    keys: KeysOfTheEnded,
}

/// Whether keys with dead handles may be left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeysOfTheEnded {
    /// FLUSH took them all.
    Gone,
    /// SWAPDB left them, in one database or another.
    SomewhereStill,
}

impl Locks {
    /// Lets `event` happen at the time `now`. What the server must do is added
    /// to `effects`, in order; what the caller is told is returned.
    pub fn step(&mut self, now: BootTime, event: Event<'_>, effects: &mut Vec<Effect>) -> Answer {
        match event {
            Event::Acquire { at, owner, ttl } => self.acquire(now, at, owner, ttl, effects),
            Event::Release { at, owner, token } => self.release(now, at, owner, token, effects),
            Event::Extend {
                at,
                owner,
                ttl,
                extension,
            } => self.extend(now, at, owner, (ttl, extension), effects),
            Event::Fence { at, token } => self.fence(now, at, token),
            Event::Sweep { most } => self.sweep(now, most, effects),
            Event::Unlinked { lock } => match self.remove(lock) {
                Some(_) => Answer::Yes,
                None => Answer::No,
            },
            Event::Flushed { db } => self.end_all(&[db], KeysOfTheEnded::Gone),
            Event::Swapped { dbs: [one, other] } => {
                self.end_all(&[Some(one), Some(other)], KeysOfTheEnded::SomewhereStill)
            }
            Event::Reclaim { most } => self.reclaim(most, effects),
            Event::ApplyGrant {
                at,
                owner,
                token,
                ttl,
            } => {
                let deadline = now.after(ttl);
                self.apply_grant(at, owner, (token, deadline), effects)
            }
            Event::ApplyEnd { at, owner, token } => self.apply_end(at, owner, token, effects),
            Event::ApplyCover(cover) => {
                self.tokens.observe_cover(cover);
                Answer::Yes
            }
            Event::LoadCounter(stored) => match self.tokens.load(stored) {
                Ok(()) => Answer::Yes,
                Err(_) => Answer::OutOfRange,
            },
            Event::OpenTerm(wall) => {
                self.tokens.open_term(wall);
                Answer::Yes
            }
            Event::LogBegun => {
                self.tokens.lose_cover();
                Answer::Yes
            }
        }
    }

    fn acquire(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        ttl: Ttl,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let Some((id, lock)) = self.found(at) else {
            return self.grant_new(now, at, owner, ttl, effects);
        };
        if !lock.hold.is_live(now) {
            return self.grant_after_lapse(now, (at, id), owner, ttl, effects);
        }
        if *lock.hold.owner != *owner {
            return Answer::NoToken;
        }
        // The same owner again: the same hold, the same token.
        let token = lock.hold.token;
        if self.move_lease(now, id, ttl) {
            effects.extend(self.tokens.cover(ttl).map(Effect::Cover));
            effects.push(Effect::Grant { lock: id, ttl });
        }
        Answer::Token(token)
    }

    fn grant_new(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        ttl: Ttl,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let Some((token, cover)) = self.tokens.issue(ttl) else {
            return Answer::TokensExhausted;
        };
        let id = self.insert(at, owner, token, now.after(ttl));
        effects.extend(cover.map(Effect::Cover));
        effects.push(Effect::Store(id));
        effects.push(Effect::Grant { lock: id, ttl });
        effects.push(Effect::Signal);
        Answer::Token(token)
    }

    /// The lease ran out and the sweep has not come by: the old hold ends here.
    /// The new one gets a handle of its own, so that nothing of the old one is
    /// left, not even a TTL that somebody put on the key.
    fn grant_after_lapse(
        &mut self,
        now: BootTime,
        (at, id): (Place<'_>, LockId),
        owner: &[u8],
        ttl: Ttl,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let before = effects.len();
        let answer = self.grant_new(now, at, owner, ttl, effects);
        if answer == Answer::TokensExhausted {
            return answer;
        }
        if let Some(ended) = self.remove(id) {
            let end = Effect::End {
                owner: ended.hold.owner,
                token: ended.hold.token,
            };
            effects.insert(before, end);
        }
        answer
    }

    fn release(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        token: Option<Token>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let Some(id) = self.held_by(now, at, owner, token) else {
            return Answer::No;
        };
        self.end(id, effects);
        Answer::Yes
    }

    fn extend(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        (ttl, extension): (Ttl, Extension),
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let only = match extension {
            Extension::Plain(token) => token,
            Extension::Raise(token, wall) => {
                let most = self.tokens.raise_most(wall);
                if token > most {
                    return Answer::RaiseTooFar(most);
                }
                None
            }
        };
        let Some(id) = self.held_by(now, at, owner, only) else {
            return match extension {
                Extension::Plain(_) => Answer::No,
                Extension::Raise(..) => Answer::NoToken,
            };
        };
        let is_later = self.move_lease(now, id, ttl);
        let is_raised = match extension {
            Extension::Plain(_) => false,
            Extension::Raise(token, _) => self.raise_token(id, token),
        };
        let Some(lock) = self.table.get(id) else {
            return Answer::No;
        };
        if is_later || is_raised {
            let left = now.left_until(lock.hold.deadline);
            effects.extend(self.tokens.cover(ttl).map(Effect::Cover));
            effects.push(Effect::Grant {
                lock: id,
                ttl: left,
            });
        }
        if is_raised {
            effects.push(Effect::Signal);
        }
        match extension {
            Extension::Plain(_) => Answer::Yes,
            Extension::Raise(..) => Answer::Token(lock.hold.token),
        }
    }

    /// Makes the hold's token at least `token`; whether that changed it.
    fn raise_token(&mut self, id: LockId, token: Token) -> bool {
        let Some(lock) = self.table.get_mut(id) else {
            return false;
        };
        if token <= lock.hold.token {
            return false;
        }
        lock.hold.token = token;
        self.tokens.observe(token);
        true
    }

    /// Moves the lease to `max(what is left, ttl)`; whether that moved it.
    /// Nothing shortens a lease, so a late duplicate does no harm.
    fn move_lease(&mut self, now: BootTime, id: LockId, ttl: Ttl) -> bool {
        let deadline = now.after(ttl);
        match self.table.get_mut(id) {
            Some(lock) if lock.hold.deadline < deadline => lock.hold.deadline = deadline,
            _ => return false,
        }
        self.deadlines.set(id.slot(), deadline, &mut self.table);
        true
    }

    fn fence(&self, now: BootTime, at: Place<'_>, token: Option<Token>) -> Answer {
        let live = self.found(at).map(|(_, lock)| &lock.hold);
        let live = live.filter(|hold| hold.is_live(now));
        match (token, live) {
            (None, Some(hold)) => Answer::Token(hold.token),
            (None, None) => Answer::NoToken,
            (Some(token), Some(hold)) if hold.token == token => Answer::Yes,
            (Some(_), _) => Answer::No,
        }
    }

    fn sweep(&mut self, now: BootTime, most: usize, effects: &mut Vec<Effect>) -> Answer {
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

    fn apply_grant(
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
        if let Some(lock) = self.table.get_mut(id) {
            if *lock.hold.owner != *owner || lock.hold.token != token {
                effects.push(Effect::Signal);
            }
            lock.hold = Hold {
                owner: owner.into(),
                token,
                deadline,
            };
        }
        self.deadlines.set(id.slot(), deadline, &mut self.table);
        Answer::Yes
    }

    fn apply_end(
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
    fn end_all(&mut self, dbs: &[Option<u32>], keys: KeysOfTheEnded) -> Answer {
        for &db in dbs {
            self.table.end_all(db);
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

    fn reclaim(&mut self, most: u32, effects: &mut Vec<Effect>) -> Answer {
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

    fn insert(&mut self, at: Place<'_>, owner: &[u8], token: Token, deadline: BootTime) -> LockId {
        let hold = Hold {
            owner: owner.into(),
            token,
            deadline,
        };
        let id = self.table.insert(at.db, at.key, hold);
        self.deadlines.set(id.slot(), deadline, &mut self.table);
        id
    }

    /// Ends the lock: its handle is dead, its key must go.
    fn end(&mut self, id: LockId, effects: &mut Vec<Effect>) {
        let is_ended_with_all = self.table.get(id).is_none();
        let Some(lock) = self.remove(id) else { return };
        if is_ended_with_all {
            // FLUSH or SWAPDB was faster; if it left the key, it is somewhere.
            if self.keys_of_the_ended() == KeysOfTheEnded::SomewhereStill {
                effects.push(Effect::Search { key: lock.key });
            }
            return;
        }
        effects.push(Effect::Delete {
            db: lock.db,
            key: lock.key,
            lock: id,
        });
    }

    fn keys_of_the_ended(&self) -> KeysOfTheEnded {
        self.reclaim.map_or(KeysOfTheEnded::Gone, |walk| walk.keys)
    }

    fn remove(&mut self, id: LockId) -> Option<Lock> {
        if self.table.at(id.slot())?.0 != id {
            return None;
        }
        self.deadlines.remove(id.slot(), &mut self.table);
        self.table.remove(id)
    }

    /// The lock under the key, if its handle is alive.
    fn found(&self, at: Place<'_>) -> Option<(LockId, &Lock)> {
        let id = at.lock?;
        Some((id, self.table.get(id)?))
    }

    /// The lock, if `owner` holds it now (with `token`, if one is given).
    fn held_by(
        &self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        token: Option<Token>,
    ) -> Option<LockId> {
        let (id, lock) = self.found(at)?;
        let hold = &lock.hold;
        let is_it = hold.is_live(now)
            && *hold.owner == *owner
            && token.is_none_or(|token| token == hold.token);
        is_it.then_some(id)
    }

    /// The lock behind a handle, unless it is dead.
    pub fn lock(&self, id: LockId) -> Option<&Lock> {
        self.table.get(id)
    }

    /// When the next lease ends.
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// Whether [`Event::Reclaim`] has something left to do.
    pub fn has_to_reclaim(&self) -> bool {
        self.reclaim.is_some()
    }

    /// Whether a grant for `key` needs [`Locks::enter_slot`] first. For servers
    /// in cluster mode only.
    pub fn is_new_slot(&self, key: &[u8]) -> bool {
        self.tokens.is_new_slot(Slot::of_key(key))
    }

    /// Opens a term for the slot of `key`, which this server may not have served
    /// all the time.
    pub fn enter_slot(&mut self, key: &[u8], wall: WallTime) {
        self.tokens.enter_slot(Slot::of_key(key), wall);
    }

    /// Forgets a slot that went elsewhere: another server may issue tokens for
    /// its keys.
    pub fn leave_slot(&mut self, slot: Slot) {
        self.tokens.leave_slot(slot);
    }

    /// The counter, to be read.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The cover, if it must be written again although nobody was granted.
    pub fn take_lost_cover(&mut self) -> Option<super::token::Cover> {
        self.tokens.take_lost_cover()
    }

    /// How many locks the table holds.
    pub fn len(&self) -> usize {
        self.table.taken()
    }

    /// Whether the table holds no lock.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that one lock occupies in table and queue, without what its key
    /// and owner need on the heap.
    pub const BYTES_PER_LOCK: usize = Table::BYTES_PER_SLOT + DeadlineQueue::BYTES_PER_ENTRY;
}
