//! What the server tells the module, and what is made of it.
//!
//! A callback here ends holds that the server took away, opens terms, and leaves
//! the rest to `turn`. None changes a key or sends anything.

use super::api::{server, Context, Mode, Name, OK};
use super::flags::Flags;
use super::keyspace::Loading;
use super::state::{self, Attention, Deployment, Role, Suspect};
use super::{audience, blocked, clock, cluster, entry, keyspace, notify, quarantine, turn};
use crate::lock::{ClientId, Event, LockId};
use redis_module::raw;
use std::ffi::{c_char, c_int, c_void, CStr};

/// Subscribes to everything that matters to locks.
pub(super) fn subscribe(ctx: Context<'_>) -> Result<(), &'static str> {
    type Callback =
        unsafe extern "C" fn(*mut raw::RedisModuleCtx, raw::RedisModuleEvent, u64, *mut c_void);
    let wanted: [(u64, Callback); 11] = [
        (
            raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED,
            role_changed,
        ),
        (raw::REDISMODULE_EVENT_LOADING, loading),
        (raw::REDISMODULE_EVENT_FLUSHDB, flushed),
        (raw::REDISMODULE_EVENT_SWAPDB, swapped),
        (raw::REDISMODULE_EVENT_FORK_CHILD, forked),
        (raw::REDISMODULE_EVENT_CLIENT_CHANGE, client_changed),
        (raw::REDISMODULE_EVENT_CRON_LOOP, cron),
        (raw::REDISMODULE_EVENT_EVENTLOOP, event_loop),
        (raw::REDISMODULE_EVENT_PERSISTENCE, quarantine::persistence),
        (raw::REDISMODULE_EVENT_CONFIG, quarantine::config_changed),
        (raw::REDISMODULE_EVENT_SHUTDOWN, quarantine::shutdown),
    ];
    for (id, callback) in wanted {
        let event = raw::RedisModuleEvent { id, dataver: 1 };
        // SAFETY: the callback has the signature that the server calls.
        let subscribed = unsafe {
            server!(RedisModule_SubscribeToServerEvent)(ctx.as_ptr(), event, Some(callback))
        };
        if subscribed != OK {
            return Err("the server does not tell modules what redislock must know");
        }
    }
    // SAFETY: as above.
    let subscribed = unsafe {
        server!(RedisModule_SubscribeToKeyspaceEvents)(
            ctx.as_ptr(),
            raw::REDISMODULE_NOTIFY_GENERIC,
            Some(key_arrived),
        )
    };
    if subscribed == OK {
        Ok(())
    } else {
        Err("the server does not tell modules of renamed keys")
    }
}

/// This server becomes a source of tokens.
pub(super) fn open_term() {
    let event = Event::OpenTerm(clock::wall());
    happened(event);
}

fn happened(event: Event<'_>) {
    state::with(|shell| {
        notify::listen(shell);
        shell.locks.step(clock::boot(), event, &mut Vec::new());
        shell.attention = Attention::Wanted;
    });
}

unsafe extern "C" fn role_changed(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    _data: *mut c_void,
) {
    entry::fence((), || {
        audience::comes();
        let is_master = what == raw::REDISMODULE_EVENT_REPLROLECHANGED_NOW_MASTER;
        if is_master {
            state::with(|shell| shell.role = Role::Master);
            open_term();
            quarantine::promoted();
        } else {
            state::with(|shell| {
                shell.role = Role::Replica;
                shell
                    .locks
                    .step(clock::boot(), Event::Demoted, &mut Vec::new());
            });
            quarantine::demoted();
        }
    });
}

unsafe extern "C" fn loading(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    _data: *mut c_void,
) {
    entry::fence((), || {
        audience::comes();
        let is_over = what == raw::REDISMODULE_SUBEVENT_LOADING_ENDED
            || what == raw::REDISMODULE_SUBEVENT_LOADING_FAILED;
        keyspace::note_loading(if is_over { Loading::No } else { Loading::Yes });
        state::with(|shell| shell.locks.loading_began());
        if is_over && state::with(|shell| shell.role) == Role::Master {
            open_term();
        }
        quarantine::loading(what);
    });
}

unsafe extern "C" fn flushed(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    data: *mut c_void,
) {
    if what != raw::REDISMODULE_SUBEVENT_FLUSHDB_START || data.is_null() {
        return;
    }
    // SAFETY: with this event the server passes this structure.
    let number = unsafe { (*data.cast::<raw::RedisModuleFlushInfo>()).dbnum };
    entry::fence((), || {
        // Minus one means all.
        let db = u32::try_from(number).ok();
        happened(Event::Flushed { db });
    });
}

unsafe extern "C" fn swapped(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _what: u64,
    data: *mut c_void,
) {
    if data.is_null() {
        return;
    }
    // SAFETY: with this event the server passes this structure.
    let (one, other) = unsafe {
        let info = &*data.cast::<raw::RedisModuleSwapDbInfo>();
        (info.dbnum_first, info.dbnum_second)
    };
    entry::fence((), || {
        let (Ok(one), Ok(other)) = (u32::try_from(one), u32::try_from(other)) else {
            return;
        };
        // The server tells of a database swapped with itself, too.
        if one == other {
            return;
        }
        happened(Event::Swapped { dbs: [one, other] });
        // Keys that were suspected of holding dead handles went along.
        state::with(|shell| {
            for suspect in &mut shell.suspects {
                suspect.db = None;
            }
        });
    });
}

/// A child was forked, perhaps to rewrite the log. What the log begins with
/// from here on does not say how far tokens may go, if it is no RDB file. A log
/// that is being switched on counts as on.
unsafe extern "C" fn forked(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    _data: *mut c_void,
) {
    entry::fence((), || {
        let is_born = what == raw::REDISMODULE_SUBEVENT_FORK_CHILD_BORN;
        audience::comes();
        if is_born && Flags::of_server().has_log() {
            happened(Event::LogBegun);
        }
    });
}

/// A connection went. Called for each that comes and goes, so it looks first.
unsafe extern "C" fn client_changed(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    data: *mut c_void,
) {
    if what != raw::REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED || data.is_null() {
        return;
    }
    // SAFETY: with this event the server passes this structure.
    let number = unsafe { (*data.cast::<raw::RedisModuleClientInfo>()).id };
    entry::fence((), || {
        let Some(client) = ClientId::new(number) else {
            return;
        };
        blocked::connection_went(client);
        if state::with(|shell| shell.locks.has_sessions()) {
            happened(Event::SessionEnded(client));
        }
    });
}

unsafe extern "C" fn cron(
    ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _what: u64,
    _data: *mut c_void,
) {
    entry::fence((), || {
        turn::try_again();
        // SAFETY: the server passes the context of this call.
        let ctx = unsafe { Context::from_raw(ctx) };
        let Some(ctx) = ctx else { return };
        audience::look(ctx);
        quarantine::cron(ctx);
        match state::with(|shell| shell.deployment) {
            Deployment::Cluster => cluster::cron(ctx),
            Deployment::Alone => blocked::send_left_behind(),
        }
    });
}

unsafe extern "C" fn event_loop(
    ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    _data: *mut c_void,
) {
    if what != raw::REDISMODULE_SUBEVENT_EVENTLOOP_BEFORE_SLEEP {
        return entry::fence((), blocked::settle);
    }
    entry::fence((), || {
        // SAFETY: the server passes the context of this call.
        if let Some(ctx) = unsafe { Context::from_raw(ctx) } {
            quarantine::judge(ctx);
            turn::turn(ctx);
        }
    });
}

/// A key arrived: under a new name, in a new database, or by RESTORE. If it is a
/// lock, it is over: it ended when it left its old place, or it is an old state
/// that came back.
unsafe extern "C" fn key_arrived(
    ctx: *mut raw::RedisModuleCtx,
    _kind: c_int,
    event: *const c_char,
    key: *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes a string with a NUL at its end.
    let event = unsafe { CStr::from_ptr(event) };
    let (is_restored, is_moved) = (event == c"restore", event == c"move_to");
    if event == c"move_from" {
        return entry::fence(OK, || note_departure(ctx));
    }
    if event != c"rename_to" && !is_moved && !is_restored {
        return OK;
    }
    entry::fence(OK, || {
        // SAFETY: the server passes context and name of this call.
        let (ctx, name) = unsafe { (Context::from_raw(ctx), Name::from_raw(key)) };
        let Some(ctx) = ctx else { return OK };
        // Valkey 9 names the wrong database for a MOVE in MULTI: any may be it.
        if is_moved {
            suspect(None, name);
            return_to_departure(ctx);
            return OK;
        }
        // In a cluster RESTORE is how locks move between servers. Elsewhere it
        // revives nothing, also where it stands in a log that is being loaded:
        // there the value came in like one of a file.
        if is_restored && state::with(|shell| shell.deployment) == Deployment::Cluster {
            return OK;
        }
        let found = ctx.open(name, Mode::Read).lock(keyspace::lock_type());
        if let Ok(Some(lock)) = found {
            note_arrival(ctx.db(), name, lock);
        }
        OK
    })
}

/// A key is moved out of the database of this call.
fn note_departure(ctx: *mut raw::RedisModuleCtx) -> c_int {
    // SAFETY: the server passes the context of this call.
    if let Some(ctx) = unsafe { Context::from_raw(ctx) } {
        let from = ctx.db();
        state::with(|shell| shell.moves_from = Some(from));
    }
    OK
}

/// From 8.1.1 on (its change 1819, mended with 4024) Valkey tells modules of a move
/// with the client that moves, selects the key's new database for it and leaves it
/// there: its next command, and the MOVE in the log, would be in the wrong one.
/// Elsewhere the context is that of this call alone, and nobody sees the difference.
fn return_to_departure(ctx: Context<'_>) {
    if let Some(from) = state::with(|shell| shell.moves_from.take()) {
        ctx.select_db(from);
    }
}

fn note_arrival(db: u32, name: Name<'_>, lock: LockId) {
    let event = Event::Unlinked { lock };
    state::with(|shell| {
        notify::listen(shell);
        shell.step(clock::boot(), event, &mut Vec::new());
    });
    suspect(Some(db), name);
}

/// The key may hold a dead handle: `turn` looks.
fn suspect(db: Option<u32>, name: Name<'_>) {
    state::with(|shell| {
        shell.attention = Attention::Wanted;
        shell.suspects.push_back(Suspect {
            db,
            key: name.bytes().to_vec(),
        });
    });
}

/// What the server is at load, before any event.
pub(super) fn note_role() {
    let flags = Flags::of_server();
    state::with(|shell| {
        if flags.is_replica() {
            shell.role = Role::Replica;
        }
        if flags.is_cluster() {
            shell.deployment = Deployment::Cluster;
        }
    });
    if !flags.is_replica() {
        open_term();
    }
}
