//! The machine: one [`Locks::step`] through which all state changes.
//!
//! This file owns the rules of the lock: who is granted, what a repeated
//! request means, what a lease and a token may do. It asks for nothing and does
//! nothing: time comes in, effects go out. See `mod.rs` for the picture.

use super::deadlines::DeadlineQueue;
use super::effect::{Effect, News};
use super::event::{Answer, Event, Extension, Patience, Place};
use super::line::Lines;
use super::slots::Slot;
use super::table::{ClientId, Hold, Lock, LockId, Table};
use super::time::{BootTime, Ttl, WallTime};
use super::token::{Token, Tokens};
use super::upkeep::{KeysOfTheEnded, Reclaim};
use std::collections::BTreeSet;

/// All locks of one server, and the counter their tokens come from.
#[derive(Debug, Default)]
pub struct Locks {
    pub(super) table: Table,
    pub(super) deadlines: DeadlineQueue,
    pub(super) lines: Lines,
    /// Which holds are bound to which connections.
    pub(super) sessions: BTreeSet<(ClientId, LockId)>,
    pub(super) tokens: Tokens,
    pub(super) reclaim: Option<Reclaim>,
}

/// What somebody who wants a lock asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) owner: &'a [u8],
    pub(super) ttl: Ttl,
    pub(super) session: Option<ClientId>,
}

impl Locks {
    /// Lets `event` happen at the time `now`. What the server must do is added
    /// to `effects`, in order; what the caller is told is returned.
    pub fn step(&mut self, now: BootTime, event: Event<'_>, effects: &mut Vec<Effect>) -> Answer {
        match event {
            Event::Acquire {
                at,
                owner,
                ttl,
                session,
                patience,
            } => {
                let claim = Claim {
                    owner,
                    ttl,
                    session,
                };
                self.acquire(now, at, &claim, patience, effects)
            }
            Event::Release { at, owner, token } => self.release(now, at, owner, token, effects),
            Event::Extend {
                at,
                owner,
                ttl,
                extension,
            } => self.extend(now, at, owner, (ttl, extension), effects),
            Event::Fence { at, token } => self.fence(now, at, token),
            Event::Sweep { most } => self.sweep(now, most, effects),
            Event::Unlinked { lock } => self.unlinked(lock),
            Event::SweepWaits { most } => self.sweep_waits(now, most, effects),
            Event::GrantNext { at } => self.grant_next(now, at, effects),
            Event::KeyTaken { db, key } => self.send_away(db, key, News::WrongType, effects),
            Event::SlotLeft(slot) => self.slot_left(slot, effects),
            Event::SlotOpen(slot) => self.slot_open(slot),
            Event::TicketGone(ticket) => self.ticket_gone(now, ticket),
            Event::TicketDelivered(ticket) => {
                self.lines.delivered(ticket);
                Answer::Yes
            }
            Event::SessionEnded(client) => self.session_ended(now, client),
            Event::Demoted => self.forget_sessions(),
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
        claim: &Claim<'_>,
        patience: Patience,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        match self.found(at) {
            Some((id, lock)) if lock.hold.is_live(now) => {
                if *lock.hold.owner == *claim.owner {
                    return self.acquire_again(now, id, claim, effects);
                }
            }
            // Somebody was here first, though nobody holds it at this instant.
            _ if self.lines.has_line(at.db, at.key) => {}
            Some((id, _)) => return self.grant_after_lapse(now, (at, id), claim, effects),
            None => return self.grant_new(now, at, claim, effects),
        }
        self.wait(at, claim, patience)
    }

    /// The same owner again: the same hold, the same token.
    fn acquire_again(
        &mut self,
        now: BootTime,
        id: LockId,
        claim: &Claim<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let Some(lock) = self.table.get(id) else {
            return Answer::NoToken;
        };
        let token = lock.hold.token;
        self.lines.heard(id);
        self.bind(id, claim.session);
        if self.move_lease(now, id, claim.ttl) {
            effects.extend(self.tokens.cover(claim.ttl).map(Effect::Cover));
            effects.push(Effect::Grant {
                lock: id,
                ttl: claim.ttl,
            });
        }
        Answer::Token(token)
    }

    pub(super) fn grant_new(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        claim: &Claim<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let Some((token, cover)) = self.tokens.issue(claim.ttl) else {
            return Answer::TokensExhausted;
        };
        let id = self.insert(at, claim.owner, token, now.after(claim.ttl));
        self.bind(id, claim.session);
        effects.extend(cover.map(Effect::Cover));
        effects.push(Effect::Store(id));
        effects.push(Effect::Grant {
            lock: id,
            ttl: claim.ttl,
        });
        effects.push(Effect::Signal);
        Answer::Token(token)
    }

    /// The lease ran out and the sweep has not come by: the old hold ends here.
    /// The new one gets a handle of its own, so that nothing of the old one is
    /// left, not even a TTL that somebody put on the key.
    pub(super) fn grant_after_lapse(
        &mut self,
        now: BootTime,
        (at, id): (Place<'_>, LockId),
        claim: &Claim<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let before = effects.len();
        let answer = self.grant_new(now, at, claim, effects);
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
            // A token names a hold; who waits has none that it could mean.
            if token.is_none() {
                self.leave_line(at, owner, effects);
            }
            return Answer::No;
        };
        if self.lines.has_line(at.db, at.key) {
            self.hand_over(now, (at, id), effects);
        } else {
            self.end(id, effects);
        }
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
        // Whoever is told of the hold here relies on it, with or without the reply
        // that the connection in line is waiting for.
        self.lines.heard(id);
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
    pub(super) fn move_lease(&mut self, now: BootTime, id: LockId, ttl: Ttl) -> bool {
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

    pub(super) fn insert(
        &mut self,
        at: Place<'_>,
        owner: &[u8],
        token: Token,
        deadline: BootTime,
    ) -> LockId {
        let hold = Hold {
            owner: owner.into(),
            token,
            deadline,
            session: None,
        };
        let id = self.table.insert(at.db, at.key, hold);
        self.deadlines.set(id.slot(), deadline, &mut self.table);
        id
    }

    /// Ends the lock: its handle is dead, its key must go.
    pub(super) fn end(&mut self, id: LockId, effects: &mut Vec<Effect>) {
        let is_ended_with_all = self.table.get(id).is_none();
        let Some(lock) = self.remove(id) else { return };
        self.lines.note_ready(lock.db, &lock.key);
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

    pub(super) fn remove(&mut self, id: LockId) -> Option<Lock> {
        if self.table.at(id.slot())?.0 != id {
            return None;
        }
        self.deadlines.remove(id.slot(), &mut self.table);
        self.lines.heard(id);
        let lock = self.table.remove(id)?;
        // Not by `bind`, which knows nothing of locks that FLUSH or SWAPDB ended.
        if let Some(client) = lock.hold.session {
            self.sessions.remove(&(client, id));
        }
        Some(lock)
    }

    /// Binds the hold to a connection, or to none.
    pub(super) fn bind(&mut self, id: LockId, session: Option<ClientId>) {
        let Some(lock) = self.table.get_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut lock.hold.session, session);
        if before == session {
            return;
        }
        if let Some(client) = before {
            self.sessions.remove(&(client, id));
        }
        if let Some(client) = session {
            self.sessions.insert((client, id));
        }
    }

    /// The lock under the key, if its handle is alive.
    pub(super) fn found(&self, at: Place<'_>) -> Option<(LockId, &Lock)> {
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

    /// When the next connection stops waiting.
    pub fn next_wait_deadline(&self) -> Option<BootTime> {
        self.lines.next_deadline()
    }

    /// How many connections wait.
    pub fn waiting(&self) -> usize {
        self.lines.waiting()
    }

    /// How many lines are to be looked at, at most.
    pub fn lines_ready(&self) -> usize {
        self.lines.ready()
    }

    /// The key of a line that is to be looked at ([`Event::GrantNext`]).
    pub fn take_ready_line(&mut self) -> Option<(u32, super::bytes::ShortBytes)> {
        self.lines.take_ready()
    }

    /// That line could not be looked at: later, then.
    pub fn put_ready_line_back(&mut self, db: u32, key: &[u8]) {
        self.lines.note_ready(db, key);
    }

    /// Whether any hold is bound to a connection.
    pub fn has_sessions(&self) -> bool {
        !self.sessions.is_empty()
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
