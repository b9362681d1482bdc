//! The server's state and a call's, as `RM_GetContextFlags` gives them.

use super::api::{server, Context};
use redis_module::raw;

/// The server's state, as `RM_GetContextFlags` gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags(u32);

impl Flags {
    /// The flags without a client: everything but [`Flags::is_replicated`].
    pub(super) fn of_server() -> Self {
        // SAFETY: without a context the function leaves out what needs one.
        let flags = unsafe { server!(RedisModule_GetContextFlags)(std::ptr::null_mut()) };
        Self(flags as u32)
    }

    /// The flags of a running call.
    pub(super) fn of_call(ctx: Context<'_>) -> Self {
        // SAFETY: the context is alive.
        let flags = unsafe { server!(RedisModule_GetContextFlags)(ctx.as_ptr()) };
        Self(flags as u32)
    }

    /// A file is being loaded, from disk or from a master.
    pub(super) fn is_loading(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_LOADING != 0
    }

    /// The call came from a master. A master may have one too (slot import).
    pub(super) fn is_replicated(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_REPLICATED != 0
    }

    /// The server is a replica. May lie while roles change.
    pub(super) fn is_replica(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_SLAVE != 0
    }

    /// The server writes a log (AOF), or is about to.
    pub(super) fn has_log(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_AOF != 0
    }

    /// The call comes from a script or a function.
    pub(super) fn is_script(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_LUA != 0
    }

    /// The call comes from MULTI ... EXEC.
    pub(super) fn is_transaction(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_MULTI != 0
    }

    /// The caller cannot be blocked.
    pub(super) fn denies_blocking(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING != 0
            || self.is_replicated()
            || self.is_loading()
    }

    /// The server has no memory left for what needs more.
    pub(super) fn is_out_of_memory(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_OOM != 0
    }

    /// The server is part of a cluster.
    pub(super) fn is_cluster(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_CLUSTER != 0
    }
}
