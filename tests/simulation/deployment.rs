//! The whole deployment: nodes, clients and what is under way between them, and the
//! time that goes by.
//!
//! Between two steps everything happens that is due, each at its own moment: letters
//! arrive, leases end, replicas hear, processes come back. After each of these the
//! node that it happened at is judged.

use crate::client::{Client, Dice};
use crate::clocks::{Clocks, DRIFT_PPM_MOST};
use crate::disk::Disk;
use crate::judge::{Broken, Judge, Verdict};
use crate::lock::{Event, News};
use crate::mirror::Mirror;
use crate::node::{Ending, Link, Node, Role};
use crate::plan::{Action, Setting, Step, Walls};
use crate::post::{Letter, Line, Post, Reply};
use crate::resource::Resource;
use crate::totals::Totals;
use fastrand::Rng;
use std::rc::Rc;

/// True time at the beginning: an hour, so that there is a before.
const BEGINNING: u64 = 3_600_000_000_000;

/// More than can happen in one moment, unless nothing comes to rest.
const AT_ONCE_MOST: u32 = 100_000;

pub(crate) struct Deployment {
    pub(crate) setting: Setting,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) post: Post,
    pub(crate) judge: Judge,
    /// Who is master, as far as anybody can know.
    pub(crate) leader: usize,
    pub(crate) owners: u64,
    pub(crate) connections: u64,
    pub(crate) streams: u64,
    pub(crate) eras: u64,
    pub(crate) totals: Totals,
    told: Telling,
}

/// Whether what happens is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Nothing,
    Everything,
}

impl Deployment {
    pub(crate) fn new(setting: &Setting, told: Telling) -> Self {
        let mut rng = Rng::with_seed(setting.clock_seed);
        let mut deployment = Self {
            setting: setting.clone(),
            now: BEGINNING,
            nodes: Vec::new(),
            clients: vec![Client::default(); setting.clients],
            resources: vec![Resource::default(); setting.keys],
            post: Post::default(),
            judge: Judge::new(setting),
            leader: 0,
            owners: 0,
            connections: 0,
            streams: 0,
            eras: 0,
            totals: Totals::default(),
            told,
        };
        for number in 0..=setting.replicas {
            let (drift_ppm, ahead_ms) = match setting.walls {
                Walls::Agree => (0, 0),
                Walls::Differ => (
                    rng.i64(-DRIFT_PPM_MOST..=DRIFT_PPM_MOST),
                    rng.i64(-5_000..=5_000),
                ),
                Walls::Jump => (
                    rng.i64(-DRIFT_PPM_MOST..=DRIFT_PPM_MOST),
                    rng.i64(-100_000..=100_000),
                ),
            };
            let clocks = Clocks::new(drift_ppm, ahead_ms, rng.u64(..1 << 50));
            deployment.nodes.push(Node {
                number,
                server: None,
                life: 0,
                role: match number {
                    0 => Role::Master,
                    _ => Role::Replica,
                },
                clocks,
                disk: Disk::new(setting.persistence),
                stream: Vec::new(),
                stream_number: 0,
                link: (number > 0).then(|| Link::to(0, rng.u64(..setting.lag_most_ns))),
                waiting: Vec::new(),
                mirror: Mirror::new(setting.keys),
                term: 0,
                eras: vec![0; setting.keys],
                asked_ttl_ms: 0,
                told,
                restarts_at: 0,
                paused_until: 0,
                too_few_until: 0,
                stalled_until: 0,
                alarm: u64::MAX,
            });
        }
        deployment
    }

    /// Starts the processes.
    pub(crate) fn start(&mut self) -> Verdict {
        for node in 0..self.nodes.len() {
            self.new_eras(node);
            self.restart(node)?;
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, step: Step) -> Verdict {
        if self.told == Telling::Everything {
            println!("{:>14} ns later: {:?}", step.after_ns, step.action);
        }
        self.run_until(self.now + step.after_ns)?;
        self.totals.steps += 1;
        let hits = self.is_hit(step.action);
        let count = &mut self.totals.steps_of[step.action.kind()];
        count.0 += 1;
        count.1 += u64::from(hits);
        self.act(step.action)
    }

    fn is_hit(&self, action: Action) -> bool {
        match action {
            Action::Nothing | Action::Heal => self.nodes.iter().any(Node::is_busy),
            Action::Client { who, .. }
            | Action::ClientPauses { who, .. }
            | Action::ConnectionBreaks { who }
            | Action::ClientDies { who } => self.clients[who].is_busy(),
            Action::Breaks { node, key, .. } => {
                let mirror = &self.nodes[node].mirror;
                !mirror.holds[key].is_empty() || !mirror.lines[key].is_empty()
            }
            Action::Kill { node, .. }
            | Action::PowerCut { node, .. }
            | Action::Promote { node }
            | Action::LinkBreaks { node, .. }
            | Action::LinkLags { node, .. }
            | Action::RewriteLog { node, .. }
            | Action::Save { node }
            | Action::WritesPause { node, .. }
            | Action::TooFewReplicas { node, .. }
            | Action::Stall { node, .. }
            | Action::WallJumps { node, .. } => {
                self.nodes[node].server.is_some() && self.nodes[node].is_busy()
            }
        }
    }

    /// Lets everything happen that is due until then.
    fn run_until(&mut self, then: u64) -> Verdict {
        let (mut at_once, mut moment) = (0, self.now);
        loop {
            let (due, node) = self.next_wake();
            let letter_due = self.post.next_due();
            let next = due.min(letter_due);
            if next > then {
                break;
            }
            self.now = self.now.max(next);
            at_once = match self.now == moment {
                true => at_once + 1,
                false => 0,
            };
            moment = self.now;
            if at_once > AT_ONCE_MOST {
                let detail = format!("node {node} at {moment}");
                return Err(Broken::new("it comes to rest", detail));
            }
            self.totals.events += 1;
            if letter_due <= due {
                if let Some(letter) = self.post.take(self.now) {
                    self.deliver(letter)?;
                }
            } else {
                self.wake(node)?;
            }
        }
        self.totals.simulated_ms += (then - self.now.min(then)) / 1_000_000;
        self.now = then;
        Ok(())
    }

    fn next_wake(&self) -> (u64, usize) {
        let due = |node: &Node| (self.wakes_at(node), node.number);
        let nodes = self.nodes.iter().map(due);
        nodes.min().unwrap_or((u64::MAX, 0))
    }

    /// When the node does something by itself.
    fn wakes_at(&self, node: &Node) -> u64 {
        if node.server.is_none() {
            return node.restarts_at;
        }
        let heard = match &node.link {
            Some(link) => self.hears_at(link),
            None => u64::MAX,
        };
        let due = node.alarm.min(heard).min(node.disk.rewrite_done_at());
        match due {
            u64::MAX => u64::MAX,
            due => due.max(node.stalled_until),
        }
    }

    fn hears_at(&self, link: &Link) -> u64 {
        let master = &self.nodes[link.master];
        if let Some(sync) = &link.sync {
            return sync.done_at.max(link.broken_until);
        }
        if link.stream != Some(master.stream_number) {
            return match master.is_master() {
                true => link.broken_until,
                false => u64::MAX,
            };
        }
        match master.stream.get(link.cursor) {
            Some((sent_at, _)) => (sent_at + link.lag_ns).max(link.broken_until),
            None => u64::MAX,
        }
    }

    fn wake(&mut self, number: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[number];
        if node.server.is_none() {
            return self.restart(number);
        }
        if node.disk.rewrite_done_at() <= now {
            node.disk.finish_rewrite();
        }
        if node.alarm <= now {
            self.turn(number)?;
        }
        let hears = self.nodes[number].link.as_ref();
        if hears.is_some_and(|link| self.hears_at(link) <= now) {
            self.hear(number)?;
        }
        Ok(())
    }

    /// A replica takes in what is next.
    fn hear(&mut self, number: usize) -> Verdict {
        let Some(link) = self.nodes[number].link.clone() else {
            return Ok(());
        };
        if let Some(sync) = &link.sync {
            return self.take_sync(number, sync);
        }
        if link.stream != Some(self.nodes[link.master].stream_number) {
            self.begin_sync(number, &link);
            return Ok(());
        }
        let (_, batch) = &self.nodes[link.master].stream[link.cursor];
        let batch = Rc::clone(batch);
        let node = &mut self.nodes[number];
        if let Some(link) = &mut node.link {
            link.cursor += 1;
        }
        let now = self.now;
        let boot = node.boot(now);
        let server = node.at(now);
        for sent in batch.iter() {
            server.apply(sent);
        }
        server.sent.clear();
        for sent in batch.iter() {
            node.mirror.apply(boot, sent);
        }
        node.disk.write(now, &batch);
        self.totals.replayed_batches += 1;
        let tokens = self.nodes[number].at(now).locks.tokens().has_lost_cover();
        if tokens || self.nodes[number].at(now).locks.has_to_reclaim() {
            self.turn(number)?;
        }
        self.look_at_node(number)?;
        self.compare_with_master(number)
    }

    fn deliver(&mut self, letter: Letter) -> Verdict {
        let now = self.now;
        if self.told == Telling::Everything {
            println!("    {now} {letter:?}");
        }
        let line = match letter {
            Letter::Answered(line, reply, era) => return self.answered(line, reply, era),
            Letter::Asked(line, _) | Letter::Closed(line) | Letter::Unblocked(line, _) => line,
        };
        let node = &mut self.nodes[line.node];
        if node.server.is_none() || node.life != line.life {
            return Ok(());
        }
        if node.stalled_until > now {
            self.post.send(node.stalled_until, letter);
            return Ok(());
        }
        match letter {
            Letter::Asked(line, ask) => self.asked(line, ask),
            Letter::Closed(line) => {
                self.post.forget(line.connection);
                let lost = node.connection_gone(now, line.connection);
                for (owner, token) in lost {
                    self.judge.session_ended(now, owner, token);
                }
                self.turn(line.node)
            }
            Letter::Unblocked(line, ticket) => {
                let place = node.waiting.iter().position(|it| it.ticket == ticket);
                let Some(place) = place else {
                    return Ok(());
                };
                let waiting = node.waiting.remove(place);
                node.at(now).silently(Event::TicketDelivered(ticket));
                let Some((token, era)) = waiting.granted else {
                    return Ok(());
                };
                let whose = (waiting.key, waiting.owner);
                if let Some(hold) = node.mirror.hold_with(whose, token) {
                    hold.is_heard = true;
                }
                self.reply(line, Reply::Token(token), era);
                self.turn(line.node)
            }
            Letter::Answered(..) => Ok(()),
        }
    }

    pub(crate) fn reply(&mut self, line: Line, reply: Reply, era: u64) {
        let mut dice = Dice(self.now ^ line.connection);
        let due = self.now + dice.below(self.setting.network_most_ns);
        self.post.send(due, Letter::Answered(line, reply, era));
    }

    /// The event loop of a node goes on.
    pub(crate) fn turn(&mut self, number: usize) -> Verdict {
        self.tell(number)?;
        self.nodes[number].turn(self.now, &mut self.judge)?;
        self.tell(number)?;
        self.look_at_node(number)
    }

    /// What a step sent, and whom it told what, goes on its way.
    pub(crate) fn settle(&mut self, number: usize, ending: Ending) -> Verdict {
        self.nodes[number].hand_on(self.now, ending, &mut self.judge)?;
        self.tell(number)
    }

    fn tell(&mut self, number: usize) -> Verdict {
        let node = &mut self.nodes[number];
        let Some(server) = node.server.as_mut() else {
            return Ok(());
        };
        if server.told.is_empty() {
            return Ok(());
        }
        for (ticket, news) in std::mem::take(&mut server.told) {
            let node = &mut self.nodes[number];
            let waiting = node.line_moves(ticket, news)?;
            let line = Line {
                node: number,
                life: node.life,
                client: waiting.client,
                connection: waiting.connection,
            };
            let era = node.eras[waiting.key];
            match news {
                News::Granted(_) => {
                    self.totals.waited_grants += 1;
                    // Others may come first: the connection may be gone by then.
                    let mut dice = Dice(self.now ^ waiting.owner);
                    let due = self.now + dice.below(self.setting.network_most_ns / 4 + 1);
                    self.post.send(due, Letter::Unblocked(line, ticket));
                }
                News::NotYours => self.reply(line, Reply::Nil, era),
                _ => self.reply(line, Reply::Error, era),
            }
        }
        Ok(())
    }

    /// Everything that was true before is not known to be any more.
    pub(crate) fn new_eras(&mut self, number: usize) {
        for era in &mut self.nodes[number].eras {
            self.eras += 1;
            *era = self.eras;
        }
    }

    pub(crate) fn finish(mut self) -> Totals {
        let totals = &mut self.totals;
        totals.seeds = 1;
        totals.grants = self.judge.grants;
        totals.terms = self.judge.terms.len() as u64;
        totals.excuses = self.judge.excuses;
        totals.simulated_ms = (self.now - BEGINNING) / 1_000_000;
        if self.setting.is_strict() {
            totals.strict_seeds = 1;
            totals.strict = self.judge.excuses;
        }
        for resource in &self.resources {
            totals.written += resource.written;
            totals.refused += resource.refused;
            totals.unfenced_lost += resource.unfenced_lost;
        }
        std::mem::take(&mut self.totals)
    }

    pub(crate) fn open_term(&mut self, number: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[number];
        let wall = node.clocks.wall(now);
        node.at(now).open_term(wall);
        let wall_ms = wall.as_ms_since_2024();
        let above = node.mirror.known.most_at(wall_ms);
        let began_at = node.at(now).locks.tokens().last();
        node.term = self.judge.terms.len();
        self.judge.terms.push(crate::judge::Term {
            node: number,
            wall_ms,
            above,
            began_at,
            issued: 0,
            has_raised: false,
        });
        if began_at < above {
            let detail = format!("node {number} at {began_at}, below {above}");
            return Err(Broken::new("a term begins above what is known", detail));
        }
        Ok(())
    }
}
