//! A hold and the one who keeps it alive: what is known of it, until when it may be relied
//! on, and how it is given back.

use crate::clock::{sleep_until, BootTime};
use crate::error::{Error, ErrorKind, LossReason};
use crate::lease::valid_until;
use crate::owner::Owner;
use crate::servers::Servers;
use crate::token::Token;
use crate::validity::Validity;
use std::time::Duration;
use tokio::runtime::Handle;

/// How often a hold is given back before its lease has to end it.
const RELEASES_MOST: usize = 3;

/// Who asked for what, and where. What it may have been granted is given back when it is
/// dropped.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub servers: Servers,
    pub key: Vec<u8>,
    pub owner: Owner,
}

impl Claim {
    /// Ends what the owner holds or waits for: with this token, or whatever it is. Whether
    /// it was held, and whether that took one request only: after a lost answer, "not held"
    /// may be the work of the request that was not answered.
    pub async fn release(&self, token: Option<Token>) -> Result<(bool, bool), Error> {
        let mut attempt = 1;
        loop {
            match self.release_once(token).await {
                Ok(was_held) => return Ok((was_held, attempt == 1)),
                Err(error) if attempt == RELEASES_MOST || !error.is_transient() => {
                    return Err(error)
                }
                Err(_) => attempt += 1,
            }
        }
    }

    async fn release_once(&self, token: Option<Token>) -> Result<bool, Error> {
        let mut line = self.servers.line(&self.key).await?;
        let released = line.node.release(&self.key, &self.owner, token).await;
        self.servers.heed(&self.key, &line, released).await
    }

    /// Releases in the background, if there is a runtime to do it.
    pub fn release_later(self, token: Option<Token>) {
        if let Ok(runtime) = Handle::try_current() {
            // If that fails, too, the lease ends it.
            runtime.spawn(async move { self.release(token).await.ok() });
        }
    }
}

/// Gives back on drop what may have been granted.
pub(crate) struct Undo(Option<Claim>);

impl Undo {
    pub fn of(claim: Claim) -> Self {
        Self(Some(claim))
    }

    /// There is nothing to be given back, or somebody else does it.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(claim) = self.0.take() {
            claim.release_later(None);
        }
    }
}

/// A lock that is held, or was.
#[derive(Debug)]
pub(crate) struct Hold {
    pub claim: Claim,
    pub token: Token,
    pub ttl: Duration,
    pub validity: Validity,
}

impl Hold {
    /// Granted upon a request that was sent at `asked`.
    pub fn new(claim: Claim, token: Token, ttl: Duration, asked: BootTime) -> Self {
        Self {
            claim,
            token,
            ttl,
            validity: Validity::until(valid_until(asked, ttl)),
        }
    }

    pub fn lost_error(&self, reason: LossReason) -> Error {
        Error::new(self.claim.servers.name(), ErrorKind::Lost(reason))
    }

    /// Moves the end of the lease, every third of its length, for as long as it can.
    pub async fn keep(&self, asked: BootTime) {
        let mut asked = asked;
        let pause = (self.ttl / 30).clamp(Duration::from_millis(1), Duration::from_millis(200));
        loop {
            sleep_until(asked + self.ttl / 3).await;
            loop {
                let now = BootTime::now();
                if self.validity.loss().is_some() {
                    return;
                }
                let left = self.validity.end().left();
                match tokio::time::timeout(left, self.extend()).await {
                    Ok(Ok(true)) => {
                        self.validity.extend(valid_until(now, self.ttl));
                        asked = now;
                        break;
                    }
                    Ok(Ok(false)) => return self.validity.lose(LossReason::Ended),
                    Ok(Err(error)) if is_overwritten(&error) => {
                        return self.validity.lose(LossReason::Ended)
                    }
                    // The end of the lease stays where it is.
                    Ok(Err(_)) | Err(_) => sleep_until(BootTime::now() + pause).await,
                }
            }
        }
    }

    /// One request. Several must fit into what is left of the lease.
    async fn extend(&self) -> Result<bool, Error> {
        let claim = &self.claim;
        let mut line = claim.servers.line(&claim.key).await?;
        let timeout = line.node.timeout().min(self.ttl / 6);
        line.node = line.node.within(timeout);
        let token = Some(self.token);
        let extended = line
            .node
            .extend(&claim.key, &claim.owner, self.ttl, token)
            .await;
        claim.servers.heed(&claim.key, &line, extended).await
    }
}

/// Whether the key holds something else by now.
fn is_overwritten(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Refused(error) if error.code() == Some("WRONGTYPE"))
}
