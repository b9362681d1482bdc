//! Programs that take locks of several servers at once (`QuorumLock` of the crate in
//! `client/`), each at a site with ways of its own to the servers. A program has a runtime
//! on one thread, and clients in it that share their connections. It can be ended at any
//! instant, without a word to the servers, as by `kill -9`; another takes its place.

use crate::campaign::Outcome;
use crate::history::{Grant, Stamp, Unit};
use crate::resource::Resource;
use crate::support::{eventually, pass};
use crate::workers::{name, Busy};
use redis_lock_client::clock::{sleep_until, BootTime};
use redis_lock_client::quorum::error::NoQuorum;
use redis_lock_client::quorum::guard::QuorumGuard;
use redis_lock_client::{LossReason, Quorum, QuorumLock};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Locks that they quarrel over.
pub const KEYS: u32 = 12;
/// In one program.
const CLIENTS: u32 = 8;
/// Between these, in ms, each lease is drawn.
const TTL_MS: [u64; 2] = [300, 700];
/// No lease is longer.
pub const TTL_MOST: Duration = Duration::from_millis(TTL_MS[1]);
/// The longest time between two looks at the clock, while a lock is held for long.
const LOOKS: Duration = Duration::from_millis(20);

/// What all programs share.
struct Shared {
    resource: Resource,
    journal: Mutex<Vec<Grant>>,
    units: AtomicU64,
    operations: AtomicU64,
    holding: AtomicU32,
    asking: AtomicU32,
    resting: AtomicU32,
    rests: AtomicBool,
    is_over: AtomicBool,
}

/// One of so many, for as long as this lives: also if its program is ended.
struct OneOf<'a>(&'a AtomicU32);

impl<'a> OneOf<'a> {
    fn among(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for OneOf<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A program at a site.
struct Program {
    ports: Vec<u16>,
    /// Dropped, it ends.
    lives: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// All programs.
pub struct Sites {
    shared: Arc<Shared>,
    programs: Vec<Program>,
    dice: fastrand::Rng,
    began: Stamp,
}

/// The servers behind these ports.
fn quorum(ports: &[u16]) -> Quorum {
    let urls = ports
        .iter()
        .map(|port| format!("redis://127.0.0.1:{port}/"));
    Quorum::new(urls.map(|url| redis::Client::open(url).expect("an address")))
}

impl Program {
    fn start(ports: Vec<u16>, shared: &Arc<Shared>, seed: u64) -> Self {
        let (lives, mut is_ended) = oneshot::channel();
        let (shared, quorum) = (Arc::clone(shared), quorum(&ports));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.expect("a runtime");
            let clients = (1..=CLIENTS).map(|number| {
                let client = Client {
                    quorum: quorum.clone(),
                    shared: Arc::clone(&shared),
                    dice: fastrand::Rng::with_seed(seed ^ (u64::from(number) << 32)),
                };
                runtime.spawn(client.work())
            });
            let clients: Vec<_> = clients.collect();
            runtime.block_on(async {
                for mut client in clients {
                    tokio::select! {
                        // Whatever it does: the runtime is dropped with all of it.
                        _ = &mut is_ended => return,
                        done = &mut client => done.expect("a client does not panic"),
                    }
                }
                // What was dropped is given back in the background.
                lets_pass(TTL_MOST / 2).await;
            });
        });
        Self {
            ports,
            lives: Some(lives),
            thread: Some(thread),
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a program does not panic");
        }
    }
}

impl Sites {
    /// Starts a program at each site; to each belong the ports by which it finds the servers.
    pub fn start(ports: Vec<Vec<u16>>, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            resource: Resource::new(KEYS),
            journal: Mutex::default(),
            units: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            holding: AtomicU32::new(0),
            asking: AtomicU32::new(0),
            resting: AtomicU32::new(0),
            rests: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let mut dice = fastrand::Rng::with_seed(seed);
        let programs = ports.into_iter();
        let programs = programs.map(|ports| Program::start(ports, &shared, dice.u64(..)));
        Self {
            programs: programs.collect(),
            shared,
            dice,
            began: Stamp::now(),
        }
    }

    /// What the clients are about.
    pub fn busy(&self) -> Busy {
        Busy {
            holding: self.shared.holding.load(Ordering::SeqCst),
            asking: self.shared.asking.load(Ordering::SeqCst),
        }
    }

    /// One program ends without a word, and is started again.
    pub fn crash(&mut self, which: usize) {
        let program = &mut self.programs[which];
        program.lives = None;
        program.join();
        let ports = program.ports.clone();
        *program = Program::start(ports, &self.shared, self.dice.u64(..));
    }

    /// Everybody gives back what he has, and asks for nothing until [`Sites::go_on`].
    pub fn rest(&self) {
        self.shared.rests.store(true, Ordering::SeqCst);
        let all = CLIENTS * self.programs.len() as u32;
        eventually("everybody rests", || {
            (self.shared.resting.load(Ordering::SeqCst) == all).then_some(())
        });
    }

    /// The rest is over.
    pub fn go_on(&self) {
        self.shared.rests.store(false, Ordering::SeqCst);
    }

    /// Takes a lock from one site and gives it back, while everybody rests; what is wrong,
    /// if it is not had in time.
    pub fn takes(&self, key: u32, site: usize, within: Duration) -> Result<(), NoQuorum> {
        let quorum = quorum(&self.programs[site].ports);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let lock = QuorumLock::new(&quorum, name(key))
                .ttl(TTL_MOST)
                .wait(within);
            let unit = Unit(self.shared.units.fetch_add(1, Ordering::SeqCst));
            let asked = Stamp::now();
            let guard = lock.acquire().await?;
            self.shared.granted(key, unit, asked, &guard);
            guard.release().await;
            Ok(())
        })
    }

    /// Lets them finish what they do, and collects what they were told.
    pub fn finish(mut self) -> Outcome {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.programs.iter_mut().for_each(Program::join);
        let mut journal = self.shared.journal.lock().expect("no panic");
        Outcome {
            grants: std::mem::take(&mut *journal),
            operations: self.shared.operations.load(Ordering::SeqCst),
            lost: self.shared.resource.lost(),
            time: Duration::from_nanos(Stamp::now().0 - self.began.0),
        }
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        for program in &mut self.programs {
            program.lives = None;
            // One that panicked has said so.
            program.thread.take().map(JoinHandle::join);
        }
    }
}

impl Shared {
    /// Notes a grant; where in the journal it stands. It counts for no time yet: if the
    /// program is ended now, that is all it ever knew.
    fn granted(&self, key: u32, unit: Unit, asked: Stamp, guard: &QuorumGuard) -> usize {
        let answered = Stamp::now();
        let mut journal = self.journal.lock().expect("no panic");
        journal.push(Grant {
            key,
            unit,
            token: guard.token().get_signed(),
            asked,
            answered,
            until: answered,
            lost: None,
            server: 0,
        });
        journal.len() - 1
    }

    fn counted_until(&self, place: usize, until: Stamp) {
        let grant = &mut self.journal.lock().expect("no panic")[place];
        grant.until = grant.until.max(until);
    }
}

/// What a client does with a lock that it was granted.
struct Use {
    key: u32,
    unit: Unit,
    token: i64,
    /// In the journal.
    place: usize,
}

struct Client {
    quorum: Quorum,
    shared: Arc<Shared>,
    dice: fastrand::Rng,
}

impl Client {
    async fn work(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.is_over.load(Ordering::SeqCst) {
            if shared.rests.load(Ordering::SeqCst) {
                let _rests = OneOf::among(&shared.resting);
                while shared.rests.load(Ordering::SeqCst) {
                    lets_pass(Duration::from_millis(5)).await;
                }
            }
            let key = self.dice.u32(0..KEYS);
            let ttl = Duration::from_millis(self.dice.u64(TTL_MS[0]..=TTL_MS[1]));
            let lock = QuorumLock::new(&self.quorum, name(key)).ttl(ttl);
            let unit = Unit(shared.units.fetch_add(1, Ordering::SeqCst));
            let asks = OneOf::among(&shared.asking);
            let (asked, had) = self.asks(&lock.timeout(ttl / 8)).await;
            drop(asks);
            match had {
                Ok(guard) => {
                    let _holds = OneOf::among(&shared.holding);
                    let token = guard.token().get_signed();
                    let place = shared.granted(key, unit, asked, &guard);
                    let what = Use {
                        key,
                        unit,
                        token,
                        place,
                    };
                    self.uses(&what, guard, ttl).await;
                }
                Err(_) => lets_pass(Duration::from_millis(self.dice.u64(0..10))).await,
            }
        }
    }

    /// Asks once, or for a while; since when, at the earliest, the answer may be true.
    async fn asks(&mut self, lock: &QuorumLock) -> (Stamp, Result<QuorumGuard, NoQuorum>) {
        let asked = Stamp::now();
        let had = match self.dice.u8(0..4) {
            0 => {
                let lock = lock.clone().wait(Duration::from_millis(500));
                lock.acquire().await
            }
            1 if self.dice.u8(0..8) == 0 => {
                // Changes its mind.
                let mind = Duration::from_micros(self.dice.u64(0..4_000));
                let dropped = tokio::time::timeout(mind, lock.try_acquire()).await;
                match dropped {
                    Ok(had) => had,
                    Err(_) => lock.try_acquire().await,
                }
            }
            _ => lock.try_acquire().await,
        };
        // ACQUIRE and RELEASE at each server, at the least.
        let commands = 2 * self.quorum.len() as u64;
        self.shared
            .operations
            .fetch_add(commands, Ordering::Relaxed);
        (asked, had)
    }

    /// Changes what the lock protects, and gives the lock back.
    async fn uses(&mut self, what: &Use, guard: QuorumGuard, ttl: Duration) {
        let shared = Arc::clone(&self.shared);
        let reading = shared.resource.read(what.key, what.token, what.unit);
        match self.dice.u32(0..400) {
            // The whole program stands still, for longer than the lease.
            0 => pass(ttl.mul_f64(1.0 + self.dice.f64())),
            // Long work, for which the lock is kept alive.
            1..20 => {
                let end = Stamp::now().plus(ttl.mul_f64(2.0 * self.dice.f64()));
                while Stamp::now() < end && self.looks(what, &guard) {
                    lets_pass(LOOKS).await;
                }
            }
            20..200 => lets_pass(Duration::from_micros(self.dice.u64(0..3_000))).await,
            _ => {}
        }
        if self.looks(what, &guard) {
            let until = end_of(&guard);
            shared.resource.write_in_time(what.key, &reading, until);
        }
        let Use {
            key, token, unit, ..
        } = *what;
        shared.resource.write(key, token, unit, &reading);
        self.gives_back(what, guard).await;
    }

    /// Whether the lock can still be counted on; if so, it could until now.
    fn looks(&self, what: &Use, guard: &QuorumGuard) -> bool {
        let now = Stamp::now();
        let is_held = !guard.is_lost();
        if is_held {
            self.shared.counted_until(what.place, now);
        }
        is_held
    }

    async fn gives_back(&mut self, what: &Use, guard: QuorumGuard) {
        let end = end_of(&guard);
        if guard.is_lost() {
            // Lost before its end, it counted until the latest look only.
            if guard.lost().await == LossReason::Expired {
                self.shared.counted_until(what.place, end);
            }
        } else {
            self.shared.counted_until(what.place, Stamp::now().min(end));
        }
        // Most do not stay to hear of it: that can take as long as four time-outs.
        match self.dice.u8(0..6) {
            0 => drop(guard.release().await),
            _ => drop(guard),
        }
    }
}

/// As [`pass`], for one client: the others go on meanwhile.
async fn lets_pass(time: Duration) {
    sleep_until(BootTime::now() + time).await;
}

/// Until when it is valid, on the clock of the journal, or a little before.
fn end_of(guard: &QuorumGuard) -> Stamp {
    let (now, same, until) = (Stamp::now(), BootTime::now(), guard.valid_until());
    match until.is_over() {
        false => now.plus(until.since(same)),
        true => Stamp(now.0 - same.since(until).as_nanos() as u64),
    }
}
