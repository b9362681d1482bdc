//! `LOCK.GUARD key token command [arg ...]`
//!
//! What may stand behind the token is decided here, by the words of the command
//! and by what the server says of it. It runs what a script may run, short of
//! what waits, what administers the server, and what works without keys: a lock
//! cannot guard that.

use super::syntax::{Argument, Shape, KEY, TOKEN};
use super::{Arguments, Command, Error, KeyUse, Kind, Request};

pub(super) const COMMAND: Command = Command {
    name: c"lock.guard",
    flags: c"write getkeys-api",
    arity: -4,
    kind: Kind::Guard,
    key: Some(KeyUse::LooksAtFirst),
    categories: c"write slow",
    tips: c"nondeterministic_output",
    summary: c"Runs a command if a fencing token is live, and else nothing.",
    complexity: c"O(1) beside the command",
    syntax: &[
        KEY,
        TOKEN,
        Argument::new(c"command", Shape::Text),
        Argument::new(c"arg", Shape::Text).repeated(),
    ],
    parse,
};

/// Only the token; the words behind it are the server's to read.
fn parse<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let token = arguments.token()?;
    Ok(Request::Guard { token })
}

/// What the server says of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be guarded.
    Allowed,
    /// It depends on the next word.
    Container,
    /// It may not.
    Refused(Error),
}

impl Verdict {
    /// Of several, the one that says most about the command counts: one that may
    /// block is, as a rule, one that scripts may not run either.
    pub fn weight(self) -> u8 {
        match self {
            Self::Refused(Error::GuardOfBlocking) => 4,
            Self::Refused(Error::GuardOfAdmin) => 3,
            Self::Refused(_) => 2,
            Self::Container => 1,
            Self::Allowed => 0,
        }
    }
}

/// Whether this is one of our own commands; nothing of them is looked at, so that
/// guards in guards cost nothing.
pub fn is_ours(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"lock.";
    name.len() >= PREFIX.len() && name[..PREFIX.len()].eq_ignore_ascii_case(PREFIX)
}

/// What a flag, as COMMAND INFO lists it, means for a guarded command.
pub fn verdict_of(flag: &[u8]) -> Verdict {
    match flag {
        b"blocking" => Verdict::Refused(Error::GuardOfBlocking),
        b"admin" => Verdict::Refused(Error::GuardOfAdmin),
        b"noscript" => Verdict::Refused(Error::GuardOfNoScript),
        _ => Verdict::Allowed,
    }
}
