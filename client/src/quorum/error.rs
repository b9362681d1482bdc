//! Why a majority does not hold a lock, and which server said what.

use super::protocol::Failure;
use crate::error::{Error, ErrorKind};
use crate::token::Token;
use std::fmt;

/// There is no lock.
#[derive(Clone, Debug)]
pub struct NoQuorum {
    why: Why,
    said: Vec<(String, Said)>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Others hold the lock, or ask for it at the same time: so many servers said no that
    /// no majority was left.
    Refused,
    /// With those that said no or nothing, no majority was left.
    Unreachable,
    /// By the time a majority had agreed, nothing was left of the lease.
    TooLate,
    /// A lease shorter than 100 ms, or not 1 to 64 servers: nobody was asked.
    OutOfRange,
}

/// What one server said last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Said {
    /// The lock was granted, with this token. It was given back.
    Granted(Token),
    /// Others hold the lock.
    Refused,
    /// An error, or no answer in time.
    Failed(Error),
    /// Nothing: the others had decided before.
    Nothing,
}

impl NoQuorum {
    pub(crate) fn new(why: Why, said: Vec<(String, Said)>) -> Self {
        Self { why, said }
    }

    /// Why there is no lock.
    pub fn why(&self) -> Why {
        self.why
    }

    /// The servers, by their addresses, and what each said.
    pub fn said(&self) -> &[(String, Said)] {
        &self.said
    }

    /// Whether a later attempt may succeed: not where a majority will always say what it said.
    pub(crate) fn may_pass(&self) -> bool {
        let said = self.said.iter();
        let never = said.filter(|(_, said)| matches!(said, Said::Failed(error) if is_final(error)));
        let majority = self.said.len() / 2 + 1;
        self.why != Why::OutOfRange && never.count() + majority <= self.said.len()
    }

    /// Whether others hold the lock, and nothing else is wrong.
    pub fn is_not_acquired(&self) -> bool {
        self.why == Why::Refused
    }
}

/// Whether a server will say so every time: a password, a right, a module or a word that is
/// not there.
fn is_final(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ModuleNotLoaded(_) => true,
        ErrorKind::Refused(error) => {
            let finally = ["ERR", "NOAUTH", "NOPERM", "WRONGPASS"];
            error.code().is_none_or(|code| finally.contains(&code))
        }
        _ => false,
    }
}

impl From<Failure> for Why {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused => Self::Refused,
            Failure::Unreachable => Self::Unreachable,
            Failure::TooLate => Self::TooLate,
        }
    }
}

impl fmt::Display for NoQuorum {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self.why {
            Why::Refused => "others hold the lock",
            Why::Unreachable => "no majority of the servers could be asked",
            Why::TooLate => "a majority agreed when the lease was over",
            Why::OutOfRange => "a lease is 100 ms long at least, and there are 1 to 64 servers",
        })?;
        for (number, (address, said)) in self.said.iter().enumerate() {
            to.write_str(if number == 0 { ": " } else { "; " })?;
            match said {
                Said::Granted(token) => write!(to, "{address}: granted, with token {token}")?,
                Said::Refused => write!(to, "{address}: others hold the lock")?,
                Said::Failed(error) => write!(to, "{error}")?,
                Said::Nothing => write!(to, "{address}: nothing yet")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for NoQuorum {}
