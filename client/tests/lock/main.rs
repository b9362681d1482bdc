//! A lock on one server, a sentinel's master and a cluster, from a program's point of view:
//! all on real servers with the module.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../../../tests/support/mod.rs"]
mod support;

mod answers;
mod clustered;
mod example;
mod keeping;
mod losing;
mod proxy;
mod releasing;
mod waiting;
mod watched;

use redis::Client;
use redis_lock_client::{Lock, Servers};
use std::time::Duration;

/// A lease that a busy machine keeps alive, and for which a test can wait.
const TTL: Duration = Duration::from_secs(1);

/// The server at this port.
fn at(port: u16) -> Servers {
    let client = Client::open(format!("redis://127.0.0.1:{port}/"));
    Servers::single(client.expect("an address"))
}

/// For how long a test waits for a lock at most: it is to fail, and not to hang.
const WAIT: Duration = Duration::from_secs(60);

/// The lock of a seat there, with a short lease.
fn seat(port: u16) -> Lock {
    Lock::new(&at(port), "seat:42").ttl(TTL).wait(WAIT)
}

/// The token as the clients of the other tests have it.
fn number(token: redis_lock_client::Token) -> i64 {
    token.get_signed()
}
