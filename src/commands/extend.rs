//! `LOCK.EXTEND key owner ttl-ms [TOKEN token | RAISE token]`

use super::syntax::{Argument, Shape, KEY, OWNER, TTL};
use super::{Arguments, Command, Error, ExtendOption, KeyUse, Kind, Request};
use crate::error::Number;

/// How it is called.
pub(super) const USAGE: &str = "LOCK.EXTEND key owner ttl-ms [TOKEN token | RAISE token]";

/// Only that hold, or with a larger token from now on.
const WHICH: [Argument; 2] = [
    Argument::named(c"TOKEN", c"token", Shape::Integer),
    Argument::named(c"RAISE", c"raise", Shape::Integer).shown_as(c"token"),
];

pub(super) const COMMAND: Command = Command {
    name: c"lock.extend",
    flags: c"write fast",
    arity: -4,
    kind: Kind::Write,
    key: Some(KeyUse::Changes),
    categories: c"write fast",
    tips: c"",
    summary: c"Moves the end of a lease further away; with RAISE, also its fencing token up.",
    complexity: c"O(log N) where N is the number of leases held on the server",
    syntax: &[
        KEY,
        OWNER,
        TTL,
        Argument::new(c"which", Shape::OneOf(&WHICH)).optional(),
    ],
    parse,
};

fn parse<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let owner = arguments.owner()?;
    let ttl = arguments.ttl()?;
    let option = match arguments.option() {
        None => ExtendOption::None,
        Some(word) if word.eq_ignore_ascii_case(b"TOKEN") => {
            ExtendOption::Token(arguments.token_as(Number::TokenOption)?)
        }
        Some(word) if word.eq_ignore_ascii_case(b"RAISE") => {
            ExtendOption::Raise(arguments.token_as(Number::Raise)?)
        }
        Some(_) => return Err(arguments.not_an_option(USAGE)),
    };
    match (&option, arguments.option()) {
        (_, None) => {}
        (ExtendOption::Token(_), Some(word)) if word.eq_ignore_ascii_case(b"RAISE") => {
            return Err(Error::OptionsTogether("TOKEN", "RAISE"));
        }
        (ExtendOption::Raise(_), Some(word)) if word.eq_ignore_ascii_case(b"TOKEN") => {
            return Err(Error::OptionsTogether("RAISE", "TOKEN"));
        }
        _ => return Err(arguments.not_an_option(USAGE)),
    }
    Ok(Request::Extend { owner, ttl, option })
}
