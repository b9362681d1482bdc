//! The lines: who waits for which key, in which order.
//!
//! A *line* belongs to a key, a *place* in it to an owner, a *ticket* to one
//! blocked connection. An owner that asks again from another connection gets a
//! second ticket to the same place; the place goes with its last ticket. What is
//! granted is the wish of the newest ticket that is still there.
//!
//! When a place is granted it leaves the line, but its tickets live on until each
//! connection has its reply. If the last of them goes without one, nobody knows
//! of the grant: it is given back ([`Gone::Undelivered`]).
//!
//! Joining, leaving from anywhere and granting are O(log n) in the number of
//! waiters, or better.

mod invariants;
mod lengths;
mod listing;

use self::lengths::Lengths;
use super::bytes::ShortBytes;
use super::deadlines::{DeadlineQueue, Places};
use super::slab::Slab;
use super::table::{ClientId, LockId};
use super::time::{BootTime, Delay, Ttl};
use super::token::Token;
use super::tolerance::Tolerance;
use std::collections::BTreeMap;

/// One blocked connection, as long as it waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId {
    slot: u32,
    generation: u32,
}

impl TicketId {
    /// A number for each slot; used again after the ticket is gone.
    pub fn slot(self) -> u32 {
        self.slot
    }
}

/// The lines of one server.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Slab<Line>,
    places: Slab<PlaceInLine>,
    tickets: Slab<Ticket>,
    by_key: BTreeMap<(u32, ShortBytes), u32>,
    by_owner: BTreeMap<(u32, ShortBytes), u32>,
    /// Places that were granted and of which no connection has heard yet.
    undelivered: BTreeMap<(LockId, Token), u32>,
    deadlines: DeadlineQueue,
    /// Lines to be looked at, by the number of the note: the oldest comes first.
    ready: BTreeMap<u64, u32>,
    notes: u64,
    /// How many lines are how long.
    lengths: Lengths,
}

#[derive(Debug)]
struct Line {
    db: u32,
    key: ShortBytes,
    places: Ends,
    length: u32,
    readiness: Readiness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Somebody holds the lock.
    Waiting,
    /// The lock may be free: noted in `ready` under this number.
    Ready(u64),
}

#[derive(Debug)]
struct PlaceInLine {
    stage: Stage,
    owner: ShortBytes,
    tolerates: Tolerance,
    /// When the first of its connections came.
    since: BootTime,
    /// In the order in which they came: the last one's wish is the newest.
    tickets: Ends,
    neighbours: Neighbours,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    InLine(u32),
    /// Taken out at the head, to be granted or dismissed.
    Head,
    Granted(LockId, Token),
}

#[derive(Debug)]
struct Ticket {
    place: u32,
    ttl: Ttl,
    delay: Delay,
    session: Option<ClientId>,
    /// Where its deadline stands in the queue.
    queued: Option<u32>,
    neighbours: Neighbours,
}

/// Where in its line a place is.
enum Rank {
    First,
    Behind,
}

/// First and last of a chain.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: Option<u32>,
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Neighbours {
    before: Option<u32>,
    behind: Option<u32>,
}

/// Entries that stand in chains.
trait Chained {
    fn neighbours(&mut self) -> &mut Neighbours;
}

impl Chained for PlaceInLine {
    fn neighbours(&mut self) -> &mut Neighbours {
        &mut self.neighbours
    }
}

impl Chained for Ticket {
    fn neighbours(&mut self) -> &mut Neighbours {
        &mut self.neighbours
    }
}

impl Ends {
    /// Puts `slot` at the end of the chain.
    fn append<T: Chained>(&mut self, slot: u32, entries: &mut Slab<T>) {
        let before = self.last.replace(slot);
        if let Some(entry) = entries.get_mut(slot) {
            entry.neighbours().before = before;
            entry.neighbours().behind = None;
        }
        match before.and_then(|before| entries.get_mut(before)) {
            Some(entry) => entry.neighbours().behind = Some(slot),
            None => self.first = Some(slot),
        }
    }

    /// Takes `slot` out of the chain.
    fn unlink<T: Chained>(&mut self, slot: u32, entries: &mut Slab<T>) {
        let Some(entry) = entries.get_mut(slot) else {
            return;
        };
        let Neighbours { before, behind } = std::mem::take(entry.neighbours());
        match before.and_then(|before| entries.get_mut(before)) {
            Some(entry) => entry.neighbours().behind = behind,
            None => self.first = behind,
        }
        match behind.and_then(|behind| entries.get_mut(behind)) {
            Some(entry) => entry.neighbours().before = before,
            None => self.last = before,
        }
    }
}

/// What somebody who joins a line asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// For whom.
    pub owner: &'a [u8],
    /// For how long, from the grant.
    pub ttl: Ttl,
    /// How long the hold cools, if it is lost.
    pub delay: Delay,
    /// Together with how many.
    pub tolerates: Tolerance,
    /// What time it is.
    pub since: BootTime,
    /// Bound to this connection.
    pub session: Option<ClientId>,
    /// When the connection stops waiting; `None`: never.
    pub until: Option<BootTime>,
}

/// The head of a line, taken out of it.
#[derive(Debug)]
pub struct Head {
    place: u32,
    /// For whom.
    pub owner: ShortBytes,
    /// For how long, from now.
    pub ttl: Ttl,
    /// How long the hold cools, if it is lost.
    pub delay: Delay,
    /// Together with how many.
    pub tolerates: Tolerance,
    /// Bound to this connection.
    pub session: Option<ClientId>,
    /// Since when it waited.
    pub since: BootTime,
}

/// What became of a ticket whose connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nobody minds.
    Quietly,
    /// It was the last to know of this grant, and never did.
    Undelivered(LockId, Token),
}

impl Lines {
    /// How many connections wait.
    pub fn waiting(&self) -> usize {
        self.tickets.taken()
    }

    /// How many owners stand in the longest line.
    pub fn longest(&self) -> u32 {
        self.lengths.longest()
    }

    /// Whether somebody is in line for the key.
    pub fn has_line(&self, db: u32, key: &[u8]) -> bool {
        self.find(db, key).is_some()
    }

    fn find(&self, db: u32, key: &[u8]) -> Option<u32> {
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.get(&(db, key.into())).copied()
    }

    /// Joins the line of a key, at its end or at the place the owner has. `None`: the
    /// owner has a place, but for another number of holders.
    pub fn join(&mut self, db: u32, key: &[u8], wish: &Wish<'_>) -> Option<TicketId> {
        let line = match self.find(db, key) {
            Some(line) => line,
            None => {
                let (line, _) = self.lines.insert(Line {
                    db,
                    key: key.into(),
                    places: Ends::default(),
                    length: 0,
                    readiness: Readiness::Waiting,
                });
                self.by_key.insert((db, key.into()), line);
                line
            }
        };
        let place = self.place_of(line, wish)?;
        let (slot, generation) = self.tickets.insert(Ticket {
            place,
            ttl: wish.ttl,
            delay: wish.delay,
            session: wish.session,
            queued: None,
            neighbours: Neighbours::default(),
        });
        if let Some(entry) = self.places.get_mut(place) {
            entry.tickets.append(slot, &mut self.tickets);
        }
        if let Some(until) = wish.until {
            self.deadlines
                .set(slot, until, &mut TicketPlaces(&mut self.tickets));
        }
        Some(TicketId { slot, generation })
    }

    /// The owner's place, or a new one at the end.
    fn place_of(&mut self, line: u32, wish: &Wish<'_>) -> Option<u32> {
        let by_owner = (line, ShortBytes::from(wish.owner));
        if let Some(&place) = self.by_owner.get(&by_owner) {
            let tolerates = self.places.get(place)?.tolerates;
            return (tolerates == wish.tolerates).then_some(place);
        }
        let (place, _) = self.places.insert(PlaceInLine {
            stage: Stage::InLine(line),
            owner: wish.owner.into(),
            tolerates: wish.tolerates,
            since: wish.since,
            tickets: Ends::default(),
            neighbours: Neighbours::default(),
        });
        if let Some(entry) = self.lines.get_mut(line) {
            entry.places.append(place, &mut self.places);
            entry.length += 1;
            self.lengths.grew_to(entry.length);
        }
        self.by_owner.insert(by_owner, place);
        Some(place)
    }

    /// How many the head of a line tolerates.
    pub fn head_tolerates(&self, db: u32, key: &[u8]) -> Option<Tolerance> {
        let place = self.lines.get(self.find(db, key)?)?.places.first?;
        Some(self.places.get(place)?.tolerates)
    }

    /// Takes the head out of the line of a key. It is to be granted
    /// ([`Lines::granted`]).
    pub fn take_head(&mut self, db: u32, key: &[u8]) -> Option<Head> {
        let line = self.find(db, key)?;
        let place = self.lines.get(line)?.places.first?;
        self.unlink(place);
        let entry = self.places.get_mut(place)?;
        entry.stage = Stage::Head;
        // A wish lives as long as its connection waits: the hold is not bound to
        // one that went.
        let newest = self.tickets.get(entry.tickets.last?)?;
        Some(Head {
            place,
            owner: entry.owner.clone(),
            ttl: newest.ttl,
            delay: newest.delay,
            tolerates: entry.tolerates,
            session: newest.session,
            since: entry.since,
        })
    }

    /// Notes what the head was granted; the tickets that must be told.
    pub fn granted(&mut self, head: &Head, lock: LockId, token: Token) -> Vec<TicketId> {
        let Some(entry) = self.places.get_mut(head.place) else {
            return Vec::new();
        };
        entry.stage = Stage::Granted(lock, token);
        self.undelivered.insert((lock, token), head.place);
        let tickets = self.tickets_of(head.place);
        for ticket in &tickets {
            self.stop_clock(ticket.slot);
        }
        tickets
    }

    /// The head cannot be granted; its tickets are gone and must be told.
    pub fn dismiss(&mut self, head: &Head) -> Vec<TicketId> {
        self.dissolve(head.place)
    }

    /// Takes the owner out of the line of a key; its tickets are gone and must be
    /// told.
    pub fn leave(&mut self, db: u32, key: &[u8], owner: &[u8]) -> Vec<TicketId> {
        let line = self.find(db, key);
        let place = line.and_then(|line| self.by_owner.get(&(line, owner.into())).copied());
        place.map_or(Vec::new(), |place| self.dissolve(place))
    }

    /// Ends the line of a key; its tickets are gone and must be told.
    pub fn disband(&mut self, db: u32, key: &[u8]) -> Vec<TicketId> {
        let mut told = Vec::new();
        while let Some(place) = self
            .find(db, key)
            .and_then(|line| self.lines.get(line)?.places.first)
        {
            told.extend(self.dissolve(place));
        }
        told
    }

    fn dissolve(&mut self, place: u32) -> Vec<TicketId> {
        self.leave_line(place);
        let tickets = self.tickets_of(place);
        for ticket in &tickets {
            self.stop_clock(ticket.slot);
            self.tickets.remove(ticket.slot);
        }
        self.places.remove(place);
        tickets
    }

    /// A connection went, or was told something else than a token.
    pub fn gone(&mut self, ticket: TicketId) -> Gone {
        let Some((place, stage)) = self.tear(ticket) else {
            return Gone::Quietly;
        };
        let is_last = self
            .places
            .get(place)
            .is_none_or(|it| it.tickets.first.is_none());
        if !is_last {
            return Gone::Quietly;
        }
        if let Stage::InLine(_) = stage {
            self.leave_line(place);
        }
        self.places.remove(place);
        match stage {
            Stage::Granted(lock, token) if self.undelivered.remove(&(lock, token)).is_some() => {
                Gone::Undelivered(lock, token)
            }
            _ => Gone::Quietly,
        }
    }

    /// A connection has its token.
    pub fn delivered(&mut self, ticket: TicketId) {
        let Some((place, stage)) = self.tear(ticket) else {
            return;
        };
        if let Stage::Granted(lock, token) = stage {
            self.undelivered.remove(&(lock, token));
        }
        if self
            .places
            .get(place)
            .is_some_and(|it| it.tickets.first.is_none())
        {
            self.places.remove(place);
        }
    }

    /// The owner of the lock has its token, if by another way than its ticket.
    pub fn heard(&mut self, lock: LockId, token: Token) {
        if !self.undelivered.is_empty() {
            self.undelivered.remove(&(lock, token));
        }
    }

    /// Takes a ticket away; the place it was for, and how far that had come.
    fn tear(&mut self, ticket: TicketId) -> Option<(u32, Stage)> {
        if self.tickets.generation(ticket.slot)? != ticket.generation {
            return None;
        }
        self.stop_clock(ticket.slot);
        let place = self.tickets.get(ticket.slot)?.place;
        let entry = self.places.get_mut(place)?;
        entry.tickets.unlink(ticket.slot, &mut self.tickets);
        let stage = entry.stage;
        self.tickets.remove(ticket.slot);
        Some((place, stage))
    }

    /// The next ticket whose connection has waited long enough; it is gone.
    pub fn take_overdue(&mut self, now: BootTime) -> Option<TicketId> {
        let (deadline, slot) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        let generation = self.tickets.generation(slot)?;
        let ticket = TicketId { slot, generation };
        self.gone(ticket);
        Some(ticket)
    }

    /// When the next connection stops waiting.
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// The lock of a key may be free: its line is to be looked at.
    pub fn note_ready(&mut self, db: u32, key: &[u8]) {
        if let Some(line) = self.find(db, key) {
            self.note_line(line);
        }
    }

    /// All locks of a database, or of all, may be free.
    pub fn note_all_ready(&mut self, db: Option<u32>) {
        let of_db = |line: &Line| db.is_none_or(|db| db == line.db);
        let lines = self.lines.iter().filter(|(_, line)| of_db(line));
        let lines: Vec<u32> = lines.map(|(number, _)| number).collect();
        for line in lines {
            self.note_line(line);
        }
    }

    fn note_line(&mut self, line: u32) {
        if let Some(entry) = self.lines.get_mut(line) {
            if entry.readiness == Readiness::Waiting {
                self.notes += 1;
                entry.readiness = Readiness::Ready(self.notes);
                self.ready.insert(self.notes, line);
            }
        }
    }

    /// The key of a line that is to be looked at. It is not noted any more.
    pub fn take_ready(&mut self) -> Option<(u32, ShortBytes)> {
        let (_, line) = self.ready.pop_first()?;
        let entry = self.lines.get_mut(line)?;
        entry.readiness = Readiness::Waiting;
        Some((entry.db, entry.key.clone()))
    }

    /// How many lines are to be looked at.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The keys that have a line.
    pub fn keys(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.by_key.keys().map(|(db, key)| (*db, &**key))
    }

    fn tickets_of(&self, place: u32) -> Vec<TicketId> {
        let mut tickets = Vec::new();
        let mut next = self.places.get(place).and_then(|it| it.tickets.first);
        while let Some(slot) = next {
            let Some(ticket) = self.tickets.get(slot) else {
                break;
            };
            let generation = self.tickets.generation(slot).unwrap_or_default();
            tickets.push(TicketId { slot, generation });
            next = ticket.neighbours.behind;
        }
        tickets
    }

    fn stop_clock(&mut self, slot: u32) {
        self.deadlines
            .remove(slot, &mut TicketPlaces(&mut self.tickets));
    }

    /// Takes a place out of its line. If it was the first, the next may be let in
    /// where it was not: a reader behind a writer.
    fn leave_line(&mut self, place: u32) {
        if let Some((number, Rank::First)) = self.unlink(place) {
            self.note_line(number);
        }
    }

    /// Takes a place out of its line, and the line away if it was the last. Which
    /// line, and where in it the place was.
    fn unlink(&mut self, place: u32) -> Option<(u32, Rank)> {
        let entry = self.places.get(place)?;
        let Stage::InLine(number) = entry.stage else {
            return None;
        };
        let rank = match entry.neighbours.before {
            None => Rank::First,
            Some(_) => Rank::Behind,
        };
        self.by_owner.remove(&(number, entry.owner.clone()));
        let line = self.lines.get_mut(number)?;
        line.places.unlink(place, &mut self.places);
        self.lengths.shrank_from(line.length);
        line.length -= 1;
        if line.places.first.is_some() {
            return Some((number, rank));
        }
        if let Readiness::Ready(note) = line.readiness {
            self.ready.remove(&note);
        }
        if let Some(line) = self.lines.remove(number) {
            self.by_key.remove(&(line.db, line.key));
        }
        None
    }
}

/// Where tickets stand in the deadline queue.
struct TicketPlaces<'a>(&'a mut Slab<Ticket>);

impl Places for TicketPlaces<'_> {
    fn place(&self, slot: u32) -> Option<u32> {
        self.0.get(slot)?.queued
    }

    fn set_place(&mut self, slot: u32, place: Option<u32>) {
        if let Some(ticket) = self.0.get_mut(slot) {
            ticket.queued = place;
        }
    }
}
