//! `LOCK.ACQUIRE key owner ttl-ms`

use super::{Arguments, Command, Error, Kind, Request};

pub(super) const COMMAND: Command = Command {
    name: c"lock.acquire",
    flags: c"write deny-oom fast",
    arity: -4,
    kind: Kind::Write,
    summary: c"Acquires a lock for a time. Returns its fencing token, or nil if it is held.",
    complexity: c"O(log N) where N is the number of leases held on the server",
    parse,
};

fn parse<'a>(arguments: &mut Arguments<'a>) -> Result<Request<'a>, Error> {
    let request = Request::Acquire {
        owner: arguments.owner()?,
        ttl: arguments.ttl()?,
    };
    arguments.end()?;
    Ok(request)
}
