//! What is true of the lines between any two steps, asked by tests only.
//!
//! | name | says |
//! |---|---|
//! | `chains-are-sound` | a chain is the same from both ends, and each entry is in one |
//! | `no-empty-line`    | a line has a place, a place in line or granted has a ticket |
//! | `lines-are-found`  | lines are found by their keys, places in line by their owners |
//! | `clocks-agree`     | exactly the deadlines of tickets in line are queued, in order |
//! | `lengths-agree`    | each line is as long as it says, and the longest is known |
//! | `ready-is-noted`   | exactly the lines that are ready are noted, once |
//! | `undelivered-wait` | a grant that nobody has heard of has a connection to hear it |
//!
//! See `lock/invariants.rs` for those of the locks.

use super::*;

impl Lines {
    /// The keys of the lines that are not noted as ready.
    pub fn unnoted(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let lines = self.lines.iter().map(|(_, line)| line);
        let unnoted = lines.filter(|line| line.readiness == Readiness::Waiting);
        unnoted.map(|line| (line.db, &*line.key))
    }

    /// The locks that were granted to somebody who has not heard of it.
    pub fn undelivered(&self) -> impl Iterator<Item = (LockId, Token)> + '_ {
        self.undelivered.keys().copied()
    }

    /// The name of an invariant that does not hold, if there is one.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        self.broken_by_lines()
            .or_else(|| self.broken_by_places())
            .or_else(|| self.broken_by_clocks())
            .or_else(|| self.broken_by_notes())
    }

    fn broken_by_lines(&self) -> Option<&'static str> {
        let mut places_in_line = 0;
        for (number, line) in self.lines.iter() {
            let Some(places) = chain(line.places, &self.places, |it| it.neighbours) else {
                return Some("chains-are-sound");
            };
            if places.is_empty() {
                return Some("no-empty-line");
            }
            if self.by_key.get(&(line.db, line.key.clone())) != Some(&number) {
                return Some("lines-are-found");
            }
            if line.length as usize != places.len() {
                return Some("lengths-agree");
            }
            places_in_line += places.len();
            for slot in places {
                let Some(place) = self.places.get(slot) else {
                    return Some("chains-are-sound");
                };
                if !matches!(place.stage, Stage::InLine(line) if line == number) {
                    return Some("chains-are-sound");
                }
                if self.by_owner.get(&(number, place.owner.clone())) != Some(&slot) {
                    return Some("lines-are-found");
                }
            }
        }
        if self.by_key.len() != self.lines.taken() || self.by_owner.len() != places_in_line {
            return Some("lines-are-found");
        }
        let longest = self.lines.iter().map(|(_, line)| line.length).max();
        if self.longest() != longest.unwrap_or_default() {
            return Some("lengths-agree");
        }
        let in_line = |place: &PlaceInLine| matches!(place.stage, Stage::InLine(_));
        let claimed = self.places.iter().filter(|(_, place)| in_line(place));
        (claimed.count() != places_in_line).then_some("chains-are-sound")
    }

    fn broken_by_places(&self) -> Option<&'static str> {
        let mut tickets = 0;
        for (number, place) in self.places.iter() {
            let Some(own) = chain(place.tickets, &self.tickets, |it| it.neighbours) else {
                return Some("chains-are-sound");
            };
            if own.is_empty() {
                return Some("no-empty-line");
            }
            let is_own = |&slot: &u32| self.tickets.get(slot).is_some_and(|it| it.place == number);
            if !own.iter().all(is_own) {
                return Some("chains-are-sound");
            }
            // A head is granted or dismissed in the step that takes it.
            if let Stage::Head = place.stage {
                return Some("chains-are-sound");
            }
            tickets += own.len();
        }
        (tickets != self.tickets.taken()).then_some("chains-are-sound")
    }

    fn broken_by_clocks(&self) -> Option<&'static str> {
        let mut queued = 0;
        for (slot, ticket) in self.tickets.iter() {
            let Some(place) = ticket.queued else { continue };
            let stage = self.places.get(ticket.place).map(|it| it.stage);
            if place as usize >= self.deadlines.len() || !matches!(stage, Some(Stage::InLine(_))) {
                return Some("clocks-agree");
            }
            let view = ReadPlaces(&self.tickets);
            if self.deadlines.deadline(slot, &view).is_none() {
                return Some("clocks-agree");
            }
            queued += 1;
        }
        let is_in_order = self.deadlines.is_in_order(&ReadPlaces(&self.tickets));
        (queued != self.deadlines.len() || !is_in_order).then_some("clocks-agree")
    }

    fn broken_by_notes(&self) -> Option<&'static str> {
        let is_ready = |line: &Line| line.readiness != Readiness::Waiting;
        let ready = self.lines.iter().filter(|(_, line)| is_ready(line)).count();
        let is_its_note = |(&note, &number): (&u64, &u32)| {
            let line = self.lines.get(number);
            line.is_some_and(|line| line.readiness == Readiness::Ready(note))
        };
        if self.ready.len() != ready || !self.ready.iter().all(is_its_note) {
            return Some("ready-is-noted");
        }
        let waits = |(&grant, place): (&(LockId, Token), &u32)| {
            let stage = self.places.get(*place).map(|place| place.stage);
            matches!(stage, Some(Stage::Granted(lock, token)) if (lock, token) == grant)
        };
        (!self.undelivered.iter().all(waits)).then_some("undelivered-wait")
    }
}

/// The slots of a chain from its first to its last, if each knows both its
/// neighbours.
fn chain<T>(
    ends: Ends,
    entries: &Slab<T>,
    neighbours: impl Fn(&T) -> Neighbours,
) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    let mut next = ends.first;
    while let Some(slot) = next {
        let Neighbours { before, behind } = neighbours(entries.get(slot)?);
        if before != found.last().copied() || found.len() > entries.taken() {
            return None;
        }
        found.push(slot);
        next = behind;
    }
    (ends.last == found.last().copied()).then_some(found)
}

/// As `TicketPlaces`, to be read only.
struct ReadPlaces<'a>(&'a Slab<Ticket>);

impl Places for ReadPlaces<'_> {
    fn place(&self, slot: u32) -> Option<u32> {
        self.0.get(slot)?.queued
    }

    fn set_place(&mut self, _slot: u32, _place: Option<u32>) {
        unreachable!("who asks moves nothing");
    }
}
