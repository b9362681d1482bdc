//! A lock that a majority holds: its token, for how long it may be relied on, and how it
//! ends.

use super::runner::{Held, Releases};
use crate::clock::BootTime;
use crate::error::{Error, ErrorKind, LossReason};
use crate::guard::Released;
use crate::owner::Owner;
use crate::token::Token;
use crate::validity::Validity;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A lock that a majority of the servers holds with the same token, kept alive for as long as
/// this lives. Dropping it gives the lock back in the background, as well as that can be done.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct QuorumGuard {
    token: Token,
    owner: Owner,
    validity: Arc<Validity>,
    /// While this is there, the lock is kept alive.
    want: Option<oneshot::Sender<()>>,
    releases: oneshot::Receiver<Releases>,
}

impl QuorumGuard {
    pub(super) fn new(
        held: Held,
        owner: Owner,
        want: oneshot::Sender<()>,
        releases: oneshot::Receiver<Releases>,
    ) -> Self {
        Self {
            token: held.token,
            owner,
            validity: held.validity,
            want: Some(want),
            releases,
        }
    }

    /// What to show to the resource with each write. It is larger than that of every holder
    /// before, and never changes.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Under which name the servers know this hold.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Until when the lock may be relied on, as of now. It moves as long as a majority keeps
    /// the lock alive.
    pub fn valid_until(&self) -> BootTime {
        self.validity.end()
    }

    /// For how long the lock may be relied on, as of now: zero if it is lost.
    pub fn validity_left(&self) -> Duration {
        match self.validity.loss() {
            None => self.validity.end().left(),
            Some(_) => Duration::ZERO,
        }
    }

    /// Whether somebody else may hold the lock by now. The clock is read.
    pub fn is_lost(&self) -> bool {
        self.validity.loss().is_some()
    }

    /// Comes back when somebody else may hold the lock.
    pub async fn lost(&self) -> LossReason {
        self.validity.lost().await
    }

    /// Does this work for as long as the lock is held. When it is lost, the work is dropped
    /// where it is, and the answer is the error [`ErrorKind::Lost`]. The clock is read each
    /// time before the work goes on: it never does after the lease may have ended.
    ///
    /// Work that does not `await` cannot be stopped.
    pub async fn run<W: Future>(&self, work: W) -> Result<W::Output, Error> {
        let done = self.validity.run(work).await;
        done.map_err(|reason| Error::new("a majority", ErrorKind::Lost(reason)))
    }

    /// Gives the lock back everywhere, and says how that went. It takes as long as the
    /// slowest server, and no longer than four times the time-out of one.
    pub async fn release(mut self) -> QuorumReleased {
        let loss = self.validity.loss();
        self.want = None;
        // The runner ends with this, unless its runtime ends before.
        let nodes = (&mut self.releases).await.unwrap_or_default();
        QuorumReleased { loss, nodes }
    }
}

/// How a hold was when it was released, and what each server said.
#[derive(Clone, Debug)]
pub struct QuorumReleased {
    loss: Option<LossReason>,
    nodes: Releases,
}

impl QuorumReleased {
    /// Whether it was held until then. [`Released::Unknown`]: it should have been, but too
    /// few servers answered to say so.
    pub fn was_held(&self) -> Released {
        let majority = self.nodes.len() / 2 + 1;
        let held = |held: bool| {
            let said = self.nodes.iter();
            said.filter(|(_, said)| matches!(said, Ok(was_held) if *was_held == held))
                .count()
        };
        if self.loss.is_some() || held(false) + majority > self.nodes.len() {
            return Released::Lost;
        }
        match held(true) >= majority {
            true => Released::Held,
            false => Released::Unknown,
        }
    }

    /// The servers, by their addresses: whether the lock was held there until then, or why it
    /// is not known. Where it could not be given back, the lease ends it.
    pub fn nodes(&self) -> &[(String, Result<bool, Error>)] {
        &self.nodes
    }
}
