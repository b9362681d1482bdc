//! The part of `step` in which holds begin, change and end.
//!
//! One lock is one key with its holders. The key gets a new handle when its first
//! holder is granted, so that nothing of earlier ones is left, not even a TTL that
//! somebody put on the key; holders who join keep the handle.

use super::effect::{Effect, News};
use super::event::Place;
use super::holders::{CoolingNews, Hold, HoldRef, Holders};
use super::journal::{is_noted, Noted};
use super::machine::{Claim, Locks};
use super::table::{ClientId, Lock, LockId};
use super::time::{BootTime, Delay, Ttl};
use super::token::Token;
use super::tolerance::Tolerance;
use super::upkeep::KeysOfTheEnded;
use super::waiting::replies;

/// Holders let in by one step, at most; the next step goes on.
const LET_IN_MOST: usize = 1_024;

impl Locks {
    /// The lock under the key, if its handle is alive, as it is now. Asked before
    /// everything else that depends on time.
    pub(super) fn look(&mut self, now: BootTime, at: Place<'_>) -> Option<LockId> {
        self.look_at_holders(now, at).map(|(id, _)| id)
    }

    /// The same, with its holders.
    pub(super) fn look_at_holders(
        &mut self,
        now: BootTime,
        at: Place<'_>,
    ) -> Option<(LockId, &Holders)> {
        let id = at.lock?;
        let holders = &mut self.table.get_mut(id)?.holders;
        holders.look(now);
        Some((id, holders))
    }

    /// The live hold of an owner.
    pub(super) fn live_hold(
        &self,
        now: BootTime,
        found: Option<LockId>,
        owner: &[u8],
    ) -> Option<(LockId, HoldRef<'_>)> {
        let id = found?;
        Some((id, self.table.get(id)?.holders.live_of(now, owner)?))
    }

    /// Whether one more may hold the lock who tolerates so many.
    pub(super) fn admits(&self, now: BootTime, found: Option<LockId>, newcomer: Tolerance) -> bool {
        let lock = found.and_then(|id| self.table.get(id));
        lock.is_none_or(|lock| lock.holders.admit(now, newcomer))
    }

    /// Grants a lock that admits the claim. `None`: there are no tokens, and
    /// nothing changed. The caller signals the change.
    pub(super) fn grant(
        &mut self,
        now: BootTime,
        (at, found): (Place<'_>, Option<LockId>),
        claim: &Claim<'_>,
        effects: &mut Vec<Effect>,
    ) -> Option<(LockId, Token)> {
        let (token, cover) = self.tokens.issue(claim.ttl)?;
        self.journal.timeline.note(now, token);
        let until = (token, now.after(claim.ttl));
        let hold = Hold::unbound(claim.owner, until, claim.tolerates, claim.delay);
        let joined = found.filter(|&id| self.is_held(now, id));
        // Of a crowd whose time is over those that are left go in portions.
        let joined = joined.or_else(|| found.filter(|&id| self.is_behind(now, id)));
        let id = match joined {
            Some(id) => {
                self.announce(now, id, effects);
                if let Some(lock) = self.table.get_mut(id) {
                    lock.holders.join(now, hold);
                }
                self.queue(now, id);
                id
            }
            None => {
                if let Some(lock) = found.and_then(|id| self.remove(id)) {
                    effects.extend(lock.holders.iter().map(end_of));
                    self.note_lapsed(&lock);
                }
                self.insert(at, hold)
            }
        };
        if claim.session.is_some() {
            self.bind(now, (id, token), claim.session);
        }
        effects.extend(cover.map(Effect::Cover));
        if joined.is_none() {
            effects.push(Effect::Store(id));
        }
        effects.push(Effect::Grant {
            lock: id,
            token,
            ttl: claim.ttl,
        });
        Some((id, token))
    }

    /// Grants the lock to the heads of its line, as long as it admits them. Who
    /// is to hear of it is added to `told`; the caller signals the change.
    pub(super) fn let_in(
        &mut self,
        now: BootTime,
        (at, mut found): (Place<'_>, Option<LockId>),
        effects: &mut Vec<Effect>,
        told: &mut Vec<Effect>,
    ) {
        if self.quarantine_left(now).is_some() {
            return; // until that is over, when all lines are looked at
        }
        for _ in 0..LET_IN_MOST {
            match self.lines.head_tolerates(at.db, at.key) {
                Some(tolerates) if self.admits(now, found, tolerates) => {}
                _ => return,
            }
            let Some(head) = self.lines.take_head(at.db, at.key) else {
                return;
            };
            let claim = Claim {
                owner: &head.owner,
                ttl: head.ttl,
                session: head.session,
                tolerates: head.tolerates,
                delay: head.delay,
            };
            match self.grant(now, (at, found), &claim, effects) {
                Some((id, token)) => {
                    found = Some(id);
                    let waited_us = now.us_since(head.since);
                    self.journal.granted_in_line((at.db, at.key), waited_us);
                    let tickets = self.lines.granted(&head, id, token);
                    told.extend(replies(&tickets, News::Granted(token)));
                }
                None => {
                    // Nobody can be granted, now or later.
                    let tickets = self.lines.dismiss(&head);
                    told.extend(replies(&tickets, News::TokensExhausted));
                    self.send_away(at.db, at.key, News::TokensExhausted, told);
                    return;
                }
            }
        }
        self.lines.note_ready(at.db, at.key);
    }

    /// Holds are given up before their time; others are let in.
    pub(super) fn give_up(
        &mut self,
        now: BootTime,
        (at, id): (Place<'_>, LockId),
        (tokens, noted): (&[Token], Noted),
        effects: &mut Vec<Effect>,
    ) {
        // One at a time is given up by its holder.
        self.journal.closing = match (noted, tokens) {
            (Noted::Yes, &[token]) => Some(token),
            _ => None,
        };
        let is_last = self.count_to(now, id, tokens.len() + 1) == tokens.len();
        if is_last && !self.lines.has_line(at.db, at.key) {
            self.end(id, effects);
        } else {
            for &token in tokens {
                self.cut_short(now, (id, token), Delay::NONE, noted);
            }
            self.go_on(now, (at, id), effects);
        }
        self.journal.closing = None;
    }

    /// Nobody holds the lock: lets in who waits.
    pub(super) fn begin(&mut self, now: BootTime, at: Place<'_>, effects: &mut Vec<Effect>) {
        let (before, mut told) = (effects.len(), Vec::new());
        self.let_in(now, (at, None), effects, &mut told);
        if effects.len() > before {
            effects.push(Effect::Signal);
        }
        effects.extend(told);
    }

    /// Says which holds of the lock cool or are over, and lets others in.
    pub(super) fn go_on(
        &mut self,
        now: BootTime,
        (at, id): (Place<'_>, LockId),
        effects: &mut Vec<Effect>,
    ) {
        let (before, mut told) = (effects.len(), Vec::new());
        self.announce(now, id, effects);
        self.let_in(now, (at, Some(id)), effects, &mut told);
        let is_there = self.table.get(id).is_some();
        if is_there && !self.is_held(now, id) && !self.is_behind(now, id) {
            // Nobody was let in, or there are no tokens left.
            self.end(id, effects);
        } else if effects.len() > before {
            effects.push(Effect::Signal);
        }
        effects.extend(told);
    }

    /// Says of the lock's holds which of them cool and which are over, short of all.
    fn announce(&mut self, now: BootTime, id: LockId, effects: &mut Vec<Effect>) {
        let Some(lock) = self.table.get_mut(id) else {
            return;
        };
        if !lock.holders.has_news(now) {
            return;
        }
        for token in lock.holders.take_cooling(now) {
            let hold = lock.holders.with_token(token);
            let over_at = hold.map(|it| it.over_at());
            if let Some(hold) = hold {
                // It counts as told by now, but here it is that it is.
                let hold = HoldRef {
                    cooling: CoolingNews::Unsaid,
                    ..hold
                };
                self.journal.lapsed((lock.db, &lock.key), hold);
            }
            effects.push(Effect::Cool {
                lock: id,
                token,
                left: now.left_until(over_at.unwrap_or(now)),
            });
        }
        let over = lock.holders.take_over();
        for hold in &over {
            self.journal.lapsed((lock.db, &lock.key), hold.view());
        }
        for hold in over {
            effects.push(end_of(hold.view()));
            self.forget(id, hold.view());
        }
        self.queue(now, id);
    }

    /// How many hold the lock, counted no further than `most`.
    fn count_to(&self, now: BootTime, id: LockId, most: usize) -> usize {
        let lock = self.table.get(id);
        lock.map_or(0, |lock| lock.holders.count_to(now, most))
    }

    /// Whether anybody holds the lock.
    fn is_held(&self, now: BootTime, id: LockId) -> bool {
        self.count_to(now, id, 1) > 0
    }

    /// Whether there are holds in it that ended and were not looked at yet.
    fn is_behind(&self, now: BootTime, id: LockId) -> bool {
        let lock = self.table.get(id);
        lock.is_some_and(|lock| lock.holders.is_behind(now))
    }

    /// A lock with its first hold.
    pub(super) fn insert(&mut self, at: Place<'_>, hold: Hold) -> LockId {
        let next_look = hold.next_look();
        let id = self.table.insert(at.db, at.key, hold);
        self.deadlines.add(id.slot(), next_look, &mut self.table);
        id
    }

    /// A further hold, or another form of one that is there.
    pub(super) fn put(&mut self, now: BootTime, id: LockId, hold: Hold) {
        let Some(lock) = self.table.get_mut(id) else {
            return;
        };
        if let Some(replaced) = lock.holders.put(now, hold) {
            self.forget(id, replaced.view());
        }
        self.queue(now, id);
    }

    /// One hold in the place of all that are there.
    pub(super) fn replace_all(&mut self, now: BootTime, id: LockId, hold: Hold) {
        let Some(lock) = self.table.get_mut(id) else {
            return;
        };
        let replaced = std::mem::replace(&mut lock.holders, Holders::one(hold));
        for hold in replaced.iter() {
            self.forget(id, hold);
        }
        self.queue(now, id);
    }

    /// Has the lock looked at when something in it changes by itself, or at once if
    /// something did of which nobody has been told.
    pub(super) fn queue(&mut self, now: BootTime, id: LockId) {
        if let Some(lock) = self.table.get(id) {
            let end = lock.holders.next_look().unwrap_or(now);
            self.deadlines.set(id.slot(), end, &mut self.table);
        }
    }

    fn change(&mut self, now: BootTime, (id, token): (LockId, Token), to: impl FnOnce(&mut Hold)) {
        if let Some(lock) = self.table.get_mut(id) {
            lock.holders.change(now, token, to);
            self.queue(now, id);
        }
    }

    pub(super) fn hold(&self, (id, token): (LockId, Token)) -> Option<HoldRef<'_>> {
        self.table.get(id)?.holders.with_token(token)
    }

    /// Log and replicas are told how the hold is now; its lease may have been moved
    /// by `ttl`.
    pub(super) fn tell_of(
        &mut self,
        now: BootTime,
        (lock, token): (LockId, Token),
        ttl: Ttl,
        effects: &mut Vec<Effect>,
    ) {
        let Some(hold) = self.hold((lock, token)) else {
            return;
        };
        let left = now.left_until(hold.deadline);
        effects.extend(self.tokens.cover(ttl).map(Effect::Cover));
        effects.push(Effect::Grant {
            lock,
            token,
            ttl: left,
        });
    }

    /// Moves the lease to `max(what is left, ttl)`; whether that moved it. Nothing
    /// shortens a lease, so a late duplicate does no harm.
    pub(super) fn move_lease(&mut self, now: BootTime, which: (LockId, Token), ttl: Ttl) -> bool {
        let deadline = now.after(ttl);
        let mut is_later = false;
        self.change(now, which, |hold| {
            is_later = hold.deadline < deadline;
            hold.deadline = hold.deadline.max(deadline);
        });
        is_later
    }

    /// Whether that changed it.
    pub(super) fn change_delay(
        &mut self,
        now: BootTime,
        which: (LockId, Token),
        delay: Delay,
    ) -> bool {
        let is_other = self.hold(which).is_some_and(|hold| hold.delay != delay);
        if is_other {
            self.change(now, which, |hold| hold.delay = delay);
        }
        is_other
    }

    /// Makes the hold's token at least `wanted`; its token now.
    pub(super) fn raise_token(
        &mut self,
        now: BootTime,
        (id, token): (LockId, Token),
        wanted: Token,
    ) -> Token {
        if wanted <= token {
            return token;
        }
        let session = self.hold((id, token)).and_then(|hold| hold.session);
        self.bind(now, (id, token), None);
        self.change(now, (id, token), |hold| hold.token = wanted);
        self.bind(now, (id, wanted), session);
        self.tokens.observe(wanted);
        wanted
    }

    /// The hold is not live any more, whatever was left of its lease; it cools for
    /// no longer than `delay`.
    pub(super) fn cut_short(
        &mut self,
        now: BootTime,
        which: (LockId, Token),
        delay: Delay,
        noted: Noted,
    ) {
        self.change(now, which, |hold| {
            if noted == Noted::Yes {
                hold.noted = noted;
            }
            hold.deadline = hold.deadline.min(now);
            hold.delay = hold.delay.min(delay);
        });
    }

    /// Ends the lock with all its holds: its handle is dead, its key must go.
    pub(super) fn end(&mut self, id: LockId, effects: &mut Vec<Effect>) {
        let is_ended_with_all = self.table.get(id).is_none();
        let Some(lock) = self.remove(id) else { return };
        self.lines.note_ready(lock.db, &lock.key);
        if is_ended_with_all {
            self.note_flushed(&lock);
            // FLUSH or SWAPDB was faster; if it left the key, it is somewhere.
            if self.keys_of_the_ended() == KeysOfTheEnded::SomewhereStill {
                effects.push(Effect::Search { key: lock.key });
            }
            return;
        }
        self.note_lapsed(&lock);
        effects.push(Effect::Delete {
            db: lock.db,
            key: lock.key,
            lock: id,
        });
    }

    /// All holds of a lock are over, and the lock is gone.
    pub(super) fn note_lapsed(&mut self, lock: &Lock) {
        // The only hold, which is being given up.
        if self.journal.closing.is_some() && !lock.holders.are_several() {
            return;
        }
        for hold in lock.holders.iter() {
            self.journal.lapsed((lock.db, &lock.key), hold);
        }
    }

    /// A lock is gone that ended with its database.
    pub(super) fn note_flushed(&mut self, lock: &Lock) {
        let open = lock.holders.iter().filter(|hold| !is_noted(*hold));
        self.journal.flushed(open.count());
    }

    pub(super) fn remove(&mut self, id: LockId) -> Option<Lock> {
        if !self.is_in_table(id) {
            return None;
        }
        self.deadlines.remove(id.slot(), &mut self.table);
        let lock = self.table.remove(id)?;
        for hold in lock.holders.iter() {
            self.forget(id, hold);
        }
        Some(lock)
    }

    /// The hold is gone: nobody asks about it any more.
    pub(super) fn forget(&mut self, id: LockId, hold: HoldRef<'_>) {
        self.lines.heard(id, hold.token);
        if let Some(client) = hold.session {
            self.sessions.remove(&(client, id, hold.token));
        }
    }

    /// Binds the hold to a connection, or to none.
    pub(super) fn bind(
        &mut self,
        now: BootTime,
        (id, token): (LockId, Token),
        session: Option<ClientId>,
    ) {
        let before = self.hold((id, token)).map(|hold| hold.session);
        if before.is_none_or(|before| before == session) {
            return;
        }
        if let Some(client) = before.flatten() {
            self.sessions.remove(&(client, id, token));
        }
        if let Some(client) = session {
            self.sessions.insert((client, id, token));
        }
        self.change(now, (id, token), |hold| hold.session = session);
    }
}

fn end_of(hold: HoldRef<'_>) -> Effect {
    Effect::End {
        owner: hold.owner.into(),
        token: hold.token,
    }
}
