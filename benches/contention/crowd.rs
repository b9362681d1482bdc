//! A crowd of clients that want the same lock, watched for a while.
//!
//! Each client is a thread with connections of its own. All of them wait before
//! the watch begins; what they do before and after it does not count.

#![allow(clippy::disallowed_methods, reason = "clients measure their own time")]

use crate::ways::Way;
use redis::{Cmd, Connection, RedisResult};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long the clients go on before the watch begins.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long all of them may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);
/// A client thread does little, and there are many of them.
const STACK_BYTES: usize = 256 * 1024;

/// Why there is no result.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many clients, on which server, watched for how long.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// The server listens here, on this machine.
    pub port: u16,
    /// How many clients there are.
    pub clients: usize,
    /// How long they are watched.
    pub window: Duration,
}

/// What was seen of one crowd.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Turns that all clients together had.
    pub cycles_per_second: f64,
    /// The mean wait of those who got the lock.
    pub wait_mean: Duration,
    /// The longest wait, also of those who were still waiting at the end.
    pub wait_longest: Duration,
    /// How many had no turn at all while they were watched.
    pub starved: usize,
    /// The most turns that a client had.
    pub turns_most: u64,
    /// The fewest.
    pub turns_fewest: u64,
}

/// What the clients and the one who watches them share.
struct Watch {
    port: u16,
    /// How many clients have asked for the lock.
    asking: AtomicUsize,
    phase: AtomicUsize,
}

const BEFORE: usize = 0;
const WATCHED: usize = 1;
const AFTER: usize = 2;

/// A client, and what it has seen so far.
pub struct Client<'a> {
    watch: &'a Watch,
    number: usize,
    turn: u64,
    waits_since: Instant,
    is_waiting: bool,
    record: Record,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    turns: u64,
    waited: Duration,
    wait_longest: Duration,
}

impl Client<'_> {
    /// A connection of its own.
    pub fn connect(&self) -> RedisResult<Connection> {
        connect(self.watch.port)
    }

    /// It wants the lock from now on: as this owner, a name for this one turn.
    pub fn begin_wait(&mut self) -> String {
        if self.turn == 0 {
            self.watch.asking.fetch_add(1, Ordering::Relaxed);
        }
        self.turn += 1;
        self.waits_since = Instant::now();
        self.is_waiting = true;
        format!("client-{}-turn-{}", self.number, self.turn)
    }

    /// It has the lock.
    pub fn end_wait(&mut self) {
        self.is_waiting = false;
        if self.watch.phase.load(Ordering::Relaxed) != WATCHED {
            return;
        }
        let wait = self.waits_since.elapsed();
        self.record.turns += 1;
        self.record.waited += wait;
        self.record.wait_longest = self.record.wait_longest.max(wait);
    }
}

impl Crowd {
    /// Lets the clients take turns in one way.
    pub fn watch(self, way: Way) -> Result<Seen, Failure> {
        let mut connection = connect(self.port)?;
        way.prepare(&mut connection)?;
        let watch = Watch {
            port: self.port,
            asking: AtomicUsize::new(0),
            phase: AtomicUsize::new(BEFORE),
        };
        let records = Mutex::new(Vec::new());
        let ended = std::thread::scope(|scope| -> Result<_, Failure> {
            for number in 0..self.clients {
                let (watch, records) = (&watch, &records);
                std::thread::Builder::new()
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, move || one_client(way, number, watch, records))?;
            }
            let watched = self.wait_and_watch(&watch);
            // Whatever happened, the clients go home.
            watch.phase.store(AFTER, Ordering::Relaxed);
            let ended = Instant::now();
            for kind in ["normal", "pubsub"] {
                let mut kill = Cmd::new();
                kill.arg("CLIENT").arg("KILL").arg("TYPE").arg(kind);
                kill.exec(&mut connection)?;
            }
            Ok((watched?, ended))
        });
        let (window, ended) = ended?;
        let records = records.into_inner().unwrap_or_default();
        Ok(seen(&records, window, ended))
    }

    /// How long the clients were watched, when all of them were there.
    fn wait_and_watch(self, watch: &Watch) -> Result<Duration, Failure> {
        let given_up = Instant::now() + PATIENCE;
        while watch.asking.load(Ordering::Relaxed) < self.clients {
            if Instant::now() > given_up {
                let came = watch.asking.load(Ordering::Relaxed);
                return Err(format!("only {came} of {} clients came", self.clients).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(WARM_UP);
        let begun = Instant::now();
        watch.phase.store(WATCHED, Ordering::Relaxed);
        std::thread::sleep(self.window);
        Ok(begun.elapsed())
    }
}

fn one_client(
    way: Way,
    number: usize,
    watch: &Watch,
    records: &Mutex<Vec<(Record, Option<Instant>)>>,
) {
    let mut client = Client {
        watch,
        number,
        turn: 0,
        waits_since: Instant::now(),
        is_waiting: false,
        record: Record::default(),
    };
    let Err(error) = way.take_turns(&mut client) else {
        return;
    };
    // The one who watches closes the connections at the end, and not before.
    if watch.phase.load(Ordering::Relaxed) != AFTER {
        eprintln!("client {number}: {error}");
    }
    let still_waits = client.is_waiting.then_some(client.waits_since);
    if let Ok(mut records) = records.lock() {
        records.push((client.record, still_waits));
    }
}

fn seen(records: &[(Record, Option<Instant>)], window: Duration, ended: Instant) -> Seen {
    let turns: u64 = records.iter().map(|(record, _)| record.turns).sum();
    let waited: Duration = records.iter().map(|(record, _)| record.waited).sum();
    let longest = records.iter().map(|(record, still_waits)| {
        let open = still_waits.map(|since| ended.saturating_duration_since(since));
        record.wait_longest.max(open.unwrap_or_default())
    });
    let each = || records.iter().map(|(record, _)| record.turns);
    Seen {
        cycles_per_second: turns as f64 / window.as_secs_f64(),
        wait_mean: waited.div_f64(turns.max(1) as f64),
        wait_longest: longest.max().unwrap_or_default(),
        starved: each().filter(|turns| *turns == 0).count(),
        turns_most: each().max().unwrap_or_default(),
        turns_fewest: each().min().unwrap_or_default(),
    }
}

fn connect(port: u16) -> RedisResult<Connection> {
    redis::Client::open(format!("redis://127.0.0.1:{port}/"))?.get_connection()
}
