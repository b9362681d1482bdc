//! Every error reply. The first word is stable and may be matched on; `ERR` and
//! the wording of what Redis itself would say are Redis's own.

use crate::lock::slots::Slot;
use crate::lock::{Delay, Token, Tolerance, Ttl, OWNER_BYTES_MOST};
use std::fmt;

/// Why a call was refused. A refused call changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Too few or too many arguments; the command's name.
    Arity(&'static str),
    /// A word that is not an option here, or an option twice.
    Syntax,
    /// Not an integer as Redis writes them, or one that does not fit.
    NotAnInteger,
    /// A lease shorter than 1 ms or longer than this.
    TtlOutOfRange(Ttl),
    /// A wait below zero or above ten years.
    TimeoutOutOfRange,
    /// A number of holders that no semaphore has.
    LimitOutOfRange,
    /// A delay below zero or above ten years.
    DelayOutOfRange,
    /// The same owner with another SHARED or LIMIT.
    OtherTolerance,
    /// RAISE of a hold that may have others beside it.
    RaiseOfMany,
    /// GUARD with a token that is not live.
    Stale(Token),
    /// GUARD of a command of our own.
    GuardOfOurs,
    /// GUARD of a command that may wait.
    GuardOfBlocking,
    /// GUARD of a command that administers the server.
    GuardOfAdmin,
    /// GUARD of a command that scripts may not run.
    GuardOfNoScript,
    /// GUARD of a command without keys.
    GuardWithoutKeys,
    /// GUARD of a command that names the lock's key.
    GuardOfLock,
    /// Too many clients wait.
    QueueFull,
    /// SESSION in a script.
    SessionInScript,
    /// The key's slot went to another server while the client waited.
    Moved(Slot),
    /// The server became a replica while the client waited.
    Demoted,
    /// A token that cannot be one.
    TokenOutOfRange,
    /// An owner of no bytes, or of too many.
    OwnerLength,
    /// The key holds something that is not a lock.
    WrongType,
    /// The server is a replica.
    ReadOnly,
    /// RAISE beyond this token.
    RaiseTooFar(Token),
    /// There is no token left to grant.
    TokensExhausted,
    /// An effect (`LOCK._…`) that did not come from a master or a file.
    EffectFromClient,
    /// A bug in the module; the log says more.
    Internal,
}

impl Error {
    /// What is said, where that is always the same.
    fn fixed_text(self) -> &'static str {
        match self {
            Self::Syntax => "ERR syntax error",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::OtherTolerance => {
                "ERR this owner holds the lock or waits for it with another SHARED or LIMIT: \
                 release it first"
            }
            Self::RaiseOfMany => {
                "ERR RAISE is for exclusive holds: this one is SHARED or has a LIMIT"
            }
            Self::GuardOfOurs => "ERR LOCK.GUARD does not run LOCK commands",
            Self::GuardOfBlocking => "ERR LOCK.GUARD does not run commands that may block",
            Self::GuardOfAdmin => "ERR LOCK.GUARD does not run admin commands",
            Self::GuardOfNoScript => "ERR LOCK.GUARD does not run what scripts may not run",
            Self::GuardWithoutKeys => "ERR LOCK.GUARD does not run commands without keys",
            Self::GuardOfLock => "ERR LOCK.GUARD does not run commands on the lock's own key",
            Self::QueueFull => {
                "QUEUEFULL too many clients wait for locks on this server: see \
                 redislock.max-waiters"
            }
            Self::SessionInScript => {
                "ERR SESSION is not allowed in scripts: a script has no connection of its own"
            }
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::ReadOnly => "READONLY You can't write against a read only replica.",
            Self::TokensExhausted => {
                "ERR no fencing tokens are left: the server's clock was far in the future when \
                 it started; set it right and restart"
            }
            Self::EffectFromClient => {
                "ERR only a master or a persistence file may send this command"
            }
            _ => "ERR internal error in redislock, see the server log",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arity(command) => {
                write!(out, "ERR wrong number of arguments for '{command}' command")
            }
            Self::TtlOutOfRange(most) => {
                write!(out, "ERR ttl-ms must be from 1 to {}", most.as_ms())
            }
            Self::TimeoutOutOfRange => {
                let most = Ttl::MOST.as_ms();
                write!(
                    out,
                    "ERR timeout must be from 0 (no limit) to {most} milliseconds"
                )
            }
            Self::LimitOutOfRange => {
                write!(out, "ERR LIMIT must be from 1 to {}", Tolerance::LIMIT_MOST)
            }
            Self::DelayOutOfRange => {
                let most = Delay::MOST.as_ms();
                write!(out, "ERR DELAY must be from 0 to {most} milliseconds")
            }
            Self::Stale(token) => {
                let token = token.get();
                write!(out, "STALE token {token} is not live: nothing was done")
            }
            Self::Moved(slot) => write!(
                out,
                "TRYAGAIN slot {} is another server's now: ask again to be redirected",
                slot.number()
            ),
            Self::Demoted => out.write_str(
                "UNBLOCKED force unblock from blocking operation, instance state changed \
                 (master -> replica?)",
            ),
            Self::TokenOutOfRange => {
                write!(out, "ERR token must be from 1 to {}", Token::MOST.get())
            }
            Self::OwnerLength => {
                write!(out, "ERR owner must be from 1 to {OWNER_BYTES_MOST} bytes")
            }
            Self::RaiseTooFar(most) => write!(
                out,
                "ERR RAISE goes to at most {}: an hour ahead of this server's clock",
                most.get()
            ),
            _ => out.write_str(self.fixed_text()),
        }
    }
}

impl std::error::Error for Error {}
