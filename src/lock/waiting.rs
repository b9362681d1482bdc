//! The part of `step` in which somebody waits: joining a line, leaving it, and
//! being granted at its head.
//!
//! Nobody overtakes. A lock that is given back while somebody waits goes to the
//! head of the line in the same step. Where it ends in another way (the lease
//! runs out, DEL, FLUSH, the session's end) the line is noted as ready, and the
//! shell asks for [`super::Event::GrantNext`] as soon as it may write.

use super::effect::{Effect, News};
use super::event::{Answer, Patience, Place};
use super::journal::Noted;
use super::line::{Gone, TicketId, Wish};
use super::machine::{Claim, Locks};
use super::slots::Slot;
use super::table::{ClientId, LockId};
use super::time::{BootTime, Delay};
use super::token::Token;

impl Locks {
    /// The lock is not free, or somebody is in line for it.
    pub(super) fn wait(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        claim: &Claim<'_>,
        patience: Patience,
    ) -> Answer {
        let (until, waiters_most) = match patience {
            Patience::Try => {
                self.journal.try_failed();
                return Answer::NoToken;
            }
            Patience::Wait {
                until,
                waiters_most,
            } => (until, waiters_most),
        };
        if self.lines.waiting() >= waiters_most {
            self.journal.wait_refused();
            return Answer::QueueFull;
        }
        let wish = Wish {
            owner: claim.owner,
            ttl: claim.ttl,
            delay: claim.delay,
            tolerates: claim.tolerates,
            since: now,
            session: claim.session,
            until,
        };
        let ticket = self.lines.join(at.db, at.key, &wish);
        ticket.map_or(Answer::OtherTolerance, Answer::InLine)
    }

    /// Says which holds are over, and grants the lock to the heads of its line that
    /// it admits.
    pub(super) fn grant_next(
        &mut self,
        now: BootTime,
        at: Place<'_>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        match self.look(now, at) {
            Some(id) => self.go_on(now, (at, id), effects),
            None => self.begin(now, at, effects),
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
            self.journal.wait_ran_out();
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
        // Nobody could have used what nobody knew of: it does not cool.
        self.cut_short(now, (id, token), Delay::NONE, Noted::No);
        Answer::Yes
    }

    /// A connection went, and with it the holds that were bound to it: they are
    /// over from now on, or cool, and the next sweep passes them on.
    pub(super) fn session_ended(&mut self, now: BootTime, client: ClientId) -> Answer {
        let first = (client, LockId::FIRST, Token::FIRST);
        while let Some(&(of, id, token)) = self.sessions.range(first..).next() {
            if of != client {
                break;
            }
            self.sessions.remove(&(of, id, token));
            self.bind(now, (id, token), None);
            let noted = self.note_session_end(now, (id, token));
            self.cut_short(now, (id, token), Delay::MOST, noted);
        }
        Answer::Yes
    }

    /// Whether it was the end of the session that ended the hold.
    fn note_session_end(&mut self, now: BootTime, (id, token): (LockId, Token)) -> Noted {
        let lock = self.table.get(id);
        let ended = lock.filter(|lock| lock.holders.live_with(now, token).is_some());
        match ended {
            Some(lock) => {
                self.journal.session_ended((lock.db, &lock.key));
                Noted::Yes
            }
            None => Noted::No,
        }
    }

    /// No hold is bound to a connection any more: only the leases are left.
    pub(super) fn forget_sessions(&mut self, now: BootTime) -> Answer {
        while let Some(&(client, id, token)) = self.sessions.first() {
            self.bind(now, (id, token), None);
            // Also where a flush ended the lock.
            self.sessions.remove(&(client, id, token));
        }
        Answer::Yes
    }
}

pub(super) fn replies(tickets: &[TicketId], news: News) -> impl Iterator<Item = Effect> + '_ {
    let reply = move |&ticket: &TicketId| Effect::Reply { ticket, news };
    tickets.iter().map(reply)
}
