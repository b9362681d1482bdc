//! A network that is slow, silent, or breaks connections: between clients and the
//! server, and between a master and its replicas. No server dies, so nothing is
//! lost, and all is promised that is promised on one server.

use crate::agree::differences;
use crate::campaign::{Campaign, Control, Outcome};
use crate::group::{let_pass, up_to, Node};
use crate::judge::Promise;
use crate::proxy::{Proxy, Towards, Way};
use crate::route::One;
use crate::support::resp::Wire;
use crate::support::{catch_up, eventually, Client, Server};
use crate::workers::{Habits, Workers};
use std::sync::Arc;
use std::time::Duration;

const HABITS: Habits = Habits {
    thinks: Duration::from_millis(4),
    ..Habits::USUAL
};

/// One fault of the way between clients and server, from its beginning to its end.
fn disturb(campaign: &mut Campaign, way: &Proxy, workers: &Workers) {
    let busy = workers.busy();
    match campaign.dice().u8(0..6) {
        0 => {
            campaign.fault("replies lost", busy);
            way.set(Towards::Client, Way::Frozen);
            let_pass(up_to(campaign.dice(), 300));
            way.reset();
        }
        1 => {
            campaign.fault("requests held back", busy);
            way.set(Towards::Server, Way::Frozen);
            let_pass(up_to(campaign.dice(), 1_500));
        }
        2 => {
            campaign.fault("silence both ways", busy);
            way.set_both(Way::Frozen);
            let_pass(up_to(campaign.dice(), 1_500));
        }
        3 => {
            campaign.fault("delay", busy);
            way.set_both(Way::Slow(up_to(campaign.dice(), 40)));
            let_pass(up_to(campaign.dice(), 500));
        }
        4 => {
            campaign.fault("connections reset", busy);
            way.reset();
        }
        _ => {
            campaign.fault("connections half open", busy);
            way.leave_half_open();
        }
    }
    way.heal();
}

/// One who repeats what was not answered, and compares.
struct Repeater<'a> {
    way: &'a Proxy,
    direct: Client,
    key: String,
}

impl Repeater<'_> {
    /// Sends words whose reply is lost after the server acted, and then again; what
    /// the second reply says.
    fn reply_lost(&mut self, words: &str, has_acted: impl Fn(&mut Client, &str) -> bool) -> String {
        let mut wire = Wire::connect(self.way.port());
        self.way.set(Towards::Client, Way::Frozen);
        send(&mut wire, words);
        let Self { direct, key, .. } = self;
        eventually("the server acts", || has_acted(direct, key).then_some(()));
        self.way.reset();
        self.way.heal();
        self.ask(words)
    }

    /// Sends words that do not get there, and then again.
    fn request_lost(&mut self, words: &str) -> String {
        let mut wire = Wire::connect(self.way.port());
        // The connection must be there before it is lost.
        send(&mut wire, "PING");
        wire.line().expect("an answer");
        self.way.set(Towards::Server, Way::Frozen);
        send(&mut wire, words);
        self.way.reset();
        self.way.heal();
        self.ask(words)
    }

    fn ask(&mut self, words: &str) -> String {
        let mut wire = Wire::connect(self.way.port());
        send(&mut wire, words);
        String::from_utf8_lossy(&wire.line().expect("an answer")).into_owned()
    }

    /// What is not the same answer, in words.
    fn repeats(&mut self) -> Vec<String> {
        let key = self.key.clone();
        let mut told = Vec::new();
        let acquire = format!("LOCK.ACQUIRE {key} owner 60000");
        told.push(self.reply_lost(&acquire, |direct, key| direct.fence(key).is_some()));
        let token = self.direct.fence(&key);
        told.push(self.request_lost(&acquire));
        let longer = format!("LOCK.EXTEND {key} owner 600000");
        told.push(self.reply_lost(&longer, |direct, key| {
            let info = format!("{:?}", direct.call(&["LOCK.INFO", key]));
            !info.contains("int(60000)") && direct.fence(key).is_some()
        }));
        let raised = token.unwrap_or_default() + 7;
        let raise = format!("LOCK.EXTEND {key} owner 60000 RAISE {raised}");
        told.push(self.reply_lost(&raise, |direct, key| direct.fence(key) == Some(raised)));
        let release = format!("LOCK.RELEASE {key} owner");
        told.push(self.reply_lost(&release, |direct, key| direct.fence(key).is_none()));
        told.push(self.ask(&acquire));
        told.push(self.request_lost(&release));
        let again = format!(":{}", token.unwrap_or_default());
        let last = told[5].clone();
        let must = [
            &again,
            &again,
            ":1",
            &format!(":{raised}"),
            ":0",
            &last,
            ":1",
        ];
        let is_wrong = told.iter().map(String::as_str).ne(must);
        match is_wrong || !last.starts_with(':') {
            true => vec![format!("told {told:?} in place of {must:?}")],
            false => Vec::new(),
        }
    }
}

fn send(wire: &mut Wire, words: &str) {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    // Whatever comes of it: the connection may be gone.
    wire.send_command(&words).ok();
}

#[test]
fn clients_cut_off_from_the_server() {
    let mut campaign = Campaign::begin("partitions: clients", 8);
    let mut server = Server::start();
    campaign.runs_on(&mut server.client());
    let way = Proxy::to(server.port());
    let route = One::at(way.port());
    let workers = Workers::start(Arc::new(route), HABITS, campaign.seed());
    // On a way of its own: the workers' reset is not its reset.
    let other_way = Proxy::to(server.port());
    while campaign.next_trial() {
        let_pass(up_to(campaign.dice(), 100));
        disturb(&mut campaign, &way, &workers);
        let mut repeater = Repeater {
            way: &other_way,
            direct: server.client(),
            key: format!("repeated:{}", campaign.trials()),
        };
        for what in repeater.repeats() {
            campaign.object(what);
        }
    }
    let outcome = workers.finish();
    server.assert_healthy();
    campaign.end(outcome, Promise::OneHolder, Control::MayLose, 20);
}

/// Locks of all kinds that are still held when everything is quiet.
fn hold_some(client: &mut Client, trial: u64) {
    for lock in 0..20 {
        let ttl_ms = 60_000 + lock;
        let key = format!("quiet:{trial}:{lock}");
        match lock % 5 {
            0 => drop(client.acquired(&key, "one", ttl_ms)),
            1 => {
                for owner in ["a", "b", "c"] {
                    client.number(&format!("LOCK.ACQUIRE {key} {owner} {ttl_ms} SHARED"));
                }
                client.release(&key, "b");
            }
            2 => {
                client.number(&format!("LOCK.ACQUIRE {key} one {ttl_ms} LIMIT 3"));
                client.number(&format!("LOCK.ACQUIRE {key} two 5000 LIMIT 2"));
            }
            3 => {
                client.number(&format!("LOCK.ACQUIRE {key} one 5 DELAY 60000"));
            }
            _ => {
                let token = client.acquired(&key, "one", 1_000);
                let raised = token + 5;
                client.number(&format!("LOCK.EXTEND {key} one {ttl_ms} RAISE {raised}"));
            }
        }
    }
}

/// One trial: work while the links are disturbed, then peace; and then master and
/// replicas must agree.
fn part_and_join(campaign: &mut Campaign, nodes: &[Node]) -> (Outcome, Vec<String>) {
    let master = &nodes[0].server;
    let seed = campaign.seed() ^ (campaign.trials() << 16);
    let workers = Workers::start(Arc::new(One::at(master.port())), HABITS, seed);
    for _ in 0..3 {
        let_pass(up_to(campaign.dice(), 60));
        let uplink = nodes[campaign.dice().usize(1..nodes.len())].uplink();
        match campaign.dice().u8(0..4) {
            0 => {
                campaign.fault("link cut", workers.busy());
                uplink.cut();
            }
            1 => {
                campaign.fault("link reset", workers.busy());
                uplink.reset();
            }
            2 => {
                campaign.fault("link silent", workers.busy());
                uplink.set_both(Way::Frozen);
            }
            _ => {
                campaign.fault("link slow", workers.busy());
                uplink.set_both(Way::Slow(up_to(campaign.dice(), 50)));
            }
        }
    }
    let_pass(up_to(campaign.dice(), 150));
    let mut on_master = master.client();
    hold_some(&mut on_master, campaign.trials());
    let outcome = workers.finish();
    for replica in &nodes[1..] {
        replica.uplink().heal();
    }
    let mut found = Vec::new();
    for replica in &nodes[1..] {
        replica.await_link();
        let mut on_replica = replica.server.client();
        catch_up(&mut on_master, &mut on_replica);
        found.extend(differences(&mut on_master, &mut on_replica));
    }
    // The next one begins with nothing; tokens rise across that, too.
    on_master.say("FLUSHALL");
    (outcome, found)
}

#[test]
fn replicas_cut_off_from_their_master() {
    let mut campaign = Campaign::begin("partitions: replicas, which then agree", 5);
    // A backlog so small that some come back in part, and some in full.
    let settings = ["repl-backlog-size 16kb"];
    let mut nodes: Vec<Node> = (0..3).map(|_| Node::start(&settings)).collect();
    campaign.runs_on(&mut nodes[0].server.client());
    let master = nodes[0].port();
    for replica in &mut nodes[1..] {
        replica.follow(master);
        replica.await_link();
    }
    let mut all = Outcome::none();
    while campaign.next_trial() {
        let (outcome, found) = part_and_join(&mut campaign, &nodes);
        all = all.and(outcome);
        for what in found {
            campaign.object(what);
        }
    }
    for node in &mut nodes {
        node.server.assert_healthy();
    }
    campaign.end(all, Promise::Tokens, Control::MayLose, 50);
}
