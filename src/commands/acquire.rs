//! `LOCK.ACQUIRE key owner ttl-ms [BLOCK timeout-ms] [SESSION] [SHARED | LIMIT n]
//! [DELAY ms]`

use super::syntax::{Argument, Shape, KEY, OWNER, TTL};
use super::{Arguments, Binding, Block, Command, Error, KeyUse, Kind, Request};
use crate::lock::Tolerance;

/// How it is called.
pub(super) const USAGE: &str = "LOCK.ACQUIRE key owner ttl-ms [BLOCK timeout-ms] [SESSION] \
                                [SHARED | LIMIT n] [DELAY ms]";

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
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        if is("BLOCK") && block.is_none() {
            block = Some(timeout(arguments)?);
        } else if is("SESSION") && binding == Binding::None {
            binding = Binding::Session;
        } else if is("SHARED") && tolerates.is_none() {
            tolerates = Some(Tolerance::ANY);
        } else if is("LIMIT") && tolerates.is_none() {
            tolerates = Some(arguments.limit()?);
        } else if is("DELAY") && delay.is_none() {
            delay = Some(arguments.delay()?);
        } else {
            return Err(misplaced(word, tolerates).unwrap_or(arguments.not_an_option(USAGE)));
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

/// What is wrong with an option that cannot stand where it does. `None`: it is none.
#[cold]
fn misplaced(word: &[u8], tolerates: Option<Tolerance>) -> Option<Error> {
    let mut options = ["BLOCK", "SESSION", "SHARED", "LIMIT", "DELAY"].into_iter();
    let option = options.find(|option| word.eq_ignore_ascii_case(option.as_bytes()))?;
    Some(match (option, tolerates) {
        ("SHARED", Some(limit)) if limit != Tolerance::ANY => {
            Error::OptionsTogether("LIMIT", "SHARED")
        }
        ("LIMIT", Some(Tolerance::ANY)) => Error::OptionsTogether("SHARED", "LIMIT"),
        _ => Error::OptionTwice(option),
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
