//! `LOCK.RELEASE key owner [TOKEN token]`

use super::syntax::{Argument, Shape, KEY, OWNER};
use super::{Arguments, Command, Error, KeyUse, Kind, Request};
use crate::error::Number;

/// How it is called.
pub(super) const USAGE: &str = "LOCK.RELEASE key owner [TOKEN token]";

pub(super) const COMMAND: Command = Command {
    name: c"lock.release",
    flags: c"write fast",
    arity: -3,
    kind: Kind::Write,
    key: Some(KeyUse::Removes),
    categories: c"write fast",
    tips: c"",
    summary: c"Releases a lock that the owner holds.",
    complexity: c"O(log N) where N is the number of leases held on the server",
    syntax: &[
        KEY,
        OWNER,
        Argument::named(c"TOKEN", c"token", Shape::Integer).optional(),
    ],
    parse,
};

fn parse<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let owner = arguments.owner()?;
    let token = match arguments.option() {
        None => None,
        Some(word) if word.eq_ignore_ascii_case(b"TOKEN") => {
            Some(arguments.token_as(Number::TokenOption)?)
        }
        Some(_) => return Err(arguments.not_an_option(USAGE)),
    };
    arguments.end_of(USAGE)?;
    Ok(Request::Release { owner, token })
}
