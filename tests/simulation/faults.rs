//! What goes wrong: processes and machines that end, replicas that are promoted, links
//! that break, keys that are broken, clocks that jump; and how things come back.

use crate::client::Dice;
use crate::clocks::SECOND;
use crate::deployment::Deployment;
use crate::disk::{Counter, Left};
use crate::judge::{Broken, Verdict};
use crate::lock::Event;
use crate::mirror::Mirror;
use crate::node::{Ending, Link, Role, Sync};
use crate::plan::{Action, Break};
use crate::requests::KEYS;
use crate::server::{Leave, Server};
use std::rc::Rc;

impl Deployment {
    pub(crate) fn act(&mut self, action: Action) -> Verdict {
        let now = self.now;
        match action {
            Action::Nothing => {}
            Action::Client { who, dice } => return self.client_acts(who, Dice(dice)),
            Action::ClientPauses { who, ns } => self.clients[who].paused_until = now + ns,
            Action::ConnectionBreaks { who } => self.disconnect(who, &mut Dice(now)),
            Action::ClientDies { who } => self.forget_work(who),
            Action::Breaks { node, how, key } => return self.break_key(node, how, key),
            Action::Kill { node, down_ns } => self.kill(node, down_ns),
            Action::PowerCut {
                node,
                down_ns,
                kept,
            } => self.cut_power(node, down_ns, kept),
            Action::Promote { node } => return self.promote(node),
            Action::Heal => return self.heal(),
            Action::LinkBreaks { node, ns } => {
                if let Some(link) = &mut self.nodes[node].link {
                    link.broken_until = now + ns;
                }
            }
            Action::LinkLags { node, ns } => {
                if let Some(link) = &mut self.nodes[node].link {
                    link.lag_ns = ns;
                }
            }
            Action::RewriteLog { node, takes_ns } => return self.rewrite_log(node, takes_ns),
            Action::Save { node } => {
                let node = &mut self.nodes[node];
                if node.server.is_some() && node.disk.has_snapshots() {
                    node.at(now);
                    let snapshot = node.snapshot(Counter::With);
                    node.disk.save(snapshot);
                }
            }
            Action::WritesPause { node, ns } => {
                self.nodes[node].paused_until = now + ns;
                return self.turn_if_up(node);
            }
            Action::TooFewReplicas { node, ns } => {
                self.nodes[node].too_few_until = now + ns;
                return self.turn_if_up(node);
            }
            Action::Stall { node, ns } => self.nodes[node].stalled_until = now + ns,
            Action::WallJumps { node, ms } => self.nodes[node].clocks.jump_ms(ms),
        }
        Ok(())
    }

    fn turn_if_up(&mut self, number: usize) -> Verdict {
        match self.nodes[number].server {
            Some(_) => self.turn(number),
            None => Ok(()),
        }
    }

    fn break_key(&mut self, number: usize, how: Break, key: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[number];
        let is_here = node.is_master() && node.stalled_until <= now;
        if !is_here || node.leave(now) != Leave::Write {
            return Ok(());
        }
        let other = (key + 1) % self.setting.keys;
        let (key_name, other_name) = (&KEYS[key], &KEYS[other]);
        let server = node.at(now);
        let broken = match how {
            Break::Del => {
                server.del(key_name);
                Some(key)
            }
            Break::Set => {
                server.set(key_name);
                Some(key)
            }
            Break::Rename => {
                server.rename(key_name, other_name);
                None
            }
            Break::Move => {
                server.move_to(key_name, 1);
                Some(key)
            }
            Break::Swap => {
                server.swap_dbs(0, 1);
                None
            }
            Break::FlushAll => {
                server.flush(None);
                None
            }
        };
        self.new_eras_of(number, broken);
        self.settle(number, Ending::Broken(broken))?;
        self.turn(number)
    }

    fn new_eras_of(&mut self, number: usize, key: Option<usize>) {
        match key {
            None => self.new_eras(number),
            Some(key) => {
                self.eras += 1;
                self.nodes[number].eras[key] = self.eras;
            }
        }
    }

    fn kill(&mut self, number: usize, down_ns: u64) {
        if self.nodes[number].server.is_some() {
            let left = self.nodes[number].disk.process_ended();
            self.ended(number, down_ns, left);
        }
    }

    fn cut_power(&mut self, number: usize, down_ns: u64, kept: u64) {
        let now = self.now;
        if self.nodes[number].server.is_some() {
            let left = self.nodes[number].disk.machine_ended(now, kept);
            self.ended(number, down_ns, left);
            self.nodes[number].clocks.reboot(now);
        }
    }

    fn ended(&mut self, number: usize, down_ns: u64, left: Left) {
        let node = &mut self.nodes[number];
        node.server = None;
        node.life += 1;
        node.restarts_at = self.now + down_ns;
        node.alarm = u64::MAX;
        node.stalled_until = 0;
        node.paused_until = 0;
        node.too_few_until = 0;
        node.waiting.clear();
        if left == Left::Less {
            self.new_eras(number);
        }
    }

    /// The process comes back, with what the disk has.
    pub(crate) fn restart(&mut self, number: usize) -> Verdict {
        let now = self.now;
        self.streams += 1;
        let node = &mut self.nodes[number];
        let boot = node.boot(now);
        let mut server = Server::new();
        server.now = boot;
        node.mirror = Mirror::new(self.setting.keys);
        let wall = node.clocks.wall(now);
        if node.role == Role::Master {
            // The module does not know yet whether there is a file.
            server.open_term(wall);
        }
        node.disk.load(boot, &mut server);
        if let Some(base) = &node.disk.base {
            node.mirror.load(boot, &base.holds);
            node.mirror.known.join(base.known);
        }
        for sent in node.disk.log.iter().flat_map(|batch| batch.iter()) {
            node.mirror.apply(boot, sent);
        }
        node.server = Some(server);
        node.stream.clear();
        node.stream_number = self.streams;
        match node.role {
            Role::Master => {
                self.open_term(number)?;
                self.turn(number)
            }
            Role::Replica => {
                if let Some(link) = &mut node.link {
                    link.stream = None;
                    link.sync = None;
                }
                self.look_at_node(number)
            }
        }
    }

    /// A replica becomes the master; what the old one does then, nobody knows.
    fn promote(&mut self, number: usize) -> Verdict {
        let old = self.leader;
        let node = &self.nodes[number];
        if number == old || node.server.is_none() || node.role == Role::Master {
            return Ok(());
        }
        let is_old_up = self.nodes[old].server.is_some();
        if !self.setting.splits && is_old_up {
            // Whoever promotes sees to it that there is only one.
            let down_ns = SECOND;
            self.kill(old, down_ns);
        }
        let link = self.nodes[number].link.as_ref();
        let has_all = link.is_some_and(|link| {
            let master = &self.nodes[old];
            link.master == old
                && link.sync.is_none()
                && link.stream == Some(master.stream_number)
                && link.cursor == master.stream.len()
                && !master.is_master()
        });
        if has_all {
            self.nodes[number].eras = self.nodes[old].eras.clone();
            self.new_eras(old);
        } else {
            self.new_eras(number);
        }
        if !self.setting.splits {
            self.nodes[old].role = Role::Replica;
            self.nodes[old].link = Some(Link::to(number, self.setting.lag_most_ns));
        }
        self.streams += 1;
        let node = &mut self.nodes[number];
        node.role = Role::Master;
        node.link = None;
        node.stream.clear();
        node.stream_number = self.streams;
        self.leader = number;
        self.open_term(number)?;
        self.turn(number)
    }

    /// Everybody follows the one who is thought to be master.
    fn heal(&mut self) -> Verdict {
        let leader = self.leader;
        for number in 0..self.nodes.len() {
            if number == leader {
                continue;
            }
            if self.nodes[number].is_master() {
                self.demote(number)?;
            }
            let node = &mut self.nodes[number];
            node.role = Role::Replica;
            match &mut node.link {
                Some(link) if link.master == leader => link.broken_until = 0,
                _ => node.link = Some(Link::to(leader, self.setting.lag_most_ns / 4)),
            }
        }
        Ok(())
    }

    fn demote(&mut self, number: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[number];
        // Those that wait are told to go; while that is so, flags still say master.
        while !node.waiting.is_empty() {
            node.ticket_gone(now, 0);
        }
        for hold in node.mirror.holds.iter_mut().flatten() {
            hold.session = None;
            hold.is_heard = true;
        }
        node.role = Role::Replica;
        node.at(now).silently(Event::Demoted);
        self.new_eras(number);
        self.turn(number)
    }

    fn rewrite_log(&mut self, number: usize, takes_ns: u64) -> Verdict {
        let now = self.now;
        let counter = match self.setting.preamble {
            true => Counter::With,
            false => Counter::Without,
        };
        let node = &mut self.nodes[number];
        if node.server.is_none() || !node.disk.has_log() || node.disk.is_rewriting() {
            return Ok(());
        }
        node.at(now);
        let snapshot = node.snapshot(counter);
        node.disk.begin_rewrite(snapshot, now + takes_ns);
        node.at(now).silently(Event::LogBegun);
        self.turn(number)?;
        let node = &self.nodes[number];
        let is_due = node.mirror.known.ceiling > 0 && node.leave(now) != Leave::Wait;
        if is_due && !node.disk.new_log_is_covered() {
            let detail = format!("node {number} knows {:?}", node.mirror.known);
            return Err(Broken::new("a new log has the ceiling", detail));
        }
        Ok(())
    }

    /// A master sends everything it has.
    pub(crate) fn begin_sync(&mut self, number: usize, link: &Link) {
        let now = self.now;
        let master = &mut self.nodes[link.master];
        master.at(now);
        let sync = Sync {
            snapshot: Rc::new(master.snapshot(Counter::With)),
            stream: master.stream_number,
            cursor: master.stream.len(),
            done_at: now + link.lag_ns,
        };
        if let Some(link) = &mut self.nodes[number].link {
            link.sync = Some(sync);
        }
    }

    /// It is all there: what was before is gone.
    pub(crate) fn take_sync(&mut self, number: usize, sync: &Sync) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[number];
        if let Some(link) = &mut node.link {
            link.sync = None;
            link.stream = Some(sync.stream);
            link.cursor = sync.cursor;
        }
        let boot = node.boot(now);
        let server = node.at(now);
        server.flush(None);
        sync.snapshot.load(server);
        server.sent.clear();
        node.mirror.load(boot, &sync.snapshot.holds);
        node.mirror.known.join(sync.snapshot.known);
        node.disk.begin_anew(&sync.snapshot);
        node.at(now).silently(Event::LogBegun);
        self.turn(number)?;
        self.compare_with_master(number)
    }
}
