//! A server small enough to read: a clock, databases of handles, and the shell's
//! part in carrying out effects.
//!
//! It does to keys what a real server does (DEL, RENAME, MOVE, SWAPDB, FLUSH) and
//! tells the rules what a real server tells them, in the same order. It decides
//! nothing about locks. What it would send to log and replicas is kept in a list.

use crate::lock::holders::StoredHold;
use crate::lock::slots::Slot;
use crate::lock::{
    Answer, BootTime, ClientId, Delay, Effect, Event, Extension, LockId, Locks, News, Patience,
    Place, TicketId, Token, Tolerance, Ttl, WallTime,
};
pub(crate) use crate::sent::Sent;
use crate::values::ttl;
pub(crate) use crate::values::Request;
use std::collections::{BTreeMap, BTreeSet};

/// How many databases there are.
pub(crate) const DBS: u32 = 3;

/// How much is done between two commands, and what the server lets be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slices {
    pub(crate) reclaim: u32,
    pub(crate) waits: usize,
    pub(crate) leases: usize,
    pub(crate) lines: usize,
    pub(crate) leave: Leave,
}

/// What may be changed between two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Everything.
    Write,
    /// Leases end, but nobody is granted: too few replicas, a full disk.
    EndOnly,
    /// Nothing: writes are paused, or the server is a replica.
    Wait,
}

impl Slices {
    /// All that is due.
    pub(crate) const WHOLE: Self = Self {
        reclaim: u32::MAX,
        waits: usize::MAX,
        leases: usize::MAX,
        lines: usize::MAX,
        leave: Leave::Write,
    };
}

/// What a command answers, and what it makes the server do.
pub(crate) type Outcome = (Answer, Vec<Effect>);

/// The server.
pub(crate) struct Server {
    pub(crate) locks: Locks,
    pub(crate) now: BootTime,
    /// The database that commands act on.
    pub(crate) db: u32,
    pub(crate) sent: Vec<Sent>,
    /// Who was told what, in order, until somebody takes it.
    pub(crate) told: Vec<(TicketId, News)>,
    /// What may be changed in the turn that runs.
    leave: Leave,
    /// Keys that hold something that is not a lock.
    others: BTreeSet<(u32, Vec<u8>)>,
    dbs: Vec<BTreeMap<Vec<u8>, LockId>>,
    /// Keys that may hold a dead handle: in one database, or in any.
    suspects: Vec<(Option<u32>, Vec<u8>)>,
}

impl Server {
    /// A server that never granted anything, with a clock that reads zero.
    pub(crate) fn new() -> Self {
        let now = BootTime::from_ns(1_000_000_000);
        let mut locks = Locks::default();
        locks.step(now, Event::OpenTerm(WallTime::default()), &mut Vec::new());
        Self {
            locks,
            now,
            db: 0,
            sent: Vec::new(),
            told: Vec::new(),
            leave: Leave::Write,
            others: BTreeSet::new(),
            dbs: vec![BTreeMap::new(); DBS as usize],
            suspects: Vec::new(),
        }
    }

    pub(crate) fn advance_ms(&mut self, ms: u64) {
        self.advance_ns(ms * 1_000_000);
    }

    pub(crate) fn advance_ns(&mut self, ns: u64) {
        self.now = BootTime::from_ns(self.now.as_ns() + ns);
    }

    /// The handle under the key, alive or dead.
    pub(crate) fn found(&self, db: u32, key: &[u8]) -> Option<LockId> {
        self.dbs[db as usize].get(key).copied()
    }

    /// The handle under a key of the current database that is there.
    pub(crate) fn handle(&self, key: &[u8]) -> LockId {
        self.found(self.db, key).expect("the key is there")
    }

    /// Every key that is there, with what it holds.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (u32, &[u8], LockId)> {
        (0..).zip(&self.dbs).flat_map(|(db, keys)| {
            keys.iter()
                .map(move |(key, &lock)| (db, key.as_slice(), lock))
        })
    }

    fn at<'a>(&self, key: &'a [u8]) -> Place<'a> {
        Place {
            db: self.db,
            key,
            lock: self.found(self.db, key),
        }
    }

    pub(crate) fn acquire(&mut self, key: &[u8], owner: &[u8], ttl_ms: u64) -> Outcome {
        self.acquire_with(key, owner, ttl_ms, None, Patience::Try)
    }

    pub(crate) fn acquire_with(
        &mut self,
        key: &[u8],
        owner: &[u8],
        ttl_ms: u64,
        session: Option<ClientId>,
        patience: Patience,
    ) -> Outcome {
        let request = Request {
            session,
            patience,
            ..Request::plain(owner, ttl_ms)
        };
        self.ask(key, request)
    }

    /// ACQUIRE with all that can be asked for.
    pub(crate) fn ask(&mut self, key: &[u8], request: Request<'_>) -> Outcome {
        let at = self.at(key);
        let event = Event::Acquire {
            at,
            owner: request.owner,
            ttl: ttl(request.ttl_ms),
            session: request.session,
            tolerates: request.tolerates,
            delay: request.delay,
            patience: request.patience,
        };
        self.step(at, event)
    }

    pub(crate) fn release(&mut self, key: &[u8], owner: &[u8], token: Option<Token>) -> Outcome {
        let at = self.at(key);
        self.step(at, Event::Release { at, owner, token })
    }

    pub(crate) fn extend(&mut self, key: &[u8], owner: &[u8], ttl_ms: u64) -> Outcome {
        self.extend_with(key, owner, ttl_ms, Extension::Plain(None))
    }

    pub(crate) fn raise(
        &mut self,
        key: &[u8],
        owner: &[u8],
        ttl_ms: u64,
        (token, wall): (Token, WallTime),
    ) -> Outcome {
        self.extend_with(key, owner, ttl_ms, Extension::Raise(token, wall))
    }

    pub(crate) fn extend_with(
        &mut self,
        key: &[u8],
        owner: &[u8],
        ttl_ms: u64,
        extension: Extension,
    ) -> Outcome {
        let at = self.at(key);
        let event = Event::Extend {
            at,
            owner,
            ttl: ttl(ttl_ms),
            extension,
        };
        self.step(at, event)
    }

    /// FENCE; a read, so it has no effects.
    pub(crate) fn fence(&mut self, key: &[u8], token: Option<Token>) -> Answer {
        let at = self.at(key);
        self.silently(Event::Fence { at, token })
    }

    /// Ends leases that are over.
    pub(crate) fn sweep(&mut self, most: usize) -> Vec<Effect> {
        self.in_background(Event::Sweep { most })
    }

    /// Sends connections away that have waited long enough.
    pub(crate) fn sweep_waits(&mut self, most: usize) -> Vec<Effect> {
        self.in_background(Event::SweepWaits { most })
    }

    /// Frees some of what FLUSH and SWAPDB ended.
    pub(crate) fn reclaim(&mut self, most: u32) -> Vec<Effect> {
        self.in_background(Event::Reclaim { most })
    }

    /// Deletes keys that were suspected of holding dead handles, and do.
    pub(crate) fn look_at_suspects(&mut self) {
        for (db, key) in std::mem::take(&mut self.suspects) {
            let dbs = db.map_or(0..DBS, |db| db..db + 1);
            for db in dbs {
                let is_dead = |lock| self.locks.lock(lock).is_none();
                if self.found(db, &key).is_some_and(is_dead) {
                    self.del_in(db, &key);
                }
            }
        }
    }

    /// Everything that the event loop does between commands, until all is done.
    pub(crate) fn turn(&mut self) {
        self.turn_in(Slices::WHOLE);
    }

    /// As much of it, in the order of `src/redis/turn.rs`.
    pub(crate) fn turn_in(&mut self, slices: Slices) {
        let lost = self.locks.take_lost_cover();
        self.sent.extend(lost.map(Sent::Cover));
        self.reclaim(slices.reclaim);
        self.sweep_waits(slices.waits.min(self.locks.waiting()));
        if slices.leave != Leave::Wait {
            self.leave = slices.leave;
            self.sweep(slices.leases.min(self.locks.len()));
            self.leave = Leave::Write;
            self.hand_over(slices);
            self.look_at_suspects();
        }
    }

    /// Looks at lines whose lock may be free.
    fn hand_over(&mut self, slices: Slices) {
        for _ in 0..self.locks.lines_ready().min(slices.lines) {
            let Some((db, key)) = self.locks.take_ready_line() else {
                break;
            };
            let is_other = self.is_other(db, &key);
            if slices.leave == Leave::EndOnly && !is_other {
                self.locks.put_ready_line_back(db, &key);
                return;
            }
            let at = Place {
                db,
                key: &key,
                lock: self.found(db, &key),
            };
            let event = match is_other {
                true => Event::KeyTaken { db, key: &key },
                false => Event::GrantNext { at },
            };
            self.step(at, event);
        }
    }

    /// A cluster slot goes to another server; its keys are deleted later.
    pub(crate) fn slot_left(&mut self, slot: Slot) {
        self.in_background(Event::SlotLeft(slot));
    }

    pub(crate) fn open_term(&mut self, wall: WallTime) {
        self.silently(Event::OpenTerm(wall));
    }

    /// A step that must not have effects: in the real shell nobody looks.
    pub(crate) fn silently(&mut self, event: Event<'_>) -> Answer {
        let mut effects = Vec::new();
        let answer = self.locks.step(self.now, event, &mut effects);
        assert_eq!(effects, [], "{event:?} has effects");
        answer
    }

    /// A step on a key, its effects carried out.
    pub(crate) fn step(&mut self, at: Place<'_>, event: Event<'_>) -> Outcome {
        let mut effects = Vec::new();
        let answer = self.locks.step(self.now, event, &mut effects);
        for effect in &effects {
            self.carry_out(Some(at), effect);
        }
        (answer, effects)
    }

    fn in_background(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.locks.step(self.now, event, &mut effects);
        for effect in &effects {
            self.carry_out(None, effect);
        }
        effects
    }

    fn carry_out(&mut self, at: Option<Place<'_>>, effect: &Effect) {
        let place = || at.map(|at| (at.db, at.key.to_vec())).expect("a command");
        match effect {
            Effect::Cover(cover) => self.sent.push(Sent::Cover(*cover)),
            Effect::Store(lock) => self.store(place(), *lock),
            Effect::Grant { lock, token, ttl } => {
                let lock = self.locks.lock(*lock).expect("granted locks live");
                let hold = lock.holders.with_token(*token).expect("granted");
                self.sent.push(Sent::Grant {
                    at: place(),
                    owner: hold.owner.to_vec(),
                    token: hold.token,
                    ttl: *ttl,
                    tolerates: hold.tolerates,
                    delay: hold.delay,
                });
            }
            Effect::Cool { lock, token, left } => {
                let lock = self.locks.lock(*lock).expect("what cools is there");
                let hold = lock.holders.with_token(*token).expect("it cools");
                self.sent.push(Sent::Cooling {
                    at: place(),
                    owner: hold.owner.to_vec(),
                    token: hold.token,
                    tolerates: hold.tolerates,
                    left: *left,
                });
            }
            Effect::End { owner, token } => self.sent.push(Sent::End {
                at: place(),
                owner: owner.to_vec(),
                token: *token,
            }),
            Effect::Delete { db, key, lock } => {
                if self.found(*db, key) == Some(*lock) {
                    self.del_in(*db, key);
                }
            }
            Effect::Signal => assert!(at.is_some(), "only a command changes a holder"),
            Effect::Reply { ticket, news } => self.told.push((*ticket, *news)),
            Effect::Look { db, key } if self.leave == Leave::EndOnly => {
                self.locks.put_ready_line_back(*db, key);
            }
            Effect::Look { db, key } => {
                let at = Place {
                    db: *db,
                    key,
                    lock: self.found(*db, key),
                };
                self.step(at, Event::GrantNext { at });
            }
            Effect::Search { key } => self.suspects.push((None, key.to_vec())),
        }
    }

    /// The old value leaves the keyspace before the new one is there.
    fn store(&mut self, (db, key): (u32, Vec<u8>), lock: LockId) {
        if let Some(old) = self.dbs[db as usize].remove(&key) {
            self.silently(Event::Unlinked { lock: old });
        }
        self.dbs[db as usize].insert(key, lock);
    }

    /// DEL, UNLINK, eviction, SET over the key; whether it was there.
    pub(crate) fn del(&mut self, key: &[u8]) -> bool {
        self.del_in(self.db, key)
    }

    /// SET over the key: what it holds now is not a lock.
    pub(crate) fn set(&mut self, key: &[u8]) {
        self.del(key);
        self.others.insert((self.db, key.to_vec()));
    }

    /// Whether the key holds something that is not a lock.
    pub(crate) fn is_other(&self, db: u32, key: &[u8]) -> bool {
        !self.others.is_empty() && self.others.contains(&(db, key.to_vec()))
    }

    fn del_in(&mut self, db: u32, key: &[u8]) -> bool {
        if self.others.remove(&(db, key.to_vec())) {
            return true;
        }
        let Some(lock) = self.dbs[db as usize].remove(key) else {
            return false;
        };
        self.silently(Event::Unlinked { lock });
        self.sent.push(Sent::Deleted(db, key.to_vec()));
        true
    }

    /// RENAME; whether there was something to rename.
    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) -> bool {
        if self.others.remove(&(self.db, from.to_vec())) {
            self.set(to);
            return true;
        }
        let Some(lock) = self.found(self.db, from) else {
            return false;
        };
        if from == to {
            return true;
        }
        self.others.remove(&(self.db, to.to_vec()));
        self.store((self.db, to.to_vec()), lock);
        self.dbs[self.db as usize].remove(from);
        self.silently(Event::Unlinked { lock });
        self.arrived(self.db, to, lock);
        let (from, to) = (from.to_vec(), to.to_vec());
        self.sent.push(Sent::Renamed(self.db, from, to));
        true
    }

    /// A value is under another name now, or in another database: it is over.
    fn arrived(&mut self, db: u32, key: &[u8], lock: LockId) {
        self.silently(Event::Unlinked { lock });
        self.suspects.push((Some(db), key.to_vec()));
    }

    /// MOVE; not onto a key that is there. Whether it moved.
    pub(crate) fn move_to(&mut self, key: &[u8], to: u32) -> bool {
        let Some(lock) = self.found(self.db, key) else {
            return false;
        };
        if self.found(to, key).is_some() || self.is_other(to, key) {
            return false;
        }
        self.dbs[to as usize].insert(key.to_vec(), lock);
        self.dbs[self.db as usize].remove(key);
        self.silently(Event::Unlinked { lock });
        self.arrived(to, key, lock);
        self.sent.push(Sent::Moved(self.db, key.to_vec(), to));
        true
    }

    /// SWAPDB: keys change their database without being touched, and a suspected
    /// key may be in either.
    pub(crate) fn swap_dbs(&mut self, one: u32, other: u32) {
        self.dbs.swap(one as usize, other as usize);
        let others = std::mem::take(&mut self.others).into_iter();
        let swapped = |db: u32| match db {
            db if db == one => other,
            db if db == other => one,
            db => db,
        };
        self.others = others.map(|(db, key)| (swapped(db), key)).collect();
        self.suspects.iter_mut().for_each(|(db, _)| *db = None);
        let dbs = [one, other];
        if one != other {
            self.silently(Event::Swapped { dbs });
        }
        self.sent.push(Sent::Swapped(dbs));
    }

    /// FLUSHDB, FLUSHALL: the event comes first; nothing is unlinked.
    pub(crate) fn flush(&mut self, db: Option<u32>) {
        self.silently(Event::Flushed { db });
        match db {
            Some(db) => self.dbs[db as usize].clear(),
            None => self.dbs.iter_mut().for_each(BTreeMap::clear),
        }
        self.others
            .retain(|(there, _)| db.is_some_and(|db| db != *there));
        self.sent.push(Sent::Flushed(db));
    }

    /// Applies what a master sent, or a log holds.
    pub(crate) fn apply(&mut self, sent: &Sent) {
        match sent {
            Sent::Cover(cover) => {
                self.silently(Event::ApplyCover(*cover));
            }
            Sent::Grant {
                at: (db, key),
                owner,
                token,
                ttl,
                tolerates,
                delay,
            } => {
                self.db = *db;
                let hold = StoredHold {
                    owner,
                    token: *token,
                    lease: Some(*ttl),
                    tolerates: *tolerates,
                    delay: *delay,
                };
                self.apply_hold(key, hold);
            }
            Sent::Cooling {
                at: (db, key),
                owner,
                token,
                tolerates,
                left,
            } => {
                self.db = *db;
                let hold = StoredHold {
                    owner,
                    token: *token,
                    lease: None,
                    tolerates: *tolerates,
                    delay: (*left).into(),
                };
                self.apply_hold(key, hold);
            }
            Sent::End {
                at: (db, key),
                owner,
                token,
            } => {
                self.db = *db;
                self.apply_end(key, owner, *token);
            }
            Sent::Deleted(db, key) => {
                self.del_in(*db, key);
            }
            Sent::Renamed(db, from, to) => {
                self.db = *db;
                self.rename(from, to);
            }
            Sent::Moved(db, key, to) => {
                self.db = *db;
                self.move_to(key, *to);
            }
            Sent::Swapped([one, other]) => self.swap_dbs(*one, *other),
            Sent::Flushed(db) => self.flush(*db),
        }
    }

    pub(crate) fn apply_grant(
        &mut self,
        key: &[u8],
        owner: &[u8],
        token: Token,
        ttl: Ttl,
    ) -> Outcome {
        let hold = StoredHold {
            owner,
            token,
            lease: Some(ttl),
            tolerates: Tolerance::ALONE,
            delay: Delay::NONE,
        };
        self.apply_hold(key, hold)
    }

    /// What a master, a log or a file says is held.
    pub(crate) fn apply_hold(&mut self, key: &[u8], hold: StoredHold<'_>) -> Outcome {
        let at = self.at(key);
        let event = Event::ApplyGrant {
            at,
            owner: hold.owner,
            token: hold.token,
            lease: hold.lease,
            tolerates: hold.tolerates,
            delay: hold.delay,
        };
        self.step(at, event)
    }

    pub(crate) fn apply_end(&mut self, key: &[u8], owner: &[u8], token: Token) -> Outcome {
        let at = self.at(key);
        self.step(at, Event::ApplyEnd { at, owner, token })
    }
}

/// Whatever a test did, the rules are in order when it ends.
impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.locks.broken_invariant(), None);
        }
    }
}
