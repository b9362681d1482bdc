//! Random histories with lines: whoever waits, dies, gives up or is granted, in
//! whatever order, the rules do what plain lists of places do.

use crate::line_steps::{history, Binding, By, Step, Together, Wait, Whose, CONNECTIONS, KEYS};
use crate::lines_model::{Model, Told, Waiter, Wish};
use crate::lock::holders::HoldRef;
use crate::lock::record::{decode, encode, VERSION};
use crate::lock::slots::Slot;
use crate::lock::{Answer, BootTime, ClientId, Delay, Event, Extension, LockId, News, Patience};
use crate::lock::{TicketId, Tolerance};
use crate::random_steps::{Force, Forced, Spot, DBS_USED};
use crate::replay;
use crate::server::{Request, Server, Slices};
use crate::values::{token, wall};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

impl Forced for Model {
    fn end(&mut self, at: Spot) {
        self.end(at);
    }

    fn end_all(&mut self, db: Option<u32>) {
        self.end_all(db);
    }
}

/// A connection, and how far it has come.
#[derive(Clone, Copy, Debug)]
struct Connection {
    number: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may send a command.
    Idle,
    Waiting(TicketId),
    /// It has not read it yet.
    Told(TicketId, News),
}

/// A server in the middle of a history, and what it is judged by.
pub(crate) struct Run {
    pub(crate) server: Server,
    pub(crate) model: Model,
    connections: Vec<Connection>,
    last_number: u64,
}

impl Run {
    pub(crate) fn new() -> Self {
        let server = Server::new();
        let mut model = Model::default();
        model.advance_ns(server.now.as_ns());
        let idle = |number| Connection {
            number,
            state: State::Idle,
        };
        Self {
            server,
            model,
            connections: (1..=CONNECTIONS as u64).map(idle).collect(),
            last_number: CONNECTIONS as u64,
        }
    }

    /// Takes a step and compares what comes of it with the model's.
    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Acquire { at, .. } | Step::Release { at, .. } | Step::Extend { at, .. } => {
                self.server.db = at.db;
                // The server answers WRONGTYPE without asking the rules.
                if !self.server.is_other(at.db, at.key.as_bytes()) {
                    self.ask(at, step);
                }
            }
            Step::Read { from } => {
                let told = |it: &Connection| matches!(it.state, State::Told(..));
                self.find(from, told)
                    .into_iter()
                    .for_each(|who| self.read(who));
            }
            Step::Die { from } => self.die(from),
            Step::Unblock { from } => {
                let blocked = |it: &Connection| it.state != State::Idle;
                self.find(from, blocked)
                    .into_iter()
                    .for_each(|who| self.unblock(who));
            }
            Step::UnblockAll => {
                for who in 0..CONNECTIONS {
                    if matches!(self.connections[who].state, State::Waiting(_)) {
                        self.unblock(who);
                    }
                }
            }
            Step::SlotLeft { key } => self.slot_left(key),
            Step::Force(force) => self.force(force),
            Step::Set { at } => {
                self.server.db = at.db;
                self.server.set(at.key.as_bytes());
                self.model.end(at);
            }
            Step::Turn(slices) => self.turn(slices),
            Step::Pass { ns } => {
                self.server.advance_ns(ns);
                self.model.advance_ns(ns);
            }
        }
        assert_eq!(self.server.told, [], "told without a reason");
    }

    fn find(&self, from: usize, wanted: impl Fn(&Connection) -> bool) -> Option<usize> {
        let turn_about = (from..from + CONNECTIONS).map(|number| number % CONNECTIONS);
        let mut found = turn_about.filter(|&number| wanted(&self.connections[number]));
        found.next()
    }

    fn ask(&mut self, at: Spot, step: Step) {
        match step {
            Step::Acquire {
                owner,
                ttl_ms,
                together,
                delay_ms,
                from,
                binding,
                wait,
                ..
            } => {
                let idle = |it: &Connection| it.state == State::Idle;
                if let Some(who) = self.find(from, idle) {
                    let times_ms = (ttl_ms, delay_ms);
                    self.acquire(at, (owner, together), times_ms, (who, binding, wait));
                }
            }
            Step::Release { owner, back, .. } => {
                let owner = self.named(at, owner);
                let only = back.map(|back| self.issued(back));
                let (key, name) = (at.key.as_bytes(), owner.as_bytes());
                let (answer, _) = self.server.release(key, name, only.map(token));
                let told = self.take_told();
                assert_eq!(answer, self.model.release(at, owner, only, &told));
            }
            Step::Extend {
                owner, ttl_ms, by, ..
            } => self.extend(at, self.named(at, owner), ttl_ms, by),
            _ => unreachable!("the others ask nothing"),
        }
    }

    fn named(&self, at: Spot, whose: Whose) -> &'static str {
        match whose {
            Whose::Name(name) => name,
            Whose::Holder(name) => self.model.holder(at).unwrap_or(name),
        }
    }

    /// The token issued so many before the last.
    fn issued(&self, back: u64) -> u64 {
        let last = self.server.locks.tokens().last();
        last.saturating_sub(back).max(1)
    }

    fn acquire(
        &mut self,
        at: Spot,
        (owner, together): (&'static str, Together),
        (ttl_ms, delay_ms): (u64, u64),
        (who, binding, wait): (usize, Binding, Wait),
    ) {
        let number = self.connections[who].number;
        let session = (binding == Binding::Session).then_some(number);
        let (wish, until_ns) = match wait {
            Wait::Try => (Wish::Try, None),
            Wait::Block { ms, waiters_most } => {
                let until_ns = ms.map(|ms| self.model.now_ns + ms * 1_000_000);
                (Wish::Wait { waiters_most }, until_ns)
            }
        };
        let patience = match wish {
            Wish::Try => Patience::Try,
            Wish::Wait { waiters_most } => Patience::Wait {
                until: until_ns.map(BootTime::from_ns),
                waiters_most,
            },
        };
        let request = Request {
            owner: owner.as_bytes(),
            ttl_ms,
            session: session.and_then(ClientId::new),
            tolerates: together.tolerance(),
            delay: Delay::from_ms(delay_ms).expect("short"),
            patience,
        };
        let outcome = self.server.ask(at.key.as_bytes(), request);
        if let Answer::InLine(ticket) = outcome.0 {
            self.connections[who].state = State::Waiting(ticket);
        }
        let waiter = Waiter {
            connection: number,
            ttl_ms,
            delay_ms,
            session,
            until_ns,
        };
        self.model
            .acquire(at, (owner, together), (waiter, wish), outcome.0);
    }

    fn extend(&mut self, at: Spot, owner: &'static str, ttl_ms: u64, by: By) {
        let (only, raise) = match by {
            By::Owner => (None, None),
            By::Token(back) => (Some(self.issued(back)), None),
            By::Raise(ahead) => (None, Some(self.issued(0) + ahead)),
        };
        let extension = match raise {
            None => Extension::Plain(only.map(token)),
            Some(raise) => Extension::Raise(token(raise), wall(0)),
        };
        let (key, name) = (at.key.as_bytes(), owner.as_bytes());
        let (answer, _) = self.server.extend_with(key, name, ttl_ms, extension);
        let expected = self.model.extend(at, owner, (ttl_ms, only), raise);
        assert_eq!(answer, expected, "{by:?}");
    }

    /// Who was told what since this was last asked. Each is told once, and only if
    /// it waits.
    fn take_told(&mut self) -> Vec<Told> {
        let mut found = Vec::new();
        for (ticket, news) in std::mem::take(&mut self.server.told) {
            let mut connections = self.connections.iter_mut();
            let Some(connection) = connections.find(|it| it.state == State::Waiting(ticket)) else {
                panic!("{news:?} for somebody who does not wait");
            };
            connection.state = State::Told(ticket, news);
            found.push((connection.number, news));
        }
        found
    }

    fn read(&mut self, who: usize) {
        let Connection { number, state } = self.connections[who];
        if let State::Told(ticket, News::Granted(_)) = state {
            self.server.silently(Event::TicketDelivered(ticket));
            self.model.delivered(number);
        }
        self.connections[who].state = State::Idle;
    }

    fn read_all(&mut self) {
        for who in 0..CONNECTIONS {
            if matches!(self.connections[who].state, State::Told(..)) {
                self.read(who);
            }
        }
    }

    /// Answered by the server itself: what it was told is lost, its session not.
    fn unblock(&mut self, who: usize) {
        let Connection { number, state } = self.connections[who];
        if let State::Waiting(ticket) | State::Told(ticket, _) = state {
            // Also for a ticket that is gone, as the shell does.
            self.server.silently(Event::TicketGone(ticket));
            self.model.gone(number);
        }
        self.connections[who].state = State::Idle;
    }

    fn die(&mut self, who: usize) {
        let number = self.connections[who].number;
        if let Some(client) = ClientId::new(number) {
            self.server.silently(Event::SessionEnded(client));
            self.model.session_ended(number);
        }
        self.unblock(who);
        self.last_number += 1;
        self.connections[who].number = self.last_number;
    }

    /// Connections are numbered as in the beginning.
    pub(crate) fn begin_anew(&mut self) {
        self.server.sent.clear();
        self.last_number = 0;
        for connection in &mut self.connections {
            self.last_number += 1;
            connection.number = self.last_number;
        }
    }

    fn slot_left(&mut self, key: &'static str) {
        let slot = Slot::of_key(key.as_bytes());
        self.server.slot_left(slot);
        let told = self.take_told();
        self.model.slot_left(key, News::Moved(slot), &told);
    }

    fn force(&mut self, force: Force) {
        force.carry_out(&mut self.server, &mut self.model);
    }

    pub(crate) fn turn(&mut self, slices: Slices) {
        self.server.turn_in(slices);
        let told = self.take_told();
        let server = &self.server;
        let is_other = |db: u32, key: &str| server.is_other(db, key.as_bytes());
        self.model.turn(slices, &told, is_other);
    }

    /// FENCE, leases, clocks and counts are the model's.
    pub(crate) fn check(&mut self) {
        for at in spots() {
            let now_ns = self.model.now_ns;
            let mut holds: Vec<_> = self.model.holds_of(at).copied().collect();
            holds.sort_by_key(|hold| hold.token);
            let lowest = holds.iter().find(|hold| hold.is_live(now_ns));
            let lowest = lowest.map_or(Answer::NoToken, |hold| Answer::Token(token(hold.token)));
            self.server.db = at.db;
            let key = at.key.as_bytes();
            assert_eq!(self.server.fence(key, None), lowest, "{at:?}");
            for hold in &holds {
                let answer = self.server.fence(key, Some(token(hold.token)));
                assert_eq!(answer == Answer::Yes, hold.is_live(now_ns), "{hold:?}");
            }
            let expected: Vec<_> = holds.iter().map(plain_of_model).collect();
            let here = self.server.found(at.db, key);
            let here = counted(&self.server, here);
            let here: Vec<_> = here.iter().map(plain).collect();
            assert_eq!(here, expected, "{at:?}");
        }
        let locks = &self.server.locks;
        assert_eq!(locks.waiting(), self.model.blocked());
        let next_ns = locks.next_wait_deadline().map(BootTime::as_ns);
        assert_eq!(next_ns, self.model.next_wait_ns());
    }

    /// After a while everybody in line has had a turn, and nothing is left.
    pub(crate) fn wind_up(&mut self) {
        for _ in 0..=CONNECTIONS {
            self.take(Step::Pass { ns: 100_000_000 });
            self.turn(Slices::WHOLE);
            self.read_all();
            if self.model.is_idle() && self.model.holds() == 0 {
                break;
            }
        }
        assert!(self.model.is_idle(), "somebody waits for ever");
        assert_eq!(self.model.holds(), 0);
        let locks = &self.server.locks;
        assert_eq!(locks.len() + locks.waiting() + locks.lines_ready(), 0);
        assert_eq!(
            (locks.next_deadline(), locks.next_wait_deadline()),
            (None, None)
        );
        assert!(!locks.has_sessions());
        assert_eq!(self.server.keys().count(), 0);
        let all_idle = self.connections.iter().all(|it| it.state == State::Idle);
        assert!(all_idle, "{:?}", self.connections);
    }
}

fn spots() -> impl Iterator<Item = Spot> {
    (0..DBS_USED).flat_map(|db| KEYS.map(|key| Spot { db, key }))
}

/// Runs a history to its end; what the model saw.
pub(crate) fn run(steps: Vec<Step>) -> Model {
    let mut run = Run::new();
    for step in steps {
        run.take(step);
        assert_eq!(run.server.locks.broken_invariant(), None, "after {step:?}");
        run.check();
    }
    run.wind_up();
    std::mem::take(&mut run.model)
}

/// Owner, token, deadline, delay and tolerance.
type Plain = (Vec<u8>, u64, u64, u64, Tolerance);

fn plain(hold: &HoldRef<'_>) -> Plain {
    let (deadline_ns, delay_ms) = (hold.deadline.as_ns(), hold.delay.as_ms());
    let name = hold.owner.to_vec();
    (
        name,
        hold.token.get(),
        deadline_ns,
        delay_ms,
        hold.tolerates,
    )
}

fn plain_of_model(hold: &crate::lines_model::Hold) -> Plain {
    let delay_ms = hold.delay_ns / 1_000_000;
    let name = hold.owner().as_bytes().to_vec();
    let tolerates = hold.together.tolerance();
    (name, hold.token, hold.deadline_ns, delay_ms, tolerates)
}

/// The holds behind a handle, by token: those of which it has not been said that
/// they are over.
fn unended(server: &Server, lock: Option<LockId>) -> Vec<HoldRef<'_>> {
    let lock = lock.and_then(|lock| server.locks.lock(lock));
    let holds = lock.into_iter().flat_map(|lock| lock.holders.iter());
    let mut holds: Vec<HoldRef<'_>> = holds.collect();
    holds.sort_by_key(|hold| hold.token);
    holds
}

/// Those that count as holders.
fn counted(server: &Server, lock: Option<LockId>) -> Vec<HoldRef<'_>> {
    let mut holds = unended(server, lock);
    holds.retain(|hold| hold.counts(server.now));
    holds
}

/// What is saved is loaded: the same holds, each live or cooling as it was, and for
/// no shorter; a millisecond longer at most.
fn check_records(server: &Server) {
    let mut loaded = Server::new();
    loaded.advance_ms(777);
    for (db, key, lock) in server.keys() {
        let bytes = encode(server.now, server.locks.lock(lock));
        loaded.db = db;
        for hold in decode(VERSION, &bytes).expect("sound") {
            loaded.apply_hold(key, hold);
        }
        let saved = counted(server, Some(lock));
        if saved.is_empty() {
            continue;
        }
        let there = counted(&loaded, loaded.found(db, key));
        assert_eq!(saved.len(), there.len(), "{saved:?}, {there:?}");
        for (saved, there) in saved.iter().zip(&there) {
            let left = |server: &Server, hold: &HoldRef<'_>| {
                let left_ns = |end: BootTime| end.as_ns().saturating_sub(server.now.as_ns());
                (left_ns(hold.deadline), left_ns(hold.over_at()))
            };
            let (here, after) = (left(server, saved), left(&loaded, there));
            let is_same = |here, after| (here..here + 1_000_000).contains(&after);
            assert_eq!((&saved.owner, saved.token), (&there.owner, there.token));
            assert_eq!(saved.tolerates, there.tolerates);
            assert!(is_same(here.0, after.0) && is_same(here.1, after.1));
        }
        for saved in saved {
            let answer = loaded.fence(key, Some(saved.token));
            assert_eq!(answer == Answer::Yes, saved.is_live(server.now));
        }
    }
}

/// The replica has the same keys, each held by the same owners with the same tokens,
/// and no shorter.
fn check_replica(master: &Server, replica: &Server) {
    assert_eq!(master.keys().count(), replica.keys().count());
    for ((db, key, here), (db_there, key_there, there)) in master.keys().zip(replica.keys()) {
        assert_eq!((db, key), (db_there, key_there));
        let (here, there) = (unended(master, Some(here)), unended(replica, Some(there)));
        assert_eq!(here.len(), there.len(), "{here:?}, {there:?}");
        for (here, there) in here.iter().zip(&there) {
            assert_eq!((&here.owner, here.token), (&there.owner, there.token));
            assert_eq!(here.tolerates, there.tolerates);
            assert!(here.deadline <= there.deadline);
            assert!(here.over_at() <= there.over_at());
        }
    }
    let tokens = replica.locks.tokens();
    assert!(tokens.last() <= tokens.ceiling(), "a token was not covered");
}

/// Runs a history on a server with a replica, which follows and is promoted then.
pub(crate) fn run_with_replica(steps: &[Step]) {
    let mut run = Run::new();
    let mut replica = Server::new();
    for &step in steps {
        run.take(step);
        replica.now = run.server.now;
        for sent in std::mem::take(&mut run.server.sent) {
            replica.apply(&sent);
        }
        check_replica(&run.server, &replica);
    }
    assert_eq!(replica.locks.broken_invariant(), None);
    check_records(&run.server);
    check_records(&replica);
    // Promoted, it ends by itself what nobody keeps.
    replica.open_term(wall(0));
    for _ in 0..3 {
        replica.advance_ms(60);
        replica.turn();
        assert_eq!(replica.locks.broken_invariant(), None);
    }
    assert_eq!((replica.locks.len(), replica.keys().count()), (0, 0));
}

proptest! {
    #![proptest_config(replay::config())]

    #[test]
    fn a_replica_holds_what_its_master_granted_from_the_line(steps in history()) {
        run_with_replica(&steps);
    }

    #[test]
    fn every_history_with_lines_goes_as_plain_lists_of_places_go(steps in history()) {
        run(steps);
    }
}

/// What the histories are there for. Each is to happen often enough that it meets
/// the others, in a tenth of the histories that a normal run takes.
const WANTED: [&str; 26] = [
    "a hand-over by release",
    "a grant in a turn",
    "a grant to several connections",
    "a grant that nobody read",
    "a grant with another connection left to read it",
    "an extension of an unread grant",
    "a second connection in one place",
    "a line of three",
    "a session that ended with its hold",
    "a connection that went while it waited",
    "a wait that ran out",
    "a try at a free lock that somebody waits for",
    "a release by who waits",
    "a broken hold that somebody waited for",
    "a key of another type",
    "a full queue",
    "a slot that left",
    "several let in by one step",
    "a hold that cools and is in the way",
    "an owner that holds anew while its earlier hold cools",
    "a writer that left the line in front of readers",
    "a holder that asks for another number",
    "one in line that asks for another number",
    "two limits in use",
    "a release of a hold that cools",
    "a token that is not raised where others may hold",
];

#[test]
fn random_histories_reach_what_lines_are_about() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..100 {
        let tree = history().new_tree(&mut runner).expect("a history");
        for (what, times) in run(tree.current()).seen {
            *seen.entry(what).or_insert(0) += times;
        }
    }
    println!("{seen:#?}");
    for what in WANTED {
        assert!(seen.get(what).is_some_and(|&times| times >= 10), "{what}");
    }
}
