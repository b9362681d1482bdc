//! A lock on one server (or the master that sentinels name, or a cluster): how it is asked
//! for, and waited for.

use crate::clock::{sleep_until, BootTime};
use crate::error::{Error, ErrorKind, LossReason};
use crate::guard::Guard;
use crate::hold::{Claim, Undo};
use crate::lease::{drift, in_millis, TTL_LEAST};
use crate::node::{Request, Together};
use crate::servers::Servers;
use crate::token::Token;
use std::time::Duration;

/// How often a try is repeated whose answer was lost.
const TRIES_MOST: usize = 3;

/// Between two attempts to reach a server, somewhere in the upper half of this; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The longest wait in line: ten years, as the server has it.
const WAIT_MOST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A lock that can be asked for, as often as one likes: each time by a new owner.
#[derive(Clone, Debug)]
pub struct Lock {
    servers: Servers,
    key: Vec<u8>,
    ttl: Duration,
    wait: Option<Duration>,
    together: Together,
    delay: Duration,
}

impl Lock {
    /// The lock of this key, with a lease of 30 s. [`Lock::acquire`] waits without limit.
    pub fn new(servers: &Servers, key: impl AsRef<[u8]>) -> Self {
        Self {
            servers: servers.clone(),
            key: key.as_ref().to_vec(),
            ttl: Duration::from_secs(30),
            wait: None,
            together: Together::Alone,
            delay: Duration::ZERO,
        }
    }

    /// The lease: for how long a holder that died still blocks the others. One that lives
    /// keeps the lock for as long as it likes. Whole milliseconds, from 100 on.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = in_millis(ttl);
        self
    }

    /// For how long [`Lock::acquire`] waits at most.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Held with any number of others who say so, too: readers.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.together = Together::Shared;
        self
    }

    /// Held by so many at most, this one included: 1 to 1,024.
    #[must_use]
    pub fn limit(mut self, most: u16) -> Self {
        self.together = Together::Limit(most);
        self
    }

    /// If the lease runs out, nobody else is granted for so long.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Asks once, and does not wait: [`ErrorKind::NotAcquired`] if others hold the lock.
    /// After a lost answer it asks again, as the same owner, and so gets the same hold.
    pub async fn try_acquire(&self) -> Result<Guard, Error> {
        let mut attempt = Attempt::of(self)?;
        let mut pause = Pause::new();
        for _ in 1..TRIES_MOST {
            match attempt.asked_once().await {
                Err(error) if error.is_transient() => {
                    attempt.is_in_doubt = true;
                    pause.rest(None).await;
                }
                asked => return attempt.ended(asked),
            }
        }
        let asked = attempt.asked_once().await;
        attempt.ended(asked)
    }

    /// Waits in line until the lock is granted, or the wait is over:
    /// [`ErrorKind::NotAcquired`].
    ///
    /// Waiting survives broken connections, restarts and failovers: it asks again, as the
    /// same owner, for as long as the wait lasts. Who was granted the lock gets that hold;
    /// who had only a place in line has lost it, and goes to the end. Dropping the future
    /// ends the wait. If no server can be reached at its end, it lasts as long as the attempt to
    /// reach one that is under way.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        let mut attempt = Attempt::of(self)?;
        let end = self.wait.map(|wait| BootTime::now() + wait);
        let mut pause = Pause::new();
        loop {
            match attempt.waited(end).await {
                Err(error) if error.is_transient() && !end.is_some_and(BootTime::is_over) => {
                    attempt.is_in_doubt = true;
                    pause.rest(end).await;
                }
                asked => return attempt.ended(asked),
            }
        }
    }

    fn out_of_range(&self) -> Option<&'static str> {
        let has_limit = |most| matches!(self.together, Together::Limit(limit) if most == limit);
        if self.ttl < TTL_LEAST {
            return Some("a lease shorter than 100 ms, of which the drift leaves too little");
        }
        if has_limit(0) {
            return Some("a lock for nobody: LIMIT is 1 at least");
        }
        None
    }
}

/// The token, and when it was asked for.
type Granted = Option<(Token, BootTime)>;

/// One unit of work that wants the lock.
struct Attempt {
    claim: Claim,
    request: Request,
    undo: Undo,
    /// Whether a request was not answered, and may yet be granted.
    is_in_doubt: bool,
}

impl Attempt {
    fn of(lock: &Lock) -> Result<Self, Error> {
        if let Some(what) = lock.out_of_range() {
            let kind = ErrorKind::OutOfRange(what.to_owned());
            return Err(Error::new("nobody was asked", kind));
        }
        let mut request = Request::new(&lock.key, lock.ttl);
        request.together = lock.together;
        request.delay = lock.delay;
        let claim = Claim {
            servers: lock.servers.clone(),
            key: lock.key.clone(),
            owner: request.owner.clone(),
        };
        Ok(Self {
            undo: Undo::of(claim.clone()),
            claim,
            request,
            is_in_doubt: false,
        })
    }

    /// A plain try.
    async fn asked_once(&self) -> Result<Granted, Error> {
        let Claim { servers, key, .. } = &self.claim;
        let mut line = servers.line(key).await?;
        let asked = BootTime::now();
        let answer = line.node.acquire(&self.request).await;
        let token = servers.heed(key, &line, answer).await?;
        Ok(token.map(|token| (token, asked)))
    }

    /// A try, and if it is in vain, a place in line.
    async fn waited(&self, end: Option<BootTime>) -> Result<Granted, Error> {
        match self.asked_once().await {
            Ok(Some(granted)) => return Ok(Some(granted)),
            Ok(None) => {}
            Err(error) if error.is_quarantine() => {}
            Err(error) => return Err(error),
        }
        loop {
            let left = end.map(BootTime::left);
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let Some((token, asked)) = self.stood_in_line(left).await? else {
                return Ok(None);
            };
            // The lease began with the grant, and when that was is not known: only that it
            // was later than the request. If that is long ago, a new one says more.
            if BootTime::now().since(asked) <= drift(self.request.ttl) {
                return Ok(Some((token, asked)));
            }
            if let Some(asked) = self.confirmed(token).await? {
                return Ok(Some((token, asked)));
            }
            // The answer was so long under way that the lease has ended: once more.
        }
    }

    async fn stood_in_line(&self, left: Option<Duration>) -> Result<Granted, Error> {
        let Claim { servers, key, .. } = &self.claim;
        let mut node = servers.own(key).await?;
        let address = node.address().to_owned();
        let wait = left.map(|left| left.min(WAIT_MOST));
        let asked = BootTime::now();
        tokio::select! {
            answer = node.acquire_in_line(&self.request, wait) => {
                Ok(answer?.map(|token| (token, asked)))
            }
            () = servers.moved_from(&address, key) => {
                let gone = redis::RedisError::from((
                    redis::ErrorKind::Io,
                    "another server has the lock by now",
                ));
                Err(Error::said(address.as_str(), gone))
            }
        }
    }

    /// When a request was sent that found the lock held with this token, and moved the end
    /// of its lease.
    async fn confirmed(&self, token: Token) -> Result<Option<BootTime>, Error> {
        let Claim {
            servers,
            key,
            owner,
        } = &self.claim;
        let mut line = servers.line(key).await?;
        let asked = BootTime::now();
        let ttl = self.request.ttl;
        let extended = line.node.extend(key, owner, ttl, Some(token)).await;
        let is_held = servers.heed(key, &line, extended).await?;
        Ok(is_held.then_some(asked))
    }

    /// What comes of it. Whatever is not known to be nothing is given back.
    fn ended(self, asked: Result<Granted, Error>) -> Result<Guard, Error> {
        let Some((token, asked)) = asked? else {
            if !self.is_in_doubt {
                self.undo.forget();
            }
            let servers = self.claim.servers.name();
            return Err(Error::new(servers, ErrorKind::NotAcquired));
        };
        let guard = Guard::new(self.claim, token, self.request.ttl, asked);
        self.undo.forget();
        match guard.is_lost() {
            // Dropped, it is given back.
            true => Err(guard.lost_error(LossReason::Expired)),
            false => Ok(guard),
        }
    }
}

/// Pauses between attempts: random, and each longer than the one before.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    async fn rest(&mut self, end: Option<BootTime>) {
        let pause = self.0.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        let until = BootTime::now() + pause;
        sleep_until(end.map_or(until, |end| end.min(until))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_believed_to_last_for_no_longer_than_the_server_was_told() {
        let client = redis::Client::open("redis://127.0.0.1/").expect("an address");
        let lock = Lock::new(&Servers::single(client), "seat:42");
        let ttl = |micros| lock.clone().ttl(Duration::from_micros(micros)).ttl;
        assert_eq!(ttl(1_500_999), Duration::from_millis(1_500));
        assert_eq!(ttl(1_500_000), Duration::from_millis(1_500));
    }
}
