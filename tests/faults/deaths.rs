//! Clients that stand in line and die: of everything a client can die of, before,
//! after and exactly when the lock comes to them.
//!
//! Each trial fills a line in batches while one client holds the lock, kills many
//! of those who wait, and lets the lock go. From then on whoever gets it gives it
//! back at once; some of those who are next die in the same instant. What must be:
//!
//! - a batch is granted before the next one, batches being sent so that the server
//!   has read one before the next is sent;
//! - who died is passed over, or gives back at once: the line never stands still.
//!   Only who was told its token and died without a session keeps the lock, until
//!   its lease ends: those who may die so have a short one, all others a long one;
//! - in the end nobody is blocked, no key is left, and no memory.

use crate::campaign::{Campaign, Control, Outcome};
use crate::history::{Grant, Stamp, Unit};
use crate::judge::Promise;
use crate::queuer::{Answer, Death, Fate, Queuer};
use crate::route::One;
use crate::support::{blocked_clients, eventually, pass, Client, Server};
use crate::workers::{name, owner, Busy, Habits, Workers};
use redis::Value;
use std::sync::Arc;
use std::time::Duration;

/// Steady workers on the same locks.
const STEADY: Habits = Habits {
    clients: 3,
    keys: 2,
    ttl_ms: 5_000,
    waits_ms: 200,
    ..Habits::USUAL
};

const BATCHES: usize = 4;
const IN_A_BATCH: usize = 20;

/// The lease of who may die with the token and without a session: it must run out.
const SHORT_MS: u64 = 100;
/// The lease of all others: nobody waits for its end.
const LONG_MS: u64 = 60_000;

/// For how long a line may stand still on a busy machine.
const STANDS_MOST: Duration = Duration::from_secs(1);

/// How much memory the server may have more at the end than after the first trials.
const GROWTH_MOST: i64 = 2 << 20;

struct Deaths {
    campaign: Campaign,
    port: u16,
    admin: Client,
    grants: Vec<Grant>,
    operations: u64,
    last: u64,
    longest_stand: Duration,
}

/// When one is to die.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// While another holds the lock.
    Before,
    /// Just before the lock is given back, or in the same breath: the server may
    /// grant it to the dead, but sees the death before it answers.
    AtTheGrant,
    /// When the line moves.
    Meanwhile,
}

/// Who stands in a line, and what is to become of them.
struct Line {
    key: u32,
    waiting: Vec<(Queuer, Option<(When, Death)>)>,
}

impl Deaths {
    fn trial(&mut self) {
        let key = self.campaign.dice().u32(0..STEADY.keys);
        let holder = format!("holder-{}", self.last);
        let (key_name, holder) = (name(key), holder.as_str());
        let hold = format!("LOCK.ACQUIRE {key_name} {holder} {LONG_MS} BLOCK 10000");
        self.admin.number(&hold);
        let mut line = self.lines_up(key);
        self.die_before(&mut line);
        self.admin.release(&key_name, holder);
        self.drain(line);
    }

    /// Sends all requests, batch by batch.
    fn lines_up(&mut self, key: u32) -> Line {
        let mut line = Line {
            key,
            waiting: Vec::new(),
        };
        for batch in 0..BATCHES {
            for _ in 0..IN_A_BATCH {
                self.last += 1;
                self.operations += 1;
                let dice = self.campaign.dice();
                let death = (dice.u8(0..10) < 7).then(|| plan(dice));
                let has_session = dice.bool();
                let is_meanwhile = death.is_some_and(|(when, _)| when == When::Meanwhile);
                let may_keep = is_meanwhile && !has_session;
                let ttl_ms = if may_keep { SHORT_MS } else { LONG_MS };
                let session = if has_session { " SESSION" } else { "" };
                let unit = Unit(self.last);
                let (key, owner) = (name(key), owner(unit));
                let ask = format!("LOCK.ACQUIRE {key} {owner} {ttl_ms} BLOCK 60000{session}");
                let sends = match death {
                    Some((_, Death::HalfSent)) => ask.len() / 2,
                    _ => usize::MAX,
                };
                let queuer = Queuer::asks(self.port, unit, batch, &ask, sends);
                line.waiting.push((queuer, death));
            }
            // Whatever was sent before the first one is read before the second one.
            self.admin.say("PING");
            self.admin.say("PING");
        }
        line
    }

    /// Some of those who are to die do so while somebody else holds the lock.
    fn die_before(&mut self, line: &mut Line) {
        let asking = line.waiting.len() as u32;
        let mut left = Vec::new();
        for (queuer, death) in std::mem::take(&mut line.waiting) {
            match death {
                Some((When::Before, death)) => {
                    let lives = self.kill(queuer, death, asking);
                    left.extend(lives.map(|queuer| (queuer, None)));
                }
                other => left.push((queuer, other)),
            }
        }
        line.waiting = left;
        // All of it is read before the lock goes.
        self.admin.say("PING");
        self.admin.say("PING");
    }

    /// Whoever gets the lock gives it back; who is next may die meanwhile.
    fn drain(&mut self, mut line: Line) {
        let mut order: Vec<(i64, usize)> = Vec::new();
        let mut moved = Stamp::now();
        while !line.waiting.is_empty() {
            let answered = line.waiting.iter_mut().position(|(it, _)| it.has_answer());
            let now = Stamp::now();
            let stood = Duration::from_nanos(now.0 - moved.0);
            let Some(at) = answered else {
                if stood > STANDS_MOST {
                    let waits = line.waiting.len();
                    self.campaign
                        .object(format!("a line of {waits} stood still for {stood:?}"));
                    return;
                }
                // Those who are still to die, if nobody else is left.
                let dies = |(_, plan): &(_, Option<(When, _)>)| {
                    plan.is_some_and(|(when, _)| when == When::Meanwhile)
                };
                if line.waiting.iter().all(dies) {
                    self.next_dies(&mut line, When::Meanwhile);
                }
                pass(Duration::from_micros(20));
                continue;
            };
            self.longest_stand = self.longest_stand.max(stood);
            moved = now;
            let (mut queuer, _) = line.waiting.remove(at);
            if let Answer::Token(token) = queuer.answer() {
                order.push((token, queuer.batch));
                self.gives_back(&mut line, queuer, token, now);
            }
        }
        order.sort_unstable();
        if !order.is_sorted_by_key(|&(_, batch)| batch) {
            self.campaign.object(format!("not in line: {order:?}"));
        }
    }

    /// It gives the lock back; before, after or without that another may die.
    fn gives_back(&mut self, line: &mut Line, mut queuer: Queuer, token: i64, answered: Stamp) {
        let dice = self.campaign.dice();
        let before = [When::AtTheGrant, When::Meanwhile][dice.usize(0..2)];
        let after = dice.bool();
        let is_next = |(_, plan): &(_, Option<(When, Death)>)| {
            plan.is_some_and(|(when, death)| when == before && death == Death::Killed)
        };
        let killed = line.waiting.first().is_some_and(is_next).then(|| {
            self.count(Death::Killed, line.waiting.len());
            line.waiting.remove(0).0
        });
        if killed.is_none() {
            self.next_dies(line, before);
        }
        let until = Stamp::now();
        queuer.gives_back(&name(line.key), killed.as_ref());
        self.operations += 1;
        if after {
            self.next_dies(line, When::Meanwhile);
        }
        self.grants.push(Grant {
            key: line.key,
            unit: queuer.unit,
            token,
            asked: queuer.asked,
            answered,
            until,
            lost: None,
            server: self.port,
        });
    }

    /// The first of the line who is to die at that time does.
    fn next_dies(&mut self, line: &mut Line, at: When) {
        let dies = |(_, plan): &(_, Option<(When, _)>)| plan.is_some_and(|(when, _)| when == at);
        let next = line.waiting.iter().position(dies);
        let Some(at) = next else { return };
        let (queuer, death) = line.waiting.remove(at);
        let (_, death) = death.expect("it was looked for");
        let asking = line.waiting.len() as u32 + 1;
        if let Some(lives) = self.kill(queuer, death, asking) {
            line.waiting.insert(at, (lives, None));
        }
    }

    /// Counts a death that was one, of a line of so many.
    fn kill(&mut self, queuer: Queuer, death: Death, asking: u32) -> Option<Queuer> {
        let fate = queuer.dies(death, &mut self.admin);
        if !matches!(fate, Fate::Spared(_)) {
            self.count(death, asking as usize);
        }
        match fate {
            Fate::Dead => None,
            Fate::Told(queuer) | Fate::Spared(queuer) => Some(queuer),
        }
    }

    fn count(&mut self, death: Death, asking: usize) {
        let busy = Busy {
            holding: 1,
            asking: asking as u32,
        };
        self.campaign.fault(death.name(), busy);
    }

    /// What must be so while nobody asks.
    fn is_clean(&mut self, when: &str) -> i64 {
        let admin = &mut self.admin;
        eventually("nobody is blocked", || {
            (blocked_clients(admin) == 0).then_some(())
        });
        eventually("no key is left", || {
            (admin.number("DBSIZE") == 0).then_some(())
        });
        eventually("only this client is left", || {
            (admin.info("connected_clients") == "1").then_some(())
        });
        for key in 0..STEADY.keys {
            let Value::Array(info) = admin.say(&format!("LOCK.INFO {}", name(key))) else {
                panic!("LOCK.INFO is a map");
            };
            assert_eq!(info[3], Value::Int(0), "waiters");
        }
        let memory = admin.info("used_memory").parse().expect("bytes");
        println!("used_memory {when}: {memory}");
        memory
    }
}

/// When one dies, and of what.
fn plan(dice: &mut fastrand::Rng) -> (When, Death) {
    match dice.u8(0..4) {
        0 => (When::Meanwhile, Death::any(dice)),
        1 => (When::AtTheGrant, Death::seen_at_once(dice)),
        _ => (When::Before, Death::any(dice)),
    }
}

#[test]
fn clients_that_die_in_line() {
    let campaign = Campaign::begin("waiters die", 30);
    let mut server = Server::start();
    let mut deaths = Deaths {
        campaign,
        port: server.port(),
        admin: server.client(),
        grants: Vec::new(),
        operations: 0,
        last: 1 << 50,
        longest_stand: Duration::ZERO,
    };
    deaths.campaign.runs_on(&mut deaths.admin);
    let began = Stamp::now();
    deaths.campaign.next_trial();
    deaths.trial();
    let memory_then = deaths.is_clean("after the first trial");
    let route = Arc::new(One::at(server.port()));
    let workers = Workers::start(route, STEADY, deaths.campaign.seed());
    while deaths.campaign.next_trial() {
        deaths.trial();
    }
    let mut outcome = workers.finish();
    let memory_now = deaths.is_clean("in the end");
    server.assert_healthy();
    let stood = deaths.longest_stand;
    println!("the longest time that a line stood still: {stood:?}");
    let Deaths {
        mut campaign,
        mut admin,
        grants,
        operations,
        ..
    } = deaths;
    if memory_now > memory_then + GROWTH_MOST {
        campaign.object(format!("used_memory: {memory_then}, then {memory_now}"));
    }
    let longest = Duration::from_millis(LONG_MS);
    campaign.all_are_free_again(&mut admin, STEADY.keys, longest, &mut outcome);
    let time = Duration::from_nanos(Stamp::now().0 - began.0);
    outcome = outcome.and(Outcome {
        grants,
        operations,
        ..Outcome::none()
    });
    outcome.time = time;
    campaign.end(outcome, Promise::OneHolder, Control::MayLose, 50);
}
