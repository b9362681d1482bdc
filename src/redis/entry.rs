//! The fence that no panic crosses, and the way that every command takes.
//!
//! A panic that reached C would abort the whole database. So every function
//! that the server calls runs its body inside [`fence`]: a panic is logged, the
//! client gets one error line, and the server goes on. The work of a command is
//! ordered so that what can fail comes first: read the words, open the key,
//! step, carry out, reply.

use super::api::{self, Context, Key, Level, Mode, Name, NotALock};
use super::flags::Flags;
use super::state::{self, Deployment, Role};
use super::{apply, blocked, clock, guard, keyspace};
use crate::commands::{
    self, help, info, Arguments, Binding, Block, Circumstances, Command, Kind, Reply, Request,
    COMMANDS,
};
use crate::error::Error;
use crate::lock::{BootTime, Patience, Place};
use redis_module::raw;
use std::ffi::{c_int, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs `body`; if it panics, `otherwise` is the result.
pub(super) fn fence<R>(otherwise: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Makes panics one line in the server's log. The hook takes no backtrace: on
/// servers that load modules with RTLD_DEEPBIND that alone would crash.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        api::log(Level::Warning, &format!("a bug in redislock: {panic}"));
    }));
}

/// More words than the longest call has.
const WORDS_MOST: usize = 16;

/// What the server calls for the command `COMMANDS[N]`.
pub(super) unsafe extern "C" fn command<const N: usize>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: the server passes the context of this call.
    let Some(ctx) = (unsafe { Context::from_raw(ctx) }) else {
        return api::ERR;
    };
    let count = usize::try_from(argc).unwrap_or_default();
    if COMMANDS[N].kind == Kind::Guard {
        // SAFETY: the server passes `argc` strings that live for this call.
        let words = unsafe { std::slice::from_raw_parts(argv, count) };
        guard::command(ctx, words);
        return api::OK;
    }
    let result = fence(Err(Error::Internal), || {
        let mut names = [None; WORDS_MOST];
        for (index, name) in names.iter_mut().enumerate().take(count) {
            // SAFETY: the server passes `argc` strings that live for this call.
            *name = Some(unsafe { Name::from_raw(*argv.add(index)) });
        }
        run(ctx, &COMMANDS[N], &names, count)
    });
    match result {
        Ok(Reply::Later(ticket)) => blocked::block(ctx, ticket),
        Ok(reply) => fence((), || ctx.reply(&reply)),
        Err(error) => reply_error(ctx, error),
    }
    api::OK
}

/// Replies with an error.
#[cold]
pub(super) fn reply_error(ctx: Context<'_>, error: Error) {
    fence((), || {
        let text = CString::new(error.to_string()).unwrap_or_default();
        ctx.reply_error(&text);
    });
}

fn run<'call>(
    ctx: Context<'call>,
    command: &'static Command,
    names: &[Option<Name<'call>>; WORDS_MOST],
    count: usize,
) -> Result<Reply, Error> {
    check_arity(command, count)?;
    // A call of more words is longer than any syntax.
    if count > WORDS_MOST {
        return Err(Error::Syntax);
    }
    let words = names.map(|name| name.map_or(&[][..], Name::bytes));
    let behind_key = match command.kind {
        Kind::KeylessEffect | Kind::Help => 1,
        Kind::Write | Kind::Read | Kind::Info | Kind::Guard | Kind::Effect => 2,
    };
    let ttl_most = state::with(|shell| shell.ttl_most);
    let mut arguments = Arguments::new(&words[behind_key..count], ttl_most);
    let request = (command.parse)(&mut arguments)?;
    check_sender(ctx, command.kind)?;
    match names[1] {
        _ if command.kind == Kind::Help => Ok(Reply::Lines(&help::LINES)),
        Some(name) if command.kind != Kind::KeylessEffect => {
            run_on_key(ctx, command.kind, name, request)
        }
        _ => run_without_key(ctx, request),
    }
}

fn check_arity(command: &'static Command, count: usize) -> Result<(), Error> {
    let words = usize::from(command.arity.unsigned_abs());
    let fits = if command.arity < 0 {
        count >= words
    } else {
        count == words
    };
    if fits {
        return Ok(());
    }
    Err(Error::Arity(command.name.to_str().unwrap_or_default()))
}

fn check_sender(ctx: Context<'_>, kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::Read | Kind::Info | Kind::Help => Ok(()),
        Kind::Write | Kind::Guard => match state::with(|shell| shell.role) {
            Role::Master => Ok(()),
            // Also where `replica-read-only no` lets writes through: a replica
            // has no tokens of its own.
            Role::Replica => Err(Error::ReadOnly),
        },
        Kind::Effect | Kind::KeylessEffect => {
            let flags = Flags::of_call(ctx);
            if flags.is_replicated() || flags.is_loading() {
                Ok(())
            } else {
                Err(Error::EffectFromClient)
            }
        }
    }
}

/// The key and what it holds, if that is a lock or nothing.
pub(super) fn place<'call>(
    ctx: Context<'_>,
    name: Name<'call>,
    key: &Key<'_>,
) -> Result<Place<'call>, Error> {
    match key.lock(keyspace::lock_type()) {
        Ok(lock) => Ok(Place {
            db: ctx.db(),
            key: name.bytes(),
            lock,
        }),
        Err(NotALock) => Err(Error::WrongType),
    }
}

fn run_on_key<'call>(
    ctx: Context<'call>,
    kind: Kind,
    name: Name<'call>,
    request: Request<'call>,
) -> Result<Reply, Error> {
    let mode = match kind {
        Kind::Read | Kind::Info => Mode::Read,
        _ => Mode::Write,
    };
    let key = ctx.open(name, mode);
    let at = place(ctx, name, &key)?;
    let now = clock::boot();
    if kind == Kind::Info {
        let info = state::with(|shell| shell.locks.info(now, at));
        return Ok(Reply::Parts(Box::new(info::shown(info))));
    }
    let circumstances = circumstances(ctx, now, &request)?;
    let (answer, mut effects) = state::with(|shell| {
        let is_grant = matches!(request, Request::Acquire { .. });
        if is_grant && shell.deployment == Deployment::Cluster && shell.locks.is_new_slot(at.key) {
            shell.locks.enter_slot(at.key, clock::wall());
        }
        // A slot that comes whole comes as effects, from another master.
        if kind == Kind::Effect
            && shell.role == Role::Master
            && shell.deployment == Deployment::Cluster
        {
            shell.locks.see_clock(clock::wall());
        }
        let mut effects = std::mem::take(&mut shell.effects);
        let event = request.into_event(at, &circumstances);
        let answer = event.map(|event| shell.step(now, event, &mut effects));
        (answer, effects)
    });
    let reply = answer.map_or(Err(Error::Internal), commands::reply);
    match kind {
        Kind::Read | Kind::Info | Kind::Guard | Kind::Help => {}
        Kind::Write => apply::to_open_key(ctx, &key, name, &mut effects),
        Kind::Effect | Kind::KeylessEffect => {
            apply::without_telling(ctx, &key, name, &mut effects);
            if reply.is_ok() {
                ctx.replicate_verbatim();
            }
        }
    }
    state::with(|shell| shell.effects = effects);
    reply
}

const NO_CIRCUMSTANCES: Circumstances = Circumstances {
    session: None,
    patience: Patience::Try,
    wall: clock::wall,
};

/// Whether and for how long the client can wait, and which connection it is.
fn circumstances(
    ctx: Context<'_>,
    now: BootTime,
    request: &Request<'_>,
) -> Result<Circumstances, Error> {
    let Request::Acquire { block, binding, .. } = *request else {
        return Ok(NO_CIRCUMSTANCES);
    };
    let mut circumstances = NO_CIRCUMSTANCES;
    if (block, binding) == (None, Binding::None) {
        return Ok(circumstances);
    }
    let flags = Flags::of_call(ctx);
    if binding == Binding::Session {
        if flags.is_script() {
            return Err(Error::SessionInScript);
        }
        circumstances.session = ctx.client();
    }
    // In MULTI, scripts and functions nobody can wait: it is a try.
    let can_wait = !flags.denies_blocking() && !flags.is_script() && !flags.is_transaction();
    if let (Some(block), true) = (block, can_wait) {
        circumstances.patience = Patience::Wait {
            until: match block {
                Block::Forever => None,
                Block::For(time) => Some(now.after(time)),
            },
            waiters_most: state::with(|shell| shell.waiters_most),
        };
    }
    Ok(circumstances)
}

fn run_without_key(ctx: Context<'_>, request: Request<'_>) -> Result<Reply, Error> {
    let nowhere = Place {
        db: 0,
        key: &[],
        lock: None,
    };
    let event = request
        .into_event(nowhere, &NO_CIRCUMSTANCES)
        .ok_or(Error::Internal)?;
    let answer = state::with(|shell| shell.locks.step(clock::boot(), event, &mut Vec::new()));
    let reply = commands::reply(answer);
    if reply.is_ok() {
        ctx.replicate_verbatim();
    }
    reply
}
