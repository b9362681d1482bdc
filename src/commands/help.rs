//! `LOCK.HELP`

use super::{Arguments, Command, Error, Kind, Request};

pub(super) const COMMAND: Command = Command {
    name: c"lock.help",
    flags: c"fast allow-loading allow-stale",
    arity: 1,
    kind: Kind::Help,
    key: None,
    categories: c"fast",
    tips: c"",
    summary: c"Returns helpful text about the commands.",
    complexity: c"O(1)",
    syntax: &[],
    parse,
};

fn parse<'a>(arguments: &mut Arguments<'_, 'a>) -> Result<Request<'a>, Error> {
    arguments.end()?;
    Ok(Request::Help)
}

/// One line each; a line that is indented explains the one above it.
pub const LINES: [&str; 32] = [
    super::acquire::USAGE,
    "    Acquires the lock for ttl-ms: its fencing token, or nil if it is held.",
    "    BLOCK waits in line (0: without limit). SESSION ends the hold with the connection.",
    "    SHARED: together with other readers. LIMIT n: together with n - 1 others.",
    "    DELAY: if the lease runs out, nobody else is granted for so long.",
    "LOCK.EXTEND key owner ttl-ms [TOKEN token]",
    "    Moves the end of the lease to ttl-ms from now, if that is later: 1, or 0: not held.",
    "LOCK.EXTEND key owner ttl-ms RAISE token",
    "    The same, and makes the token at least this: the token now, or nil: not held.",
    super::release::USAGE,
    "    Releases the lock, or leaves the line: 1, or 0: not held.",
    "LOCK.FENCE key",
    "    The lowest live token, or nil: nobody holds the lock.",
    "LOCK.FENCE key token",
    "    1: the token is live. 0: it is not.",
    "LOCK.GUARD key token command [arg ...]",
    "    Runs the command if the token is live, else an error: STALE.",
    "LOCK.INFO key",
    "    Who holds the lock, and who waits for it.",
    "LOCK.HELP",
    "    Prints this help.",
    "owner: 1 to 512 bytes, a name for one unit of work, best a fresh random id.",
    "token: rises with every grant of a key. Send it along with what you write; who sees a",
    "    larger one before refuses it.",
    "What to do about a lock that is stuck:",
    "    SCAN 0 TYPE redislock COUNT 1000: which locks are held.",
    "    LOCK.INFO key: who holds it and who waits. The session of a holder is the id of its",
    "    connection in CLIENT LIST.",
    "    LOCK.RELEASE key owner: ends one hold, or takes one owner out of line.",
    "    CLIENT KILL ID id: ends the holds of a session, and the wait of a client.",
    "    DEL key: ends every hold. The next in line is granted; holders learn it when they",
    "    extend, fence or guard.",
];
