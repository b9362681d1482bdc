//! Requests as a node carries them out: the shell's part, as small as possible, and
//! what must be true of the answer.

use crate::deployment::Deployment;
use crate::judge::{Broken, Verdict};
use crate::lock::{Answer, ClientId, Delay, Extension, Patience, Token, Tolerance};
use crate::mirror::SeenPlace;
use crate::node::{Ending, Node, Role, Waiting};
use crate::post::{Ask, Letter, Line, Op, Reply};
use crate::values::{token, Request};

/// More connections than this are not let wait on a node.
const WAITERS_MOST: usize = 5;

pub(crate) const KEYS: [[u8; 1]; 4] = [*b"a", *b"b", *b"c", *b"d"];

impl Deployment {
    pub(crate) fn asked(&mut self, line: Line, ask: Ask) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[line.node];
        let era = node.eras[ask.key];
        if node.role == Role::Master && node.paused_until > now {
            self.post.send(node.paused_until, Letter::Asked(line, ask));
            return Ok(());
        }
        let is_refused = node.role == Role::Replica || node.too_few_until > now;
        let is_other = node.at(now).is_other(0, &KEYS[ask.key]);
        if is_refused || is_other {
            self.reply(line, Reply::Error, era);
            return Ok(());
        }
        node.asked_ttl_ms = ask.ttl_ms;
        let reply = match ask.op {
            Op::Acquire => self.acquire(line, ask)?,
            Op::Extend => self.extend(line, ask, Extension::Plain(None))?,
            Op::ExtendOnly(only) => self.extend(line, ask, Extension::Plain(Some(token(only))))?,
            Op::Raise(to) => {
                let wall = node.clocks.wall(now);
                self.extend(line, ask, Extension::Raise(token(to), wall))?
            }
            Op::Release => self.release(line, ask, None)?,
            Op::ReleaseOnly(only) => self.release(line, ask, Some(token(only)))?,
            Op::Fence(asked) => Some(self.fence(line, ask, asked)?),
        };
        if let Some(reply) = reply {
            self.reply(line, reply, era);
        }
        self.turn(line.node)
    }

    fn acquire(&mut self, line: Line, ask: Ask) -> Result<Option<Reply>, Broken> {
        let now = self.now;
        let node = &mut self.nodes[line.node];
        let boot = node.boot(now).as_ns();
        let held = live_token(node, &ask, boot);
        let is_free = node.mirror.holds[ask.key].iter().all(|it| !it.counts(boot));
        let has_line = !node.mirror.lines[ask.key].is_empty();
        let session = ask.is_session.then_some(line.connection);
        let until_ms = ask.block_ms.filter(|ms| *ms > 0);
        let server = node.at(now);
        let wait_until = until_ms.map(|ms| server.now.after(crate::values::ttl(ms)));
        let patience = match ask.block_ms {
            None => Patience::Try,
            Some(_) => Patience::Wait {
                until: wait_until,
                waiters_most: WAITERS_MOST,
            },
        };
        let owner = ask.owner.to_be_bytes();
        let request = Request {
            owner: &owner,
            ttl_ms: ask.ttl_ms,
            session: session.and_then(ClientId::new),
            tolerates: ask.tolerates,
            delay: Delay::from_ms(ask.delay_ms).expect("within range"),
            patience,
        };
        let (answer, _) = server.ask(&KEYS[ask.key], request);
        self.settle(line.node, Ending::None)?;
        let node = &mut self.nodes[line.node];
        match answer {
            Answer::Token(token) => {
                if held.is_none() && has_line {
                    return broken("in-line: nobody overtakes", &ask, answer);
                }
                if held.is_some_and(|held| held != token.get()) {
                    return broken("same-answer", &ask, answer);
                }
                let hold = node.mirror.hold_of(ask.key, ask.owner);
                let Some(hold) = hold.filter(|it| it.token == token.get()) else {
                    return broken("what is granted is sent", &ask, answer);
                };
                hold.session = session;
                hold.is_heard = true;
                Ok(Some(Reply::Token(token.get())))
            }
            _ if held.is_some() => broken("same-answer", &ask, answer),
            Answer::InLine(ticket) => {
                stand_in_line(node, &ask);
                node.waiting.push(Waiting {
                    ticket,
                    client: line.client,
                    connection: line.connection,
                    key: ask.key,
                    owner: ask.owner,
                    session,
                    granted: None,
                });
                Ok(None)
            }
            Answer::NoToken if is_free && !has_line => {
                broken("a free lock is granted", &ask, answer)
            }
            Answer::NoToken => Ok(Some(Reply::Nil)),
            _ => Ok(Some(Reply::Error)),
        }
    }

    fn extend(
        &mut self,
        line: Line,
        ask: Ask,
        extension: Extension,
    ) -> Result<Option<Reply>, Broken> {
        let now = self.now;
        let node = &mut self.nodes[line.node];
        let boot = node.boot(now).as_ns();
        let held = live_token(node, &ask, boot);
        let owner = ask.owner.to_be_bytes();
        let server = node.at(now);
        let (answer, _) = server.extend_with(&KEYS[ask.key], &owner, ask.ttl_ms, extension);
        let ending = match extension {
            Extension::Plain(_) => Ending::None,
            Extension::Raise(..) => Ending::Raised(ask.owner),
        };
        self.settle(line.node, ending)?;
        let node = &mut self.nodes[line.node];
        let meant = match extension {
            Extension::Plain(Some(only)) => held.filter(|held| *held == only.get()),
            _ => held,
        };
        if meant.is_some() && matches!(answer, Answer::Yes | Answer::Token(_)) {
            if let Some(hold) = node.mirror.hold_of(ask.key, ask.owner) {
                hold.is_heard = true;
            }
        }
        match (answer, meant) {
            (Answer::Yes, Some(_)) => Ok(Some(Reply::Yes)),
            (Answer::No, None) => Ok(Some(Reply::No)),
            (Answer::Token(now), Some(before)) if now.get() >= before => {
                Ok(Some(Reply::Token(now.get())))
            }
            (Answer::NoToken, None) => Ok(Some(Reply::Nil)),
            (Answer::NotAlone, Some(_)) if ask.tolerates != Tolerance::ALONE => {
                Ok(Some(Reply::Error))
            }
            (Answer::RaiseTooFar(_), _) => Ok(Some(Reply::Error)),
            _ => broken("never-early: who holds a lock can extend it", &ask, answer),
        }
    }

    fn release(
        &mut self,
        line: Line,
        ask: Ask,
        only: Option<Token>,
    ) -> Result<Option<Reply>, Broken> {
        let now = self.now;
        let node = &mut self.nodes[line.node];
        let boot = node.boot(now).as_ns();
        let held = live_token(node, &ask, boot);
        let held = held.filter(|held| only.is_none_or(|only| only.get() == *held));
        let owner = ask.owner.to_be_bytes();
        let (answer, _) = node.at(now).release(&KEYS[ask.key], &owner, only);
        self.settle(line.node, Ending::Released(ask.owner))?;
        match (answer, held) {
            (Answer::Yes, Some(_)) => Ok(Some(Reply::Yes)),
            (Answer::No, None) => Ok(Some(Reply::No)),
            _ => broken("only the owner releases", &ask, answer),
        }
    }

    fn fence(&mut self, line: Line, ask: Ask, asked: u64) -> Result<Reply, Broken> {
        let now = self.now;
        let node = &mut self.nodes[line.node];
        let boot = node.boot(now).as_ns();
        let mut holds = node.mirror.holds[ask.key].iter();
        let is_live = holds.any(|it| it.token == asked && it.is_live(boot));
        let answer = node.at(now).fence(&KEYS[ask.key], Some(token(asked)));
        match answer {
            Answer::Yes if is_live => Ok(Reply::Yes),
            Answer::No if !is_live => Ok(Reply::No),
            _ => broken("FENCE tells what is live", &ask, answer),
        }
    }
}

fn broken<T>(claim: &'static str, ask: &Ask, answer: Answer) -> Result<T, Broken> {
    Err(Broken::new(claim, format!("{answer:?} to {ask:?}")))
}

/// The token of the live hold of who asks.
fn live_token(node: &Node, ask: &Ask, boot: u64) -> Option<u64> {
    let mut holds = node.mirror.holds[ask.key].iter();
    let hold = holds.find(|it| it.owner == ask.owner && it.is_live(boot));
    hold.map(|it| it.token)
}

fn stand_in_line(node: &mut Node, ask: &Ask) {
    let line = &mut node.mirror.lines[ask.key];
    match line.iter_mut().find(|it| it.owner == ask.owner) {
        Some(place) => place.connections += 1,
        None => line.push(SeenPlace {
            owner: ask.owner,
            tolerates: ask.tolerates,
            connections: 1,
        }),
    }
}
