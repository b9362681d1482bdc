//! The model of the lines: who is granted what and when, written a second time and
//! as plainly as possible. A list of holds, and for each key a list of places,
//! searched from end to end.
//!
//! It predicts what the rules promise, and judges what they leave open: which of
//! several free locks is granted first in a turn that is too short for all. How
//! many may hold a lock together is decided in [`Model::has_room`] alone.

use crate::line_steps::Together;
use crate::lock::{Answer, News};
use crate::random_steps::Spot;
use crate::server::{Leave, Slices};
use crate::values::token;
use std::collections::BTreeMap;

/// A connection's number, never used again.
pub(crate) type Connection = u64;

/// Who was told what.
pub(crate) type Told = (Connection, News);

/// A hold, as long as its lease runs or it cools, and nobody ended it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    /// Tells holds apart: a token can be raised.
    number: usize,
    at: Spot,
    owner: &'static str,
    pub(crate) token: u64,
    pub(crate) deadline_ns: u64,
    pub(crate) delay_ns: u64,
    pub(crate) together: Together,
    session: Option<Connection>,
    is_heard: bool,
}

impl Hold {
    pub(crate) fn owner(&self) -> &'static str {
        self.owner
    }

    pub(crate) fn is_live(&self, now_ns: u64) -> bool {
        now_ns < self.deadline_ns
    }

    /// Live, or cooling.
    fn counts(&self, now_ns: u64) -> bool {
        now_ns < self.deadline_ns + self.delay_ns
    }
}

/// How many it tolerates, itself included.
fn most(together: Together) -> usize {
    match together {
        Together::Alone => 1,
        Together::Limit(most) => most as usize,
        Together::Shared => usize::MAX,
    }
}

/// A connection that waits, and what it asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub(crate) connection: Connection,
    pub(crate) ttl_ms: u64,
    pub(crate) delay_ms: u64,
    pub(crate) session: Option<Connection>,
    pub(crate) until_ns: Option<u64>,
}

/// One owner's place in the line of a key.
#[derive(Clone, Debug)]
struct Place {
    owner: &'static str,
    together: Together,
    waiters: Vec<Waiter>,
}

/// How a connection that is not granted at once wants to wait, if it does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Try,
    Wait { waiters_most: usize },
}

/// The model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now_ns: u64,
    holds: Vec<Hold>,
    /// By database and key; the first place is the head.
    lines: BTreeMap<(u32, &'static str), Vec<Place>>,
    /// Connections that were granted and have not read it, with the hold's number.
    unread: Vec<(Connection, usize)>,
    token_most: u64,
    granted: usize,
    /// What happened, and how often.
    pub(crate) seen: BTreeMap<&'static str, u32>,
}

fn same(one: Spot, other: Spot) -> bool {
    (one.db, one.key) == (other.db, other.key)
}

impl Model {
    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn advance_ns(&mut self, ns: u64) {
        self.now_ns += ns;
        let now_ns = self.now_ns;
        self.holds.retain(|hold| hold.counts(now_ns));
    }

    pub(crate) fn holds_of(&self, at: Spot) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| same(hold.at, at))
    }

    pub(crate) fn holder(&self, at: Spot) -> Option<&'static str> {
        self.holds_of(at).next().map(|hold| hold.owner)
    }

    pub(crate) fn holds(&self) -> usize {
        self.holds.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.unread.is_empty()
    }

    /// How many connections have no reply yet.
    pub(crate) fn blocked(&self) -> usize {
        self.waiters().count() + self.unread.len()
    }

    fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        let places = self.lines.values().flatten();
        places.flat_map(|place| &place.waiters)
    }

    /// When the next connection stops waiting.
    pub(crate) fn next_wait_ns(&self) -> Option<u64> {
        self.waiters().filter_map(|waiter| waiter.until_ns).min()
    }

    /// Whether another hold would not be one too many, for itself or for any other.
    fn has_room(&self, at: Spot, newcomer: Together) -> bool {
        let with_it = self.holds_of(at).count() + 1;
        let mut all = self.holds_of(at).map(|hold| most(hold.together));
        with_it <= most(newcomer) && all.all(|most| with_it <= most)
    }

    /// Whether it would be, if holds that cool did not count.
    fn has_room_among_the_live(&self, at: Spot, newcomer: Together) -> bool {
        let live = || self.holds_of(at).filter(|hold| hold.is_live(self.now_ns));
        let with_it = live().count() + 1;
        with_it <= most(newcomer) && live().all(|hold| with_it <= most(hold.together))
    }

    /// The live hold of an owner.
    fn hold_of(&mut self, at: Spot, owner: &str, only: Option<u64>) -> Option<&mut Hold> {
        let now_ns = self.now_ns;
        self.holds.iter_mut().find(|hold| {
            same(hold.at, at)
                && hold.owner == owner
                && hold.is_live(now_ns)
                && only.is_none_or(|only| only == hold.token)
        })
    }

    /// tokens-rise: any token above all others is right for a new hold.
    fn grant(
        &mut self,
        at: Spot,
        (owner, together): (&'static str, Together),
        waiter: &Waiter,
        given: u64,
    ) -> usize {
        assert!(self.has_room(at, together), "one too many holds {at:?}");
        self.saw_beside(at, owner, together);
        assert!(given > self.token_most, "token {given} is not larger");
        self.token_most = given;
        self.granted += 1;
        self.holds.push(Hold {
            number: self.granted,
            at,
            owner,
            token: given,
            deadline_ns: self.now_ns + waiter.ttl_ms * 1_000_000,
            delay_ns: waiter.delay_ms * 1_000_000,
            together,
            session: waiter.session,
            is_heard: false,
        });
        self.granted
    }

    /// Who comes, beside whom.
    fn saw_beside(&mut self, at: Spot, owner: &str, together: Together) {
        let is_limit = |together| matches!(together, Together::Limit(_));
        let is_other = |it: &Hold| is_limit(it.together) && it.together != together;
        if is_limit(together) && self.holds_of(at).any(is_other) {
            self.saw("two limits in use");
        }
        if self.holds_of(at).any(|hold| hold.owner == owner) {
            self.saw("an owner that holds anew while its earlier hold cools");
        }
    }

    fn heard(&mut self, number: usize) {
        let mut holds = self.holds.iter_mut();
        if let Some(hold) = holds.find(|hold| hold.number == number) {
            hold.is_heard = true;
        }
    }

    pub(crate) fn acquire(
        &mut self,
        at: Spot,
        (owner, together): (&'static str, Together),
        (waiter, wish): (Waiter, Wish),
        answered: Answer,
    ) {
        let deadline_ns = self.now_ns + waiter.ttl_ms * 1_000_000;
        let line = self.lines.get(&(at.db, at.key));
        let has_line = line.is_some();
        if let Some(hold) = self.hold_of(at, owner, None) {
            if hold.together != together {
                assert_eq!(answered, Answer::OtherTolerance);
                return self.saw("a holder that asks for another number");
            }
            hold.is_heard = true;
            hold.session = waiter.session;
            hold.deadline_ns = hold.deadline_ns.max(deadline_ns);
            hold.delay_ns = waiter.delay_ms * 1_000_000;
            assert_eq!(answered, Answer::Token(token(hold.token)), "same-answer");
        } else if self.has_room(at, together) && !has_line {
            let Answer::Token(given) = answered else {
                panic!("{at:?} is free, and {answered:?} was the answer");
            };
            let number = self.grant(at, (owner, together), &waiter, given.get());
            self.heard(number);
        } else {
            if !has_line && self.has_room_among_the_live(at, together) {
                self.saw("a hold that cools and is in the way");
            }
            self.wait_or_not(at, (owner, together), (waiter, wish), answered);
        }
    }

    fn wait_or_not(
        &mut self,
        at: Spot,
        (owner, together): (&'static str, Together),
        (waiter, wish): (Waiter, Wish),
        answered: Answer,
    ) {
        match wish {
            Wish::Try => {
                assert_eq!(answered, Answer::NoToken, "a try overtook");
                if self.has_room(at, together) {
                    self.saw("a try at a free lock that somebody waits for");
                }
            }
            Wish::Wait { waiters_most } if self.blocked() >= waiters_most => {
                assert_eq!(answered, Answer::QueueFull);
                self.saw("a full queue");
            }
            Wish::Wait { .. } => {
                let places = self.lines.entry((at.db, at.key)).or_default();
                if let Some(place) = places.iter_mut().find(|place| place.owner == owner) {
                    if place.together != together {
                        assert_eq!(answered, Answer::OtherTolerance);
                        return self.saw("one in line that asks for another number");
                    }
                    assert!(matches!(answered, Answer::InLine(_)), "{answered:?}");
                    place.waiters.push(waiter);
                    return self.saw("a second connection in one place");
                }
                assert!(matches!(answered, Answer::InLine(_)), "{answered:?}");
                places.push(Place {
                    owner,
                    together,
                    waiters: vec![waiter],
                });
                if places.len() > 2 {
                    self.saw("a line of three");
                }
            }
        }
    }

    /// in-line: the heads of the line are granted as long as there is room, and nobody
    /// else. What else was told comes back.
    fn let_in<'t>(&mut self, at: Spot, mut told: &'t [Told]) -> &'t [Told] {
        let mut count = 0;
        while let Some(head) = self.lines.get(&(at.db, at.key)).map(|line| &line[0]) {
            if !self.has_room(at, head.together) {
                break;
            }
            told = self.head_granted(at, told);
            count += 1;
        }
        if count > 1 {
            self.saw("several let in by one step");
        }
        told
    }

    /// What begins `told` is that the head of the line was granted, all of
    /// its connections with the same token. What else was told comes back.
    fn head_granted<'t>(&mut self, at: Spot, told: &'t [Told]) -> &'t [Told] {
        let Some(&(_, News::Granted(given))) = told.first() else {
            panic!("nobody was granted {at:?}, and somebody waits: {told:?}");
        };
        let line = self.lines.get_mut(&(at.db, at.key)).expect("a line");
        let head = line.remove(0);
        if line.is_empty() {
            self.lines.remove(&(at.db, at.key));
        }
        let newest = head.waiters.last().expect("a place has a connection");
        let number = self.grant(at, (head.owner, head.together), newest, given.get());
        let (own, rest) = told.split_at(head.waiters.len());
        for (waiter, &news) in head.waiters.iter().zip(own) {
            assert_eq!(news, (waiter.connection, News::Granted(given)));
            self.unread.push((waiter.connection, number));
        }
        if own.len() > 1 {
            self.saw("a grant to several connections");
        }
        rest
    }

    /// What begins `told` is that all who waited for this were told `news`.
    fn line_told<'t>(&mut self, at: Spot, told: &'t [Told], news: News) -> &'t [Told] {
        let line = self.lines.remove(&(at.db, at.key)).unwrap_or_default();
        let waiters: Vec<Waiter> = line.into_iter().flat_map(|place| place.waiters).collect();
        assert!(told.len() >= waiters.len(), "{told:?}");
        let (own, rest) = told.split_at(waiters.len());
        for (waiter, &told) in waiters.iter().zip(own) {
            assert_eq!(told, (waiter.connection, news));
        }
        rest
    }

    pub(crate) fn release(
        &mut self,
        at: Spot,
        owner: &str,
        only: Option<u64>,
        mut told: &[Told],
    ) -> Answer {
        let number = self.hold_of(at, owner, only).map(|hold| hold.number);
        let answer = if number.is_some() {
            self.holds.retain(|hold| Some(hold.number) != number);
            let left = told.len();
            told = self.let_in(at, told);
            if told.len() < left {
                self.saw("a hand-over by release");
            }
            Answer::Yes
        } else {
            if only.is_none() {
                told = self.left(at, owner, told);
            }
            // What is left of this owner cools.
            let before = self.holds.len();
            let is_it = |hold: &Hold| only.is_none_or(|only| only == hold.token);
            self.holds
                .retain(|hold| !(same(hold.at, at) && hold.owner == owner && is_it(hold)));
            if self.holds.len() < before {
                told = self.let_in(at, told);
                self.saw("a release of a hold that cools");
            }
            Answer::No
        };
        assert_eq!(told, [], "nobody else is told");
        answer
    }

    /// The owner leaves the line, and its connections are told.
    fn left<'t>(&mut self, at: Spot, owner: &str, told: &'t [Told]) -> &'t [Told] {
        let line = self.lines.get(&(at.db, at.key));
        let mut places = line.into_iter().flatten();
        let Some(place) = places.find(|place| place.owner == owner).cloned() else {
            return told;
        };
        let (own, rest) = told.split_at(place.waiters.len());
        for (waiter, &news) in place.waiters.iter().zip(own) {
            assert_eq!(news, (waiter.connection, News::NotYours));
            self.unwait(waiter.connection);
        }
        self.saw("a release by who waits");
        rest
    }

    /// The connection waits no more; whether it did.
    fn unwait(&mut self, connection: Connection) -> bool {
        let before = self.waiters().count();
        let mut is_seen = false;
        for places in self.lines.values_mut() {
            let leaves = |place: &Place| {
                place.together == Together::Alone
                    && place.waiters.iter().all(|it| it.connection == connection)
            };
            let is_reader = |place: &Place| place.together == Together::Shared;
            is_seen |= places.len() > 1 && leaves(&places[0]) && is_reader(&places[1]);
            for place in places.iter_mut() {
                place.waiters.retain(|it| it.connection != connection);
            }
            places.retain(|place| !place.waiters.is_empty());
        }
        self.lines.retain(|_, places| !places.is_empty());
        if is_seen {
            self.saw("a writer that left the line in front of readers");
        }
        self.waiters().count() < before
    }

    /// The answer to EXTEND, and with `raise` to RAISE, which is within its bounds.
    pub(crate) fn extend(
        &mut self,
        at: Spot,
        owner: &str,
        (ttl_ms, only): (u64, Option<u64>),
        raise: Option<u64>,
    ) -> Answer {
        let deadline_ns = self.now_ns + ttl_ms * 1_000_000;
        let mut seen = None;
        let answer = match (self.hold_of(at, owner, only), raise) {
            (None, None) => Answer::No,
            (None, Some(_)) => Answer::NoToken,
            (Some(hold), Some(_)) if hold.together != Together::Alone => {
                seen = Some("a token that is not raised where others may hold");
                Answer::NotAlone
            }
            (Some(hold), raise) => {
                seen = (!hold.is_heard).then_some("an extension of an unread grant");
                hold.is_heard = true;
                hold.deadline_ns = hold.deadline_ns.max(deadline_ns);
                hold.token = hold.token.max(raise.unwrap_or(0));
                let token_now = hold.token;
                self.token_most = self.token_most.max(token_now);
                raise.map_or(Answer::Yes, |_| Answer::Token(token(token_now)))
            }
        };
        seen.into_iter().for_each(|what| self.saw(what));
        answer
    }

    /// What the event loop did between two commands. Keys for which `is_other` hold
    /// something that is not a lock.
    pub(crate) fn turn(
        &mut self,
        slices: Slices,
        mut told: &[Told],
        is_other: impl Fn(u32, &str) -> bool,
    ) {
        told = self.waits_ran_out(slices.waits, told);
        let mut lines = 0;
        while let Some(&(connection, news)) = told.first() {
            assert_ne!(slices.leave, Leave::Wait, "{news:?} without leave");
            let at = self.headed_by(connection);
            if is_other(at.db, at.key) {
                told = self.line_told(at, told, News::WrongType);
                self.saw("a key of another type");
            } else {
                assert_eq!(slices.leave, Leave::Write, "{news:?} without leave");
                let left = told.len();
                told = self.let_in(at, told);
                assert!(told.len() < left, "{at:?} was granted, and has no room");
                self.saw("a grant in a turn");
            }
            lines += 1;
        }
        // A lease that ran out beside others has its line looked at, too.
        assert!(lines <= slices.lines.saturating_add(slices.leases));
        let is_whole = slices.waits.min(slices.leases).min(slices.lines) == usize::MAX;
        if is_whole && slices.leave == Leave::Write {
            for (&(db, key), places) in &self.lines {
                let at = Spot { db, key };
                let has_room = self.has_room(at, places[0].together);
                assert!(!has_room, "{at:?} is free, and somebody waits");
                assert!(!is_other(db, key), "{at:?} is no lock, and somebody waits");
            }
        }
    }

    /// Those whose wait ran out are told first, in that order.
    fn waits_ran_out<'t>(&mut self, most: usize, told: &'t [Told]) -> &'t [Told] {
        let until_ns = self.waiters().filter_map(|waiter| waiter.until_ns);
        let mut due: Vec<u64> = until_ns.filter(|&until| until <= self.now_ns).collect();
        due.sort_unstable();
        due.truncate(most);
        assert!(
            told.len() >= due.len(),
            "a wait ran out, and nobody said so"
        );
        let (own, rest) = told.split_at(due.len());
        for (&(connection, news), until_ns) in own.iter().zip(due) {
            let mut waiters = self.waiters();
            let waiter = waiters.find(|waiter| waiter.connection == connection);
            let found = waiter.and_then(|waiter| waiter.until_ns);
            assert_eq!((news, found), (News::NotYours, Some(until_ns)));
            drop(waiters);
            self.unwait(connection);
            self.saw("a wait that ran out");
        }
        rest
    }

    /// The line at whose head this connection is the first.
    fn headed_by(&self, connection: Connection) -> Spot {
        let is_first = |places: &Vec<Place>| places[0].waiters[0].connection == connection;
        let mut lines = self.lines.iter();
        let Some((&(db, key), _)) = lines.find(|(_, places)| is_first(places)) else {
            panic!("connection {connection} is not the first in any line");
        };
        Spot { db, key }
    }

    /// Keys of this name are another server's.
    pub(crate) fn slot_left(&mut self, key: &'static str, news: News, mut told: &[Told]) {
        let lines = self.lines.keys().filter(|line| line.1 == key);
        let dbs: Vec<u32> = lines.map(|line| line.0).collect();
        for db in dbs {
            told = self.line_told(Spot { db, key }, told, news);
            self.saw("a slot that left");
        }
        assert_eq!(told, [], "nobody else is told");
    }

    /// The connection has read its token.
    pub(crate) fn delivered(&mut self, connection: Connection) {
        let mut unread = self.unread.iter();
        let found = unread.position(|unread| unread.0 == connection);
        let (_, number) = self.unread.remove(found.expect("it was granted"));
        self.heard(number);
    }

    /// The connection got no reply, or no token: it waits no more.
    pub(crate) fn gone(&mut self, connection: Connection) {
        if self.unwait(connection) {
            return self.saw("a connection that went while it waited");
        }
        let mut unread = self.unread.iter();
        let Some(found) = unread.position(|unread| unread.0 == connection) else {
            return;
        };
        let (_, number) = self.unread.remove(found);
        if self.unread.iter().any(|unread| unread.1 == number) {
            return self.saw("a grant with another connection left to read it");
        }
        let before = self.holds.len();
        let is_ghost = |hold: &Hold| hold.number == number && !hold.is_heard;
        self.holds.retain(|hold| !is_ghost(hold));
        if self.holds.len() < before {
            self.saw("a grant that nobody read");
        }
    }

    pub(crate) fn session_ended(&mut self, connection: Connection) {
        let now_ns = self.now_ns;
        let before = self.holds.len();
        for hold in &mut self.holds {
            if hold.session == Some(connection) {
                hold.session = None;
                hold.deadline_ns = hold.deadline_ns.min(now_ns);
            }
        }
        self.holds.retain(|hold| hold.counts(now_ns));
        if self.holds.len() < before {
            self.saw("a session that ended with its hold");
        }
    }

    /// Whatever was held there is not any more.
    pub(crate) fn end(&mut self, at: Spot) {
        let before = self.holds.len();
        self.holds.retain(|hold| !same(hold.at, at));
        if self.holds.len() < before && self.lines.contains_key(&(at.db, at.key)) {
            self.saw("a broken hold that somebody waited for");
        }
    }

    /// As [`Model::end`], for all keys of a database or of all.
    pub(crate) fn end_all(&mut self, db: Option<u32>) {
        self.holds
            .retain(|hold| db.is_some_and(|db| db != hold.at.db));
    }
}
