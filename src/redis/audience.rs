//! Whether anybody hears what is replicated.
//!
//! A server without a log, without replicas and without save points that count
//! changes has nobody to tell, and to build messages for nobody is half the cost
//! of a grant. That nobody listens is looked up with cron; that somebody may is
//! noted at once, in the only ways in which an audience comes:
//!
//! - A replica or a log that starts now starts with a copy of the data, which a
//!   forked child makes: what happened before the fork is in it, what happens
//!   after is to be told, and the server tells modules of forks.
//! - A replica that goes on where it was needs the server's backlog. That is there
//!   before the replica, since the last one, since the server was a replica itself,
//!   or since it loaded its file.
//!
//! In a cluster somebody always listens: slots may be on their way elsewhere.

use super::api::Context;
use super::call::CallReply;
use super::flags::Flags;
use std::sync::atomic::{AtomicBool, Ordering};

static IS_THERE: AtomicBool = AtomicBool::new(true);

/// Whether somebody may listen.
pub(super) fn is_there() -> bool {
    IS_THERE.load(Ordering::Relaxed)
}

/// Somebody may listen from now on.
pub(super) fn comes() {
    IS_THERE.store(true, Ordering::Relaxed);
}

/// With each cron.
pub(super) fn look(ctx: Context<'_>) {
    let flags = Flags::of_server();
    let is_there = flags.is_cluster()
        || flags.has_log()
        || flags.is_replica()
        || flags.is_loading()
        || has_backlog(ctx)
        || has_save_points(ctx);
    IS_THERE.store(is_there, Ordering::Relaxed);
}

/// Also as long as any replica is there, in whatever state.
fn has_backlog(ctx: Context<'_>) -> bool {
    let active = ctx.about_server(c"replication", c"repl_backlog_active");
    active.as_deref() != Some("0")
}

/// Save points count the changes since the last file.
fn has_save_points(ctx: Context<'_>) -> bool {
    let reply = CallReply::of(ctx, c"CONFIG", &[c"GET", c"save"]);
    let points = reply.as_ref().and_then(|pair| pair.element(1)?.bytes());
    points.is_none_or(|points| !points.is_empty())
}
