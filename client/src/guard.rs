//! A lock that is held: its token, for how long it may be relied on, and how it ends.

use crate::clock::BootTime;
use crate::error::{Error, ErrorKind, LossReason};
use crate::hold::{Claim, Hold};
use crate::owner::Owner;
use crate::token::Token;
use redis::{Cmd, FromRedisValue};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How often a guarded command is sent on to another node.
const REDIRECTIONS_MOST: usize = 3;

/// A lock that is held, and kept alive for as long as this lives. Dropping it gives the lock
/// back in the background, as well as that can be done: not if the runtime ends right after, as
/// it does at the end of `main`. [`Guard::release`] says whether it was given back.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct Guard {
    hold: Arc<Hold>,
    keeper: AbortHandle,
    is_given_back: bool,
}

/// How a hold was when it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It was held until now: nobody else had the lock.
    Held,
    /// It was over already: somebody else may have had the lock.
    Lost,
    /// It is over now, but the answer to the first request was lost: whether that one ended
    /// it, or something else before, is not known.
    Unknown,
}

impl Guard {
    pub(crate) fn new(claim: Claim, token: Token, ttl: Duration, asked: BootTime) -> Self {
        let hold = Arc::new(Hold::new(claim, token, ttl, asked));
        let kept = Arc::clone(&hold);
        let keeper = tokio::spawn(async move { kept.keep(asked).await });
        Self {
            hold,
            keeper: keeper.abort_handle(),
            is_given_back: false,
        }
    }

    /// What to show to the resource with each write.
    pub fn token(&self) -> Token {
        self.hold.token
    }

    /// Under which name the server knows this hold.
    pub fn owner(&self) -> &Owner {
        &self.hold.claim.owner
    }

    /// Until when the lock may be relied on, as of now. It moves as long as the lock is kept
    /// alive.
    pub fn valid_until(&self) -> BootTime {
        self.hold.validity.end()
    }

    /// For how long the lock may be relied on, as of now: zero if it is lost.
    pub fn validity_left(&self) -> Duration {
        match self.hold.validity.loss() {
            None => self.hold.validity.end().left(),
            Some(_) => Duration::ZERO,
        }
    }

    /// Whether somebody else may hold the lock by now. The clock is read: this is true from
    /// the instant on at which the lease may have ended, whoever was asleep.
    pub fn is_lost(&self) -> bool {
        self.hold.validity.loss().is_some()
    }

    /// Comes back when somebody else may hold the lock.
    ///
    /// A lease that cannot be extended is noticed before it ends. A lock that somebody broke
    /// (DEL, FLUSHALL) is noticed with the next extension, after a third of the lease at the
    /// latest; only the token protects from what happens until then.
    pub async fn lost(&self) -> LossReason {
        self.hold.validity.lost().await
    }

    /// Does this work for as long as the lock is held. When it is lost, the work is dropped
    /// where it is, and the answer is the error [`ErrorKind::Lost`]. The clock is read each
    /// time before the work goes on: it never does after the lease may have ended.
    ///
    /// Work that does not `await` cannot be stopped.
    pub async fn run<W: Future>(&self, work: W) -> Result<W::Output, Error> {
        let done = self.hold.validity.run(work).await;
        done.map_err(|reason| self.hold.lost_error(reason))
    }

    /// Runs a command on the same server if the token is live there, in one step
    /// (`LOCK.GUARD`). Else the error is [`ErrorKind::Stale`], nothing was done, and the lock
    /// counts as lost.
    ///
    /// It is not sent again: after [`ErrorKind::Connection`] or [`ErrorKind::TimedOut`] it is not
    /// known whether it was done.
    pub async fn guard_command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        if let Some(reason) = self.hold.validity.loss() {
            return Err(self.hold.lost_error(reason));
        }
        let Claim { servers, key, .. } = &self.hold.claim;
        let mut redirections = 0;
        let done = loop {
            let mut line = servers.line(key).await?;
            let done = line.node.guard(key, self.hold.token, command).await;
            match servers.heed(key, &line, done).await {
                // Nothing was done, and where to ask is known now.
                Err(error) if error.is_redirection() && redirections < REDIRECTIONS_MOST => {
                    redirections += 1;
                }
                done => break done,
            }
        };
        if let Err(error) = &done {
            if matches!(error.kind(), ErrorKind::Stale(_)) {
                self.hold.validity.lose(LossReason::Ended);
            }
        }
        done
    }

    pub(crate) fn lost_error(&self, reason: LossReason) -> Error {
        self.hold.lost_error(reason)
    }

    /// Gives the lock back, and says whether it was held until now. An error means that the
    /// server could not be told; then the lease ends it.
    pub async fn release(mut self) -> Result<Released, Error> {
        self.keeper.abort();
        let released = self.hold.claim.release(Some(self.hold.token)).await?;
        self.is_given_back = true;
        Ok(match released {
            (true, _) => Released::Held,
            (false, true) => Released::Lost,
            (false, false) => Released::Unknown,
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.keeper.abort();
        if !self.is_given_back {
            let claim = self.hold.claim.clone();
            claim.release_later(Some(self.hold.token));
        }
    }
}
