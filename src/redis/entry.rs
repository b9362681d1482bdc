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
use super::{apply, blocked, clock, guard, keyspace, notify};
use crate::commands::{
    self, help, info, Arguments, Binding, Block, Circumstances, Command, Kind, Reply, Request,
    COMMANDS,
};
use crate::error::Error;
use crate::lock::{BootTime, Event, Patience, Place, Ttl};
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

/// The longest call has so many words behind the key at most.
const WORDS_MOST: usize = 10;
/// So many words stand behind the key if there are no options. To make room for few
/// costs less than the reading of them.
const WORDS_MOSTLY: usize = 2;

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
        // SAFETY: the server passes `argc` strings that live for this call.
        let names = unsafe { Name::all_from_raw(argv, count) };
        run(ctx, &COMMANDS[N], names)
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
    names: &[Name<'call>],
) -> Result<Reply, Error> {
    check_arity(command, names.len())?;
    let (key, behind_key) = match (command.kind, names) {
        (Kind::KeylessEffect | Kind::Help, [_, rest @ ..]) => (None, rest),
        (_, [_, key, rest @ ..]) => (Some(*key), rest),
        _ => return Err(Error::Syntax),
    };
    let (ttl_most, role) = state::with(|shell| (shell.ttl_most, shell.role));
    let request = match behind_key.len() {
        few if few <= WORDS_MOSTLY => parse::<WORDS_MOSTLY>(command, behind_key, ttl_most),
        many if many <= WORDS_MOST => parse::<WORDS_MOST>(command, behind_key, ttl_most),
        // Longer than any syntax.
        _ => Err(Error::Syntax),
    }?;
    check_sender(ctx, command.kind, role)?;
    match key {
        Some(name) => run_on_key(ctx, command.kind, name, request),
        None if command.kind == Kind::Help => Ok(Reply::Lines(&help::LINES)),
        None => run_without_key(ctx, request),
    }
}

/// Reads `names`, which are up to `MOST`.
fn parse<'call, const MOST: usize>(
    command: &'static Command,
    names: &[Name<'call>],
    ttl_most: Ttl,
) -> Result<Request<'call>, Error> {
    let mut words = [&[][..]; MOST];
    for (word, name) in words.iter_mut().zip(names) {
        *word = name.bytes();
    }
    (command.parse)(&mut Arguments::new(&words[..names.len()], ttl_most))
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

fn check_sender(ctx: Context<'_>, kind: Kind, role: Role) -> Result<(), Error> {
    match kind {
        Kind::Read | Kind::Info | Kind::Help => Ok(()),
        Kind::Write | Kind::Guard => match role {
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
    match kind {
        Kind::Read => look(now, request, at),
        Kind::Info => {
            let info = state::with(|shell| shell.locks.info(now, at));
            Ok(Reply::Parts(Box::new(info::shown(info))))
        }
        _ => change(ctx, now, kind, (&key, name), (request, at)),
    }
}

/// A question leaves everything as it is, but for what is late being noticed.
fn look(now: BootTime, request: Request<'_>, at: Place<'_>) -> Result<Reply, Error> {
    let event = request.into_event(at, &NO_CIRCUMSTANCES);
    let event = event.ok_or(Error::Internal)?;
    commands::reply(state::with(|shell| shell.step(now, event, &mut Vec::new())))
}

fn change<'call>(
    ctx: Context<'call>,
    now: BootTime,
    kind: Kind,
    (key, name): (&Key<'call>, Name<'call>),
    (request, at): (Request<'call>, Place<'call>),
) -> Result<Reply, Error> {
    let circumstances = circumstances(ctx, now, &request)?;
    let event = request
        .into_event(at, &circumstances)
        .ok_or(Error::Internal)?;
    let (answer, effects) = state::with(|shell| {
        if shell.deployment == Deployment::Cluster {
            let is_grant = matches!(event, Event::Acquire { .. });
            if is_grant && shell.locks.is_new_slot(at.key) {
                shell.locks.enter_slot(at.key, clock::wall());
            }
            // A slot that comes whole comes as effects, from another master.
            if kind == Kind::Effect && shell.role == Role::Master {
                shell.locks.see_clock(clock::wall());
            }
        }
        notify::listen(shell);
        let mut effects = std::mem::take(&mut shell.effects);
        let answer = shell.step(now, event, &mut effects);
        (answer, effects)
    });
    let reply = commands::reply(answer);
    if kind == Kind::Effect {
        apply::without_telling(ctx, key, name, effects);
        if reply.is_ok() {
            ctx.replicate_verbatim();
        }
    } else {
        apply::to_open_key(ctx, key, name, effects);
    }
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
