//! The part of `step` in which somebody waits: joining a line, leaving it, and
//! being granted at its head.
//!
//! Nobody overtakes. A lock that is given back while somebody waits goes to the
//! head of the line in the same step. Where it ends in another way (the lease
//! runs out, DEL, FLUSH, the session's end) the line is noted as ready, and the
//! shell asks for [`super::Event::GrantNext`] as soon as it may write.

use super::effect::{Effect, News};
use super::event::{Answer, Patience, Place};
use super::line::{Gone, TicketId, Wish};
use super::machine::{Claim, Locks};
use super::slots::Slot;
use super::table::{ClientId, LockId};
use super::time::BootTime;

impl Locks {
    /// The lock is not free, or somebody is in line for it.
    pub(super) fn wait(&mut self, at: Place<'_>, claim: &Claim<'_>, patience: Patience) -> Answer {
        let (until, waiters_most) = match patience {
            Patience::Try => return Answer::NoToken,
            Patience::Wait {
                until,
                waiters_most,
            } => (until, waiters_most),
        };
        if self.lines.waiting() >= waiters_most {
            return Answer::QueueFull;
        }
        let wish = Wish {
            owner: claim.owner,
            ttl: claim.ttl,
            session: claim.session,
            until,
        };
        Answer::InLine(self.lines.join(at.db, at.key, &wish))
    }

    /// The holder gives the lock back, and somebody waits for it.
    pub(super) fn hand_over(
        &mut self,
        now: BootTime,
        (at, id): (Place<'_>, LockId),
        effects: &mut Vec<Effect>,
    ) {
        let Some(head) = self.lines.take_head(at.db, at.key) else {
            return self.end(id, effects);
        };
        let claim = Claim {
            owner: &head.owner,
            ttl: head.ttl,
            session: head.session,
        };
        let first = effects.len();
        let answer = self.grant_after_lapse(now, (at, id), &claim, effects);
        let granted = effects[first..].iter().find_map(|effect| match effect {
            Effect::Store(lock) => Some(*lock),
            _ => None,
        });
        match (answer, granted) {
            (Answer::Token(token), Some(lock)) => {
                let news = News::Granted(token);
                let tickets = self.lines.granted(&head, lock, token);
                effects.extend(replies(&tickets, news));
            }
            _ => {
                // There are no tokens: nobody can be granted, now or later.
                self.end(id, effects);
                let tickets = self.lines.dismiss(&head);
                effects.extend(replies(&tickets, News::TokensExhausted));
                self.send_away(at.db, at.key, News::TokensExhausted, effects);
            }
        }
    }

    /// Grants the lock to the head of its line, if nobody holds it.
    pub(super) fn grant_next(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        match self.found(at) {
            Some((_, lock)) if lock.hold.is_live(now) => return Answer::No,
            _ if !self.lines.has_line(at.db, at.key) => return Answer::No,
            // A handle that was dead before is the same as none.
            Some((id, _)) => self.hand_over(now, (at, id), effects),
            None => self.hand_over(now, (at, LockId::DEAD), effects),
        }
        Answer::Yes
    }

    /// An owner that waits wants no more.
    pub(super) fn leave_line(&mut self, at: Place<'_>, owner: &[u8], effects: &mut Vec<Effect>) {
        if self.lines.has_line(at.db, at.key) {
            let tickets = self.lines.leave(at.db, at.key, owner);
            effects.extend(replies(&tickets, News::NotYours));
        }
    }

    /// Everybody in line for the key is told the same.
    pub(super) fn send_away(
        &mut self,
        db: u32,
        key: &[u8],
        news: News,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let tickets = self.lines.disband(db, key);
        effects.extend(replies(&tickets, news));
        Answer::Yes
    }

    /// The slot's keys are another server's: whoever waits for one must ask there.
    pub(super) fn slot_left(&mut self, slot: Slot, effects: &mut Vec<Effect>) -> Answer {
        self.tokens.leave_slot(slot);
        let of_slot = self
            .lines
            .keys()
            .filter(|(_, key)| Slot::of_key(key) == slot);
        let keys: Vec<(u32, Vec<u8>)> = of_slot.map(|(db, key)| (db, key.to_vec())).collect();
        for (db, key) in keys {
            self.send_away(db, &key, News::Moved(slot), effects);
        }
        Answer::Yes
    }

    /// Another server may grant in the slot, too, so that our next grant in it
    /// opens a term. Whoever waits here may still be granted here.
    pub(super) fn slot_open(&mut self, slot: Slot) -> Answer {
        self.tokens.leave_slot(slot);
        Answer::Yes
    }

    /// Connections that have waited long enough are told so.
    pub(super) fn sweep_waits(
        &mut self,
        now: BootTime,
        most: usize,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        for _ in 0..most {
            let Some(ticket) = self.lines.take_overdue(now) else {
                break;
            };
            let news = News::NotYours;
            effects.push(Effect::Reply { ticket, news });
        }
        Answer::Yes
    }

    /// A connection went. If it was the last to know of a grant, and was not
    /// told, the grant is over: the next sweep passes it on.
    pub(super) fn ticket_gone(&mut self, now: BootTime, ticket: TicketId) -> Answer {
        let Gone::Undelivered(id, token) = self.lines.gone(ticket) else {
            return Answer::Yes;
        };
        let is_still_held = self
            .table
            .get(id)
            .is_some_and(|lock| lock.hold.token == token);
        if is_still_held {
            self.cut_short(now, id);
        }
        Answer::Yes
    }

    /// A connection went, and with it the holds that were bound to it: they are
    /// over from now on, and the next sweep passes them on.
    pub(super) fn session_ended(&mut self, now: BootTime, client: ClientId) -> Answer {
        while let Some(&(first, id)) = self.sessions.range((client, LockId::FIRST)..).next() {
            if first != client {
                break;
            }
            self.sessions.remove(&(first, id));
            if let Some(lock) = self.table.get_mut(id) {
                lock.hold.session = None;
            }
            self.cut_short(now, id);
        }
        Answer::Yes
    }

    /// No hold is bound to a connection any more: only the leases are left.
    pub(super) fn forget_sessions(&mut self) -> Answer {
        while let Some(&(client, id)) = self.sessions.first() {
            self.sessions.remove(&(client, id));
            if let Some(lock) = self.table.get_mut(id) {
                lock.hold.session = None;
            }
        }
        Answer::Yes
    }

    /// The hold is over, whatever was left of its lease.
    fn cut_short(&mut self, now: BootTime, id: LockId) {
        let Some(lock) = self.table.get_mut(id) else {
            return;
        };
        if lock.hold.is_live(now) {
            lock.hold.deadline = now;
            self.deadlines.set(id.slot(), now, &mut self.table);
        }
    }
}

fn replies(tickets: &[TicketId], news: News) -> impl Iterator<Item = Effect> + '_ {
    let reply = move |&ticket: &TicketId| Effect::Reply { ticket, news };
    tickets.iter().map(reply)
}
