//! A node: a server around the rules, its clocks, its disk, and what the judge sees
//! of it.

use crate::clocks::Clocks;
use crate::deployment::Telling;
use crate::disk::{Batch, Counter, Disk, Snapshot};
use crate::judge::{Broken, Judge, Origin, Verdict};
use crate::lock::{BootTime, Event, News, TicketId};
use crate::mirror::{key_number, owner_number, Mirror, SeenHold};
use crate::sent::Sent;
use crate::server::{Leave, Server, Slices};
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    Replica,
}

/// Which holds may end before their time in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    None,
    /// Their owner releases them.
    Released(u64),
    /// The owner's token is raised, if it has a hold.
    Raised(u64),
    /// All of a key's, by force.
    Broken(Option<usize>),
}

/// Where a replica hears from.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) master: usize,
    /// Which of the master's streams; none yet: everything has to be sent.
    pub(crate) stream: Option<u64>,
    pub(crate) cursor: usize,
    pub(crate) lag_ns: u64,
    pub(crate) broken_until: u64,
    pub(crate) sync: Option<Sync>,
}

/// Everything is on its way.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    pub(crate) snapshot: Rc<Snapshot>,
    pub(crate) stream: u64,
    pub(crate) cursor: usize,
    pub(crate) done_at: u64,
}

/// A blocked connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: TicketId,
    pub(crate) client: usize,
    pub(crate) connection: u64,
    pub(crate) key: usize,
    pub(crate) owner: u64,
    pub(crate) session: Option<u64>,
    /// The token, and the era in which it was given.
    pub(crate) granted: Option<(u64, u64)>,
}

pub(crate) struct Node {
    pub(crate) number: usize,
    /// None: the process is not there.
    pub(crate) server: Option<Server>,
    /// Counts the processes.
    pub(crate) life: u64,
    pub(crate) role: Role,
    pub(crate) clocks: Clocks,
    pub(crate) disk: Disk,
    pub(crate) stream: Vec<(u64, Batch)>,
    pub(crate) stream_number: u64,
    pub(crate) link: Option<Link>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) mirror: Mirror,
    pub(crate) term: usize,
    /// By key: a number that is new when what was known of it may be wrong.
    pub(crate) eras: Vec<u64>,
    /// The lease that the request at hand asks for.
    pub(crate) asked_ttl_ms: u64,
    pub(crate) restarts_at: u64,
    pub(crate) paused_until: u64,
    pub(crate) too_few_until: u64,
    pub(crate) stalled_until: u64,
    pub(crate) alarm: u64,
    pub(crate) told: Telling,
}

impl Link {
    /// To a master of whom nothing is known yet.
    pub(crate) fn to(master: usize, lag_ns: u64) -> Self {
        Self {
            master,
            stream: None,
            cursor: 0,
            lag_ns,
            broken_until: 0,
            sync: None,
        }
    }
}

impl Node {
    pub(crate) fn is_master(&self) -> bool {
        self.server.is_some() && self.role == Role::Master
    }

    pub(crate) fn boot(&self, now: u64) -> BootTime {
        self.clocks.boot(now)
    }

    /// Somebody would notice if this node failed.
    pub(crate) fn is_busy(&self) -> bool {
        !self.mirror.is_idle()
    }

    /// The server, with its clock set.
    pub(crate) fn at(&mut self, now: u64) -> &mut Server {
        let boot = self.clocks.boot(now);
        let server = self.server.as_mut().expect("the node is up");
        server.now = boot;
        server.db = 0;
        server
    }

    pub(crate) fn snapshot(&self, counter: Counter) -> Snapshot {
        let server = self.server.as_ref().expect("the node is up");
        Snapshot::of(server, counter, &self.mirror)
    }

    /// What a step sent goes to log and replicas, and before the judge.
    pub(crate) fn hand_on(&mut self, now: u64, ending: Ending, judge: &mut Judge) -> Verdict {
        let boot = self.boot(now);
        let server = self.server.as_mut().expect("the node is up");
        if server.sent.is_empty() {
            return Ok(());
        }
        let batch: Batch = server.sent.drain(..).collect();
        for sent in batch.iter() {
            if self.told == Telling::Everything {
                println!(
                    "    {now} node {} at {}: {sent:?}",
                    self.number,
                    boot.as_ns()
                );
            }
            match self.role {
                Role::Master => self.hear(boot, sent, ending, judge)?,
                // It begins its own log anew.
                Role::Replica => self.mirror.known.hear(sent),
            }
        }
        self.disk.write(now, &batch);
        if self.role == Role::Master {
            self.stream.push((now, batch));
        }
        Ok(())
    }

    /// A master says so: was it allowed to?
    fn hear(&mut self, now: BootTime, sent: &Sent, ending: Ending, judge: &mut Judge) -> Verdict {
        match sent {
            Sent::Cover(cover) => {
                self.mirror.known.hear(sent);
                let known = self.mirror.known.ceiling;
                if cover.ceiling.get() < known {
                    let detail = format!("{cover:?} after {known}");
                    return Err(Broken::new("ceilings-rise", detail));
                }
            }
            Sent::Grant { .. } => self.hear_grant(now, sent, ending, judge)?,
            Sent::Cooling {
                at: (_, key),
                owner,
                ..
            } => {
                let owner = owner_number(owner);
                let hold = self.mirror.hold_of(key_number(key), owner);
                if hold.is_none_or(|hold| hold.is_live(now.as_ns())) {
                    return Err(Broken::new("never-early", format!("{sent:?} at {now:?}")));
                }
            }
            Sent::End {
                at: (_, key),
                token,
                ..
            } => {
                let key = key_number(key);
                let holds = &mut self.mirror.holds[key];
                let place = holds.iter().position(|hold| hold.token == token.get());
                let Some(place) = place else {
                    return Err(Broken::new("ends-exist", format!("{sent:?}")));
                };
                let hold = holds.remove(place);
                may_end(now, key, &hold, ending)?;
            }
            Sent::Deleted(0, key) => {
                let key = key_number(key);
                for hold in std::mem::take(&mut self.mirror.holds[key]) {
                    may_end(now, key, &hold, ending)?;
                }
            }
            _ => self.mirror.apply(now, sent),
        }
        Ok(())
    }

    fn hear_grant(
        &mut self,
        boot: BootTime,
        sent: &Sent,
        ending: Ending,
        judge: &mut Judge,
    ) -> Verdict {
        let Sent::Grant {
            at: (_, key),
            owner,
            token,
            ttl,
            tolerates,
            delay,
        } = sent
        else {
            return Ok(());
        };
        let (now, key, owner) = (boot.as_ns(), key_number(key), owner_number(owner));
        let (token, deadline) = (token.get(), boot.after(*ttl).as_ns());
        if token > self.mirror.known.ceiling {
            let detail = format!("{sent:?} above {:?}", self.mirror.known);
            return Err(Broken::new("below-the-ceiling", detail));
        }
        self.mirror.known.hear(sent);
        let mut moved = self.mirror.holds[key].iter_mut();
        let moved = moved.find(|it| it.owner == owner && (it.token == token || it.is_live(now)));
        if let Some(hold) = moved {
            if hold.token != token {
                if ending != Ending::Raised(owner) || token < hold.token {
                    let detail = format!("{sent:?} though there is {hold:?}");
                    return Err(Broken::new("same-answer", detail));
                }
                hold.token = token;
                judge.issued((key, owner, token), self.term, Origin::Raised)?;
            }
            if deadline < hold.deadline {
                let detail = format!("{sent:?} shortens {hold:?}");
                return Err(Broken::new("never-early", detail));
            }
            // What is left of a lease that was not moved is rounded up.
            if ttl.as_ms() == self.asked_ttl_ms {
                hold.deadline = deadline;
            }
            hold.delay = delay.as_ms() * 1_000_000;
            return Ok(());
        }
        let counted = self.mirror.holds[key].iter();
        let counted = counted.filter(|it| it.counts(now));
        let (count, least) = counted.fold((1, *tolerates), |(count, least), hold| {
            (count + 1, least.min(hold.tolerates))
        });
        if least.to_number() != 0 && count > least.to_number() {
            let detail = format!("{sent:?} at {now} beside {:?}", self.mirror.holds[key]);
            return Err(Broken::new("one-holder", detail));
        }
        self.mirror.holds[key].push(SeenHold {
            owner,
            token,
            deadline,
            delay: delay.as_ms() * 1_000_000,
            tolerates: *tolerates,
            session: None,
            is_heard: false,
        });
        judge.issued((key, owner, token), self.term, Origin::Granted)
    }

    /// Clients in line were told something: who is next?
    pub(crate) fn line_moves(&mut self, ticket: TicketId, news: News) -> Result<Waiting, Broken> {
        let Some(place) = self.waiting.iter().position(|it| it.ticket == ticket) else {
            let detail = format!("{news:?} for {ticket:?}");
            return Err(Broken::new("in-line: nobody waits there", detail));
        };
        let (key, owner) = (self.waiting[place].key, self.waiting[place].owner);
        match news {
            News::Granted(token) => {
                let waiting = &mut self.waiting[place];
                if waiting.granted.is_some() {
                    return Err(Broken::new("in-line: granted once", format!("{waiting:?}")));
                }
                waiting.granted = Some((token.get(), self.eras[key]));
                let waiting = *waiting;
                let head = self.mirror.lines[key].first();
                if head.is_some_and(|head| head.owner == owner) {
                    self.mirror.lines[key].remove(0);
                    self.bind_granted(waiting);
                } else if !self.has_granted_twin(waiting) {
                    let detail = format!("{waiting:?} while {:?}", self.mirror.lines[key]);
                    return Err(Broken::new("in-line: first come, first granted", detail));
                }
                Ok(waiting)
            }
            _ => {
                let waiting = self.waiting.remove(place);
                self.leave_line(waiting.key, owner);
                Ok(waiting)
            }
        }
    }

    fn has_granted_twin(&self, waiting: Waiting) -> bool {
        self.waiting.iter().any(|it| {
            it.ticket != waiting.ticket
                && it.owner == waiting.owner
                && it.granted == waiting.granted
        })
    }

    /// The hold is bound to the connection that came last, if that wanted so.
    fn bind_granted(&mut self, waiting: Waiting) {
        let mut connections = self.waiting.iter().rev();
        let newest = connections.find(|it| it.owner == waiting.owner && it.key == waiting.key);
        let session = newest.and_then(|it| it.session);
        if let Some(hold) = self.mirror.hold_of(waiting.key, waiting.owner) {
            hold.session = session;
        }
    }

    pub(crate) fn leave_line(&mut self, key: usize, owner: u64) {
        let line = &mut self.mirror.lines[key];
        if let Some(place) = line.iter().position(|it| it.owner == owner) {
            line[place].connections -= 1;
            if line[place].connections == 0 {
                line.remove(place);
            }
        }
    }

    /// Of the waiting, this one is gone; and with the last that was granted a hold, if
    /// none of them heard of it, the hold.
    pub(crate) fn ticket_gone(&mut self, now: u64, place: usize) {
        let boot = self.boot(now).as_ns();
        let waiting = self.waiting.remove(place);
        self.at(now).silently(Event::TicketGone(waiting.ticket));
        match waiting.granted {
            None => self.leave_line(waiting.key, waiting.owner),
            Some(_) if self.has_granted_twin(waiting) => {}
            Some((token, _)) => {
                let whose = (waiting.key, waiting.owner);
                let hold = self.mirror.hold_with(whose, token);
                let unheard = hold.filter(|it| !it.is_heard);
                if let Some(hold) = unheard {
                    hold.deadline = hold.deadline.min(boot);
                    hold.delay = 0;
                }
            }
        }
    }

    /// A connection is gone: it waits no more, and its holds end; whose they were.
    pub(crate) fn connection_gone(&mut self, now: u64, connection: u64) -> Vec<(u64, u64)> {
        let boot = self.boot(now).as_ns();
        while let Some(place) = self
            .waiting
            .iter()
            .position(|it| it.connection == connection)
        {
            self.ticket_gone(now, place);
        }
        if let Some(client) = crate::lock::ClientId::new(connection) {
            self.at(now).silently(Event::SessionEnded(client));
        }
        let mut lost = Vec::new();
        for hold in self.mirror.holds.iter_mut().flatten() {
            if hold.session == Some(connection) {
                hold.session = None;
                hold.deadline = hold.deadline.min(boot);
                lost.push((hold.owner, hold.token));
            }
        }
        lost
    }

    /// What may be changed now.
    pub(crate) fn leave(&self, now: u64) -> Leave {
        match self.role {
            Role::Replica => Leave::Wait,
            Role::Master if now < self.paused_until => Leave::Wait,
            Role::Master if now < self.too_few_until => Leave::EndOnly,
            Role::Master => Leave::Write,
        }
    }

    /// What the event loop does before it sleeps.
    pub(crate) fn turn(&mut self, now: u64, judge: &mut Judge) -> Verdict {
        let leave = self.leave(now);
        let slices = Slices {
            leave,
            ..Slices::WHOLE
        };
        // The cover is a write like any other (`src/redis/turn.rs`).
        if now >= self.paused_until || self.role == Role::Replica {
            self.at(now).turn_in(slices);
        } else {
            self.turn_while_paused(now, slices);
        }
        self.hand_on(now, Ending::None, judge)?;
        self.set_alarm(now, leave);
        Ok(())
    }

    fn turn_while_paused(&mut self, now: u64, slices: Slices) {
        let server = self.at(now);
        server.reclaim(slices.reclaim);
        let most = slices.waits.min(server.locks.waiting());
        server.sweep_waits(most);
    }

    fn set_alarm(&mut self, now: u64, leave: Leave) {
        let Some(server) = &self.server else {
            return;
        };
        let leases = server.locks.next_deadline();
        let waits = server.locks.next_wait_deadline();
        let next = match leave {
            Leave::Wait => waits,
            _ => leases.into_iter().chain(waits).min(),
        };
        self.alarm = next.map_or(u64::MAX, |next| self.clocks.true_time_of(next).max(now));
        let put_off = self.paused_until.max(self.too_few_until);
        if put_off > now && self.role == Role::Master {
            self.alarm = self.alarm.min(put_off);
        }
    }
}

fn may_end(now: BootTime, key: usize, hold: &SeenHold, ending: Ending) -> Verdict {
    let is_allowed = match ending {
        Ending::None | Ending::Raised(_) => false,
        Ending::Released(owner) => owner == hold.owner,
        Ending::Broken(of) => of.is_none_or(|of| of == key),
    };
    if is_allowed || !hold.counts(now.as_ns()) {
        return Ok(());
    }
    Err(Broken::new(
        "never-early",
        format!("{hold:?} ends at {now:?}"),
    ))
}
