//! Writes under LOCK.GUARD while the server is killed: clients append their token to
//! a list, some with a token whose hold they gave back long ago.
//!
//! With every write on disk the list must hold all that was acknowledged, nothing
//! that came with a dead token, and its tokens must never go down.

use crate::campaign::{Campaign, Control, Outcome};
use crate::history::{Grant, Stamp, Unit};
use crate::judge::Promise;
use crate::route::{One, Route};
use crate::support::{pass, Client, Server};
use crate::workers::{name, owner, Busy, COUNTED};
use redis::{ErrorKind, Value};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const KEYS: u32 = 3;
const WRITERS: u64 = 6;
const TTL_MS: u64 = 300;

/// What all writers share.
struct Shared {
    route: One,
    is_over: AtomicBool,
    holding: AtomicU32,
    asking: AtomicU32,
}

/// What a writer knows in the end.
#[derive(Default)]
struct Journal {
    grants: Vec<Grant>,
    operations: u64,
    /// What it sent with a token that it held.
    sent: HashSet<String>,
    /// What of it was acknowledged.
    acknowledged: Vec<String>,
    /// What must not be so.
    broken: Vec<String>,
    refused_stale: u64,
}

struct Writer {
    shared: Arc<Shared>,
    dice: fastrand::Rng,
    link: Option<Client>,
    last: u64,
    /// Tokens that are dead: their holds were given back, and that was acknowledged.
    dead: Vec<(u32, i64)>,
    journal: Journal,
}

/// What the server said to a guarded write.
enum Said {
    Done,
    Stale,
    Unknown,
}

impl Writer {
    fn work(mut self) -> Journal {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            self.last += 1;
            let unit = Unit(self.last);
            let key = self.dice.u32(0..KEYS);
            self.shared.asking.fetch_add(1, Ordering::SeqCst);
            let grant = self.acquire(key, unit);
            self.shared.asking.fetch_sub(1, Ordering::SeqCst);
            if let Some(grant) = grant {
                self.shared.holding.fetch_add(1, Ordering::SeqCst);
                self.writes(grant);
                self.shared.holding.fetch_sub(1, Ordering::SeqCst);
            }
            self.tries_with_a_dead_token();
        }
        self.journal
    }

    fn acquire(&mut self, key: u32, unit: Unit) -> Option<Grant> {
        let (key_name, owner) = (name(key), owner(unit));
        let ttl = TTL_MS.to_string();
        let words = ["LOCK.ACQUIRE", &key_name, &owner, &ttl, "BLOCK", "200"];
        let first_asked = Stamp::now();
        for _ in 0..20 {
            let asked = Stamp::now();
            match self.ask(&words) {
                Some(Ok(Value::Int(token))) => {
                    let ttl = Duration::from_millis(TTL_MS).mul_f64(COUNTED);
                    return Some(Grant {
                        key,
                        unit,
                        token,
                        asked: first_asked,
                        answered: Stamp::now(),
                        until: asked.plus(ttl),
                        lost: None,
                        server: 0,
                    });
                }
                Some(Ok(_)) => return None,
                Some(Err(_)) | None => pass(Duration::from_millis(5)),
            }
        }
        None
    }

    /// Appends a few times, perhaps too late, and gives the lock back.
    fn writes(&mut self, mut grant: Grant) {
        let (key, token) = (grant.key, grant.token);
        if self.dice.u8(0..20) == 0 {
            pass(Duration::from_millis(TTL_MS * self.dice.u64(90..200) / 100));
        }
        for part in 0..self.dice.u32(1..4) {
            let element = format!("{token} {} {part}", grant.unit.0);
            self.journal.sent.insert(element.clone());
            match self.guarded(key, token, &element) {
                Said::Done => self.journal.acknowledged.push(element),
                Said::Stale => grant.lost = grant.lost.or(Some(Stamp::now())),
                Said::Unknown => {}
            }
        }
        let given = Stamp::now();
        let words = ["LOCK.RELEASE", &name(key), &owner(grant.unit)];
        for _ in 0..20 {
            match self.ask(&words) {
                Some(Ok(Value::Int(_))) => {
                    self.dead.push((key, token));
                    break;
                }
                _ => pass(Duration::from_millis(5)),
            }
        }
        grant.until = grant.until.min(given);
        self.journal.grants.push(grant);
    }

    fn tries_with_a_dead_token(&mut self) {
        if self.dead.len() > 50 {
            self.dead.swap_remove(self.dice.usize(0..50));
        }
        if self.dead.is_empty() || self.dice.bool() {
            return;
        }
        let (key, token) = self.dead[self.dice.usize(0..self.dead.len())];
        match self.guarded(key, token, &format!("{token} dead")) {
            Said::Done => {
                let what = format!("{token} of {} is dead and wrote", name(key));
                self.journal.broken.push(what);
            }
            Said::Stale => self.journal.refused_stale += 1,
            Said::Unknown => {}
        }
    }

    fn guarded(&mut self, key: u32, token: i64, element: &str) -> Said {
        let (lock, list, token) = (name(key), list(key), token.to_string());
        match self.ask(&["LOCK.GUARD", &lock, &token, "RPUSH", &list, element]) {
            Some(Ok(_)) => Said::Done,
            Some(Err(code)) if code == "STALE" => Said::Stale,
            Some(Err(_)) | None => Said::Unknown,
        }
    }

    /// The answer, or the code of an error; `None` if nothing came.
    fn ask(&mut self, words: &[&str]) -> Option<Result<Value, String>> {
        self.journal.operations += 1;
        if self.link.is_none() {
            self.link = Client::try_connect(self.shared.route.port("")?);
        }
        match self.link.as_mut()?.try_call(words) {
            Ok(value) => Some(Ok(value)),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                Some(Err(error.code().unwrap_or_default().to_owned()))
            }
            Err(_) => {
                self.link = None;
                None
            }
        }
    }
}

/// The list that a lock protects.
fn list(key: u32) -> String {
    format!("{{{}}}list", name(key))
}

fn start(shared: &Arc<Shared>, seed: u64) -> Vec<JoinHandle<Journal>> {
    let writer = |number| {
        let writer = Writer {
            shared: Arc::clone(shared),
            dice: fastrand::Rng::with_seed(seed ^ (number << 32)),
            link: None,
            last: number << 40,
            dead: Vec::new(),
            journal: Journal::default(),
        };
        std::thread::spawn(move || writer.work())
    };
    (1..=WRITERS).map(writer).collect()
}

/// What is wrong with the lists.
fn wrong(client: &mut Client, journal: &Journal) -> Vec<String> {
    let mut broken = Vec::new();
    let mut there = HashSet::new();
    for key in 0..KEYS {
        let mut highest = 0;
        for element in client.texts(&format!("LRANGE {} 0 -1", list(key))) {
            let token = element.split(' ').next().and_then(|it| it.parse().ok());
            let token: i64 = token.expect("it begins with a token");
            if token < highest {
                broken.push(format!("{element:?} behind {highest}"));
            }
            highest = highest.max(token);
            if !journal.sent.contains(&element) {
                broken.push(format!("{element:?} was not sent with a live token"));
            }
            there.insert(element);
        }
    }
    let lost = |element: &&String| !there.contains(*element);
    for element in journal.acknowledged.iter().filter(lost) {
        broken.push(format!("{element:?} was acknowledged and is gone"));
    }
    broken
}

#[test]
fn guarded_writes_survive_and_no_dead_token_writes() {
    let mut campaign = Campaign::begin("guarded writes, kill -9, AOF always", 8);
    let mut server = Server::with(&["appendonly yes", "appendfsync always"]);
    campaign.runs_on(&mut server.client());
    let shared = Arc::new(Shared {
        route: One::at(server.port()),
        is_over: AtomicBool::new(false),
        holding: AtomicU32::new(0),
        asking: AtomicU32::new(0),
    });
    let began = Stamp::now();
    let writers = start(&shared, campaign.seed());
    while campaign.next_trial() {
        pass(Duration::from_micros(campaign.dice().u64(0..600_000)));
        let busy = Busy {
            holding: shared.holding.load(Ordering::SeqCst),
            asking: shared.asking.load(Ordering::SeqCst),
        };
        campaign.fault("kill -9", busy);
        server.crash();
        shared.route.leads_to(server.port());
    }
    shared.is_over.store(true, Ordering::SeqCst);
    let mut all = Journal::default();
    for writer in writers {
        let journal = writer.join().expect("a writer does not panic");
        all.grants.extend(journal.grants);
        all.operations += journal.operations;
        all.sent.extend(journal.sent);
        all.acknowledged.extend(journal.acknowledged);
        all.broken.extend(journal.broken);
        all.refused_stale += journal.refused_stale;
    }
    let mut client = server.client();
    all.broken.extend(wrong(&mut client, &all));
    server.assert_healthy();
    let (acknowledged, refused) = (all.acknowledged.len(), all.refused_stale);
    println!("{acknowledged} writes acknowledged, {refused} refused as stale");
    for what in &all.broken {
        campaign.object(what);
    }
    if acknowledged == 0 || refused == 0 {
        campaign.object("nothing was tried");
    }
    let mut outcome = Outcome {
        grants: all.grants,
        operations: all.operations,
        time: Duration::from_nanos(Stamp::now().0 - began.0),
        ..Outcome::none()
    };
    let longest = Duration::from_millis(TTL_MS);
    campaign.all_are_free_again(&mut client, KEYS, longest, &mut outcome);
    campaign.end(outcome, Promise::OneHolder, Control::MayLose, 10);
}
