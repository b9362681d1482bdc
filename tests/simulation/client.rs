//! Clients: they take a lock, read and write what it protects, and give it back; they
//! retry what was not answered, and some do not look whether they still hold it.

use crate::deployment::Deployment;
use crate::judge::{Broken, Told, Verdict};
use crate::lock::Tolerance;
use crate::post::{Ask, Letter, Line, Op, Reply};
use crate::resource::{Read, Refused, Written};

/// Numbers drawn from one that was drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        // As many good digits as there are in any sixty-four bits.
        self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ (self.0 >> 7);
        self.0 % sides
    }

    fn chance(&mut self, of_1_000: u64) -> bool {
        self.below(1_000) < of_1_000
    }
}

/// One unit of work, with an owner's name of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    ask: Ask,
    token: Option<u64>,
    /// The era in which the token was given.
    era: u64,
    read: Option<Read>,
    /// The resource has seen this token.
    outrun_by: Option<u64>,
    bound: Option<u64>,
    /// What the next answer says of the token is news.
    is_raising: bool,
    /// It said so, and the owner's name is not used any more.
    is_releasing: bool,
}

/// What is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Asked {
    op: Op,
    at: u64,
    ttl_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Client {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) connection: u64,
    /// Nothing overtakes on a connection.
    last_due: u64,
    pub(crate) paused_until: u64,
    work: Option<Work>,
    asked: Option<Asked>,
}

impl Client {
    /// It holds a lock, or wants one.
    pub(crate) fn is_busy(&self) -> bool {
        self.work.is_some()
    }
}

impl Deployment {
    fn line(&self, who: usize) -> Line {
        let client = &self.clients[who];
        Line {
            node: client.node,
            life: client.life,
            client: who,
            connection: client.connection,
        }
    }

    /// The client does what it would do next.
    pub(crate) fn client_acts(&mut self, who: usize, mut dice: Dice) -> Verdict {
        let client = self.clients[who];
        if client.paused_until > self.now {
            return Ok(());
        }
        if client.connection == 0 {
            self.connect(who, &mut dice);
        }
        match (client.asked, client.work) {
            (Some(Asked { op, .. }), Some(_)) => {
                match dice.below(8) {
                    0 | 1 => {
                        self.disconnect(who, &mut dice);
                        self.connect(who, &mut dice);
                        self.send(who, op, &mut dice);
                    }
                    2 if dice.below(4) == 0 => self.forget_work(who),
                    _ => {}
                }
                Ok(())
            }
            (_, None) => {
                self.begin_work(who, &mut dice);
                self.send(who, Op::Acquire, &mut dice);
                Ok(())
            }
            (None, Some(work)) => match work.token {
                None => {
                    match dice.below(4) {
                        0 => self.forget_work(who),
                        1 => {
                            self.disconnect(who, &mut dice);
                            self.connect(who, &mut dice);
                            self.send(who, Op::Acquire, &mut dice);
                        }
                        _ => self.send(who, Op::Acquire, &mut dice),
                    }
                    Ok(())
                }
                Some(token) => self.holder_acts(who, (work, token), &mut dice),
            },
        }
    }

    fn holder_acts(&mut self, who: usize, (work, token): (Work, u64), dice: &mut Dice) -> Verdict {
        if work.is_releasing {
            match dice.below(4) {
                0 => self.forget_work(who),
                _ => self.send(who, Op::Release, dice),
            }
            return Ok(());
        }
        let is_sure = self.judge.relies(self.now, work.ask.owner);
        if !is_sure && !dice.chance(self.setting.careless) {
            let op = match dice.below(3) {
                0 => Op::ReleaseOnly(token),
                1 => Op::ExtendOnly(token),
                _ => Op::Acquire,
            };
            self.send(who, op, dice);
            return Ok(());
        }
        let outrun_by = work.outrun_by.filter(|_| self.setting.raises);
        match (dice.below(12), outrun_by) {
            (_, Some(seen)) => self.send(who, Op::Raise(seen + 1), dice),
            (0..=2, _) => self.read(who, token),
            (3..=6, _) => return self.write(who, token),
            (7, _) => self.send(who, Op::Extend, dice),
            (8, _) => self.send(who, Op::Acquire, dice),
            (9, _) => self.send(who, Op::Fence(token), dice),
            (10, _) => self.send(who, Op::ReleaseOnly(token), dice),
            _ => self.send(who, Op::Release, dice),
        }
        Ok(())
    }

    fn read(&mut self, who: usize, token: u64) {
        let Some(work) = &mut self.clients[who].work else {
            return;
        };
        if work.ask.tolerates != Tolerance::ALONE {
            return;
        }
        match self.resources[work.ask.key].read(token) {
            Ok(read) => work.read = Some(read),
            Err(Refused(seen)) => work.outrun_by = Some(seen),
        }
    }

    fn write(&mut self, who: usize, token: u64) -> Verdict {
        let Some(work) = &mut self.clients[who].work else {
            return Ok(());
        };
        let Some(read) = work.read.take() else {
            return Ok(());
        };
        let key = work.ask.key;
        match self.resources[key].write(token, read) {
            Err(Refused(seen)) => work.outrun_by = Some(seen),
            Ok(Written::Sound) => {}
            Ok(Written::AnotherLost) if self.judge.is_ambiguous(key) => {}
            Ok(Written::AnotherLost) => {
                let detail = format!("{work:?} wrote over another's write");
                return Err(Broken::new("fenced: no write is lost", detail));
            }
        }
        Ok(())
    }

    fn begin_work(&mut self, who: usize, dice: &mut Dice) {
        self.owners += 1;
        let setting = &self.setting;
        let tolerates = match dice.chance(setting.together) {
            false => Tolerance::ALONE,
            true => match dice.below(4) {
                0 => Tolerance::ALONE,
                1 => Tolerance::ANY,
                2 => Tolerance::limit(2).expect("within range"),
                _ => Tolerance::limit(3).expect("within range"),
            },
        };
        let block_ms = dice.chance(setting.blocks).then(|| match dice.below(3) {
            0 => 0,
            1 => 1 + dice.below(setting.ttl_most_ms),
            _ => 1 + dice.below(10 * setting.ttl_most_ms),
        });
        let delay_ms = match dice.chance(setting.delays) {
            true => dice.below(setting.ttl_most_ms),
            false => 0,
        };
        let ask = Ask {
            op: Op::Acquire,
            key: dice.below(setting.keys as u64) as usize,
            owner: self.owners,
            ttl_ms: 1 + dice.below(setting.ttl_most_ms),
            tolerates,
            delay_ms,
            block_ms,
            is_session: dice.chance(setting.sessions),
        };
        self.clients[who].work = Some(Work {
            ask,
            token: None,
            era: 0,
            read: None,
            outrun_by: None,
            bound: None,
            is_raising: false,
            is_releasing: false,
        });
    }

    /// The client stops, without a word; its connection may stay.
    pub(crate) fn forget_work(&mut self, who: usize) {
        if let Some(work) = self.clients[who].work.take() {
            self.judge.given_up(work.ask.owner);
        }
        self.clients[who].asked = None;
        // Replies to what was asked are for nobody.
        self.disconnect(who, &mut Dice(self.now));
    }

    fn connect(&mut self, who: usize, dice: &mut Dice) {
        let node = match dice.below(8) {
            0 => dice.below(self.nodes.len() as u64) as usize,
            _ => self.leader,
        };
        self.connections += 1;
        let client = &mut self.clients[who];
        client.node = node;
        client.life = self.nodes[node].life;
        client.connection = self.connections;
        client.last_due = 0;
    }

    /// The node may hear of it late.
    pub(crate) fn disconnect(&mut self, who: usize, dice: &mut Dice) {
        let line = self.line(who);
        if line.connection == 0 {
            return;
        }
        self.judge.connection_gone(line.connection);
        let due = match dice.below(4) {
            0 => self.now + dice.below(5_000_000_000),
            _ => self.under_way(who, dice),
        };
        // Never before what was sent on it.
        let due = due.max(self.clients[who].last_due);
        self.post.send(due, Letter::Closed(line));
        self.clients[who].connection = 0;
    }

    fn under_way(&mut self, who: usize, dice: &mut Dice) -> u64 {
        let due = self.now + dice.below(self.setting.network_most_ns);
        let client = &mut self.clients[who];
        client.last_due = client.last_due.max(due);
        client.last_due
    }

    fn send(&mut self, who: usize, op: Op, dice: &mut Dice) {
        let now = self.now;
        if self.clients[who].connection == 0 {
            self.connect(who, dice);
        }
        let line = self.line(who);
        let due = self.under_way(who, dice);
        let client = &mut self.clients[who];
        let Some(work) = &mut client.work else {
            return;
        };
        // Of an owner's requests in line the newest counts, also if it came late: who
        // asks again asks for the same.
        let ttl_ms = match op {
            Op::Extend | Op::ExtendOnly(_) | Op::Raise(_) => {
                1 + dice.below(self.setting.ttl_most_ms)
            }
            _ => work.ask.ttl_ms,
        };
        let at = now;
        client.asked = Some(Asked { op, at, ttl_ms });
        let ask = Ask {
            op,
            ttl_ms,
            ..work.ask
        };
        if matches!(op, Op::Release | Op::ReleaseOnly(_)) {
            self.judge.given_up(work.ask.owner);
            work.is_releasing = true;
        }
        work.is_raising |= matches!(op, Op::Raise(_));
        self.totals.asked += 1;
        self.post.send(due, Letter::Asked(line, ask));
    }

    /// A reply arrives.
    pub(crate) fn answered(&mut self, line: Line, reply: Reply, era: u64) -> Verdict {
        let now = self.now;
        let client = &mut self.clients[line.client];
        if client.connection != line.connection {
            return Ok(());
        }
        if client.paused_until > now {
            let due = client.paused_until;
            self.post.send(due, Letter::Answered(line, reply, era));
            return Ok(());
        }
        let (Some(asked), Some(work)) = (client.asked.take(), &mut client.work) else {
            return Ok(());
        };
        let op = asked.op;
        match (op, reply) {
            (Op::Acquire, Reply::Token(token)) | (Op::Raise(_), Reply::Token(token)) => {
                let relied = self.judge.relies(now, work.ask.owner) && work.era == era;
                let before = work.token.filter(|_| relied && !work.is_raising);
                if before.is_some_and(|before| before != token) {
                    let detail = format!("{token} for {work:?}");
                    return Err(Broken::new("same-answer (clients)", detail));
                }
                if work.token.is_some_and(|it| it != token) && !work.is_raising {
                    // The hold was lost, and an owner that lost one is not used again.
                    work.is_releasing = true;
                    return Ok(());
                }
                // What was read under another token may have been replaced since.
                work.read = work.read.filter(|_| work.token == Some(token));
                (work.token, work.era, work.is_raising) = (Some(token), era, false);
                if op == Op::Acquire {
                    work.bound = work.ask.is_session.then_some(line.connection);
                }
                work.outrun_by = work.outrun_by.filter(|seen| *seen > token);
            }
            (Op::ExtendOnly(_), Reply::Yes) => work.era = era,
            // Of whichever hold the owner has by now: a request that came late may have
            // made another one.
            (Op::Extend, Reply::Yes) => {
                if work.era != era || !self.judge.relies(now, work.ask.owner) {
                    return Ok(());
                }
            }
            (Op::Fence(_), _) | (_, Reply::Error) => return Ok(()),
            (Op::Acquire, _) if work.token.is_none() => return Ok(()),
            _ => {
                self.judge.given_up(work.ask.owner);
                client.work = None;
                return Ok(());
            }
        }
        // A hundredth of the lease is for clocks that go at different speeds.
        let told = Told {
            key: work.ask.key,
            owner: work.ask.owner,
            token: work.token.unwrap_or_default(),
            client: line.client,
            tolerates: work.ask.tolerates,
            session: work.bound,
            era,
            until: asked.at + asked.ttl_ms * 990_000,
        };
        self.judge.told(now, told)
    }
}
