//! The clients: each takes a lock, changes what the lock protects, and gives it
//! back, over and over, whatever happens to the servers. What it was told goes into
//! its journal.

use crate::campaign::Outcome;
use crate::history::{Grant, Stamp, Unit};
use crate::resource::Resource;
use crate::route::Route;
use crate::support::{eventually, pass, patience};
use redis::{Connection, ErrorKind, RedisError, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How the clients go about it.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How many there are.
    pub clients: u32,
    /// How many locks they share.
    pub keys: u32,
    /// What these are called.
    pub names: fn(u32) -> String,
    /// How long a lease is.
    pub ttl_ms: u64,
    /// How long they stand in line; 0 for a plain try.
    pub waits_ms: u64,
    /// How long they think, at most, between reading and writing.
    pub thinks: Duration,
    /// One in so many holds is extended before it is released; 0 for none.
    pub extends_one_in: u32,
    /// One in so many sleeps through its lease and then writes; 0 for none.
    pub oversleeps_one_in: u32,
}

impl Habits {
    /// Some clients that quarrel over a few locks.
    pub const USUAL: Self = Self {
        clients: 8,
        keys: 4,
        names: name,
        ttl_ms: 2_000,
        waits_ms: 300,
        thinks: Duration::from_micros(500),
        extends_one_in: 3,
        oversleeps_one_in: 0,
    };
}

/// What the clients are about at some moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Busy {
    /// How many hold a lock.
    pub holding: u32,
    /// How many ask for one.
    pub asking: u32,
}

/// What all of them share.
struct Shared {
    route: Arc<dyn Route>,
    habits: Habits,
    resource: Resource,
    is_over: AtomicBool,
    holding: AtomicU32,
    asking: AtomicU32,
    granted: AtomicU64,
    operations: AtomicU64,
}

/// The clients, at work.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Grant>>>,
    began: Stamp,
}

impl Workers {
    /// Sets them to work. What each does follows from the seed, as far as the
    /// servers let it.
    pub fn start(route: Arc<dyn Route>, habits: Habits, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            route,
            habits,
            resource: Resource::new(habits.keys),
            is_over: AtomicBool::new(false),
            holding: AtomicU32::new(0),
            asking: AtomicU32::new(0),
            granted: AtomicU64::new(0),
            operations: AtomicU64::new(0),
        });
        let began = Stamp::now();
        let thread = |number| {
            let worker = Worker {
                shared: Arc::clone(&shared),
                dice: fastrand::Rng::with_seed(seed ^ (u64::from(number) << 32)),
                links: HashMap::new(),
                journal: Vec::new(),
                last: u64::from(number) << 40,
            };
            std::thread::spawn(move || worker.work())
        };
        let threads = (1..=habits.clients).map(thread).collect();
        Self {
            shared,
            threads,
            began,
        }
    }

    /// What they are about.
    pub fn busy(&self) -> Busy {
        Busy {
            holding: self.shared.holding.load(Ordering::SeqCst),
            asking: self.shared.asking.load(Ordering::SeqCst),
        }
    }

    /// How many grants there were.
    pub fn granted(&self) -> u64 {
        self.shared.granted.load(Ordering::SeqCst)
    }

    /// Waits until somebody is granted a lock who had none: work goes on.
    pub fn get_on(&self) {
        let before = self.granted();
        eventually("somebody is granted", || {
            (self.granted() > before).then_some(())
        });
    }

    /// Lets them finish what they do, and collects what they were told.
    pub fn finish(self) -> Outcome {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let mut grants = Vec::new();
        for thread in self.threads {
            grants.extend(thread.join().expect("a client does not panic"));
        }
        Outcome {
            grants,
            operations: self.shared.operations.load(Ordering::SeqCst),
            lost: self.shared.resource.lost(),
            time: Duration::from_nanos(Stamp::now().0 - self.began.0),
        }
    }
}

/// What a server said.
enum Said {
    Number(i64),
    Nil,
    /// An error; nothing was changed.
    Refused,
    /// Nothing: it may have done it, or not.
    Silence,
}

struct Worker {
    shared: Arc<Shared>,
    dice: fastrand::Rng,
    links: HashMap<u16, Connection>,
    journal: Vec<Grant>,
    last: u64,
}

/// How often a request is repeated that was not answered, at the least, and for how
/// long: a server that was killed needs some time until it answers again.
const TRIES: u32 = 6;
const TRIES_FOR: Duration = Duration::from_millis(300);

/// Counts tries until there were enough.
fn tries() -> impl Iterator<Item = u32> {
    let end = Stamp::now().plus(TRIES_FOR);
    (0..).take_while(move |&tries| tries < TRIES || Stamp::now() < end)
}

/// How long a client waits before it asks again.
const PAUSE: Duration = Duration::from_millis(5);

/// What of its lease a client counts on: clocks are not all as fast.
pub const COUNTED: f64 = 0.99;

impl Worker {
    fn work(mut self) -> Vec<Grant> {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            let key = self.dice.u32(0..self.shared.habits.keys);
            self.last += 1;
            let unit = Unit(self.last);
            self.shared.asking.fetch_add(1, Ordering::SeqCst);
            let grant = self.acquire(key, unit);
            self.shared.asking.fetch_sub(1, Ordering::SeqCst);
            if let Some(mut grant) = grant {
                self.shared.granted.fetch_add(1, Ordering::SeqCst);
                self.shared.holding.fetch_add(1, Ordering::SeqCst);
                self.use_it(&mut grant);
                self.release(&mut grant);
                self.shared.holding.fetch_sub(1, Ordering::SeqCst);
                self.journal.push(grant);
            }
        }
        self.journal
    }

    fn acquire(&mut self, key: u32, unit: Unit) -> Option<Grant> {
        let Habits {
            ttl_ms, waits_ms, ..
        } = self.shared.habits;
        let mut words = vec![
            "LOCK.ACQUIRE".to_owned(),
            (self.shared.habits.names)(key),
            owner(unit),
            ttl_ms.to_string(),
        ];
        if waits_ms > 0 {
            words.extend(["BLOCK".to_owned(), waits_ms.to_string()]);
        }
        let first_asked = Stamp::now();
        for _ in tries() {
            let asked = Stamp::now();
            let (said, server) = self.ask(&words);
            match said {
                Said::Number(token) => {
                    let answered = Stamp::now();
                    // A lease that was waited for may have begun at any moment
                    // since; it cannot have begun before.
                    return Some(Grant {
                        key,
                        unit,
                        token,
                        asked: first_asked,
                        answered,
                        until: self.counted_from(asked),
                        lost: None,
                        server,
                    });
                }
                Said::Nil => return None,
                Said::Refused | Said::Silence => {
                    if self.shared.is_over.load(Ordering::SeqCst) {
                        return None;
                    }
                    std::thread::park_timeout(PAUSE);
                }
            }
        }
        None
    }

    /// Until when a lease counts that was asked for then.
    fn counted_from(&self, asked: Stamp) -> Stamp {
        let ttl = Duration::from_millis(self.shared.habits.ttl_ms);
        asked.plus(ttl.mul_f64(COUNTED))
    }

    /// Changes what the lock protects, and perhaps holds it for longer.
    fn use_it(&mut self, grant: &mut Grant) {
        let shared = Arc::clone(&self.shared);
        let habits = shared.habits;
        let reading = shared.resource.read(grant.key, grant.token, grant.unit);
        let one_in = |dice: &mut fastrand::Rng, many: u32| many > 0 && dice.u32(0..many) == 0;
        let mut thinks = habits.thinks.mul_f64(self.dice.f64());
        if one_in(&mut self.dice, habits.oversleeps_one_in) {
            thinks = Duration::from_millis(habits.ttl_ms).mul_f64(1.0 + self.dice.f64());
        }
        pass(thinks);
        shared
            .resource
            .write_in_time(grant.key, &reading, grant.until);
        shared
            .resource
            .write(grant.key, grant.token, grant.unit, &reading);
        if one_in(&mut self.dice, habits.extends_one_in) {
            self.extend(grant);
        }
    }

    fn extend(&mut self, grant: &mut Grant) {
        let ttl_ms = self.shared.habits.ttl_ms.to_string();
        let words = [
            "LOCK.EXTEND".to_owned(),
            (self.shared.habits.names)(grant.key),
            owner(grant.unit),
            ttl_ms,
        ];
        let asked = Stamp::now();
        match self.ask(&words).0 {
            Said::Number(1) => grant.until = grant.until.max(self.counted_from(asked)),
            Said::Number(_) => grant.lost = Some(Stamp::now()),
            Said::Nil | Said::Refused | Said::Silence => {}
        }
    }

    fn release(&mut self, grant: &mut Grant) {
        let words = [
            "LOCK.RELEASE".to_owned(),
            (self.shared.habits.names)(grant.key),
            owner(grant.unit),
        ];
        let first_asked = Stamp::now();
        let mut is_first = true;
        for _ in tries() {
            match self.ask(&words).0 {
                Said::Number(released) => {
                    // An earlier request that was not answered may have done it.
                    if released == 0 && is_first && grant.lost.is_none() {
                        grant.lost = Some(Stamp::now());
                    } else {
                        grant.until = grant.until.min(first_asked);
                    }
                    return;
                }
                Said::Silence => is_first = false,
                Said::Nil | Said::Refused => {}
            }
            if self.shared.is_over.load(Ordering::SeqCst) {
                break;
            }
            std::thread::park_timeout(PAUSE);
        }
        grant.until = grant.until.min(first_asked);
    }

    /// Asks the server of the key (the second word), wherever it is sent.
    fn ask(&mut self, words: &[String]) -> (Said, u16) {
        let key = words[1].as_str();
        let route = Arc::clone(&self.shared.route);
        self.shared.operations.fetch_add(1, Ordering::Relaxed);
        for _ in 0..4 {
            let Some(port) = route.port(key) else {
                return (Said::Silence, 0);
            };
            let Some(link) = self.link(port) else {
                route.failed(key, port);
                return (Said::Refused, port);
            };
            match query(link, words) {
                Ok(Value::Int(number)) => return (Said::Number(number), port),
                Ok(_) => return (Said::Nil, port),
                Err(error) => match error.redirect_node() {
                    Some((place, _)) if error.kind() == ErrorKind::Server(MOVED) => {
                        route.moved(key, port_of(place));
                    }
                    Some((place, _)) => return self.ask_there(port_of(place), words),
                    None => {
                        let said = self.failure(port, &error);
                        route.failed(key, port);
                        return (said, port);
                    }
                },
            }
        }
        (Said::Refused, 0)
    }

    /// Asks once where `-ASK` sends it.
    fn ask_there(&mut self, port: u16, words: &[String]) -> (Said, u16) {
        let Some(link) = self.link(port) else {
            return (Said::Refused, port);
        };
        let asking = redis::cmd("ASKING").exec(link);
        match asking.and_then(|()| query(link, words)) {
            Ok(Value::Int(number)) => (Said::Number(number), port),
            Ok(_) => (Said::Nil, port),
            Err(error) => (self.failure(port, &error), port),
        }
    }

    /// What an error means; a connection that failed is not used again.
    fn failure(&mut self, port: u16, error: &RedisError) -> Said {
        if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
            // A waiter that is sent away may have been granted by then: it would
            // have been told. What was refused was not done.
            return Said::Refused;
        }
        self.links.remove(&port);
        Said::Silence
    }

    fn link(&mut self, port: u16) -> Option<&mut Connection> {
        if !self.links.contains_key(&port) {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).ok()?;
            let link = client.get_connection_with_timeout(patience() / 20).ok()?;
            let waits = Duration::from_millis(self.shared.habits.waits_ms);
            link.set_read_timeout(Some(waits + Duration::from_secs(1)))
                .ok()?;
            self.links.insert(port, link);
        }
        self.links.get_mut(&port)
    }
}

const MOVED: redis::ServerErrorKind = redis::ServerErrorKind::Moved;

fn query(link: &mut Connection, words: &[String]) -> Result<Value, RedisError> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query(link)
}

fn port_of(place: &str) -> u16 {
    let port = place.rsplit(':').next().and_then(|port| port.parse().ok());
    port.unwrap_or_default()
}

/// The name of a key. One in four has the slot of the others of that kind.
pub fn name(key: u32) -> String {
    match key % 4 {
        3 => format!("{{lock}}:{key}"),
        _ => format!("lock:{key}"),
    }
}

/// The owner of a unit of work.
pub fn owner(unit: Unit) -> String {
    format!("{:x}", unit.0)
}
