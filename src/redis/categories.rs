//! ACL categories: `@redislock`, and the server's own that each command belongs to.
//!
//! Before 7.2 Redis puts no command of a module into any category, and a module can do
//! nothing about it. 7.2 lets it name the server's own; from 7.4 and Valkey 8 on it may
//! add one. `lacks` says in the log what this server lacks.

use super::api::{self, Context, Level, OK};
use crate::commands::{Command, Kind};
use redis_module::raw;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};

const NAME: &std::ffi::CStr = c"redislock";

/// Whether this server has the category `@redislock`: set once, before commands are made.
static IS_ADDED: AtomicBool = AtomicBool::new(false);

/// What a server lets a module say of its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Categories {
    /// Nothing.
    None,
    /// Which of the server's own they belong to.
    BuiltIn,
    /// That, and one of the module's own.
    Own,
}

/// What this server lets a module say.
pub(super) fn known() -> Categories {
    // SAFETY: the table of functions is written once, while the module loads.
    match unsafe { raw::RedisModule_SetCommandACLCategories } {
        None => Categories::None,
        Some(_) if IS_ADDED.load(Ordering::Relaxed) => Categories::Own,
        Some(_) => Categories::BuiltIn,
    }
}

/// Adds `@redislock`, if the server can. Without it everything else works.
pub(super) fn add(ctx: Context<'_>) {
    // SAFETY: as above.
    let Some(add) = (unsafe { raw::RedisModule_AddACLCategory }) else {
        return;
    };
    // SAFETY: the context is that of a loading module; the name is copied.
    let is_added = unsafe { add(ctx.as_ptr(), NAME.as_ptr()) } == OK;
    IS_ADDED.store(is_added, Ordering::Relaxed);
    if !is_added {
        let text = "the ACL category @redislock is taken, or there are too many: it is not added";
        api::log(Level::Warning, text);
    }
}

/// Puts a command into its categories, if the server can. Internal commands are not part
/// of `@redislock`: a user who may use locks has no use for them.
///
/// # Safety
/// The command was made by this module, which is loading.
pub(super) unsafe fn assign(made: *mut raw::RedisModuleCommand, command: &Command) -> bool {
    // SAFETY: as above.
    let Some(assign) = (unsafe { raw::RedisModule_SetCommandACLCategories }) else {
        return true;
    };
    let is_internal = matches!(command.kind, Kind::Effect | Kind::KeylessEffect);
    let mut names = command.categories.to_bytes().to_vec();
    if !is_internal && known() == Categories::Own {
        names.push(b' ');
        names.extend_from_slice(NAME.to_bytes());
    }
    let names = CString::new(names).unwrap_or_default();
    // SAFETY: the caller vouches for the command; the names are read at once.
    unsafe { assign(made, names.as_ptr()) == OK }
}
