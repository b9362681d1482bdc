//! A server that is killed at any instant and starts again on what it had written.

use crate::campaign::{Campaign, Control};
use crate::judge::Promise;
use crate::route::One;
use crate::support::{pass, Server};
use crate::workers::{Habits, Workers};
use std::sync::Arc;
use std::time::Duration;

/// Kills it once for each trial, some 100 ms after it came up.
fn kill_and_start(name: &'static str, settings: &[&str], promise: Promise) {
    let mut campaign = Campaign::begin(name, 6);
    let mut server = Server::with(settings);
    campaign.runs_on(&mut server.client());
    let route = One::at(server.port());
    let workers = Workers::start(Arc::new(route.clone()), Habits::USUAL, campaign.seed());
    while campaign.next_trial() {
        let uptime = Duration::from_micros(campaign.dice().u64(0..200_000));
        pass(uptime);
        campaign.fault("kill -9", workers.busy());
        server.crash();
        route.leads_to(server.port());
    }
    let mut outcome = workers.finish();
    server.assert_healthy();
    let Habits { keys, ttl_ms, .. } = Habits::USUAL;
    let longest = Duration::from_millis(ttl_ms);
    campaign.all_are_free_again(&mut server.client(), keys, longest, &mut outcome);
    campaign.end(outcome, promise, Control::MayLose, 100);
}

#[test]
fn killed_with_every_write_on_disk() {
    let settings = ["appendonly yes", "appendfsync always"];
    kill_and_start("kill -9, AOF always", &settings, Promise::OneHolder);
}
