//! A server that is killed at any instant and starts again on what it had written,
//! or on less.
//!
//! Every kill comes within a second of the start before it, many before the server
//! answers at all: terms share their second, if not more.
//!
//! Where writes are lost, two clients may believe in the same lock. Their tokens
//! still differ and rise: the ceiling is known, or else the clock of this one
//! machine ran on. A power cut takes what was written since the last start, and no
//! more: what was loaded is on the disk. (Two starts whose ceilings are both lost
//! within a tenth of a second may issue a token twice: each is a reserve of 64 ms
//! ahead of the clock.)

use crate::campaign::{Campaign, Control};
use crate::judge::Promise;
use crate::route::One;
use crate::support::{pass, Server};
use crate::workers::{Habits, Workers};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the next start finds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finds {
    /// What was written.
    Files,
    /// The log without some of its end, as after a power cut.
    CutLog,
    /// Files that were being made anew when it died.
    HalfMade,
    /// A snapshot that was made at some time.
    Snapshot,
    /// Nothing.
    Nothing,
}

/// A campaign of kills.
struct Kills {
    name: &'static str,
    settings: &'static [&'static str],
    finds: Finds,
    promise: Promise,
}

/// Leases that do not outlive many starts, each of which begins them anew.
const HABITS: Habits = Habits {
    keys: 8,
    ttl_ms: 200,
    waits_ms: 100,
    ..Habits::USUAL
};

impl Kills {
    fn run(&self) {
        let mut campaign = Campaign::begin(self.name, 10);
        let mut server = Server::with(self.settings);
        campaign.runs_on(&mut server.client());
        let route = One::at(server.port());
        let workers = Workers::start(Arc::new(route.clone()), HABITS, campaign.seed());
        let mut durable = Durable::default();
        while campaign.next_trial() {
            self.lives_for_a_while(&mut campaign, &mut server, &workers);
            server.kill();
            self.leaves(&mut campaign, &server, &mut durable);
            if campaign.dice().u8(0..4) == 0 {
                server.start_and_look_away();
                pass(Duration::from_micros(campaign.dice().u64(0..30_000)));
                campaign.fault("kill -9 before it answers", workers.busy());
                server.kill();
                self.leaves(&mut campaign, &server, &mut durable);
            }
            server.start_again();
            route.leads_to(server.port());
        }
        let mut outcome = workers.finish();
        server.assert_healthy();
        let Habits { keys, ttl_ms, .. } = HABITS;
        let longest = Duration::from_millis(ttl_ms);
        campaign.all_are_free_again(&mut server.client(), keys, longest, &mut outcome);
        campaign.end(outcome, self.promise, Control::MayLose, 10);
    }

    /// The time until it is killed, and what it is made to do meanwhile.
    fn lives_for_a_while(&self, campaign: &mut Campaign, server: &mut Server, workers: &Workers) {
        let dice = campaign.dice();
        let at_most_ms = [5, 200, 500][dice.usize(0..3)];
        let uptime = Duration::from_micros(dice.u64(0..at_most_ms * 1_000));
        let order = match self.finds {
            Finds::HalfMade if dice.bool() => Some("BGREWRITEAOF"),
            Finds::Snapshot if dice.u8(0..4) == 0 => Some("SAVE"),
            Finds::Snapshot if dice.bool() => Some("BGSAVE"),
            _ => None,
        };
        let early = uptime.mul_f64(dice.f64());
        pass(early);
        if let Some(order) = order {
            // It may have one under way, and refuse.
            let mut client = server.client();
            let form = if dice.bool() { "yes" } else { "no" };
            client.say(&format!("CONFIG SET aof-use-rdb-preamble {form}"));
            drop(client.try_call(&[order]));
        }
        pass(uptime - early);
        let kind = match order {
            Some(_) => "kill -9 while it writes a file",
            None if at_most_ms == 5 => "kill -9 within 5 ms",
            None => "kill -9 within 500 ms",
        };
        campaign.fault(kind, workers.busy());
    }

    /// What is in its directory when it starts.
    fn leaves(&self, campaign: &mut Campaign, server: &Server, durable: &mut Durable) {
        match self.finds {
            Finds::CutLog => durable.cut(campaign.dice(), server.directory()),
            Finds::Nothing => drop(fs::remove_file(server.directory().join("dump.rdb"))),
            Finds::Files | Finds::HalfMade | Finds::Snapshot => {}
        }
    }
}

/// What a power cut cannot take: what an earlier one left, and was loaded.
#[derive(Default)]
struct Durable {
    path: PathBuf,
    length: u64,
}

impl Durable {
    /// Cuts some of what was written since, or all of it.
    fn cut(&mut self, dice: &mut fastrand::Rng, directory: &Path) {
        let Some(path) = growing_file(directory) else {
            return;
        };
        if path != self.path {
            *self = Self { path, length: 0 };
        }
        let file = File::options().write(true).open(&self.path);
        let file = file.expect("our own");
        let length = file.metadata().expect("our own").len();
        let written = length.saturating_sub(self.length);
        let lost = match dice.u8(0..10) {
            0 => written,
            _ => dice.u64(0..=written.min(UNSYNCED_MOST)),
        };
        self.length = length - lost;
        file.set_len(self.length).expect("our own");
    }
}

/// How much of the log is cut, mostly.
const UNSYNCED_MOST: u64 = 16 << 10;

/// The latest of the files of the log.
fn growing_file(directory: &Path) -> Option<PathBuf> {
    let folder = fs::read_dir(directory.join("appendonlydir")).ok()?;
    let names = folder.flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        let number = name.strip_prefix("appendonly.aof.")?;
        number.strip_suffix(".incr.aof")?.parse::<u64>().ok()
    };
    names
        .filter(|path| number(path).is_some())
        .max_by_key(number)
}

#[test]
fn killed_with_every_write_on_disk() {
    Kills {
        name: "kill -9, AOF always",
        settings: &[
            "appendonly yes",
            "appendfsync always",
            "auto-aof-rewrite-min-size 4mb",
        ],
        finds: Finds::Files,
        promise: Promise::OneHolder,
    }
    .run();
}

#[test]
fn killed_with_a_write_a_second_on_disk() {
    Kills {
        name: "kill -9, AOF everysec",
        settings: &["appendonly yes", "auto-aof-rewrite-min-size 4mb"],
        finds: Finds::Files,
        promise: Promise::Tokens,
    }
    .run();
}

#[test]
fn killed_while_the_log_is_made_anew() {
    Kills {
        name: "kill -9, AOF rewrites",
        settings: &["appendonly yes", "appendfsync always"],
        finds: Finds::HalfMade,
        promise: Promise::OneHolder,
    }
    .run();
}

#[test]
fn killed_and_the_end_of_the_log_is_gone() {
    Kills {
        name: "kill -9, end of the AOF cut",
        settings: &["appendonly yes", "auto-aof-rewrite-min-size 4mb"],
        finds: Finds::CutLog,
        promise: Promise::Tokens,
    }
    .run();
}

#[test]
fn killed_with_a_snapshot_of_some_time_ago() {
    Kills {
        name: "kill -9, RDB",
        settings: &["save 1 1"],
        finds: Finds::Snapshot,
        promise: Promise::Tokens,
    }
    .run();
}

#[test]
fn killed_with_nothing_on_disk() {
    Kills {
        name: "kill -9, nothing saved",
        settings: &[],
        finds: Finds::Nothing,
        promise: Promise::Tokens,
    }
    .run();
}
