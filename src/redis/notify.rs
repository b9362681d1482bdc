//! Keyspace events: `lock.acquire`, `lock.release`, `lock.extend`, `lock.expire` and
//! `lock.break`, of the class of modules (`notify-keyspace-events` with `d`).
//!
//! The rules keep a list of what happened while somebody listens; it is published when
//! the step that it came from has been carried out.

use super::api::{server, Context};
use super::state::{self, Shell};
use crate::lock::journal::{Listeners, What};
use redis_module::raw;
use std::ffi::CStr;

/// Asked in front of each step: the setting may have changed, and it is one number.
pub(super) fn listen(shell: &mut Shell) {
    // SAFETY: takes nothing, and reads a number.
    let wanted = unsafe { server!(RedisModule_GetNotifyKeyspaceEvents)() };
    let listeners = match wanted & raw::REDISMODULE_NOTIFY_MODULE {
        0 => Listeners::None,
        _ => Listeners::Some,
    };
    shell.locks.journal_mut().set_listeners(listeners);
}

/// Publishes the list, in its order.
#[cold]
pub(super) fn publish(ctx: Context<'_>) {
    let before = ctx.db();
    for happening in state::with(|shell| shell.locks.journal_mut().take_happenings()) {
        if !ctx.select_db(happening.db) {
            continue;
        }
        let name = ctx.name(&happening.key);
        // SAFETY: context, event and name are alive; the server copies what it keeps.
        unsafe {
            server!(RedisModule_NotifyKeyspaceEvent)(
                ctx.as_ptr(),
                raw::REDISMODULE_NOTIFY_MODULE,
                event(happening.what).as_ptr(),
                name.name().as_ptr(),
            );
        }
    }
    ctx.select_db(before);
}

fn event(what: What) -> &'static CStr {
    match what {
        What::Acquired => c"lock.acquire",
        What::Released => c"lock.release",
        What::Extended => c"lock.extend",
        What::Expired => c"lock.expire",
        What::Broken => c"lock.break",
    }
}
