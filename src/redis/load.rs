//! What happens when the server loads the module.
//!
//! Everything is registered, or nothing is: a reason goes into the log and the
//! server refuses the module.

use super::alarm::Alarm;
use super::api::{self, server, Context, Level, Name, OK};
use super::call::CallReply;
use super::lacks::{self, Internals};
use super::{categories, clock, cluster, config, describe, entry, events, info, keyspace};
use super::{load_arguments, quarantine, server_commands, state};
use crate::commands::{Command, Kind, COMMANDS};
use redis_module::raw;
use std::ffi::{c_int, CStr, CString};

/// The module's version, as `MODULE LIST` shows it: 0.1.0 is 100.
const VERSION: c_int = 100;

/// The one function that the server looks for.
///
/// # Safety
/// Called by the server, with the context and the arguments of a loading module.
#[no_mangle]
pub unsafe extern "C" fn RedisModule_OnLoad(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // Until this is done there is no allocator.
    // SAFETY: the context is that of a loading module.
    let init = unsafe {
        raw::Export_RedisModule_Init(
            ctx,
            c"redislock".as_ptr(),
            VERSION,
            raw::REDISMODULE_APIVER_1 as c_int,
        )
    };
    if init != OK {
        return api::ERR;
    }
    if let Some(name) = api::missing_function() {
        // SAFETY: RM_Log is as old as modules.
        return unsafe { refuse_old_server(ctx, name) };
    }
    entry::log_panics();
    // SAFETY: as above.
    let Some(ctx) = (unsafe { Context::from_raw(ctx) }) else {
        return api::ERR;
    };
    let result = entry::fence(Err("a bug, see above".into()), || {
        // SAFETY: the server passes `argc` strings that live for this call.
        let words = unsafe { words(argv, argc) };
        register(ctx, &words)
    });
    match result {
        Ok(internals) => {
            announce(ctx, internals);
            OK
        }
        Err(reason) => {
            api::log(Level::Warning, &format!("cannot be loaded: {reason}"));
            api::ERR
        }
    }
}

/// # Safety
/// As [`RedisModule_OnLoad`]. Uses no allocator, as there may be none.
unsafe fn refuse_old_server(ctx: *mut raw::RedisModuleCtx, missing: &'static str) -> c_int {
    // SAFETY: the table of functions has been filled in.
    if let Some(log) = unsafe { raw::RedisModule_Log } {
        let length = missing.len() as c_int;
        // SAFETY: `%.*s` reads `length` bytes of a string that is there.
        unsafe {
            log(
                ctx,
                c"warning".as_ptr(),
                // With a context the server puts the module's name in front.
                c"cannot be loaded: it needs Redis 7.0 or Valkey 8.0 or newer; this server has \
                  no %.*s"
                    .as_ptr(),
                length,
                missing.as_ptr(),
            );
        }
    }
    api::ERR
}

/// # Safety
/// `argv` are `argc` strings of the server that live for this call.
unsafe fn words<'call>(argv: *mut *mut raw::RedisModuleString, argc: c_int) -> Vec<&'call [u8]> {
    let count = usize::try_from(argc).unwrap_or_default();
    if count == 0 {
        // Then there need not be a list.
        return Vec::new();
    }
    // SAFETY: as promised.
    let names = unsafe { Name::all_from_raw(argv, count) };
    names.iter().map(|name| name.bytes()).collect()
}

fn register(ctx: Context<'_>, words: &[&[u8]]) -> Result<Internals, String> {
    let defaults = load_arguments::read(words)?;
    clock::choose();
    let slot_moves = cluster::take_part_in_slot_moves(ctx);
    // SAFETY: the context is that of a loading module.
    unsafe {
        server!(RedisModule_SetModuleOptions)(
            ctx.as_ptr(),
            // A short or corrupt file is an error of ours, not the server's end;
            // and only a change of holders is a change for WATCH.
            (raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS
                | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED
                | slot_moves) as c_int,
        );
    }
    keyspace::register(ctx)?;
    let internals = register_commands(ctx)?;
    config::register(ctx, defaults)?;
    info::register(ctx)?;
    events::subscribe(ctx)?;
    server_commands::note(ctx)?;
    let alarm = Alarm::new()?;
    state::with(|shell| shell.alarm = Some(alarm));
    // With no file to load no event would follow, so the term opens here.
    events::note_role();
    quarantine::begin_at_load()?;
    Ok(internals)
}

/// A line that says it is there, one for each thing that this server lacks, and one
/// for a setting that drops locks.
fn announce(ctx: Context<'_>, internals: Internals) {
    entry::fence((), || {
        let version = env!("CARGO_PKG_VERSION");
        let clock = match clock::boot_clock() {
            libc::CLOCK_BOOTTIME => "CLOCK_BOOTTIME",
            _ => "CLOCK_MONOTONIC",
        };
        let text = format!("version {version}, leases run on {clock}");
        api::log(Level::Notice, &text);
        lacks::say(ctx, internals);
        let policy = CallReply::of(ctx, c"CONFIG", &[c"GET", c"maxmemory-policy"]);
        let drops_any_key = policy.is_some_and(|reply| {
            let value = reply.element(1);
            value.is_some_and(|value| value.bytes().is_some_and(|it| it.starts_with(b"allkeys")))
        });
        if drops_any_key {
            api::log(
                Level::Warning,
                "maxmemory-policy allkeys-* may evict locks that are held: use noeviction or \
                 volatile-*. Fencing tokens still rise.",
            );
        }
    });
}

type CommandFunction = unsafe extern "C" fn(
    *mut raw::RedisModuleCtx,
    *mut *mut raw::RedisModuleString,
    c_int,
) -> c_int;

const FUNCTIONS: [CommandFunction; COMMANDS.len()] = [
    entry::command::<0>,
    entry::command::<1>,
    entry::command::<2>,
    entry::command::<3>,
    entry::command::<4>,
    entry::command::<5>,
    entry::command::<6>,
    entry::command::<7>,
    entry::command::<8>,
    entry::command::<9>,
];

fn register_commands(ctx: Context<'_>) -> Result<Internals, &'static str> {
    categories::add(ctx);
    let mut internals = Internals::Hidden;
    for (command, function) in COMMANDS.iter().zip(FUNCTIONS) {
        let is_registered = match command.kind {
            Kind::Write | Kind::Read | Kind::Info | Kind::Guard | Kind::Help => {
                create(ctx, command, function, command.flags)
            }
            // Servers that know internal commands hide them from clients; the
            // others refuse the flag, and `entry` refuses the clients.
            Kind::Effect | Kind::KeylessEffect => {
                let flags = [command.flags.to_bytes(), b" internal"].concat();
                let flags = CString::new(flags).unwrap_or_default();
                create(ctx, command, function, &flags) || {
                    internals = Internals::Shown;
                    create(ctx, command, function, command.flags)
                }
            }
        };
        if !is_registered {
            return Err("one of its commands is taken");
        }
        describe::to_server(ctx, command)?;
    }
    Ok(internals)
}

fn create(ctx: Context<'_>, command: &Command, function: CommandFunction, flags: &CStr) -> bool {
    let key = c_int::from(describe::has_key(command));
    // SAFETY: the context is that of a loading module; the strings are copied.
    unsafe {
        server!(RedisModule_CreateCommand)(
            ctx.as_ptr(),
            command.name.as_ptr(),
            Some(function),
            flags.as_ptr(),
            key,
            key,
            key,
        ) == OK
    }
}
