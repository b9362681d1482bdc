//! What is asked of one server in one attempt: one thing after the other, in the order in
//! which the protocol asks for it.

use super::protocol::{Ask, Request as Asked};
use crate::error::{Error, ErrorKind};
use crate::node::Request;
use crate::servers::{Line, Servers};
use crate::token::Token;
use std::future::Future;
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
#[derive(Clone)]
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
            let said = match ask.request {
                Asked::Release => self.release(kept.line.take()).await,
                asked => self.ask(asked, &mut kept).await,
            };
            if heard.send(Heard { ask, said }).is_err() {
                return;
            }
        }
    }

    /// On the line of what was asked before, also if others have given up on that
    /// connection since: what was asked there may yet arrive.
    async fn ask(&self, asked: Asked, kept: &mut Kept) -> Result<Reply, Error> {
        let key = &self.request.key;
        let mut line = match kept.line.take() {
            Some(line) => line,
            None => {
                // Whoever asks next finds it open, though this one did not wait for it.
                let (servers, of) = (self.node.clone(), key.clone());
                self.in_time(async move { servers.line(&of).await }).await?
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
            Asked::Release => unreachable!("that is asked in another way"),
        };
        // As long as something may follow, it is to follow on this connection: a RELEASE that
        // overtook its ACQUIRE would leave a hold that nobody knows of.
        let is_late = matches!(&said, Err(error) if matches!(error.kind(), ErrorKind::TimedOut(_)));
        kept.late = if is_late { kept.late + 1 } else { 0 };
        if is_late && kept.late < LATE_MOST {
            kept.line = Some(line);
            return said;
        }
        let said = self.node.heed(key, &line, said).await;
        if said.is_ok() {
            kept.line = Some(line);
        }
        said
    }

    /// Behind what was asked before; and if no answer comes in time, on a new connection, too.
    async fn release(&self, line: Option<Line>) -> Result<Reply, Error> {
        let said = self.in_time(self.clone().released(line.clone())).await;
        if !said.as_ref().is_err_and(Error::is_unanswered) {
            return said;
        }
        if let Some(line) = line {
            // So that the next one is opened.
            let _said = self.node.heed(&self.request.key, &line, said).await;
        }
        self.in_time(self.clone().released(None)).await
    }

    /// Released for as long as the lease may last, whoever waits for that: the connection
    /// does not send what nobody waits for any more, but for what it was faster with.
    async fn released(self, line: Option<Line>) -> Result<Reply, Error> {
        let Request {
            key, owner, ttl, ..
        } = &self.request;
        let mut line = match line {
            Some(line) => line,
            None => self.node.line(key).await?,
        };
        line.node = line.node.within(*ttl);
        let said = line.node.release(key, owner, None).await;
        let said = self.node.heed(key, &line, said).await;
        said.map(|was_held| Reply::Released { was_held })
    }

    /// What comes of it, if that comes in time. It goes on in any case.
    async fn in_time<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::time::timeout(self.timeout, tokio::spawn(work)).await;
        let late = || Error::new(self.node.name(), ErrorKind::TimedOut(self.timeout));
        match done {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }
}
