//! Runs an attempt, and the hold that comes of it, on real servers: reads the clock, asks,
//! hears, and tells the one who wants the lock. It decides nothing.

use super::error::{NoQuorum, Said, Why};
use super::guard::QuorumGuard;
use super::lane::{Heard, Lane, Reply};
use super::protocol::{Answer, Attempt, Command, Event, Loss, Moment, Phase, Request as Asked};
use crate::clock::{sleep_until, BootTime};
use crate::error::{Error, LossReason};
use crate::node::Request;
use crate::servers::Servers;
use crate::token::Token;
use crate::validity::Validity;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

/// What each server said to RELEASE: whether the lock was held there until then.
pub(super) type Releases = Vec<(String, Result<bool, Error>)>;

/// An attempt under way.
struct Runner {
    attempt: Attempt,
    names: Vec<String>,
    lanes: Vec<UnboundedSender<super::protocol::Ask>>,
    heard: UnboundedReceiver<Heard>,
    /// Closed when whoever wanted the lock, or has it, wants it no more.
    wanted: oneshot::Receiver<()>,
    /// Who waits to hear of the attempt.
    outcome: Option<oneshot::Sender<Result<Held, NoQuorum>>>,
    /// What the guard asks.
    validity: Option<Arc<Validity>>,
    said: Vec<Said>,
    releases: Vec<Option<Result<bool, Error>>>,
    released: oneshot::Sender<Releases>,
}

/// What was had.
pub(super) struct Held {
    pub token: Token,
    pub validity: Arc<Validity>,
}

/// Asks all of them; what comes of it.
pub(super) async fn begin(
    nodes: Vec<Servers>,
    key: &[u8],
    ttl: Duration,
    timeout: Duration,
) -> Result<QuorumGuard, NoQuorum> {
    let request = Request::new(key, ttl);
    let owner = request.owner.clone();
    let (tell, heard) = unbounded_channel();
    let (mut names, mut lanes) = (Vec::new(), Vec::new());
    for node in nodes {
        names.push(node.name());
        let (ask, asks) = unbounded_channel();
        let lane = Lane {
            node,
            request: request.clone(),
            timeout,
        };
        tokio::spawn(lane.run(asks, tell.clone()));
        lanes.push(ask);
    }
    let (want, wanted) = oneshot::channel();
    let (outcome, attempted) = oneshot::channel();
    let (released, releases) = oneshot::channel();
    let (attempt, commands) = Attempt::new(names.len(), ttl, now());
    let runner = Runner {
        said: names.iter().map(|_| Said::Nothing).collect(),
        releases: names.iter().map(|_| None).collect(),
        attempt,
        names,
        lanes,
        heard,
        wanted,
        outcome: Some(outcome),
        validity: None,
        released,
    };
    tokio::spawn(runner.run(commands));
    // Dropped before that, `want` ends the attempt.
    let held = attempted.await;
    let held = held.unwrap_or_else(|_| Err(NoQuorum::new(Why::Unreachable, Vec::new())))?;
    Ok(QuorumGuard::new(held, owner, want, releases))
}

fn now() -> Moment {
    BootTime::now().since_start()
}

/// What woke the runner.
enum Woken {
    Heard(Heard),
    Timer,
    GivenUp,
}

impl Runner {
    async fn run(mut self, first: Vec<Command>) {
        self.obey(first);
        while self.attempt.phase() != Phase::Over {
            let event = match self.woken().await {
                Woken::Heard(heard) => self.note(heard),
                Woken::Timer => Event::Timer,
                Woken::GivenUp => Event::GiveUp,
            };
            let commands = self.attempt.step(now(), event);
            self.obey(commands);
        }
        // Each lane answers everything it was asked, in time.
        while self.releases.iter().any(Option::is_none) {
            match self.heard.recv().await {
                Some(heard) => self.note(heard),
                None => break,
            };
        }
        let releases = self.releases.into_iter().flatten();
        let releases = self.names.into_iter().zip(releases).collect();
        // Nobody may wait for it.
        let _unheard = self.released.send(releases);
    }

    async fn woken(&mut self) -> Woken {
        let timer = self.attempt.timer();
        let timer = async {
            match timer {
                Some(due) => sleep_until(BootTime::at(due)).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut self.wanted => Woken::GivenUp,
            heard = self.heard.recv() => heard.map_or(Woken::GivenUp, Woken::Heard),
            () = timer => Woken::Timer,
        }
    }

    /// Notes who said what.
    fn note(&mut self, heard: Heard) -> Event {
        let Heard { ask, said } = heard;
        let answer = match &said {
            Ok(Reply::Holds(token)) => Answer::Holds(super::protocol::Token(token.get())),
            Ok(_) => Answer::HoldsNot,
            // What was asked may have happened all the same.
            Err(_) => Answer::Unknown,
        };
        if ask.request == Asked::Release {
            let released = said.map(|reply| reply == Reply::Released { was_held: true });
            self.releases[ask.node] = Some(released);
        } else {
            self.said[ask.node] = match said {
                Ok(Reply::Holds(token)) => Said::Granted(token),
                Ok(_) => Said::Refused,
                Err(error) => Said::Failed(error),
            };
        }
        Event::Answered {
            node: ask.node,
            number: ask.number,
            answer,
        }
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Ask(ask) => {
                    // A lane lives as long as this.
                    let _unheard = self.lanes[ask.node].send(ask);
                }
                Command::Held { token, valid_until } => {
                    if let Some(token) = Token::new(token.0) {
                        let validity = Arc::new(Validity::until(BootTime::at(valid_until)));
                        self.validity = Some(Arc::clone(&validity));
                        self.tell(Ok(Held { token, validity }));
                    }
                }
                Command::Kept { valid_until } => {
                    if let Some(validity) = &self.validity {
                        validity.extend(BootTime::at(valid_until));
                    }
                }
                Command::Failed(failure) => {
                    let said = self.names.iter().cloned().zip(self.said.iter().cloned());
                    let refused = NoQuorum::new(failure.into(), said.collect());
                    self.tell(Err(refused));
                }
                Command::Lost(loss) => {
                    if let Some(validity) = &self.validity {
                        validity.lose(match loss {
                            Loss::Lapsed => LossReason::Expired,
                            Loss::Gone => LossReason::Ended,
                        });
                    }
                }
            }
        }
    }

    /// If nobody listens, `wanted` is closed, too, and that gives it back.
    fn tell(&mut self, outcome: Result<Held, NoQuorum>) {
        if let Some(waiting) = self.outcome.take() {
            let _unheard = waiting.send(outcome);
        }
    }
}
