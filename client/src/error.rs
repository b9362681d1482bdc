//! What goes wrong, and which server said so.

use redis::{RedisError, ServerErrorKind};
use std::fmt;
use std::time::Duration;

/// What went wrong, and where.
#[derive(Clone, Debug)]
pub struct Error {
    node: String,
    kind: ErrorKind,
}

/// What went wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Others hold the lock, or the wait ran out.
    NotAcquired,
    /// Somebody else may hold the lock by now: stop, and write nothing more.
    Lost(LossReason),
    /// `LOCK.GUARD` found the token dead: nothing was done. What the server said.
    Stale(String),
    /// As many wait as the server lets wait (`redislock.max-waiters`). What it said.
    QueueFull(String),
    /// The server does not know the commands. What it said.
    ModuleNotLoaded(String),
    /// No connection, or it broke: whether the server did it is not known.
    Connection(RedisError),
    /// No answer within this time: whether the server did it is not known.
    TimedOut(Duration),
    /// Any other error that the server said; or what no server can be asked with, as an
    /// address that is none.
    Refused(RedisError),
    /// An answer that the command never gives.
    UnexpectedReply(String),
    /// A lease or a wait that no server would take, found before it was asked.
    OutOfRange(String),
}

/// How a hold ended before it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// The lease may have ended: it could not be extended in time.
    Expired,
    /// The server says that the hold is over: its lease ended, or somebody broke the lock.
    Ended,
}

impl Error {
    /// An error of this server.
    pub fn new(node: impl Into<String>, kind: ErrorKind) -> Self {
        let node = node.into();
        Self { node, kind }
    }

    /// What the server at `node` said, or did not say.
    pub fn said(node: impl Into<String>, error: RedisError) -> Self {
        Self::new(node, ErrorKind::from(error))
    }

    /// The address of the server. What no server said, because none could be asked, is of all
    /// the nodes that were named of a cluster, or of `sentinels`.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether others hold the lock, and nothing else is wrong.
    pub fn is_not_acquired(&self) -> bool {
        matches!(self.kind, ErrorKind::NotAcquired)
    }

    /// Whether the lock is not held any more by who asked: it ended, or its token is dead.
    pub fn is_lost(&self) -> bool {
        matches!(self.kind, ErrorKind::Lost(_) | ErrorKind::Stale(_))
    }

    /// Whether the server grants nothing yet, because it may have forgotten holds
    /// (`redislock.quarantine`). Whoever waits in line there is granted at the end.
    pub fn is_quarantine(&self) -> bool {
        matches!(&self.kind, ErrorKind::Refused(error) if error.code() == Some("QUARANTINE"))
    }

    /// Whether it is not known if the server did what it was asked to do.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.kind, ErrorKind::Connection(_) | ErrorKind::TimedOut(_))
    }

    /// Whether the node of a cluster sent the request on to another one, and did nothing.
    pub fn is_redirection(&self) -> bool {
        let redirects = |code| matches!(code, "MOVED" | "ASK");
        matches!(&self.kind, ErrorKind::Refused(error) if error.code().is_some_and(redirects))
    }

    /// Whether the same request may be answered when it is sent again: the connection
    /// broke, or the server loads, is a replica, or was asked for a slot that moves.
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            ErrorKind::Refused(error) => error.code().is_some_and(passes),
            _ => self.is_unanswered(),
        }
    }
}

/// Whether an error with this first word passes by itself.
fn passes(code: &str) -> bool {
    let passing = [
        "ASK",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MOVED",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    ];
    passing.contains(&code)
}

impl From<RedisError> for ErrorKind {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Connection(error);
        }
        let Some(code) = error.code() else {
            return match error.kind() {
                redis::ErrorKind::UnexpectedReturnType | redis::ErrorKind::Parse => {
                    Self::UnexpectedReply(error.to_string())
                }
                redis::ErrorKind::AuthenticationFailed
                | redis::ErrorKind::Client
                | redis::ErrorKind::EmptySentinelList
                | redis::ErrorKind::InvalidClientConfig
                | redis::ErrorKind::RESP3NotSupported => Self::Refused(error),
                _ => Self::Connection(error),
            };
        };
        let line = match error.detail() {
            Some(detail) => format!("{code} {detail}"),
            None => code.to_owned(),
        };
        let is_plain = error.kind() == redis::ErrorKind::Server(ServerErrorKind::ResponseError);
        match code {
            "STALE" => Self::Stale(line),
            "QUEUEFULL" => Self::QueueFull(line),
            _ if is_plain && line.contains("unknown command") => Self::ModuleNotLoaded(line),
            _ => Self::Refused(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.node, self.kind)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAcquired => to.write_str("others hold the lock"),
            Self::Lost(LossReason::Expired) => {
                to.write_str("the lock is lost: its lease may have ended")
            }
            Self::Lost(LossReason::Ended) => {
                to.write_str("the lock is lost: the server says that the hold is over")
            }
            Self::Stale(line) | Self::QueueFull(line) => to.write_str(line),
            Self::ModuleNotLoaded(line) => write!(
                to,
                "the module redis-lock is not loaded here, put `loadmodule \
                 /path/to/libredis_lock.so` into redis.conf: {line}"
            ),
            Self::Connection(error) => write!(to, "no connection: {error}"),
            Self::TimedOut(time) => write!(to, "no answer within {time:?}"),
            Self::Refused(error) => match (error.code(), error.detail()) {
                (Some(code), Some(detail)) => write!(to, "{code} {detail}"),
                _ => error.fmt(to),
            },
            Self::UnexpectedReply(reply) => write!(to, "an answer out of place: {reply}"),
            Self::OutOfRange(what) => to.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Connection(error) | ErrorKind::Refused(error) => Some(error),
            _ => None,
        }
    }
}
