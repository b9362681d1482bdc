//! `LOCK.INFO key`

use super::syntax::KEY;
use super::{Arguments, Command, Error, KeyUse, Kind, Request};
use crate::lock::info::{Info, ShownHold, ShownWaiter};

pub(super) const COMMAND: Command = Command {
    name: c"lock.info",
    flags: c"readonly",
    arity: 2,
    kind: Kind::Info,
    key: Some(KeyUse::Looks),
    categories: c"read slow",
    tips: c"nondeterministic_output",
    summary: c"Returns who holds a lock and who waits for it.",
    complexity: c"O(N) where N is the number of owners that wait for the lock",
    syntax: &[KEY],
    parse,
};

fn parse<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    arguments.end()?;
    Ok(Request::Info)
}

/// A reply with parts. Maps are flat lists for clients that know no maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// A number.
    Integer(i64),
    /// nil.
    Null,
    /// Bytes.
    Bytes(Vec<u8>),
    /// One behind the other.
    List(Vec<Tree>),
    /// Each with its name, in this order.
    Map(Vec<(&'static str, Tree)>),
}

/// The fields and their order are a promise.
pub fn shown(info: Info) -> Tree {
    let lowest = info.lowest_token.map(|token| number(token.get()));
    Tree::Map(vec![
        ("holders", number(info.holders as u64)),
        ("waiters", number(info.waiters as u64)),
        ("lowest-token", lowest.unwrap_or(Tree::Null)),
        (
            "held-by",
            Tree::List(info.held_by.into_iter().map(hold).collect()),
        ),
        (
            "line",
            Tree::List(info.line.into_iter().map(waiter).collect()),
        ),
    ])
}

fn hold(hold: ShownHold) -> Tree {
    let session = hold.session.map(|client| number(client.get()));
    Tree::Map(vec![
        ("owner", Tree::Bytes(hold.owner)),
        ("token", number(hold.token.get())),
        ("ttl-ms", number(hold.left_ms)),
        ("held-ms", number(hold.held_ms)),
        ("tolerates", number(hold.tolerates.to_number())),
        ("session", session.unwrap_or(Tree::Null)),
        ("delay-ms", number(hold.delay_ms)),
        ("cooling-ms", number(hold.cooling_ms)),
    ])
}

fn waiter(waiter: ShownWaiter) -> Tree {
    Tree::Map(vec![
        ("owner", Tree::Bytes(waiter.owner)),
        ("tolerates", number(waiter.tolerates.to_number())),
        ("waited-ms", number(waiter.waited_ms)),
    ])
}

/// Everything shown is far below 2^63.
fn number(number: u64) -> Tree {
    Tree::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
