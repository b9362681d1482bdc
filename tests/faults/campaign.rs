//! A campaign: many trials of one kind of fault, from one seed, and what is written
//! down about them.
//!
//! | variable | means |
//! |---|---|
//! | `SEED`    | where the dice start; else another place each time |
//! | `TRIALS`  | how many trials, in place of the few of a short run |
//! | `MINUTES` | how long it goes on, in place of a number of trials |
//!
//! The end of a campaign prints its line, and adds it to
//! `target/faults/record.jsonl`, from which the table in `RECORD.md` is made.

use crate::history::{Grant, Stamp};
use crate::judge::{judge, Promise};
use crate::resource::Lost;
use crate::support::{Client, Version};
use crate::workers::Busy;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// What came of the work of all clients.
pub struct Outcome {
    /// Every grant that a client knows of.
    pub grants: Vec<Grant>,
    /// How many commands were sent.
    pub operations: u64,
    /// What was lost of what the locks protect.
    pub lost: Lost,
    /// For how long they worked.
    pub time: Duration,
}

impl Outcome {
    /// Of nothing at all: for campaigns that judge by other means.
    pub fn none() -> Self {
        Self {
            grants: Vec::new(),
            operations: 0,
            lost: Lost::default(),
            time: Duration::ZERO,
        }
    }

    /// Both together, if they worked on different locks.
    pub fn and(mut self, other: Self) -> Self {
        self.grants.extend(other.grants);
        self.operations += other.operations;
        self.lost.fenced += other.lost.fenced;
        self.lost.bare += other.lost.bare;
        self.lost.timely += other.lost.timely;
        self.time += other.time;
        self
    }
}

/// Whether the counters without a fence must have lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// In a run of more than a few trials they must: this fault gives a lock to two.
    Loses,
    /// They need not.
    MayLose,
}

/// How often a fault was made, and what it hit.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: u64,
    held: u64,
    queued: u64,
}

/// A campaign that goes on.
pub struct Campaign {
    name: &'static str,
    /// The name of the test, to run it again.
    test: String,
    seed: u64,
    dice: fastrand::Rng,
    trials: u64,
    trials_most: Option<u64>,
    end: Option<Stamp>,
    began: Stamp,
    faults: BTreeMap<&'static str, Count>,
    broken: Vec<String>,
    server: String,
}

/// From how many trials on a run counts as more than a short one.
const LONG_RUN: u64 = 50;

fn knob<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let value = text.parse().ok();
    Some(value.unwrap_or_else(|| panic!("{name}={text}: not a number")))
}

impl Campaign {
    /// Begins one, with so many trials unless something else is asked for.
    pub fn begin(name: &'static str, trials: u64) -> Self {
        let seed = knob("SEED").unwrap_or_else(|| fastrand::u64(0..1 << 32));
        let minutes: Option<f64> = knob("MINUTES");
        let began = Stamp::now();
        let thread = std::thread::current();
        let campaign = Self {
            name,
            test: thread.name().unwrap_or_default().to_owned(),
            seed,
            dice: fastrand::Rng::with_seed(seed),
            trials: 0,
            trials_most: match (knob("TRIALS"), minutes) {
                (None, Some(_)) => None,
                (asked, _) => Some(asked.unwrap_or(trials)),
            },
            end: minutes.map(|minutes| began.plus(Duration::from_secs_f64(minutes * 60.0))),
            began,
            faults: BTreeMap::new(),
            broken: Vec::new(),
            server: String::new(),
        };
        println!("{name}: seed {seed}; again with  {}", campaign.replay());
        campaign
    }

    /// Notes which server it runs on.
    pub fn runs_on(&mut self, client: &mut Client) {
        self.server = Version::of(client).to_string();
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The dice, for everything that is left to chance.
    pub fn dice(&mut self) -> &mut fastrand::Rng {
        &mut self.dice
    }

    /// How many trials there were.
    pub fn trials(&self) -> u64 {
        self.trials
    }

    /// Begins the next trial, if there is to be one. Says how far it is, now and
    /// then.
    pub fn next_trial(&mut self) -> bool {
        let is_over = self.trials_most.is_some_and(|most| self.trials >= most)
            || self.end.is_some_and(|end| Stamp::now() >= end)
            || !self.broken.is_empty();
        if is_over {
            return false;
        }
        self.trials += 1;
        if self.trials.is_multiple_of(LONG_RUN) {
            let seconds = (Stamp::now().0 - self.began.0) / 1_000_000_000;
            println!("{}: trial {} after {seconds} s", self.name, self.trials);
        }
        true
    }

    /// Notes a fault, and what the clients were about when it was made.
    pub fn fault(&mut self, kind: &'static str, busy: Busy) {
        let count = self.faults.entry(kind).or_default();
        count.all += 1;
        count.held += u64::from(busy.holding > 0);
        count.queued += u64::from(busy.asking > 0);
    }

    /// Notes what was seen so many times, besides faults.
    pub fn saw(&mut self, kind: &'static str, times: usize) {
        self.faults.entry(kind).or_default().all += times as u64;
    }

    /// Notes that something is not as it must be; no more trials follow.
    pub fn object(&mut self, what: impl Display) {
        let what = format!("trial {}: {what}", self.trials);
        // At once: what follows may fail before the end.
        println!("BROKEN {what}");
        self.broken.push(what);
    }

    /// Judges the grants, writes down what there was, and fails if anything is
    /// wrong. A run with fewer grants per second than `grants_least` is void: it
    /// has proved nothing.
    pub fn end(mut self, outcome: Outcome, promise: Promise, control: Control, grants_least: u64) {
        self.broken.extend(judge(&outcome.grants, promise));
        if promise == Promise::OneHolder && outcome.lost.timely > 0 {
            let lost = outcome.lost.timely;
            let line = format!("{lost} updates were lost that were written in time");
            self.broken.push(line);
        }
        if outcome.lost.fenced > 0 {
            let lost = outcome.lost.fenced;
            self.broken.push(format!("{lost} fenced updates were lost"));
        }
        let seconds = outcome.time.as_secs_f64();
        let rate = outcome.grants.len() as f64 / seconds.max(0.001);
        let is_slow = rate < grants_least as f64;
        let is_tame = control == Control::Loses && outcome.lost.bare == 0;
        let is_void = is_slow || (is_tame && self.trials >= LONG_RUN);
        let worth = if is_void { "void" } else { "counts" };
        self.write_down(&outcome, worth);
        for line in &self.broken {
            println!("BROKEN {line}");
        }
        assert!(
            self.broken.is_empty(),
            "{}: {}; again with  {}",
            self.name,
            self.broken[0],
            self.replay()
        );
        assert!(
            !is_void,
            "{}: void: {rate:.0} grants/s (least: {grants_least}), {} updates lost without a fence",
            self.name, outcome.lost.bare
        );
    }

    fn replay(&self) -> String {
        let trials = self.trials_most.unwrap_or(self.trials);
        let test = &self.test;
        format!(
            "make test-faults CAMPAIGN={test} SEED={} TRIALS={trials}",
            self.seed
        )
    }

    fn write_down(&self, outcome: &Outcome, worth: &str) {
        let fault = |(kind, count): (&&str, &Count)| {
            json!({
                "kind": kind,
                "all": count.all,
                "held": count.held,
                "queued": count.queued,
            })
        };
        let faults: Vec<_> = self.faults.iter().map(fault).collect();
        let line = json!({
            "campaign": self.name,
            "test": self.test,
            "server": self.server,
            "build": if cfg!(debug_assertions) { "debug" } else { "release" },
            "seed": self.seed,
            "trials": self.trials,
            "seconds": (Stamp::now().0 - self.began.0) / 1_000_000_000,
            "faults": faults,
            "operations": outcome.operations,
            "grants": outcome.grants.len(),
            "fenced_lost": outcome.lost.fenced,
            "bare_lost": outcome.lost.bare,
            "broken": self.broken.len(),
            "worth": worth,
        });
        println!("{line}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults");
        let file = fs::create_dir_all(&folder).and_then(|()| {
            let path = folder.join("record.jsonl");
            File::options().create(true).append(true).open(path)
        });
        let mut file = file.expect("a file of our own");
        writeln!(file, "{line}").expect("a file of our own");
    }
}
