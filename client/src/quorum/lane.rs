//! What is asked of one server in one attempt: one thing after the other, in the order in
//! which the protocol asks for it.

use super::protocol::{Ask, Request as Asked};
use crate::error::{Error, ErrorKind};
use crate::node::Request;
use crate::servers::{Line, Servers};
use crate::token::Token;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// What became of one thing that was asked.
#[derive(Debug)]
pub(super) struct Heard {
    pub ask: Ask,
    pub said: Result<Reply, Error>,
}

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The owner holds the lock, with this token.
    Holds(Token),
    /// It does not.
    HoldsNot,
    /// RELEASE: whether it was held until then.
    Released { was_held: bool },
}

/// After so many answers in a row that did not come in time, a connection is given up: it may
/// be one that is cut without a word.
const LATE_MOST: u32 = 3;

/// The connection on which an attempt asks, and how often in a row no answer came in time.
#[derive(Default)]
struct Kept {
    line: Option<Line>,
    late: u32,
}

/// The way to one server.
pub(super) struct Lane {
    pub node: Servers,
    pub request: Request,
    pub timeout: Duration,
}

impl Lane {
    /// Asks what comes, until nothing more does.
    pub async fn run(self, mut asks: UnboundedReceiver<Ask>, heard: UnboundedSender<Heard>) {
        let mut kept = Kept::default();
        while let Some(ask) = asks.recv().await {
            let mut said = self.ask(ask.request, &mut kept).await;
            if ask.request == Asked::Release && said.as_ref().is_err_and(Error::is_unanswered) {
                // Once more, on a new connection. If that fails, too, the lease ends it.
                said = self.ask(ask.request, &mut kept).await;
            }
            if heard.send(Heard { ask, said }).is_err() {
                return;
            }
        }
    }

    /// On the line of what was asked before, also if others have given up on that
    /// connection since: what was asked there may yet arrive.
    async fn ask(&self, asked: Asked, kept: &mut Kept) -> Result<Reply, Error> {
        let late = || Error::new(self.node.name(), ErrorKind::TimedOut(self.timeout));
        let key = &self.request.key;
        let mut line = match kept.line.take() {
            Some(line) => line,
            None => {
                // Whoever asks next finds it open, though this one did not wait for it.
                let (servers, of) = (self.node.clone(), key.clone());
                let opened = tokio::spawn(async move { servers.line(&of).await });
                let opened = tokio::time::timeout(self.timeout, opened).await;
                opened
                    .map_err(|_| late())?
                    .unwrap_or_else(|_| Err(late()))?
            }
        };
        let (node, owner, ttl) = (&mut line.node, &self.request.owner, self.request.ttl);
        let held = |token: Option<Token>| token.map_or(Reply::HoldsNot, Reply::Holds);
        let said = match asked {
            Asked::Acquire => node.acquire(&self.request).await.map(held),
            Asked::Raise(token) => match Token::new(token.0) {
                Some(token) => node.raise(key, owner, ttl, token).await.map(held),
                None => Ok(Reply::HoldsNot),
            },
            Asked::Release => {
                let released = node.release(key, owner, None).await;
                released.map(|was_held| Reply::Released { was_held })
            }
        };
        // As long as something may follow, it is to follow on this connection: a RELEASE that
        // overtook its ACQUIRE would leave a hold that nobody knows of.
        let is_late = matches!(&said, Err(error) if matches!(error.kind(), ErrorKind::TimedOut(_)));
        kept.late = if is_late { kept.late + 1 } else { 0 };
        if is_late && asked != Asked::Release && kept.late < LATE_MOST {
            kept.line = Some(line);
            return said;
        }
        let said = self.node.heed(key, &line, said).await;
        if said.is_ok() {
            kept.line = Some(line);
        }
        said
    }
}
