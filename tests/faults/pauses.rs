//! Processes that are stopped for longer than a lease: clients between reading what
//! the lock protects and writing it, and the server itself.
//!
//! The clients are processes of their own (`process.rs`), stopped with SIGSTOP. A
//! client that wakes up writes, believing it still holds the lock. The counter that
//! looks at tokens loses nothing; the other one does, or the campaign is void.

use crate::campaign::{Campaign, Control};
use crate::judge::Promise;
use crate::process::Processes;
use crate::route::One;
use crate::support::process::signal;
use crate::support::{eventually, pass, Server};
use crate::workers::{Habits, Workers};
use std::sync::Arc;
use std::time::Duration;

/// Few locks, short leases, and long thoughts: a pause mostly hits a holder.
const CLIENTS: Habits = Habits {
    clients: 6,
    keys: 3,
    ttl_ms: 200,
    waits_ms: 300,
    thinks: Duration::from_millis(20),
    extends_one_in: 0,
    oversleeps_one_in: 0,
    ..Habits::USUAL
};

#[test]
fn clients_that_are_stopped_for_longer_than_their_lease() {
    let mut campaign = Campaign::begin("clients SIGSTOPped past their lease", 6);
    let mut server = Server::start();
    campaign.runs_on(&mut server.client());
    let processes = Processes::start(server.port(), CLIENTS, campaign.seed());
    while campaign.next_trial() {
        let dice = campaign.dice();
        let mut who: Vec<usize> = (0..CLIENTS.clients as usize).collect();
        dice.shuffle(&mut who);
        who.truncate(dice.usize(1..=3));
        pass(Duration::from_micros(dice.u64(0..30_000)));
        let longer = CLIENTS.ttl_ms * dice.u64(110..200) / 100;
        for &which in &who {
            signal(processes.pid(which), "STOP");
        }
        // What they said last is written down by now.
        pass(Duration::from_millis(longer));
        for &which in &who {
            campaign.fault("client stopped past its lease", processes.busy(which));
            signal(processes.pid(which), "CONT");
        }
    }
    let mut outcome = processes.finish();
    server.assert_healthy();
    let longest = Duration::from_millis(CLIENTS.ttl_ms);
    campaign.all_are_free_again(&mut server.client(), CLIENTS.keys, longest, &mut outcome);
    campaign.end(outcome, Promise::OneHolder, Control::Loses, 10);
}

/// Leases that end in the middle of a pause, or survive it.
const QUARREL: Habits = Habits {
    ttl_ms: 700,
    waits_ms: 500,
    ..Habits::USUAL
};

#[test]
fn a_server_that_is_stopped_for_a_while() {
    let mut campaign = Campaign::begin("server SIGSTOPped", 4);
    let mut server = Server::start();
    campaign.runs_on(&mut server.client());
    let route = One::at(server.port());
    let workers = Workers::start(Arc::new(route), QUARREL, campaign.seed());
    while campaign.next_trial() {
        let dice = campaign.dice();
        pass(Duration::from_micros(dice.u64(0..300_000)));
        let pause = Duration::from_millis(match dice.u8(0..4) {
            0 => dice.u64(700..2_000),
            _ => dice.u64(100..700),
        });
        server.signal("STOP");
        campaign.fault("server stopped", workers.busy());
        pass(pause);
        let granted = workers.granted();
        server.signal("CONT");
        eventually("work goes on", || {
            (workers.granted() > granted).then_some(())
        });
    }
    let mut outcome = workers.finish();
    server.assert_healthy();
    let longest = Duration::from_millis(QUARREL.ttl_ms);
    campaign.all_are_free_again(&mut server.client(), QUARREL.keys, longest, &mut outcome);
    campaign.end(outcome, Promise::OneHolder, Control::MayLose, 50);
}
