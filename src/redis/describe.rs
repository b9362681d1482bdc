//! What the server is told of each command: how many words it takes, what it does
//! to its key, and what COMMAND DOCS shows.

use super::api::{server, Context, OK};
use super::categories;
use crate::commands::syntax::{Argument, Presence, Shape};
use crate::commands::{Command, KeyUse};
use redis_module::raw;
use std::ffi::c_int;

/// Whether the second word of the command is a key.
pub(super) fn has_key(command: &Command) -> bool {
    command.key.is_some()
}

/// Tells the server how many words a command takes, what it does to its key,
/// and what COMMAND DOCS says.
pub(super) fn to_server(ctx: Context<'_>, command: &Command) -> Result<(), &'static str> {
    let version = raw::RedisModuleCommandInfoVersion {
        version: 1,
        sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
        sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
        sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
    };
    // SAFETY: all fields of these structures may be zero: the end of a list.
    let mut key_specs: [raw::RedisModuleCommandKeySpec; 2] = unsafe { std::mem::zeroed() };
    let key_use = command.key.map(spec_flags);
    let spec = &mut key_specs[0];
    spec.flags = u64::from(key_use.unwrap_or_default());
    spec.begin_search_type = raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX;
    spec.bs.index.pos = 1;
    spec.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE;
    spec.fk.range.keystep = 1;
    let key_specs = match key_use {
        None => std::ptr::null_mut(),
        Some(_) => key_specs.as_mut_ptr(),
    };
    let mut lists = ArgumentLists::default();
    let info = raw::RedisModuleCommandInfo {
        version: &version,
        summary: command.summary.as_ptr(),
        complexity: command.complexity.as_ptr(),
        since: c"0.1.0".as_ptr(),
        // Nothing has changed since: there is one version.
        history: std::ptr::null_mut(),
        tips: match command.tips.is_empty() {
            true => std::ptr::null(),
            false => command.tips.as_ptr(),
        },
        arity: c_int::from(command.arity),
        key_specs,
        args: lists.add(command.syntax),
    };
    // SAFETY: the command was just made; the server copies what it is told.
    unsafe {
        let made = server!(RedisModule_GetCommand)(ctx.as_ptr(), command.name.as_ptr());
        if !made.is_null()
            && server!(RedisModule_SetCommandInfo)(made, &info) == OK
            && categories::assign(made, command)
        {
            return Ok(());
        }
    }
    Err("the server does not take the description of a command")
}

/// The flags of a key, of which ACL makes what a user needs: ACCESS is to read; INSERT,
/// UPDATE and DELETE, of which there may be one, are to write.
fn spec_flags(key_use: KeyUse) -> u32 {
    use raw::*;
    match key_use {
        KeyUse::Looks => REDISMODULE_CMD_KEY_RO | REDISMODULE_CMD_KEY_ACCESS,
        // More keys may follow: the server is to ask which (`guard.rs`).
        KeyUse::LooksAtFirst => {
            REDISMODULE_CMD_KEY_RO | REDISMODULE_CMD_KEY_ACCESS | REDISMODULE_CMD_KEY_INCOMPLETE
        }
        KeyUse::Changes => {
            REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_ACCESS | REDISMODULE_CMD_KEY_UPDATE
        }
        KeyUse::Sets => REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_UPDATE,
        KeyUse::Removes => REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_DELETE,
    }
}

/// Lists of arguments as the server reads them, each with its end, kept until it has
/// read them.
#[derive(Default)]
struct ArgumentLists(Vec<Box<[raw::RedisModuleCommandArg]>>);

impl ArgumentLists {
    /// The first of a list; null for an empty one.
    fn add(&mut self, arguments: &[Argument]) -> *mut raw::RedisModuleCommandArg {
        if arguments.is_empty() {
            return std::ptr::null_mut();
        }
        let mut list: Vec<_> = arguments.iter().map(|one| self.argument(one)).collect();
        // SAFETY: all fields may be zero: the end of a list.
        list.push(unsafe { std::mem::zeroed() });
        self.0.push(list.into_boxed_slice());
        let list = self.0.last_mut();
        list.map_or(std::ptr::null_mut(), |list| list.as_mut_ptr())
    }

    fn argument(&mut self, argument: &Argument) -> raw::RedisModuleCommandArg {
        use raw::*;
        let (shape, choices): (_, &[Argument]) = match argument.shape {
            Shape::Key => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY, &[]),
            Shape::Text => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING, &[]),
            Shape::Integer => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER, &[]),
            Shape::Flag => (
                RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
                &[],
            ),
            Shape::OneOf(choices) => (
                RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF,
                choices,
            ),
        };
        let flags = match argument.presence {
            Presence::Required => REDISMODULE_CMD_ARG_NONE,
            Presence::Optional => REDISMODULE_CMD_ARG_OPTIONAL,
            Presence::Repeated => REDISMODULE_CMD_ARG_OPTIONAL | REDISMODULE_CMD_ARG_MULTIPLE,
        };
        // SAFETY: all fields may be zero; those that matter follow.
        let none: RedisModuleCommandArg = unsafe { std::mem::zeroed() };
        RedisModuleCommandArg {
            name: argument.name.as_ptr(),
            type_: shape,
            // The one key specification there is.
            key_spec_index: if matches!(argument.shape, Shape::Key) {
                0
            } else {
                -1
            },
            token: argument
                .token
                .map_or(std::ptr::null(), |token| token.as_ptr()),
            flags: flags as c_int,
            subargs: self.add(choices),
            display_text: argument
                .display
                .map_or(std::ptr::null(), |text| text.as_ptr()),
            ..none
        }
    }
}
