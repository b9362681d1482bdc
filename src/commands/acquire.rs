//! `LOCK.ACQUIRE key owner ttl-ms [BLOCK timeout-ms] [SESSION] [SHARED | LIMIT n]
//! [DELAY ms]`

use super::syntax::{Argument, Shape, KEY, OWNER, TTL};
use super::{Arguments, Binding, Block, Command, Error, KeyUse, Kind, Request};
use crate::lock::Tolerance;

/// With how many others.
const TOGETHER: [Argument; 2] = [
    Argument::named(c"SHARED", c"shared", Shape::Flag),
    Argument::named(c"LIMIT", c"limit", Shape::Integer).shown_as(c"n"),
];

pub(super) const COMMAND: Command = Command {
    name: c"lock.acquire",
    flags: c"write deny-oom fast blocking",
    arity: -4,
    kind: Kind::Write,
    key: Some(KeyUse::Changes),
    categories: c"write fast blocking",
    tips: c"nondeterministic_output",
    summary: c"Acquires a lock for a time. Returns its fencing token, or nil if it is held.",
    complexity: c"O(log N) where N is the number of leases held and clients waiting on the server",
    syntax: &[
        KEY,
        OWNER,
        TTL,
        Argument::named(c"BLOCK", c"timeout-ms", Shape::Integer).optional(),
        Argument::named(c"SESSION", c"session", Shape::Flag).optional(),
        Argument::new(c"together", Shape::OneOf(&TOGETHER)).optional(),
        Argument::named(c"DELAY", c"delay-ms", Shape::Integer)
            .shown_as(c"ms")
            .optional(),
    ],
    parse,
};

fn parse<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    let owner = arguments.owner()?;
    let ttl = arguments.ttl()?;
    let mut block = None;
    let mut binding = Binding::None;
    let mut tolerates = None;
    let mut delay = None;
    while let Some(word) = arguments.option() {
        if word.eq_ignore_ascii_case(b"BLOCK") && block.is_none() {
            block = Some(timeout(arguments)?);
        } else if word.eq_ignore_ascii_case(b"SESSION") && binding == Binding::None {
            binding = Binding::Session;
        } else if word.eq_ignore_ascii_case(b"SHARED") && tolerates.is_none() {
            tolerates = Some(Tolerance::ANY);
        } else if word.eq_ignore_ascii_case(b"LIMIT") && tolerates.is_none() {
            tolerates = Some(arguments.limit()?);
        } else if word.eq_ignore_ascii_case(b"DELAY") && delay.is_none() {
            delay = Some(arguments.delay()?);
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok(Request::Acquire {
        owner,
        ttl,
        block,
        binding,
        tolerates: tolerates.unwrap_or(Tolerance::ALONE),
        delay: delay.unwrap_or_default(),
    })
}

/// 0 to ten years; 0 is for ever.
fn timeout(arguments: &mut Arguments<'_, '_>) -> Result<Block, Error> {
    match arguments.timeout_ms()? {
        0 => Ok(Block::Forever),
        ms => match crate::lock::Ttl::from_ms(ms) {
            Some(time) => Ok(Block::For(time)),
            None => Err(Error::TimeoutOutOfRange),
        },
    }
}
