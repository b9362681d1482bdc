//! A master dies or is stopped at any instant, with an end of its stream that no
//! replica has, and a replica is promoted by hand; sometimes that one dies, too,
//! within a second.
//!
//! All that the dead master acknowledged counts: whoever is promoted must outbid
//! it. What a stopped one says when it is let run again is a zombie's word
//! (`zombies.rs`).

use crate::agree::differences;
use crate::campaign::{Campaign, Control};
use crate::group::{let_pass, up_to, Files, Node};
use crate::judge::Promise;
use crate::proxy::Way;
use crate::route::One;
use crate::support::catch_up;
use crate::workers::{Habits, Workers};
use crate::zombies::{self, Zombies};
use std::sync::Arc;
use std::time::Duration;

/// They hold for so long that a blow often hits a holder.
const HABITS: Habits = Habits {
    thinks: Duration::from_millis(4),
    ..Habits::USUAL
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    Dead,
    Stopped,
}

struct Group {
    nodes: Vec<Node>,
    states: [State; 3],
    master: usize,
    route: One,
    zombies: Zombies,
}

impl Group {
    fn start() -> Self {
        let settings = ["appendonly yes", "repl-timeout 10"];
        let nodes: Vec<Node> = (0..3).map(|_| Node::start(&settings)).collect();
        let route = One::at(nodes[0].port());
        let mut group = Self {
            nodes,
            states: [State::Up; 3],
            master: 0,
            route,
            zombies: Zombies::default(),
        };
        group.gather(&mut fastrand::Rng::with_seed(0));
        group
    }

    fn replicas(&self) -> Vec<usize> {
        let is_up = |&it: &usize| it != self.master && self.states[it] == State::Up;
        (0..self.nodes.len()).filter(is_up).collect()
    }

    /// Something befalls the way to each replica, for up to two seconds.
    fn disturb_links(&self, dice: &mut fastrand::Rng) {
        for replica in self.replicas() {
            let way = match dice.u8(0..4) {
                0 | 1 => Way::Frozen,
                2 => Way::Slow(up_to(dice, 50)),
                _ => Way::Open,
            };
            self.nodes[replica].uplink().set_both(way);
        }
        let time = match dice.bool() {
            true => up_to(dice, 2_000),
            false => up_to(dice, 50),
        };
        let_pass(time);
    }

    /// The master is struck down.
    fn strike(&mut self, state: State) {
        let node = &mut self.nodes[self.master];
        match state {
            State::Dead => node.server.kill(),
            State::Stopped => node.server.signal("STOP"),
            State::Up => {}
        }
        self.states[self.master] = state;
    }

    /// A replica takes its place. What was on the way to it is lost.
    fn succeed(&mut self, heir: usize) {
        self.zombies.lives(self.nodes[heir].port());
        self.nodes[heir].promote();
        self.route.leads_to(self.nodes[heir].port());
        self.master = heir;
    }

    /// All others become replicas of the master, from wherever they are.
    fn gather(&mut self, dice: &mut fastrand::Rng) {
        let master = self.nodes[self.master].port();
        for number in (0..self.nodes.len()).filter(|&it| it != self.master) {
            let node = &mut self.nodes[number];
            let files = match dice.bool() {
                true => Files::Kept,
                false => Files::Lost,
            };
            match self.states[number] {
                State::Up => node.follow(master),
                State::Dead if dice.bool() => node.come_back_as_replica(files, master),
                State::Dead => {
                    let way = zombies::Way::StartedAgain;
                    self.zombies.rises(node.port(), way);
                    node.come_back(files);
                    node.follow(master);
                }
                State::Stopped => {
                    self.zombies.rises(node.port(), zombies::Way::RanOn);
                    node.server.signal("CONT");
                    let_pass(up_to(dice, 300));
                    node.follow(master);
                }
            }
            self.states[number] = State::Up;
        }
        for replica in self.replicas() {
            self.nodes[replica].await_link();
        }
    }

    /// Whether both replicas have what the master has, when nobody asks for more.
    fn disagreements(&self) -> Vec<String> {
        let mut on_master = self.nodes[self.master].server.client();
        for hold in 0..50 {
            on_master.acquired(&format!("quiet:{hold}"), "somebody", 600_000);
        }
        let mut found = Vec::new();
        for replica in self.replicas() {
            let mut on_replica = self.nodes[replica].server.client();
            catch_up(&mut on_master, &mut on_replica);
            found.extend(differences(&mut on_master, &mut on_replica));
        }
        found
    }
}

fn one_of(dice: &mut fastrand::Rng, numbers: &[usize]) -> usize {
    *dice.choice(numbers).expect("one is left")
}

fn trial(campaign: &mut Campaign, group: &mut Group, workers: &Workers) {
    let_pass(up_to(campaign.dice(), 150));
    group.disturb_links(campaign.dice());
    let blow = match campaign.dice().u8(0..3) {
        0 => State::Stopped,
        _ => State::Dead,
    };
    let kind = match blow {
        State::Stopped => "master stopped, replica promoted",
        _ => "master killed, replica promoted",
    };
    campaign.fault(kind, workers.busy());
    group.strike(blow);
    let heir = one_of(campaign.dice(), &group.replicas());
    group.succeed(heir);
    if campaign.dice().u8(0..3) == 0 {
        let last = one_of(campaign.dice(), &group.replicas());
        let knows_of_it = campaign.dice().bool();
        if knows_of_it {
            let port = group.nodes[heir].port();
            group.nodes[last].follow(port);
        }
        let_pass(up_to(campaign.dice(), 900));
        campaign.fault("the promoted killed within a second", workers.busy());
        group.strike(State::Dead);
        group.succeed(last);
    }
    group.gather(campaign.dice());
    workers.get_on();
}

#[test]
fn promoted_by_hand() {
    let mut campaign = Campaign::begin("promotion by hand", 5);
    let mut group = Group::start();
    campaign.runs_on(&mut group.nodes[0].server.client());
    let route = Arc::new(group.route.clone());
    let workers = Workers::start(route, HABITS, campaign.seed());
    while campaign.next_trial() {
        trial(&mut campaign, &mut group, &workers);
    }
    let mut outcome = workers.finish();
    let (theirs, broken) = group.zombies.part(&mut outcome.grants);
    println!("{theirs} grants are zombies'");
    for what in broken.into_iter().chain(group.disagreements()) {
        campaign.object(what);
    }
    for node in &mut group.nodes {
        node.server.assert_healthy();
    }
    campaign.end(outcome, Promise::Tokens, Control::MayLose, 50);
}
