//! Three sentinels, a master and two replicas. The master is killed, stopped or cut
//! off from everybody; the sentinels promote a replica; clients ask the sentinels
//! where the master is.
//!
//! Each server is behind a proxy, and nobody knows another way to it. A master that
//! was stopped or cut off comes back as a zombie, and clients who did not ask
//! the sentinels since go on asking it, until the sentinels turn it into a replica.
//! What counts of its words is said in `zombies.rs`. A trial in which the sentinels
//! promoted twice, as they do on a busy machine, counts in no part: nobody outside
//! knows who was the master at which instant of it.

use crate::campaign::{Campaign, Control};
use crate::group::{let_pass, up_to};
use crate::history::Stamp;
use crate::judge::Promise;
use crate::proxy::{Proxy, Way};
use crate::route::Route;
use crate::support::eventually::within;
use crate::support::sentinel::{master_of, promotion_of};
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
    /// The number of the promotion that the latest fault led to.
    promoted: Option<u64>,
    /// When all was in order the last time, and after which promotion.
    peace: (Option<u64>, Stamp),
    /// Trials with more than one promotion.
    doubtful: u32,
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
        let mut watched = Self {
            sentinels: (0..3).map(|_| watch()).collect(),
            servers,
            doors,
            master: 0,
            promoted: None,
            peace: (None, Stamp::now()),
            doubtful: 0,
            zombies: Zombies::default(),
        };
        watched.settle();
        watched.peace = (watched.latest_promotion(), Stamp::now());
        watched
    }

    fn route(&self) -> AskSentinels {
        AskSentinels {
            sentinels: Mutex::new(self.sentinels.iter().map(Sentinel::client).collect()),
            known: AtomicU16::new(self.doors[self.master].port()),
        }
    }

    /// Waits until all sentinels agree on a master and every replica follows it.
    /// Whoever it is: on a busy machine sentinels promote another one sometimes
    /// without being given a reason.
    fn settle(&mut self) {
        let settled = within(PROMOTION_MOST, || self.settled());
        self.master = settled.expect("all is in order again");
    }

    fn settled(&self) -> Option<usize> {
        let master_at = master_of(&mut self.sentinels[0].client())?;
        let master = self
            .doors
            .iter()
            .position(|door| door.port() == master_at)?;
        for (number, server) in self.servers.iter().enumerate() {
            let info = replication(server)?;
            let has = |line: &str| info.lines().any(|it| it.trim() == line);
            let follows = has(&format!("master_port:{master_at}")) && has("master_link_status:up");
            if !follows && (number != master || !has("role:master")) {
                return None;
            }
        }
        let all = format!("status=ok,address=127.0.0.1:{master_at},slaves=2,sentinels=3");
        let knows_all =
            |sentinel: &Sentinel| sentinel.client().text("INFO sentinel").contains(&all);
        self.sentinels.iter().all(knows_all).then_some(master)
    }

    fn latest_promotion(&self) -> Option<u64> {
        let ask = |sentinel: &Sentinel| promotion_of(&mut sentinel.client());
        self.sentinels.iter().filter_map(ask).max()
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
        let before = self.latest_promotion();
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
        self.leave_out_doubts(before);
        // From here on it can be promoted: it is in step, and a zombie no more.
        for door in &self.doors {
            self.zombies.lives(door.port());
        }
        workers.get_on();
    }

    fn succeed(&mut self) -> usize {
        self.master = self.await_successor();
        self.promoted = self.latest_promotion();
        self.master
    }

    /// If there was more than the one promotion that was asked for, nobody knows who
    /// was the master at which instant: nothing since the last peace counts.
    fn leave_out_doubts(&mut self, before: Option<u64>) {
        let last = self.latest_promotion();
        if last != self.promoted || before != self.peace.0 {
            self.doubtful += 1;
            for door in &self.doors {
                let way = zombies::Way::StartedAgain;
                self.zombies.was_one(door.port(), way, self.peace.1);
            }
        }
        self.peace = (last, Stamp::now());
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
    let doubtful = watched.doubtful;
    println!("{theirs} grants are zombies'; {doubtful} trials had a second promotion");
    for what in broken {
        campaign.object(what);
    }
    for server in &mut watched.servers {
        server.assert_healthy();
    }
    campaign.end(outcome, Promise::Tokens, Control::MayLose, 20);
}
