//! Slots that go from server to server with the tool that people use for it, while
//! clients take locks in them; servers that are killed between two moves and in the
//! middle of one.
//!
//! Every write is on disk before it is answered, so nothing is lost and a lock has
//! one holder throughout, also across a move that was broken off.

use crate::campaign::{Campaign, Control};
use crate::cluster::{key_in, Cluster, Replicas};
use crate::history::Stamp;
use crate::judge::Promise;
use crate::sitters::{Sent, Sitter};
use crate::slots::SLOTS;
use crate::support::cluster::state_of_move;
use crate::support::eventually;
use crate::workers::{Habits, Workers};
use std::io::{BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const MASTERS: usize = 3;
/// How many of the first slots of each master the clients' keys are in: those that
/// move first.
const KEYS_EACH: u32 = 8;
const SLOTS_MOST: usize = 50;
const SLOTS_LEAST: usize = 20;
const SITTERS: usize = 3;

/// How long slots stay where they are. The README says that tokens may fail to rise if
/// a slot leaves and returns within a second: its server asks about it so often.
const SLOTS_STAY: Duration = Duration::from_millis(1_500);

/// The name of a key: every other of the first slots of one of the masters.
fn name(key: u32) -> String {
    let first = 16_384 * (key / KEYS_EACH) / MASTERS as u32;
    key_in((first + 2 * (key % KEYS_EACH)) as u16, "lock")
}

/// What may happen in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Reshard,
    Rebalance,
    /// By CLUSTER MIGRATESLOTS, where there is that; else as the first.
    Whole,
    Restart,
    KillSource,
    KillTarget,
}

impl Deed {
    const ROUND: [Self; 8] = [
        Self::Reshard,
        Self::Rebalance,
        Self::Restart,
        Self::Whole,
        Self::Reshard,
        Self::KillSource,
        Self::Reshard,
        Self::KillTarget,
    ];
}

/// The tool, at work.
struct Tool {
    child: Child,
    said: String,
}

impl Tool {
    fn start(command: &str, port: u16, options: &[String]) -> Self {
        let child = Command::new("redis-cli")
            .args(["--cluster", command, &format!("127.0.0.1:{port}")])
            .args(options)
            .arg("--cluster-yes")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self {
            child: child.expect("redis-cli is there"),
            said: String::new(),
        }
    }

    /// Listens until it is done, and calls for each slot that it moved. It says
    /// `Moving slot` for each, or shows a `#`.
    fn listen(&mut self, mut moved: impl FnMut()) {
        let out = self.child.stdout.take().expect("it is piped");
        let mut is_line_of_marks = true;
        let mut line = String::new();
        for byte in BufReader::new(out).bytes() {
            let Ok(byte) = byte else { break };
            self.said.push(char::from(byte));
            match byte {
                b'\n' => {
                    if line.starts_with("Moving slot ") {
                        moved();
                    }
                    line.clear();
                    is_line_of_marks = true;
                }
                b'#' if is_line_of_marks => moved(),
                other => {
                    is_line_of_marks = false;
                    line.push(char::from(other));
                }
            }
        }
    }

    /// Whether it ended well.
    fn is_content(&mut self) -> bool {
        let ended = eventually("the tool ends", || self.child.try_wait().expect("a child"));
        ended.success()
    }
}

struct Moves {
    campaign: Campaign,
    cluster: Cluster,
    workers: Workers,
}

impl Moves {
    fn names(&self) -> Vec<String> {
        let name = |at: usize| self.cluster.servers[at].client().text("CLUSTER MYID");
        (0..MASTERS).map(name).collect()
    }

    fn port(&self, server: usize) -> u16 {
        self.cluster.servers[server].port()
    }

    fn reshard_options(&self, from: usize, to: usize, slots: usize) -> Vec<String> {
        let names = self.names();
        let option = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
        [
            option("--cluster-from", &names[from]),
            option("--cluster-to", &names[to]),
            option("--cluster-slots", &slots.to_string()),
        ]
        .concat()
    }

    /// Two different ones.
    fn two_servers(&mut self) -> (usize, usize) {
        let from = self.campaign.dice().usize(0..MASTERS);
        let to = (from + self.campaign.dice().usize(1..MASTERS)) % MASTERS;
        (from, to)
    }

    /// Locks in some of the first slots of a server, which move first.
    fn sitters(&mut self, server: usize, among: usize) -> Vec<Sitter> {
        let owners = self.cluster.owners(server);
        let own = (0..).zip(&owners).filter(|(_, it)| **it == Some(server));
        let mut first: Vec<u16> = own.map(|(slot, _)| slot).take(among).collect();
        self.campaign.dice().shuffle(&mut first);
        first.truncate(SITTERS);
        let trial = self.campaign.trials();
        let sits = |slot| Sitter::sits(&self.cluster.servers[server], slot, trial);
        first.into_iter().map(sits).collect()
    }

    fn look_after(&mut self, sitters: Vec<Sitter>, from: usize, sent: Sent) {
        let owners = self.cluster.owners(from);
        let servers = &self.cluster.servers;
        for sitter in sitters {
            let Some(there) = owners[usize::from(sitter.slot())] else {
                self.campaign.object("a slot without a server");
                continue;
            };
            let objection = sitter.objection(&servers[from], &servers[there], sent);
            if let Some(objection) = objection {
                self.campaign.object(objection);
            }
        }
    }

    /// Lets the tool do its work, and counts slot by slot.
    fn listen(&mut self, tool: &mut Tool, kind: &'static str) -> usize {
        let mut count = 0;
        let (campaign, workers) = (&mut self.campaign, &self.workers);
        tool.listen(|| {
            campaign.fault(kind, workers.busy());
            count += 1;
        });
        count
    }

    fn reshard(&mut self) {
        let (from, to) = self.two_servers();
        let slots = self.campaign.dice().usize(SLOTS_LEAST..=SLOTS_MOST);
        let before = self.cluster.owners(from);
        let sitters = self.sitters(from, slots);
        let options = self.reshard_options(from, to, slots);
        let mut tool = Tool::start("reshard", self.port(from), &options);
        let told = self.listen(&mut tool, "slot moved by reshard");
        self.has_moved(&mut tool, &before, from, told);
        self.look_after(sitters, from, Sent::SentAway);
    }

    /// One server is to have a little more than the others.
    fn rebalance(&mut self) {
        let heavy = self.campaign.dice().usize(0..MASTERS);
        let extra = self.campaign.dice().u32(5..15);
        let names = self.names();
        let weight = ["--cluster-weight".to_owned()];
        let of = |(at, name): (usize, &String)| match at == heavy {
            true => format!("{name}=1.0{extra:02}"),
            false => format!("{name}=1"),
        };
        let weights: Vec<String> = names.iter().enumerate().map(of).collect();
        let threshold = ["--cluster-threshold".to_owned(), "0.1".to_owned()];
        let options = [&weight[..], &weights[..], &threshold[..]].concat();
        let before = self.cluster.owners(heavy);
        let mut tool = Tool::start("rebalance", self.port(heavy), &options);
        let told = self.listen(&mut tool, "slot moved by rebalance");
        self.has_moved(&mut tool, &before, heavy, told);
    }

    fn has_moved(
        &mut self,
        tool: &mut Tool,
        before: &[Option<usize>],
        seen_by: usize,
        told: usize,
    ) {
        if !tool.is_content() {
            let said = &tool.said;
            self.campaign.object(format!("the tool failed: {said}"));
            return;
        }
        let moved = self.moved_since(before, seen_by);
        if moved != told {
            let said = &tool.said;
            self.campaign
                .object(format!("{moved} slots moved, told of {told}: {said}"));
        }
    }

    fn moved_since(&self, before: &[Option<usize>], seen_by: usize) -> usize {
        let after = self.cluster.owners(seen_by);
        let both = before.iter().zip(&after);
        both.filter(|(one, other)| one != other).count()
    }

    /// Slots that change their server in one instant, with all that is in them.
    fn move_whole(&mut self) {
        let (from, to) = self.two_servers();
        let count = self.campaign.dice().usize(SLOTS_LEAST..=SLOTS_MOST);
        let before = self.cluster.owners(from);
        let own = (0..SLOTS).zip(&before).filter(|(_, it)| **it == Some(from));
        let ranges = own
            .take(count)
            .flat_map(|(slot, _)| [slot.to_string(), slot.to_string()]);
        let mut words = ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"]
            .map(str::to_owned)
            .to_vec();
        words.extend(ranges);
        words.extend(["NODE".to_owned(), self.names()[to].clone()]);
        let sitters = self.sitters(from, count);
        let mut client = self.cluster.servers[from].client();
        // The other server may not have heard yet of what was moved before.
        eventually("the move succeeds", || {
            let is_refused = client.try_call(&words).is_err();
            (is_refused && state_of_move(&mut client) == "success").then_some(())
        });
        for _ in 0..count {
            self.campaign.fault("slot moved whole", self.workers.busy());
        }
        let moved = self.moved_since(&before, from);
        if moved != count {
            self.campaign
                .object(format!("{moved} slots moved, not {count}"));
        }
        self.look_after(sitters, from, Sent::SentAway);
    }

    /// A start opens a term: from here on the server is ahead of the others.
    fn restart(&mut self) {
        let server = self.campaign.dice().usize(0..MASTERS);
        self.campaign
            .fault("kill -9 between moves", self.workers.busy());
        self.cluster.servers[server].crash();
        self.cluster.is_well();
    }

    /// Kills one of the two in the middle of a move, and has it mended.
    fn break_off(&mut self, deed: Deed) {
        let (from, to) = self.two_servers();
        let (victim, kind) = match deed {
            Deed::KillSource => (from, "kill -9 of the source in a move"),
            _ => (to, "kill -9 of the target in a move"),
        };
        let sitters = self.sitters(from, SLOTS_LEAST);
        let options = self.reshard_options(from, to, SLOTS_MOST);
        let mut tool = Tool::start("reshard", self.port(from), &options);
        let slots_before = self.campaign.dice().usize(1..SLOTS_LEAST);
        let (campaign, workers) = (&mut self.campaign, &self.workers);
        let server = &mut self.cluster.servers[victim];
        let mut count = 0;
        tool.listen(|| {
            count += 1;
            if count == slots_before {
                let pause = Duration::from_micros(campaign.dice().u64(0..5_000));
                std::thread::park_timeout(pause);
                campaign.fault(kind, workers.busy());
                server.kill();
            }
        });
        tool.is_content();
        server.start_again();
        self.cluster.is_up();
        if !self.nothing_is_open() {
            let busy = self.workers.busy();
            self.campaign.fault("slot left half moved, mended", busy);
        }
        let mut mender = Tool::start("fix", self.port(from), &["--cluster-replace".to_owned()]);
        self.listen(&mut mender, "slot moved by fix");
        if !mender.is_content() || !self.nothing_is_open() {
            let said = &mender.said;
            self.campaign.object(format!("it is not mended: {said}"));
        }
        self.cluster.is_well();
        self.look_after(sitters, from, Sent::MayBeCutOff);
    }

    fn nothing_is_open(&self) -> bool {
        let is_closed = |at: usize| {
            let nodes = self.cluster.servers[at].client().text("CLUSTER NODES");
            !nodes.contains(" [")
        };
        (0..MASTERS).all(is_closed)
    }
}

#[test]
fn slots_move_while_locks_are_held() {
    let mut campaign = Campaign::begin("slot moves", 5);
    let settings = [
        "cluster-node-timeout 3000",
        "appendonly yes",
        "appendfsync always",
    ];
    let cluster = Cluster::start(MASTERS, Replicas::None, &settings);
    let mut client = cluster.servers[0].client();
    campaign.runs_on(&mut client);
    let asked = client.try_call(&["CLUSTER", "GETSLOTMIGRATIONS"]);
    let moves_whole = asked.is_ok();
    let habits = Habits {
        clients: 10,
        keys: KEYS_EACH * MASTERS as u32,
        names: name,
        ..Habits::USUAL
    };
    let route = Arc::clone(&cluster.route);
    let workers = Workers::start(route, habits, campaign.seed());
    let mut moves = Moves {
        campaign,
        cluster,
        workers,
    };
    let mut deeds = Vec::new();
    let mut moved = Stamp::now();
    while moves.campaign.next_trial() {
        if deeds.is_empty() {
            deeds = Deed::ROUND.to_vec();
            moves.campaign.dice().shuffle(&mut deeds);
        }
        moves.cluster.is_well();
        let left = moved.plus(SLOTS_STAY).0.saturating_sub(Stamp::now().0);
        std::thread::park_timeout(Duration::from_nanos(left));
        match deeds.pop().expect("there is one") {
            Deed::Reshard => moves.reshard(),
            Deed::Rebalance => moves.rebalance(),
            Deed::Whole if moves_whole => moves.move_whole(),
            Deed::Whole => moves.reshard(),
            Deed::Restart => moves.restart(),
            deed => moves.break_off(deed),
        }
        moved = Stamp::now();
    }
    let outcome = moves.workers.finish();
    for server in &mut moves.cluster.servers {
        server.assert_healthy();
    }
    let promise = Promise::OneHolder;
    moves.campaign.end(outcome, promise, Control::MayLose, 20);
}
