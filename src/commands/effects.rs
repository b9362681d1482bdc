//! The effects: what a master tells its replicas and its log. They say what
//! happened, never what was asked, so applying them needs no clock but the
//! reader's own and no configuration.
//!
//! ```text
//! LOCK._GRANT   key owner token ttl-ms [tolerates [delay-ms]]
//! LOCK._END     key owner token
//! LOCK._CEILING ceiling largest-ttl-ms since-ms
//! ```
//!
//! `_GRANT` creates or replaces a hold whole. `ttl-ms` is what is left of the lease;
//! 0 says that it is over and the hold cools. `tolerates` is how many may hold the
//! lock together, 0 for any number; `delay-ms` is how long the hold cools after its
//! lease, or from now on. Most holds are exclusive and do not cool: of them neither is
//! said, as each word costs a log and a replica as much as a look at a key. `since-ms`
//! is when the term began, in milliseconds since the start of 2024.

use super::syntax::{Argument, Shape, KEY, OWNER, TOKEN, TTL};
use super::{Arguments, Command, Error, KeyUse, Kind, Request};
use crate::error::Number;
use crate::lock::token::Cover;
use crate::lock::{Delay, Tolerance, Ttl};
use std::ffi::CStr;

/// Says that a hold is new, or that its lease or token moved.
pub const GRANT: &CStr = c"LOCK._GRANT";
/// Says that a hold is over.
pub const END: &CStr = c"LOCK._END";
/// Says that no token above this one is issued.
pub const CEILING: &CStr = c"LOCK._CEILING";

/// Effects are always applied: they are not subject to memory limits.
const FLAGS: &CStr = c"write fast";

pub(super) const GRANT_COMMAND: Command = Command {
    name: c"lock._grant",
    flags: FLAGS,
    arity: -5,
    kind: Kind::Effect,
    key: Some(KeyUse::Sets),
    categories: c"write fast admin dangerous",
    tips: c"",
    summary: c"Internal: a master says that a lock is held.",
    complexity: c"O(log N) where N is the number of leases held on the server",
    syntax: &[
        KEY,
        OWNER,
        TOKEN,
        TTL,
        Argument::new(c"tolerates", Shape::Integer).optional(),
        Argument::new(c"delay-ms", Shape::Integer).optional(),
    ],
    parse: parse_grant,
};

pub(super) const END_COMMAND: Command = Command {
    name: c"lock._end",
    flags: FLAGS,
    arity: 4,
    kind: Kind::Effect,
    key: Some(KeyUse::Removes),
    categories: c"write fast admin dangerous",
    tips: c"",
    summary: c"Internal: a master says that a hold is over.",
    complexity: c"O(log N) where N is the number of leases held on the server",
    syntax: &[KEY, OWNER, TOKEN],
    parse: parse_end,
};

pub(super) const CEILING_COMMAND: Command = Command {
    name: c"lock._ceiling",
    flags: FLAGS,
    arity: 4,
    kind: Kind::KeylessEffect,
    key: None,
    categories: c"write fast admin dangerous",
    tips: c"",
    summary: c"Internal: a master says that it issues no token above this one.",
    complexity: c"O(1)",
    syntax: &[
        Argument::new(c"ceiling", Shape::Integer),
        Argument::new(c"largest-ttl-ms", Shape::Integer),
        Argument::new(c"since-ms", Shape::Integer),
    ],
    parse: parse_ceiling,
};

fn parse_grant<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let owner = arguments.owner()?;
    let token = arguments.token()?;
    let left_ms = arguments.integer()?;
    let tolerates = match arguments.end() {
        Ok(()) => Some(Tolerance::ALONE),
        Err(_) => {
            let number = u64::try_from(arguments.integer()?).ok();
            number.and_then(Tolerance::from_number)
        }
    };
    let delay = match arguments.end() {
        Ok(()) => Delay::NONE,
        Err(_) => arguments.delay()?,
    };
    arguments.end()?;
    let lease = u64::try_from(left_ms).ok().and_then(Ttl::from_ms);
    let is_sound = lease.is_some() || (left_ms == 0 && delay != Delay::NONE);
    match tolerates {
        Some(tolerates) if is_sound => Ok(Request::Grant {
            owner,
            token,
            lease,
            tolerates,
            delay,
        }),
        _ => Err(Error::NotAnInteger(Number::OfEffect)),
    }
}

fn parse_end<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let request = Request::End {
        owner: arguments.owner()?,
        token: arguments.token()?,
    };
    arguments.end()?;
    Ok(request)
}

fn parse_ceiling<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let ceiling = arguments.token()?;
    let ttl_most = arguments
        .ttl_of_effect()?
        .ok_or(Error::NotAnInteger(Number::OfEffect))?;
    let since = arguments.wall_time()?;
    arguments.end()?;
    Ok(Request::Ceiling(Cover {
        ceiling,
        ttl_most,
        since,
    }))
}
