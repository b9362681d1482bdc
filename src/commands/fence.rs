//! `LOCK.FENCE key [token]`

use super::syntax::{KEY, TOKEN};
use super::{Arguments, Command, Error, KeyUse, Kind, Request};

/// How it is called.
pub(super) const USAGE: &str = "LOCK.FENCE key [token]";

pub(super) const COMMAND: Command = Command {
    name: c"lock.fence",
    flags: c"readonly fast",
    arity: -2,
    kind: Kind::Read,
    key: Some(KeyUse::Looks),
    categories: c"read fast",
    tips: c"",
    summary: c"Returns the lowest live fencing token of a lock, or whether a given token is live.",
    complexity: c"O(1)",
    syntax: &[KEY, TOKEN.optional()],
    parse,
};

fn parse<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let token = if arguments.end().is_ok() {
        None
    } else {
        Some(arguments.token()?)
    };
    arguments.end_of(USAGE)?;
    Ok(Request::Fence { token })
}
