//! Three sentinels, a master and two replicas. The master is killed, stopped or cut
//! off from everybody; the sentinels promote a replica; clients ask the sentinels
//! where the master is.
//!
//! Each server is behind a proxy, and nobody knows another way to it. A master that
//! was stopped or cut off comes back as a zombie, and clients who did not ask
//! the sentinels since go on asking it, until the sentinels turn it into a replica.
//! What counts of its words is said in `zombies.rs`.

use crate::campaign::{Campaign, Control};
use crate::group::{let_pass, up_to};
use crate::judge::Promise;
use crate::proxy::{Proxy, Way};
use crate::route::Route;
use crate::support::eventually::within;
use crate::support::sentinel::master_of;
use crate::support::{eventually, Client, Sentinel, Server};
use crate::workers::{Habits, Workers};
use crate::zombies::{self, Zombies};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HABITS: Habits = Habits {
    thinks: Duration::from_millis(4),
    ..Habits::USUAL
};

/// How long sentinels may take, if their first votes come to nothing on a machine
/// that is busy.
const PROMOTION_MOST: Duration = Duration::from_secs(60);

/// The master is where the sentinels say.
struct AskSentinels {
    sentinels: Mutex<Vec<Client>>,
    known: AtomicU16,
}

impl Route for AskSentinels {
    fn port(&self, _: &str) -> Option<u16> {
        Some(self.known.load(Ordering::SeqCst))
    }

    fn failed(&self, _: &str, port: u16) {
        // Somebody else may have asked since.
        if self.known.load(Ordering::SeqCst) != port {
            return;
        }
        let mut sentinels = self.sentinels.lock().expect("no panic");
        if let Some(master) = sentinels.iter_mut().find_map(master_of) {
            self.known.store(master, Ordering::SeqCst);
        }
    }
}

struct Watched {
    sentinels: Vec<Sentinel>,
    servers: Vec<Server>,
    /// In front of each server.
    doors: Vec<Proxy>,
    master: usize,
    zombies: Zombies,
}

/// What the server says of its part. Sentinels break off the connections of whom
/// they turn into a replica, ours too: so each time a new one.
fn replication(server: &Server) -> Option<String> {
    let mut client = Client::try_connect(server.port())?;
    match client.try_call(&["INFO", "replication"]).ok()? {
        redis::Value::BulkString(text) => String::from_utf8(text).ok(),
        redis::Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

impl Watched {
    fn start() -> Self {
        let doors: Vec<Proxy> = (0..3).map(|_| Proxy::to(0)).collect();
        let master_at = doors[0].port();
        let start = |door: &Proxy| {
            let announces = format!("replica-announce-port {}", door.port());
            let settings = ["replica-announce-ip 127.0.0.1", &announces];
            let server = Server::with(&[settings[0], settings[1], "repl-timeout 10"]);
            door.leads_to(server.port());
            if door.port() != master_at {
                server
                    .client()
                    .say(&format!("REPLICAOF 127.0.0.1 {master_at}"));
            }
            server
        };
        let servers: Vec<Server> = doors.iter().map(start).collect();
        let watch = || {
            let settings = [
                "sentinel down-after-milliseconds mymaster 300",
                "sentinel failover-timeout mymaster 1000",
                "sentinel parallel-syncs mymaster 2",
            ];
            let sentinel = Sentinel::watching(master_at, 2, &settings);
            // Everything that it does every so many seconds, more often; and a busy
            // machine is no reason to stand aside for half a minute.
            sentinel.client().say(
                "SENTINEL DEBUG INFO-PERIOD 200 PING-PERIOD 100 ASK-PERIOD 100 \
                 PUBLISH-PERIOD 200 TILT-PERIOD 1000 ELECTION-TIMEOUT 1000",
            );
            sentinel
        };
        let watched = Self {
            sentinels: (0..3).map(|_| watch()).collect(),
            servers,
            doors,
            master: 0,
            zombies: Zombies::default(),
        };
        watched.settle();
        watched
    }

    fn route(&self) -> AskSentinels {
        AskSentinels {
            sentinels: Mutex::new(self.sentinels.iter().map(Sentinel::client).collect()),
            known: AtomicU16::new(self.doors[self.master].port()),
        }
    }

    /// Waits until every replica follows the master and every sentinel knows all.
    fn settle(&self) {
        let master_at = self.doors[self.master].port().to_string();
        for (number, server) in self.servers.iter().enumerate() {
            if number == self.master {
                continue;
            }
            eventually("it follows the master", || {
                let info = replication(server)?;
                let has = |line: &str| info.lines().any(|it| it.trim() == line);
                let follows = has(&format!("master_port:{master_at}"));
                (follows && has("master_link_status:up")).then_some(())
            });
        }
        for sentinel in &self.sentinels {
            let mut client = sentinel.client();
            eventually("the sentinel knows all", || {
                let info = client.text("INFO sentinel");
                let all = format!("status=ok,address=127.0.0.1:{master_at},slaves=2,sentinels=3");
                info.contains(&all).then_some(())
            });
        }
    }

    /// Waits until two sentinels name another master, and that it is one.
    fn await_successor(&self) -> usize {
        let old = self.doors[self.master].port();
        let mut sentinels: Vec<Client> = self.sentinels.iter().map(Sentinel::client).collect();
        let next = within(PROMOTION_MOST, || {
            let named: Vec<u16> = sentinels.iter_mut().filter_map(master_of).collect();
            let is_new =
                |port: &&u16| **port != old && named.iter().filter(|it| it == port).count() >= 2;
            named.iter().find(is_new).copied()
        });
        let next = next.expect("the sentinels promote a replica");
        let next = self.doors.iter().position(|door| door.port() == next);
        let next = next.expect("it is one of ours");
        eventually("it is a master", || {
            let info = replication(&self.servers[next])?;
            info.contains("role:master").then_some(())
        });
        next
    }

    fn trial(&mut self, campaign: &mut Campaign, workers: &Workers) {
        let_pass(up_to(campaign.dice(), 200));
        let old = self.master;
        let port = self.doors[old].port();
        let replica = (old + 1 + campaign.dice().usize(0..2)) % 3;
        // An end of the stream that one replica lacks. It is short: the sentinels
        // must not think that the replica is down.
        self.doors[replica].set_both(Way::Slow(up_to(campaign.dice(), 20)));
        match campaign.dice().u8(0..4) {
            0 | 1 => {
                campaign.fault("Sentinel: master killed", workers.busy());
                self.servers[old].kill();
                let next = self.succeed();
                let master_at = self.doors[next].port();
                let follows = format!("replicaof 127.0.0.1 {master_at}");
                self.servers[old].start_once_with(&[&follows]);
                self.doors[old].leads_to(self.servers[old].port());
            }
            2 => {
                campaign.fault(
                    "Sentinel: master stopped, and a zombie later",
                    workers.busy(),
                );
                self.servers[old].signal("STOP");
                self.succeed();
                let_pass(up_to(campaign.dice(), 200));
                self.zombies.rises(port, zombies::Way::RanOn);
                self.servers[old].signal("CONT");
            }
            _ => {
                campaign.fault(
                    "Sentinel: master cut off, and a zombie later",
                    workers.busy(),
                );
                self.doors[old].set_both(Way::Frozen);
                self.succeed();
                let_pass(up_to(campaign.dice(), 200));
                self.zombies.rises(port, zombies::Way::RanOn);
                self.doors[old].heal();
            }
        }
        self.doors[replica].heal();
        self.settle();
        // From here on it can be promoted: it is in step, and a zombie no more.
        self.zombies.lives(port);
        workers.get_on();
    }

    fn succeed(&mut self) -> usize {
        self.master = self.await_successor();
        self.master
    }
}

#[test]
fn promoted_by_sentinels() {
    let mut campaign = Campaign::begin("failover by Sentinel", 4);
    let mut watched = Watched::start();
    campaign.runs_on(&mut watched.servers[0].client());
    let workers = Workers::start(Arc::new(watched.route()), HABITS, campaign.seed());
    while campaign.next_trial() {
        watched.trial(&mut campaign, &workers);
    }
    let mut outcome = workers.finish();
    let (theirs, broken) = watched.zombies.part(&mut outcome.grants);
    println!("{theirs} grants are zombies'");
    for what in broken {
        campaign.object(what);
    }
    for server in &mut watched.servers {
        server.assert_healthy();
    }
    campaign.end(outcome, Promise::Tokens, Control::MayLose, 20);
}
