//! One lock over five independent servers, any of which dies, forgets, stops, is cut off
//! from some or all, or lives by a clock that is wrong by up to five seconds. Two at a
//! time, mostly; now and then three, when nobody may be granted anything.
//!
//! What is promised depends on what is forgotten:
//!
//! | campaign | restarts | clocks | quarantine | one holder | tokens unique, rising | fence |
//! |---|---|---|---|:-:|:-:|:-:|
//! | files kept        | with a log           | any, set while they run | yes | yes | yes | yes |
//! | empty, quarantine | empty, or with a log | the empty ones lead     | yes | yes | yes | yes |
//! | empty, none       | empty, or with a log | the empty ones lead     | no  | no  | yes | yes |
//!
//! A server that starts without its files knows of no token, and begins at its clock. If
//! that is behind the clock of the server at which the tokens of today began, it begins
//! below them; and if none of the others who answer next has heard of these, somebody is
//! granted a token which is not larger. Quarantine does not help against that: it waits
//! until leases are over, not until clocks agree. So an empty server is promised for only
//! if its clock is behind nobody's ([`Clocks::EmptyOnesLead`]); the model calls that a
//! counter "where it was, or above all that was ever issued", and has the counter-example
//! for one that is not.
//!
//! Without quarantine two do hold a lock at once: how often, the record says.

use crate::campaign::{Campaign, Control};
use crate::judge::{overlaps, Promise};
use crate::liveness::GRACE;
use crate::nodes::{Clocks, Files, Nodes};
use crate::sites::{Sites, KEYS, TTL_MOST};

/// Places from which the servers are reached, each with a program.
const SITES: usize = 3;
/// Of faults, in a trial.
const ROUNDS: usize = 6;

/// No lease is longer than a second, and so no quarantine.
const QUARANTINE: [&str; 2] = ["redislock.quarantine yes", "redislock.max-ttl-ms 1000"];

/// A campaign over five servers.
struct Five {
    name: &'static str,
    files: [Files; 5],
    clocks: Clocks,
    settings: &'static [&'static str],
    promise: Promise,
}

impl Five {
    fn run(&self) {
        let mut campaign = Campaign::begin(self.name, 3);
        let (clocks, settings) = (self.clocks, self.settings);
        let mut nodes = Nodes::start(campaign.dice(), &self.files, clocks, settings, SITES);
        campaign.runs_on(&mut nodes.clients()[0]);
        let ways = (0..SITES).map(|site| nodes.ports(site)).collect();
        let mut sites = Sites::start(ways, campaign.seed());
        while campaign.next_trial() {
            for _ in 0..ROUNDS {
                match campaign.dice().u8(0..6) {
                    0 => one_after_another(&mut campaign, &mut nodes, &sites),
                    _ => round(&mut campaign, &mut nodes, &mut sites),
                }
            }
            sites.rest();
            peace(&mut campaign, &nodes, &sites);
            sites.go_on();
        }
        let outcome = sites.finish();
        nodes.assert_healthy();
        let at_once = overlaps(&outcome.grants);
        if self.promise != Promise::OneHolder {
            campaign.saw("two holders at once, which is not promised here", at_once);
        }
        campaign.end(outcome, self.promise, Control::Loses, 10);
    }
}

/// Some of the servers are harmed, and mended in another order.
fn round(campaign: &mut Campaign, nodes: &mut Nodes, sites: &mut Sites) {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    campaign.dice().shuffle(&mut order);
    let minority = (nodes.len() - 1) / 2;
    order.truncate(match campaign.dice().u8(0..8) {
        0 => minority + 1,
        1 => 1,
        _ => minority,
    });
    for &which in &order {
        Nodes::pause(campaign.dice(), 20);
        nodes.harm(which, campaign, sites.busy());
    }
    if campaign.dice().u8(0..4) == 0 {
        let site = campaign.dice().usize(0..SITES);
        campaign.fault("kill -9 of a program", sites.busy());
        sites.crash(site);
    }
    Nodes::pause(campaign.dice(), 250);
    campaign.dice().shuffle(&mut order);
    for which in order {
        nodes.mend(which, campaign, sites.busy());
        Nodes::pause(campaign.dice(), 20);
    }
}

/// Most of them start again, one after another: only one is missing at a time, but what a
/// majority knew may be forgotten.
fn one_after_another(campaign: &mut Campaign, nodes: &mut Nodes, sites: &Sites) {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    campaign.dice().shuffle(&mut order);
    for which in order.into_iter().skip(1) {
        nodes.kill(which);
        nodes.mend(which, campaign, sites.busy());
    }
}

/// When all faults are over and nobody holds anything, nothing is left on any server, and
/// every lock can be had.
fn peace(campaign: &mut Campaign, nodes: &Nodes, sites: &Sites) {
    if let Some(left) = nodes.left_behind(TTL_MOST + GRACE) {
        campaign.object(left);
    }
    let key = campaign.dice().u32(0..KEYS);
    let site = campaign.dice().usize(0..SITES);
    if let Err(refused) = sites.takes(key, site, TTL_MOST + GRACE) {
        campaign.object(format!("not free after the faults: {refused}"));
    }
    if let Some(left) = nodes.left_behind(GRACE) {
        campaign.object(format!("after the release: {left}"));
    }
}

#[test]
fn five_servers_that_keep_their_files_under_any_clock() {
    Five {
        name: "quorum of five: logs kept, clocks wrong by up to 5 s",
        files: [
            Files::LogAlways,
            Files::LogAlways,
            Files::LogAlways,
            Files::LogEverySecond,
            Files::LogEverySecond,
        ],
        clocks: Clocks::Any,
        settings: &QUARANTINE,
        promise: Promise::OneHolder,
    }
    .run();
}

const SOME_EMPTY: [Files; 5] = [
    Files::Nothing,
    Files::Nothing,
    Files::Nothing,
    Files::LogEverySecond,
    Files::LogAlways,
];

#[test]
fn five_servers_that_forget_and_wait_until_it_is_over() {
    Five {
        name: "quorum of five: empty restarts, quarantine",
        files: SOME_EMPTY,
        clocks: Clocks::EmptyOnesLead,
        settings: &QUARANTINE,
        promise: Promise::OneHolder,
    }
    .run();
}

#[test]
fn five_servers_that_forget_and_grant_at_once_show_no_lower_token() {
    Five {
        name: "quorum of five: empty restarts, no quarantine",
        files: SOME_EMPTY,
        clocks: Clocks::EmptyOnesLead,
        settings: &QUARANTINE[1..],
        promise: Promise::Tokens,
    }
    .run();
}
