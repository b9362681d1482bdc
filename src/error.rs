//! Every error reply: one line, which says what was wrong, where, and what would be
//! right. The first word is stable and may be matched on; `ERR` and the wording of what
//! Redis itself would say are Redis's own, and what it does not say follows. Nothing of
//! what a client sent is said back to it but tokens.

use crate::lock::slots::Slot;
use crate::lock::{Delay, Token, Tolerance, Ttl, OWNER_BYTES_MOST};
use std::fmt;

/// Why a call was refused. A refused call changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Too few or too many arguments; the command's name.
    Arity(&'static str),
    /// More words than any call of the command has.
    Syntax,
    /// A word that is not part of the command.
    NotAnOption {
        /// Which: the key is the first.
        argument: usize,
        /// How the command is called.
        usage: &'static str,
    },
    /// This option twice.
    OptionTwice(&'static str),
    /// Two options of which there may be one.
    OptionsTogether(&'static str, &'static str),
    /// An option without its number.
    NumberMissing(Number),
    /// Not an integer as Redis writes them, or one that does not fit.
    NotAnInteger(Number),
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
    /// GUARD of a command that no server can have.
    GuardOfUnknown,
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
    /// The server may have forgotten holds, and grants nothing for so long.
    Quarantine(Ttl),
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

/// Which number a client was to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// The length of a lease.
    Ttl,
    /// Behind BLOCK.
    Timeout,
    /// Behind LIMIT.
    Limit,
    /// Behind DELAY.
    Delay,
    /// A token in a place of its own.
    Token,
    /// Behind TOKEN.
    TokenOption,
    /// Behind RAISE.
    Raise,
    /// One that only masters say.
    OfEffect,
}

impl Number {
    /// What stands in its place, for those who said something else.
    fn expected(self) -> &'static str {
        match self {
            Self::Ttl => {
                "ttl-ms, the argument behind the owner, is a number of milliseconds, such as 30000"
            }
            Self::Timeout => {
                "BLOCK needs a number of milliseconds behind it, 0 to wait without limit"
            }
            Self::Limit => "LIMIT needs a number of holders behind it",
            Self::Delay => "DELAY needs a number of milliseconds behind it",
            Self::Token => {
                "token, the argument behind the key, is the number that LOCK.ACQUIRE returned"
            }
            Self::TokenOption => "TOKEN needs the number behind it that LOCK.ACQUIRE returned",
            Self::Raise => "RAISE needs a token behind it",
            Self::OfEffect => "an effect has other numbers",
        }
    }
}

impl Error {
    /// What is said, where that is always the same.
    fn fixed_text(self) -> &'static str {
        match self {
            Self::Syntax => {
                "ERR syntax error: more arguments than the command takes, see LOCK.HELP"
            }
            Self::GuardOfUnknown => "ERR LOCK.GUARD does not know the command behind the token",
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

    /// What is about ranges and states.
    fn fmt_with_numbers(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TtlOutOfRange(most) => {
                let most = most.as_ms();
                write!(
                    out,
                    "ERR ttl-ms must be from 1 to {most} (redislock.max-ttl-ms)"
                )
            }
            Self::TimeoutOutOfRange => {
                let most = Ttl::MOST.as_ms();
                write!(
                    out,
                    "ERR BLOCK must be from 0 (no limit) to {most} milliseconds"
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
            Self::Quarantine(left) => write!(
                out,
                "QUARANTINE this server started without proof that it knows of every hold: it \
                 grants nothing for another {} ms",
                left.as_ms()
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

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arity(command) => {
                write!(out, "ERR wrong number of arguments for '{command}' command")
            }
            Self::NotAnOption { argument, usage } => write!(
                out,
                "ERR syntax error: argument {argument} is not part of {usage}"
            ),
            Self::OptionTwice(option) => write!(out, "ERR syntax error: {option} twice"),
            Self::OptionsTogether(one, other) => write!(
                out,
                "ERR syntax error: {one} and {other} do not go together"
            ),
            Self::NumberMissing(number) => {
                write!(out, "ERR syntax error: {}", number.expected())
            }
            Self::NotAnInteger(number) => write!(
                out,
                "ERR value is not an integer or out of range: {}",
                number.expected()
            ),
            _ => self.fmt_with_numbers(out),
        }
    }
}

impl std::error::Error for Error {}
