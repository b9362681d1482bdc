//! What a node finds when it starts again: a snapshot, a log behind it, and how much
//! of the log the disk has for certain.

use crate::lock::record::{decode, decode_counter, encode, encode_counter, VERSION};
use crate::lock::token::StoredCounter;
use crate::lock::{BootTime, Event};
use crate::mirror::{key_number, Known, Mirror, SavedHolds};
use crate::plan::Persistence;
use crate::sent::Sent;
use crate::server::Server;
use std::rc::Rc;

/// What one command, or one turn, sends: all of it arrives, or nothing.
pub(crate) type Batch = Rc<[Sent]>;

/// A file of everything that is held, as the rules write it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    counter: Option<Vec<u8>>,
    records: Vec<(u32, Vec<u8>, Vec<u8>)>,
    /// What the judge knows of it, to compare.
    pub(crate) known: Known,
    pub(crate) holds: SavedHolds,
}

/// What a node finds when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Everything,
    Less,
}

impl Left {
    /// Of so much, so much is there.
    fn of(all: usize, there: usize) -> Self {
        match all == there {
            true => Self::Everything,
            false => Self::Less,
        }
    }
}

/// Whether a snapshot carries the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    With,
    Without,
}

impl Snapshot {
    pub(crate) fn of(server: &Server, counter: Counter, mirror: &Mirror) -> Self {
        let stored = server.locks.tokens().stored();
        let stored = stored.filter(|_| counter == Counter::With);
        let mut holds = SavedHolds::new(mirror.holds.len());
        let mut records = Vec::new();
        for (db, key, lock) in server.keys() {
            let bytes = encode(server.now, server.locks.lock(lock));
            for hold in decode(VERSION, &bytes).expect("we wrote it") {
                holds.add(key_number(key), &hold);
            }
            records.push((db, key.to_vec(), bytes));
        }
        holds.check(server.now, mirror);
        let known = match counter {
            Counter::With => mirror.known,
            Counter::Without => holds.known(),
        };
        Self {
            counter: stored.map(encode_counter),
            records,
            known,
            holds,
        }
    }

    pub(crate) fn load(&self, server: &mut Server) {
        if let Some(bytes) = &self.counter {
            let counter: StoredCounter = decode_counter(VERSION, bytes).expect("we wrote it");
            server.silently(Event::LoadCounter(counter));
        }
        for (db, key, bytes) in &self.records {
            server.db = *db;
            for hold in decode(VERSION, bytes).expect("we wrote it") {
                server.apply_hold(key, hold);
            }
        }
        server.db = 0;
    }
}

#[derive(Debug)]
pub(crate) struct Disk {
    persistence: Persistence,
    pub(crate) base: Option<Rc<Snapshot>>,
    pub(crate) log: Vec<Batch>,
    synced: usize,
    synced_at: u64,
    /// What was sent since the newest snapshot was taken: lost without a log.
    unsaved: usize,
    rewrite: Option<Rewrite>,
}

#[derive(Debug)]
struct Rewrite {
    base: Rc<Snapshot>,
    from: usize,
    done_at: u64,
}

impl Disk {
    pub(crate) fn new(persistence: Persistence) -> Self {
        Self {
            persistence,
            base: None,
            log: Vec::new(),
            synced: 0,
            synced_at: 0,
            unsaved: 0,
            rewrite: None,
        }
    }

    fn sync_every_ns(&self) -> Option<u64> {
        match self.persistence {
            Persistence::Always => Some(0),
            Persistence::EverySecond => Some(1_000_000_000),
            Persistence::Sometimes => Some(30_000_000_000),
            Persistence::Snapshots | Persistence::Nothing => None,
        }
    }

    pub(crate) fn has_log(&self) -> bool {
        self.sync_every_ns().is_some()
    }

    pub(crate) fn has_snapshots(&self) -> bool {
        self.persistence == Persistence::Snapshots
    }

    pub(crate) fn write(&mut self, now: u64, batch: &Batch) {
        self.unsaved += 1;
        let Some(every_ns) = self.sync_every_ns() else {
            return;
        };
        if now >= self.synced_at + every_ns {
            self.synced = self.log.len();
            self.synced_at = now;
        }
        self.log.push(Rc::clone(batch));
        if every_ns == 0 {
            self.synced = self.log.len();
        }
    }

    /// A snapshot is finished.
    pub(crate) fn save(&mut self, snapshot: Snapshot) {
        self.base = Some(Rc::new(snapshot));
        self.unsaved = 0;
    }

    /// A rewrite has forked.
    pub(crate) fn begin_rewrite(&mut self, snapshot: Snapshot, done_at: u64) {
        self.rewrite = Some(Rewrite {
            base: Rc::new(snapshot),
            from: self.log.len(),
            done_at,
        });
    }

    /// Whether the log that a rewrite began has a ceiling in it.
    pub(crate) fn new_log_is_covered(&self) -> bool {
        let from = self.rewrite.as_ref().map_or(0, |it| it.from);
        let mut sent = self.log[from..].iter().flat_map(|batch| batch.iter());
        sent.any(|sent| matches!(sent, Sent::Cover(_)))
    }

    pub(crate) fn is_rewriting(&self) -> bool {
        self.rewrite.is_some()
    }

    pub(crate) fn rewrite_done_at(&self) -> u64 {
        self.rewrite.as_ref().map_or(u64::MAX, |it| it.done_at)
    }

    pub(crate) fn finish_rewrite(&mut self) {
        if let Some(rewrite) = self.rewrite.take() {
            self.base = Some(rewrite.base);
            self.log.drain(..rewrite.from);
            self.synced = self.synced.saturating_sub(rewrite.from);
        }
    }

    /// A replica was given everything anew, and its log begins with that.
    pub(crate) fn begin_anew(&mut self, snapshot: &Rc<Snapshot>) {
        self.rewrite = None;
        if self.persistence == Persistence::Nothing {
            return;
        }
        self.base = Some(Rc::clone(snapshot));
        self.log.clear();
        self.synced = 0;
        self.unsaved = 0;
    }

    /// The process is gone; the system still writes what it was given.
    pub(crate) fn process_ended(&mut self) -> Left {
        self.rewrite = None;
        match self.persistence {
            Persistence::Snapshots => Left::of(self.unsaved, 0),
            Persistence::Nothing => Left::Less,
            _ => Left::Everything,
        }
    }

    /// The machine is gone: of what is not synced, so many of 1,000 were written.
    pub(crate) fn machine_ended(&mut self, now: u64, kept: u64) -> Left {
        let by_process = self.process_ended();
        if self
            .sync_every_ns()
            .is_some_and(|ns| now >= self.synced_at + ns)
        {
            self.synced = self.log.len();
        }
        let doubtful = (self.log.len() - self.synced) as u64;
        let left = self.synced + (doubtful * kept / 1_000) as usize;
        let of_log = Left::of(self.log.len(), left);
        self.log.truncate(left);
        self.synced = left;
        match by_process {
            Left::Everything => of_log,
            Left::Less => Left::Less,
        }
    }

    /// What a server holds that starts from this.
    pub(crate) fn load(&self, now: BootTime, server: &mut Server) {
        server.now = now;
        if let Some(base) = &self.base {
            base.load(server);
        }
        for sent in self.log.iter().flat_map(|batch| batch.iter()) {
            server.apply(sent);
        }
        server.sent.clear();
        server.db = 0;
    }
}
