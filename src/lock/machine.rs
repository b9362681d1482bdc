//! The machine: one [`Locks::step`] through which all state changes.
//!
//! This file owns the rules of the lock: who is granted, what a repeated
//! request means, what a lease and a token may do. It asks for nothing and does
//! nothing: time comes in, effects go out. See `mod.rs` for the picture.

use super::deadlines::DeadlineQueue;
use super::effect::{Effect, News};
use super::event::{Answer, Event, Extension, Patience, Place};
use super::holders::{CoolingNews, Hold};
use super::journal::{Journal, Noted, Origin};
use super::line::Lines;
use super::slots::Slot;
use super::table::{ClientId, Lock, LockId, Table};
use super::time::{BootTime, Delay, Ttl, WallTime};
use super::token::{Token, Tokens};
use super::tolerance::Tolerance;
use super::upkeep::{KeysOfTheEnded, Reclaim};
use std::collections::BTreeSet;

/// All locks of one server, and the counter their tokens come from.
#[derive(Debug, Default)]
pub struct Locks {
    pub(super) table: Table,
    pub(super) deadlines: DeadlineQueue,
    pub(super) lines: Lines,
    /// Which holds are bound to which connections.
    pub(super) sessions: BTreeSet<(ClientId, LockId, Token)>,
    pub(super) tokens: Tokens,
    pub(super) reclaim: Option<Reclaim>,
    pub(super) journal: Journal,
    /// Nothing is granted before then.
    pub(super) quarantine: Option<BootTime>,
}

/// What somebody who wants a lock asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) owner: &'a [u8],
    pub(super) ttl: Ttl,
    pub(super) session: Option<ClientId>,
    pub(super) tolerates: Tolerance,
    pub(super) delay: Delay,
}

impl<'a> Claim<'a> {
    fn new(
        owner: &'a [u8],
        (ttl, session): (Ttl, Option<ClientId>),
        tolerates: Tolerance,
        delay: Delay,
    ) -> Self {
        Self {
            owner,
            ttl,
            session,
            tolerates,
            delay,
        }
    }
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
                tolerates,
                delay,
                patience,
            } => {
                let claim = Claim::new(owner, (ttl, session), tolerates, delay);
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
            Event::Unlinked { lock } => self.unlinked(now, lock),
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
            Event::Demoted => {
                self.journal.set_origin(Origin::Elsewhere);
                self.forget_sessions(now)
            }
            Event::Quarantine(until) => self.set_quarantine(until),
            Event::Flushed { db } => self.end_all(&[db], KeysOfTheEnded::Gone),
            Event::Swapped { dbs: [one, other] } => {
                self.end_all(&[Some(one), Some(other)], KeysOfTheEnded::SomewhereStill)
            }
            Event::Reclaim { most } => self.reclaim(most, effects),
            Event::ApplyGrant {
                at,
                owner,
                token,
                lease,
                tolerates,
                delay,
            } => {
                let deadline = lease.map_or(now, |ttl| now.after(ttl));
                let mut hold = Hold::unbound(owner, (token, deadline), tolerates, delay);
                if lease.is_none() {
                    // Who says so knows it already.
                    hold.cooling = CoolingNews::Said;
                }
                self.apply_grant(now, at, hold, effects)
            }
            Event::ApplyEnd { at, owner, token } => self.apply_end(now, at, owner, token, effects),
            Event::ApplyCover(_) | Event::LoadCounter(_) | Event::OpenTerm(_) | Event::LogBegun => {
                self.step_tokens(event)
            }
        }
    }

    /// What concerns the counter alone.
    fn step_tokens(&mut self, event: Event<'_>) -> Answer {
        match event {
            Event::ApplyCover(cover) => self.tokens.observe_cover(cover),
            Event::LoadCounter(stored) => {
                if self.tokens.load(stored).is_err() {
                    return Answer::OutOfRange;
                }
            }
            Event::OpenTerm(wall) => {
                self.journal.set_origin(Origin::Here);
                self.tokens.open_term(wall);
            }
            Event::LogBegun => self.tokens.lose_cover(),
            _ => unreachable!("this is not about the counter"),
        }
        Answer::Yes
    }

    fn acquire(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        claim: &Claim<'_>,
        patience: Patience,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let mut found = None;
        let mut admits = true;
        if let Some((id, holders)) = self.look_at_holders(now, at) {
            if let Some(hold) = holders.live_of(now, claim.owner) {
                if hold.tolerates != claim.tolerates {
                    return Answer::OtherTolerance;
                }
                let token = hold.token;
                return self.acquire_again(now, (at, id, token), claim, effects);
            }
            found = Some(id);
            admits = holders.admit(now, claim.tolerates);
        }
        if let (Some(left), true) = (self.quarantine_left(now), admits) {
            return match self.wait(now, at, claim, patience) {
                Answer::NoToken => Answer::Quarantine(left),
                answer => answer,
            };
        }
        // Somebody was here first, though the lock may be free at this instant.
        if !admits || self.lines.has_line(at.db, at.key) {
            return self.wait(now, at, claim, patience);
        }
        let Some((_, token)) = self.grant(now, (at, found), claim, effects) else {
            return Answer::TokensExhausted;
        };
        self.journal.granted_at_once((at.db, at.key));
        effects.push(Effect::Signal);
        Answer::Token(token)
    }

    /// The same owner again: the same hold, the same token.
    fn acquire_again(
        &mut self,
        now: BootTime,
        (at, id, token): (Place<'_>, LockId, Token),
        claim: &Claim<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        self.lines.heard(id, token);
        self.bind(now, (id, token), claim.session);
        let is_later = self.move_lease(now, (id, token), claim.ttl);
        let is_changed = self.change_delay(now, (id, token), claim.delay);
        self.journal.extend_granted();
        if is_later || is_changed {
            self.journal.moved((at.db, at.key));
            self.tell_of(now, (id, token), claim.ttl, effects);
        }
        Answer::Token(token)
    }

    fn release(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        only: Option<Token>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let found = self.look(now, at);
        if let Some((id, hold)) = self.live_hold(now, found, owner) {
            let token = hold.token;
            if only.is_none_or(|only| only == token) {
                self.journal.released((at.db, at.key));
                self.give_up(now, (at, id), (&[token], Noted::Yes), effects);
                return Answer::Yes;
            }
        }
        // Who waits for its own hold to cool gives up both: it leaves the line before
        // that moves on. A token names a hold; who waits has none that it could mean.
        if only.is_none() {
            self.leave_line(at, owner, effects);
        }
        // The hold was lost, but need not cool any longer.
        if let Some(id) = found {
            let lock = self.table.get(id);
            let cooling = lock.map(|lock| lock.holders.cooling_of(now, owner));
            let mut cooling = cooling.unwrap_or_default();
            cooling.retain(|token| only.is_none_or(|only| only == *token));
            if !cooling.is_empty() {
                self.give_up(now, (at, id), (&cooling, Noted::No), effects);
            }
        }
        Answer::No
    }

    fn extend(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        owner: &[u8],
        (ttl, extension): (Ttl, Extension),
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let (only, refused) = match extension {
            Extension::Plain(only) => (only, Answer::No),
            Extension::Raise(token, wall) => {
                let most = self.tokens.raise_most(wall);
                if token > most {
                    return Answer::RaiseTooFar(most);
                }
                self.tokens.see_clock(wall);
                (None, Answer::NoToken)
            }
        };
        let found = self.look(now, at);
        let held = self.live_hold(now, found, owner);
        let Some((id, hold)) = held.filter(|(_, hold)| only.is_none_or(|only| only == hold.token))
        else {
            return refused;
        };
        let (mut token, tolerates) = (hold.token, hold.tolerates);
        let is_raise = matches!(extension, Extension::Raise(..));
        if is_raise && tolerates != Tolerance::ALONE {
            return Answer::NotAlone;
        }
        // Whoever is told of the hold here relies on it, with or without the reply
        // that the connection in line is waiting for.
        self.lines.heard(id, token);
        let is_later = self.move_lease(now, (id, token), ttl);
        let before = token;
        if let Extension::Raise(wanted, _) = extension {
            token = self.raise_token(now, (id, token), wanted);
        }
        self.journal.extend_granted();
        if is_later || token != before {
            self.journal.moved((at.db, at.key));
            self.tell_of(now, (id, token), ttl, effects);
        }
        if token != before {
            effects.push(Effect::Signal);
        }
        match extension {
            Extension::Plain(_) => Answer::Yes,
            Extension::Raise(..) => Answer::Token(token),
        }
    }

    fn fence(&mut self, now: BootTime, at: Place<'_>, token: Option<Token>) -> Answer {
        let holders = self.look_at_holders(now, at).map(|(_, holders)| holders);
        match (token, holders) {
            (None, holders) => holders
                .and_then(|holders| holders.lowest_live(now))
                .map_or(Answer::NoToken, Answer::Token),
            (Some(token), Some(holders)) if holders.live_with(now, token).is_some() => Answer::Yes,
            (Some(_), _) => Answer::No,
        }
    }

    /// The lock behind a handle, unless it is dead.
    pub fn lock(&self, id: LockId) -> Option<&Lock> {
        self.table.get(id)
    }

    /// Whether the table has the lock behind a handle, ended by FLUSH or not.
    pub fn is_in_table(&self, id: LockId) -> bool {
        self.table
            .at(id.slot())
            .is_some_and(|(there, _)| there == id)
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

    /// When the next lease ends, or the quarantine.
    pub fn next_deadline(&self) -> Option<BootTime> {
        let lease = self.deadlines.first().map(|(deadline, _)| deadline);
        match (lease, self.quarantine) {
            (Some(lease), Some(quarantine)) => Some(lease.min(quarantine)),
            (lease, quarantine) => lease.or(quarantine),
        }
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

    /// Notes the time, before something comes in that another server granted.
    pub fn see_clock(&mut self, wall: WallTime) {
        self.tokens.see_clock(wall);
    }

    /// What happened.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The same, for the shell's own notes and its list.
    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// A file is being loaded: what happens until the next term is not this server's
    /// doing.
    pub fn loading_began(&mut self) {
        self.journal.set_origin(Origin::Elsewhere);
    }

    /// How many owners stand in the longest line.
    pub fn longest_line(&self) -> u32 {
        self.lines.longest()
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
