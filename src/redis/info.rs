//! What INFO says: the section `redislock`.
//!
//! Everything is counted as it happens; nothing is scanned. In a crash report it says
//! nothing, as the crash may have been in the middle of a step.

use super::api::{server, Context, OK};
use super::{clock, entry, state};
use crate::lock::Locks;
use redis_module::raw;
use std::ffi::{c_int, CStr};

/// Has the server ask when it is asked.
pub(super) fn register(ctx: Context<'_>) -> Result<(), &'static str> {
    // SAFETY: the callback has the signature that the server calls.
    let registered = unsafe { server!(RedisModule_RegisterInfoFunc)(ctx.as_ptr(), Some(info)) };
    match registered {
        OK => Ok(()),
        _ => Err("the server takes no section of INFO"),
    }
}

unsafe extern "C" fn info(ctx: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    if for_crash_report != 0 {
        return;
    }
    entry::fence((), || {
        let fields = state::with(|shell| fields(&shell.locks));
        // SAFETY: the server passes the context of this call. It refuses the section
        // if another one was asked for.
        unsafe {
            if server!(RedisModule_InfoAddSection)(ctx, std::ptr::null()) != OK {
                return;
            }
            for (name, value) in fields {
                server!(RedisModule_InfoAddFieldULongLong)(ctx, name.as_ptr(), value);
            }
        }
    });
}

/// The names, which the server puts `redislock_` in front of, and their order are a
/// promise.
fn fields(locks: &Locks) -> [(&'static CStr, u64); 25] {
    let (counts, waits) = (locks.journal().counts(), locks.journal().waits());
    let term_start = locks.tokens().term_start();
    [
        (c"locks", locks.len() as u64),
        (c"waiters", locks.waiting() as u64),
        (c"longest_line", u64::from(locks.longest_line())),
        (c"grants_at_once", counts.grants_at_once),
        (c"grants_after_wait", counts.grants_after_wait),
        (c"failed_tries", counts.failed_tries),
        (c"wait_timeouts", counts.wait_timeouts),
        (c"refused_waits", counts.refused_waits),
        (c"releases", counts.releases),
        (c"extends", counts.extends),
        (c"expired_leases", counts.expired_leases),
        (c"session_ends", counts.session_ends),
        (c"forced_breaks", counts.forced_breaks),
        (c"stale_guards", counts.stale_guards),
        (c"wait_us_sum", waits.sum()),
        (c"wait_us_p50", waits.per_mille(500)),
        (c"wait_us_p90", waits.per_mille(900)),
        (c"wait_us_p99", waits.per_mille(990)),
        (c"wait_us_p999", waits.per_mille(999)),
        (c"wait_us_max", waits.most()),
        (c"last_token", locks.tokens().last()),
        (c"ceiling", locks.tokens().ceiling()),
        (
            c"term_start_unix_ms",
            term_start.map_or(0, |start| start.as_unix_ms()),
        ),
        (c"longest_lease_ms", locks.tokens().ttl_most_ms()),
        (
            c"quarantine_left_ms",
            locks.quarantine_left_ms(clock::boot()),
        ),
    ]
}
