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
use crate::power::Durable;
use crate::route::One;
use crate::support::{pass, Client, Server};
use crate::workers::{Habits, Workers};
use std::fs;
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

/// How soon after it answers it is killed.
#[derive(Clone, Copy)]
enum Pace {
    AtOnce,
    /// Several times in a row: each start is a reserve of tokens further ahead of the
    /// clock, for the clock does not run as fast as that.
    InARow,
    Soon,
}

impl Pace {
    fn of(in_a_row: u8, dice: &mut fastrand::Rng) -> Self {
        match in_a_row {
            0 if dice.u8(0..3) == 0 => Self::AtOnce,
            0 => Self::Soon,
            _ => Self::InARow,
        }
    }

    fn up_most_us(self) -> u64 {
        match self {
            Self::AtOnce => 5_000,
            Self::InARow => 20_000,
            Self::Soon => 400_000,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AtOnce => "kill -9 within 5 ms",
            Self::InARow => "kill -9 within 20 ms, several in a row",
            Self::Soon => "kill -9 within 400 ms",
        }
    }
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
        let mut in_a_row = 0;
        while campaign.next_trial() {
            if in_a_row == 0 && campaign.dice().u8(0..8) == 0 {
                in_a_row = campaign.dice().u8(3..8);
            }
            let pace = Pace::of(in_a_row, campaign.dice());
            in_a_row = in_a_row.saturating_sub(1);
            self.lives_for_a_while(pace, &mut campaign, &mut server, &workers);
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
            if self.finds == Finds::CutLog && campaign.dice().u8(0..6) == 0 {
                raise(&mut server.client());
                durable.reaches_the_disk(server.directory());
            }
        }
        let mut outcome = workers.finish();
        server.assert_healthy();
        let Habits { keys, ttl_ms, .. } = HABITS;
        let longest = Duration::from_millis(ttl_ms);
        campaign.all_are_free_again(&mut server.client(), keys, longest, &mut outcome);
        campaign.end(outcome, self.promise, Control::MayLose, 10);
    }

    /// The time until it is killed, and what it is made to do meanwhile.
    fn lives_for_a_while(
        &self,
        pace: Pace,
        campaign: &mut Campaign,
        server: &mut Server,
        workers: &Workers,
    ) {
        let dice = campaign.dice();
        let uptime = Duration::from_micros(dice.u64(0..pace.up_most_us()));
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
            None => pace.name(),
        };
        campaign.fault(kind, workers.busy());
    }

    /// What is in its directory when it starts.
    fn leaves(&self, campaign: &mut Campaign, server: &Server, durable: &mut Durable) {
        match self.finds {
            // Some of these are no power cuts, and what was written stays.
            Finds::CutLog if campaign.dice().u8(0..3) == 0 => {
                durable.reaches_the_disk(server.directory());
            }
            Finds::CutLog => durable.power_cut(campaign.dice(), server.directory()),
            Finds::Nothing => drop(fs::remove_file(server.directory().join("dump.rdb"))),
            Finds::Files | Finds::HalfMade | Finds::Snapshot => {}
        }
    }
}

/// Puts the tokens two seconds ahead of what they are: until the clock has caught up
/// only the ceiling tells a start where to begin.
fn raise(client: &mut Client) {
    let token = client.acquired("raised", "somebody", 10_000);
    let ahead = token + (2_000 << 12);
    client.say(&format!("LOCK.EXTEND raised somebody 10000 RAISE {ahead}"));
    client.release("raised", "somebody");
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
        settings: &["appendonly yes", "appendfsync no"],
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
