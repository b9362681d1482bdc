//! What some servers do not let a module do, and what the module does without it.
//! Found out while it loads, or when it is wanted; said once in the server's log. The
//! README lists it.

use super::api::{self, Context, Level};
use super::categories::{self, Categories};
use super::state::{self, Deployment};
use super::{blocked, cluster};
use std::sync::Once;

/// Whether the server hides internal commands from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Internals {
    /// It does.
    Hidden,
    /// It knows no such thing.
    Shown,
}

/// Says what this server lacks, a line for each.
pub(super) fn say(ctx: Context<'_>, internals: Internals) {
    if !blocked::knows_timeouts() {
        note("CLIENT UNBLOCK of a client that waits for a lock answers 0; CLIENT KILL works");
    }
    if internals == Internals::Shown {
        note("clients see the internal commands LOCK._*, and are refused");
    }
    match categories::known() {
        Categories::None => {
            note("no command of a module is in an ACL category: name LOCK.* one by one")
        }
        Categories::BuiltIn => note("there is no ACL category @redislock"),
        Categories::Own => {}
    }
    let is_cluster = state::with(|shell| shell.deployment) == Deployment::Cluster;
    if is_cluster && cluster::safety(ctx) == cluster::MapSafety::Unsafe {
        note("who waits for a lock in a slot that moves is told TRYAGAIN, not MOVED");
    }
}

/// Says that a client which asked to wait cannot: the first time, as clients could
/// fill the log with it.
pub(super) fn say_of_wait() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| note("a subscriber cannot wait for a lock: its BLOCK is a try"));
}

fn note(text: &str) {
    api::log(Level::Notice, &format!("with this server {text}"));
}
