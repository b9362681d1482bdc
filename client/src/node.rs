//! The commands of one server, typed: one call, one request, one answer. Nothing is
//! retried here and nobody waits for longer than the time-out.

use crate::error::{Error, ErrorKind};
use crate::owner::Owner;
use crate::token::Token;
use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, FromRedisValue, RedisError, Value};
use std::time::Duration;

/// With how many others a lock may be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Together {
    /// With nobody.
    #[default]
    Alone,
    /// With any number of others who say so, too.
    Shared,
    /// So many at most, this one included: 1 to 1,024.
    Limit(u16),
}

/// What `LOCK.ACQUIRE` is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The lock.
    pub key: Vec<u8>,
    /// Who asks.
    pub owner: Owner,
    /// The lease, in whole milliseconds.
    pub ttl: Duration,
    /// With how many others.
    pub together: Together,
    /// For how long a lease that ran out still keeps others off.
    pub delay: Duration,
}

impl Request {
    /// For a lock that is held alone, by an owner that nobody else has.
    pub fn new(key: impl AsRef<[u8]>, ttl: Duration) -> Self {
        Self {
            key: key.as_ref().to_vec(),
            owner: Owner::fresh(),
            ttl,
            together: Together::Alone,
            delay: Duration::ZERO,
        }
    }

    /// The words; with BLOCK for so long, or without limit, if `in_line` says so.
    fn command(&self, in_line: Option<Option<Duration>>) -> Cmd {
        let mut command = redis::cmd("LOCK.ACQUIRE");
        command.arg(&self.key).arg(&self.owner);
        command.arg(millis(self.ttl));
        if let Some(wait) = in_line {
            // Zero would wait without limit.
            command.arg("BLOCK").arg(wait.map_or(0, whole_millis));
        }
        match self.together {
            Together::Alone => {}
            Together::Shared => {
                command.arg("SHARED");
            }
            Together::Limit(most) => {
                command.arg("LIMIT").arg(most);
            }
        }
        if !self.delay.is_zero() {
            command.arg("DELAY").arg(millis(self.delay));
        }
        command
    }
}

/// Rounded up, and one at least.
fn whole_millis(wait: Duration) -> u64 {
    millis(wait.saturating_add(Duration::from_micros(999))).max(1)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One server: its address, a connection, and how long an answer may take.
#[derive(Clone, Debug)]
pub struct Node<C> {
    address: String,
    connection: C,
    timeout: Duration,
}

impl<C: ConnectionLike> Node<C> {
    /// Errors will say `address`. The connection should not be one on which something
    /// waits in line, or the answers come behind that.
    pub fn new(address: impl Into<String>, connection: C, timeout: Duration) -> Self {
        Self {
            address: address.into(),
            connection,
            timeout,
        }
    }

    /// The address, as errors say it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// For how long an answer is waited for.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// With the connection made into another one.
    pub(crate) fn map<D>(self, change: impl FnOnce(C) -> D) -> Node<D> {
        Node {
            address: self.address,
            connection: change(self.connection),
            timeout: self.timeout,
        }
    }

    /// With another time-out.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// `LOCK.ACQUIRE`, a plain try: the token, or `None` if others hold the lock. The same
    /// owner again gets the same token.
    pub async fn acquire(&mut self, request: &Request) -> Result<Option<Token>, Error> {
        self.ask(&request.command(None), self.timeout).await
    }

    /// `LOCK.ACQUIRE ... BLOCK`: waits in line, for `wait` at most, or without limit. What
    /// is sent on the connection in the meantime waits, too: it must be one of its own,
    /// whose own time-out is longer.
    pub async fn acquire_in_line(
        &mut self,
        request: &Request,
        wait: Option<Duration>,
    ) -> Result<Option<Token>, Error> {
        let asked = request.command(Some(wait));
        let patience = wait.map_or(Duration::MAX, |wait| wait.saturating_add(self.timeout));
        self.ask(&asked, patience).await
    }

    /// `LOCK.RELEASE`: whether it was held, with this token if one is named.
    pub async fn release(
        &mut self,
        key: &[u8],
        owner: &Owner,
        token: Option<Token>,
    ) -> Result<bool, Error> {
        let mut release = redis::cmd("LOCK.RELEASE");
        release.arg(key).arg(owner);
        if let Some(token) = token {
            release.arg("TOKEN").arg(token);
        }
        self.ask(&release, self.timeout).await
    }

    /// `LOCK.EXTEND`: whether it is held, with this token if one is named; then its lease
    /// ends no sooner than `ttl` from now.
    pub async fn extend(
        &mut self,
        key: &[u8],
        owner: &Owner,
        ttl: Duration,
        token: Option<Token>,
    ) -> Result<bool, Error> {
        let mut extend = redis::cmd("LOCK.EXTEND");
        extend.arg(key).arg(owner).arg(millis(ttl));
        if let Some(token) = token {
            extend.arg("TOKEN").arg(token);
        }
        self.ask(&extend, self.timeout).await
    }

    /// `LOCK.EXTEND ... RAISE`: extends, and lifts the token to this one if it is larger.
    /// The token of the hold now, or `None` if it is not held.
    pub async fn raise(
        &mut self,
        key: &[u8],
        owner: &Owner,
        ttl: Duration,
        token: Token,
    ) -> Result<Option<Token>, Error> {
        let mut raise = redis::cmd("LOCK.EXTEND");
        raise.arg(key).arg(owner).arg(millis(ttl));
        raise.arg("RAISE").arg(token);
        self.ask(&raise, self.timeout).await
    }

    /// `LOCK.FENCE key`: the lowest live token, or `None` if nobody holds the lock.
    pub async fn fence(&mut self, key: &[u8]) -> Result<Option<Token>, Error> {
        let fence = redis::cmd("LOCK.FENCE").arg(key).to_owned();
        self.ask(&fence, self.timeout).await
    }

    /// `LOCK.FENCE key token`: whether the token is live.
    pub async fn is_live(&mut self, key: &[u8], token: Token) -> Result<bool, Error> {
        let fence = redis::cmd("LOCK.FENCE").arg(key).arg(token).to_owned();
        self.ask(&fence, self.timeout).await
    }

    /// `LOCK.GUARD`: runs the command if the token is live, in one step; else the error is
    /// [`ErrorKind::Stale`], and nothing was done.
    pub async fn guard<T: FromRedisValue>(
        &mut self,
        key: &[u8],
        token: Token,
        command: &Cmd,
    ) -> Result<T, Error> {
        let mut guard = redis::cmd("LOCK.GUARD");
        guard.arg(key).arg(token);
        for word in command.args_iter() {
            match word {
                Arg::Simple(word) => guard.arg(word),
                // An iteration that begins.
                Arg::Cursor => guard.arg(0),
                _ => return Err(self.out_of_place("a word of an unknown kind")),
            };
        }
        self.ask(&guard, self.timeout).await
    }

    /// Any command, with the time-out and the errors of the others.
    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Error> {
        self.ask(command, self.timeout).await
    }

    async fn ask<T: FromRedisValue>(
        &mut self,
        command: &Cmd,
        patience: Duration,
    ) -> Result<T, Error> {
        let asked = self.connection.req_packed_command(command);
        let answer = match tokio::time::timeout(patience, asked).await {
            Ok(answer) => answer.and_then(Value::extract_error),
            Err(_) => return Err(self.error(ErrorKind::TimedOut(patience))),
        };
        let answer = answer.map_err(|error| Error::said(&self.address, error))?;
        T::from_redis_value(answer).map_err(|error| {
            let error = RedisError::from(error);
            self.error(ErrorKind::UnexpectedReply(error.to_string()))
        })
    }

    fn out_of_place(&self, what: &str) -> Error {
        self.error(ErrorKind::UnexpectedReply(what.to_owned()))
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.address, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Cmd) -> Vec<String> {
        let word = |arg| match arg {
            Arg::Simple(word) => String::from_utf8_lossy(word).into_owned(),
            _ => panic!("no word"),
        };
        command.args_iter().map(word).collect()
    }

    #[test]
    fn a_wait_that_is_almost_over_is_not_one_without_limit() {
        let request = Request::new("seat:42", Duration::from_secs(1));
        let block = |wait| words(&request.command(Some(wait)))[5].clone();
        assert_eq!(block(Some(Duration::from_micros(300))), "1");
        assert_eq!(block(Some(Duration::ZERO)), "1");
        assert_eq!(block(Some(Duration::from_micros(1_200))), "2");
        assert_eq!(block(None), "0");
    }

    #[test]
    fn every_option_is_said_in_the_words_of_the_module() {
        let mut request = Request::new("seat:42", Duration::from_millis(1_500));
        request.together = Together::Limit(3);
        request.delay = Duration::from_secs(2);
        let owner = request.owner.to_string();
        let said = words(&request.command(Some(Some(Duration::from_secs(9)))));
        let expected = [
            "LOCK.ACQUIRE",
            "seat:42",
            &owner,
            "1500",
            "BLOCK",
            "9000",
            "LIMIT",
            "3",
            "DELAY",
            "2000",
        ];
        assert_eq!(said, expected);
        request.together = Together::Shared;
        request.delay = Duration::ZERO;
        let said = words(&request.command(None));
        assert_eq!(said, ["LOCK.ACQUIRE", "seat:42", &owner, "1500", "SHARED"]);
    }
}
