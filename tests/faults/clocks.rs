//! A server whose wall clock is stepped: by a second, a minute, an hour, forth and
//! back, while locks are held and waited for, and while it starts.
//!
//! Leases run on a clock that is never stepped, so none ends early. Tokens rise also
//! if the server starts again under a clock that is an hour behind: the log knows the
//! ceiling. With nothing on disk *and* a clock that goes back nothing could help;
//! that is a limit which the README states, and no campaign.

use crate::campaign::{Campaign, Control};
use crate::clock::Clock;
use crate::judge::Promise;
use crate::power::Durable;
use crate::route::One;
use crate::support::{eventually, pass, Server};
use crate::workers::{Habits, Workers};
use std::sync::Arc;
use std::time::Duration;

/// Short leases, so that many run out or are extended around a step.
const HABITS: Habits = Habits {
    keys: 6,
    ttl_ms: 500,
    waits_ms: 300,
    extends_one_in: 2,
    ..Habits::USUAL
};

/// By how many seconds the clock may be wrong.
const WRONG_BY: [i64; 7] = [-3_600, -60, -1, 0, 1, 60, 3_600];

/// Sets it to another time: what that step is called.
fn set_anew(clock: &mut Clock, dice: &mut fastrand::Rng) -> &'static str {
    let others = WRONG_BY.iter().filter(|&&it| it != clock.wrong_by_s());
    let others: Vec<i64> = others.copied().collect();
    let next = others[dice.usize(0..others.len())];
    let is_back = next < clock.wrong_by_s();
    clock.is_wrong_by(next);
    if is_back {
        "clock stepped back"
    } else {
        "clock stepped forth"
    }
}

fn clock_steps(name: &'static str, restarts: Restarts) {
    let mut campaign = Campaign::begin(name, 15);
    let mut clock = Clock::new();
    let mut server = clock.server(restarts.settings());
    let mut durable = Durable::default();
    campaign.runs_on(&mut server.client());
    let route = One::at(server.port());
    let workers = Workers::start(Arc::new(route.clone()), HABITS, campaign.seed());
    the_ceiling_reaches_the_disk(&workers, &mut durable, &server);
    while campaign.next_trial() {
        pass(Duration::from_micros(campaign.dice().u64(0..200_000)));
        if restarts != Restarts::Never && campaign.dice().bool() {
            server.kill();
            let step = set_anew(&mut clock, campaign.dice());
            campaign.fault(restart_after(step), workers.busy());
            if restarts == Restarts::PowerCuts {
                durable.power_cut(campaign.dice(), server.directory());
            } else if campaign.dice().u8(0..3) == 0 {
                server.start_and_look_away();
                pass(Duration::from_micros(campaign.dice().u64(0..30_000)));
                set_anew(&mut clock, campaign.dice());
                campaign.fault("clock stepped while it starts", workers.busy());
                pass(Duration::from_micros(campaign.dice().u64(0..30_000)));
                server.kill();
            }
            server.start_again();
            route.leads_to(server.port());
            the_ceiling_reaches_the_disk(&workers, &mut durable, &server);
        } else {
            let step = set_anew(&mut clock, campaign.dice());
            campaign.fault(step, workers.busy());
        }
        clock.is_seen_by(&mut server.client());
    }
    clock.is_wrong_by(0);
    let mut outcome = workers.finish();
    server.assert_healthy();
    let longest = Duration::from_millis(HABITS.ttl_ms);
    campaign.all_are_free_again(&mut server.client(), HABITS.keys, longest, &mut outcome);
    campaign.end(outcome, restarts.promise(), Control::MayLose, 10);
}

/// Waits for the first grant of a term: in front of it is the ceiling, which a power
/// cut does not take from now on.
fn the_ceiling_reaches_the_disk(workers: &Workers, durable: &mut Durable, server: &Server) {
    let granted = workers.granted() + u64::from(HABITS.clients);
    eventually("some are granted", || {
        (workers.granted() > granted).then_some(())
    });
    durable.reaches_the_disk(server.directory());
}

/// Whether the server is killed and started between steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Restarts {
    Never,
    Often,
    /// Each by a power cut, which takes grants of the term, though not its ceiling.
    PowerCuts,
}

impl Restarts {
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Never | Self::Often => &["appendonly yes", "appendfsync always"],
            Self::PowerCuts => &["appendonly yes", "appendfsync no"],
        }
    }

    fn promise(self) -> Promise {
        match self {
            Self::Never | Self::Often => Promise::OneHolder,
            Self::PowerCuts => Promise::Tokens,
        }
    }
}

/// What a start under a clock that was set meanwhile is called.
fn restart_after(step: &str) -> &'static str {
    if step.ends_with("back") {
        "started after the clock was set back"
    } else {
        "started after the clock was set forth"
    }
}

/// A term begins at the clock: so the module lives by this one. (Valkey loads modules
/// in a way that a preloaded library does not reach: there only the server does.)
#[test]
fn the_module_sees_the_steps() {
    let mut clock = Clock::new();
    let first = clock.server(&[]);
    let first = first.client().acquired("lock", "me", 1_000);
    clock.is_wrong_by(3_600);
    let server = clock.server(&[]);
    let mut client = server.client();
    clock.is_seen_by(&mut client);
    let ahead_ms = (client.acquired("lock", "me", 1_000) - first) >> 12;
    if !client.text("INFO server").contains("valkey_version") {
        assert!((3_600_000..3_700_000).contains(&ahead_ms), "{ahead_ms} ms");
    }
}

#[test]
fn the_clock_of_a_running_server_is_stepped() {
    clock_steps("clock steps", Restarts::Never);
}

#[test]
fn a_server_starts_again_under_another_clock() {
    clock_steps("clock steps and restarts, AOF always", Restarts::Often);
}

#[test]
fn a_server_that_lost_grants_starts_again_under_another_clock() {
    clock_steps("clock steps and power cuts", Restarts::PowerCuts);
}
