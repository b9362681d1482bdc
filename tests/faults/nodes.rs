//! Independent servers that are asked together for one lock: what each finds when it
//! starts again, the clock it lives by, and the ways to it, one for each site of clients.

use crate::campaign::Campaign;
use crate::clock::Clock;
use crate::group::up_to;
use crate::history::Stamp;
use crate::proxy::{Proxy, Towards, Way};
use crate::support::eventually::within;
use crate::support::{pass, Client, Server};
use crate::workers::Busy;
use std::fs;
use std::time::Duration;

/// What a server finds that was killed and starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// All that it answered.
    LogAlways,
    /// What it had written.
    LogEverySecond,
    /// Nothing; sometimes not even its directory.
    Nothing,
}

/// Which clocks the servers live by. None is wrong by more than five seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Each is as wrong as it likes, and is set now and then.
    Any,
    /// The same, but a server that starts with nothing has one that nobody is ahead of.
    EmptyOnesLead,
}

const WRONG_BY_MOST_S: i64 = 5;

/// A start this close behind another could begin below the other's tokens, though their
/// clocks agree: what a log knows to be covered is 64 ms ahead of what was issued.
const BETWEEN_STARTS: Duration = Duration::from_millis(80);

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sound,
    Killed,
    Stopped,
    /// The ways of all sites, or of one.
    CutOff,
}

/// One server.
pub struct Node {
    server: Server,
    files: Files,
    clock: Clock,
    ways: Vec<Proxy>,
    state: State,
}

/// All of them.
pub struct Nodes {
    nodes: Vec<Node>,
    clocks: Clocks,
    latest_start: Stamp,
}

impl Nodes {
    /// Starts them, with a way to each for so many sites.
    pub fn start(
        dice: &mut fastrand::Rng,
        files: &[Files],
        clocks: Clocks,
        settings: &[&str],
        sites: usize,
    ) -> Self {
        let start = |&files: &Files| {
            let mut clock = Clock::new();
            clock.is_wrong_by(drawn(dice, clocks, files));
            let log: &[&str] = match files {
                Files::LogAlways => &["appendonly yes", "appendfsync always"],
                Files::LogEverySecond => &["appendonly yes"],
                Files::Nothing => &[],
            };
            let server = clock.server(&[settings, log].concat());
            clock.is_seen_by(&mut server.client());
            let ways = (0..sites).map(|_| Proxy::to(server.port()));
            Node {
                ways: ways.collect(),
                state: State::Sound,
                server,
                files,
                clock,
            }
        };
        Self {
            nodes: files.iter().map(start).collect(),
            clocks,
            latest_start: Stamp::now(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Where a site finds them.
    pub fn ports(&self, site: usize) -> Vec<u16> {
        let ways = self.nodes.iter().map(|node| node.ways[site].port());
        ways.collect()
    }

    /// A connection to each, past all proxies.
    pub fn clients(&self) -> Vec<Client> {
        self.nodes.iter().map(|node| node.server.client()).collect()
    }

    /// One of them dies.
    pub fn kill(&mut self, which: usize) {
        let node = &mut self.nodes[which];
        node.server.kill();
        node.state = State::Killed;
    }

    /// Something happens to one of them, or to the ways to it.
    pub fn harm(&mut self, which: usize, campaign: &mut Campaign, busy: Busy) {
        let clocks = self.clocks;
        let node = &mut self.nodes[which];
        match campaign.dice().u8(0..12) {
            0..=3 => self.kill(which),
            4 => {
                campaign.fault("server stopped", busy);
                node.server.signal("STOP");
                node.state = State::Stopped;
            }
            5 => {
                let wrong_by = drawn(campaign.dice(), clocks, node.files);
                node.clock.is_wrong_by(wrong_by);
                campaign.fault("clock set", busy);
            }
            chance => {
                let (all, one, happens) = CUTS[campaign.dice().usize(0..CUTS.len())];
                if chance < 9 {
                    node.ways.iter().for_each(happens);
                    campaign.fault(all, busy);
                } else {
                    let site = campaign.dice().usize(0..node.ways.len());
                    happens(&node.ways[site]);
                    campaign.fault(one, busy);
                }
                node.state = State::CutOff;
            }
        }
    }

    /// It is over.
    pub fn mend(&mut self, which: usize, campaign: &mut Campaign, busy: Busy) {
        let node = &mut self.nodes[which];
        match std::mem::replace(&mut node.state, State::Sound) {
            State::Sound => {}
            State::Stopped => node.server.signal("CONT"),
            State::CutOff => node.ways.iter().for_each(Proxy::heal),
            State::Killed => {
                if campaign.dice().bool() {
                    let wrong_by = drawn(campaign.dice(), self.clocks, node.files);
                    node.clock.is_wrong_by(wrong_by);
                }
                let kind = match node.files {
                    Files::LogAlways => "kill -9, AOF always",
                    Files::LogEverySecond => "kill -9, AOF everysec",
                    Files::Nothing if campaign.dice().bool() => {
                        forget(&node.server);
                        "kill -9, empty, and its directory, too"
                    }
                    Files::Nothing => "kill -9, empty",
                };
                let next = self.latest_start.plus(BETWEEN_STARTS);
                pass(Duration::from_nanos(next.0.saturating_sub(Stamp::now().0)));
                campaign.fault(kind, busy);
                node.server.start_again();
                self.latest_start = Stamp::now();
                for way in &node.ways {
                    way.leads_to(node.server.port());
                }
            }
        }
    }

    /// A little of a life without harm.
    pub fn pause(dice: &mut fastrand::Rng, most_ms: u64) {
        pass(up_to(dice, most_ms));
    }

    /// Waits until they hold nothing; fails if they do for longer than any lease. What
    /// they hold, in words.
    pub fn left_behind(&self, time: Duration) -> Option<String> {
        let mut clients = self.clients();
        let mut left = String::new();
        let is_clean = within(time, || {
            let sizes = clients.iter_mut().map(|it| it.number("DBSIZE"));
            let sizes: Vec<i64> = sizes.collect();
            left = format!("{sizes:?} locks are left on the servers");
            sizes.iter().all(|&size| size == 0).then_some(())
        });
        match is_clean {
            Some(()) => None,
            None => Some(left),
        }
    }

    /// None of them crashed.
    pub fn assert_healthy(&mut self) {
        for node in &mut self.nodes {
            node.server.assert_healthy();
        }
    }
}

/// Another time for a server's clock.
fn drawn(dice: &mut fastrand::Rng, clocks: Clocks, files: Files) -> i64 {
    match (clocks, files) {
        (Clocks::Any, _) => dice.i64(-WRONG_BY_MOST_S..=WRONG_BY_MOST_S),
        (Clocks::EmptyOnesLead, Files::Nothing) => WRONG_BY_MOST_S,
        (Clocks::EmptyOnesLead, _) => dice.i64(-WRONG_BY_MOST_S..WRONG_BY_MOST_S),
    }
}

/// What it is called for all sites, and for one; what the proxy does.
type Cut = (&'static str, &'static str, fn(&Proxy));

/// What can happen between a site and a server.
const CUTS: [Cut; 6] = [
    (
        "partition: replies held back",
        "partition, one site: replies held back",
        |way| way.set(Towards::Client, Way::Frozen),
    ),
    (
        "partition: requests held back",
        "partition, one site: requests held back",
        |way| way.set(Towards::Server, Way::Frozen),
    ),
    (
        "partition: silence",
        "partition, one site: silence",
        |way| {
            way.set_both(Way::Frozen);
        },
    ),
    (
        "partition: connections refused",
        "partition, one site: connections refused",
        Proxy::cut,
    ),
    (
        "partition: half open",
        "partition, one site: half open",
        Proxy::leave_half_open,
    ),
    (
        "delay of 30 ms each way",
        "delay of 30 ms each way, one site",
        |way| way.set_both(Way::Slow(Duration::from_millis(30))),
    ),
];

/// Takes away all that it wrote.
fn forget(server: &Server) {
    let entries = fs::read_dir(server.directory()).expect("our own");
    for entry in entries {
        let path = entry.expect("our own").path();
        let is_ours = path.ends_with("redis.conf") || path.ends_with("log");
        if !is_ours && path.is_file() {
            fs::remove_file(&path).expect("our own");
        }
    }
}
