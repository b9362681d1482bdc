//! LOCK.GUARD: another command, run only while a token is live.
//!
//! The token is looked at and the command is run in one go; nothing comes between
//! them. The command runs as the client's own user, as in a script, and only it is
//! replicated. Which keys it will touch is what the whole call says when the server
//! asks for its keys, so that ACL, cluster and COMMAND GETKEYS know them.

use super::api::{self, server, Context, Name};
use super::call::CallReply;
use super::state::{self, Role};
use super::{clock, entry, server_commands};
use crate::commands::guard::{is_ours, Verdict};
use crate::commands::Arguments;
use crate::error::Error;
use crate::lock::{Answer, Event, Token};
use redis_module::raw;
use std::ffi::{c_int, CString};

type Words<'call> = &'call [*mut raw::RedisModuleString];

/// Name, key and token stand in front of the guarded command.
const WORDS_BEFORE: usize = 3;

/// What the server calls. It may only want to know the keys.
pub(super) fn command(ctx: Context<'_>, words: Words<'_>) {
    // SAFETY: the context is alive.
    if unsafe { server!(RedisModule_IsKeysPositionRequest)(ctx.as_ptr()) } != 0 {
        return entry::fence((), || report_keys(ctx, words));
    }
    if let Err(error) = entry::fence(Err(Error::Internal), || run(ctx, words)) {
        entry::reply_error(ctx, error);
    }
}

fn run(ctx: Context<'_>, words: Words<'_>) -> Result<(), Error> {
    if words.len() <= WORDS_BEFORE {
        return Err(Error::Arity("lock.guard"));
    }
    let (before, inner) = words.split_at(WORDS_BEFORE);
    // SAFETY: the server passed these strings, which live for this call.
    let (key, token) = unsafe { (Name::from_raw(before[1]), Name::from_raw(before[2])) };
    let token = read_token(token.bytes())?;
    if state::with(|shell| shell.role) == Role::Replica {
        return Err(Error::ReadOnly);
    }
    check_command(ctx, key, inner)?;
    check_token(ctx, key, token)?;
    let reply = call(ctx, inner)?;
    reply.pass_on(ctx);
    Ok(())
}

fn read_token(word: &[u8]) -> Result<Token, Error> {
    let words = [word];
    let mut arguments = Arguments::new(&words, crate::lock::Ttl::MOST);
    arguments.token()
}

fn check_token(ctx: Context<'_>, name: Name<'_>, token: Token) -> Result<(), Error> {
    let open = ctx.open(name, api::Mode::Read);
    let event = Event::Fence {
        at: entry::place(ctx, name, &open)?,
        token: Some(token),
    };
    let answer = state::with(|shell| shell.step(clock::boot(), event, &mut Vec::new()));
    match answer {
        Answer::Yes => Ok(()),
        _ => {
            state::with(|shell| shell.locks.journal_mut().stale_guard());
            Err(Error::Stale(token))
        }
    }
}

/// Whether the command may be guarded by this lock. What the server itself will
/// refuse (an unknown command, too few words) is left to it.
fn check_command(ctx: Context<'_>, lock: Name<'_>, inner: Words<'_>) -> Result<(), Error> {
    // SAFETY: the server passed this string, which lives for this call.
    let name = unsafe { Name::from_raw(inner[0]) }.bytes();
    if is_ours(name) {
        return Err(Error::GuardOfOurs);
    }
    match verdict(ctx, inner) {
        None | Some(Verdict::Allowed | Verdict::Container) => {}
        Some(Verdict::Refused(error)) => return Err(error),
    }
    match Keys::of(ctx, inner) {
        Ok(keys) => {
            let mut named = keys.positions().filter_map(|position| inner.get(position));
            // SAFETY: as above.
            if named.any(|&name| unsafe { Name::from_raw(name) }.bytes() == lock.bytes()) {
                return Err(Error::GuardOfLock);
            }
            Ok(())
        }
        Err(NoKeys::Refused) => Ok(()),
        Err(NoKeys::None) => Err(Error::GuardWithoutKeys),
    }
}

/// What may be said of a command by its flags.
/// `None`: there is no such command.
fn verdict(ctx: Context<'_>, inner: Words<'_>) -> Option<Verdict> {
    let mut name = Vec::new();
    for (depth, &word) in inner.iter().take(2).enumerate() {
        if depth > 0 {
            name.push(b'|');
        }
        // SAFETY: the server passed this string, which lives for this call.
        name.extend(unsafe { Name::from_raw(word) }.bytes().to_ascii_lowercase());
        match verdict_by_name(ctx, &name)? {
            Verdict::Container => {}
            verdict => return Some(verdict),
        }
    }
    Some(Verdict::Container)
}

fn verdict_by_name(ctx: Context<'_>, name: &[u8]) -> Option<Verdict> {
    if let Some(known) = server_commands::verdict(name) {
        return Some(known);
    }
    // One of another module, that came later.
    let text = CString::new(name).ok()?;
    let reply = CallReply::of(ctx, c"COMMAND", &[c"INFO", &text])?;
    server_commands::verdict_of_entry(reply.element(0)?)
}

fn call(ctx: Context<'_>, inner: Words<'_>) -> Result<CallReply, Error> {
    // SAFETY: the server passed this string, which lives for this call.
    let name = unsafe { Name::from_raw(inner[0]) }.bytes();
    let name = CString::new(name).map_err(|_| Error::GuardOfUnknown)?;
    CallReply::of_words(ctx, &name, &inner[1..]).ok_or(Error::Internal)
}

/// Says which keys the whole call touches: the lock's, to look at it, and those of
/// the guarded command, as that uses them.
fn report_keys(ctx: Context<'_>, words: Words<'_>) {
    if words.len() <= WORDS_BEFORE {
        return;
    }
    let looks = raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS;
    key_at(ctx, 1, looks as c_int);
    let inner = &words[WORDS_BEFORE..];
    // SAFETY: the server passed this string, which lives for this call.
    if is_ours(unsafe { Name::from_raw(inner[0]) }.bytes()) {
        // Refused in any case. To ask for the keys of guards in guards would take
        // as deep a stack as a client likes.
        return;
    }
    let Ok(keys) = Keys::of(ctx, inner) else {
        return;
    };
    // SAFETY: as above.
    let words = inner
        .iter()
        .map(|&word| unsafe { Name::from_raw(word) }.bytes());
    let words: Vec<&[u8]> = words.collect();
    for (position, flags) in keys.positions().zip(keys.flags()) {
        let flags = match flags {
            0 => server_commands::key_flags(&words, position).unwrap_or(EVERYTHING),
            flags => flags,
        };
        key_at(ctx, position + WORDS_BEFORE, flags);
    }
}

/// What a command may do with a key, if nothing is known of it.
const EVERYTHING: c_int = (raw::REDISMODULE_CMD_KEY_RW
    | raw::REDISMODULE_CMD_KEY_ACCESS
    | raw::REDISMODULE_CMD_KEY_UPDATE) as c_int;

fn key_at(ctx: Context<'_>, position: usize, flags: c_int) {
    let position = c_int::try_from(position).unwrap_or_default();
    // SAFETY: the context is that of a question for keys.
    unsafe { server!(RedisModule_KeyAtPosWithFlags)(ctx.as_ptr(), position, flags) };
}

/// Where the keys of a command are, and what it does with them.
struct Keys {
    positions: *mut c_int,
    flags: *mut c_int,
    count: usize,
}

/// Why there are none.
enum NoKeys {
    /// The command has none.
    None,
    /// The server will refuse the command.
    Refused,
}

impl Keys {
    fn of(ctx: Context<'_>, inner: Words<'_>) -> Result<Self, NoKeys> {
        let words = c_int::try_from(inner.len()).map_err(|_| NoKeys::Refused)?;
        let mut count = 0;
        let mut flags = std::ptr::null_mut();
        // SAFETY: the words are strings of the server that live for this call; it
        // only reads them.
        let positions = unsafe {
            server!(RedisModule_GetCommandKeysWithFlags)(
                ctx.as_ptr(),
                inner.as_ptr().cast_mut(),
                words,
                &mut count,
                &mut flags,
            )
        };
        if positions.is_null() {
            return Err(match std::io::Error::last_os_error().raw_os_error() {
                Some(libc::ENOENT | libc::EINVAL) => NoKeys::Refused,
                _ => NoKeys::None,
            });
        }
        Ok(Self {
            positions,
            flags,
            count: usize::try_from(count).unwrap_or_default(),
        })
    }

    fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.numbers(self.positions)
            .iter()
            .map(|&position| usize::try_from(position).unwrap_or_default())
    }

    /// What is done with each; 0: the server does not say.
    fn flags(&self) -> impl Iterator<Item = c_int> + '_ {
        self.numbers(self.flags).iter().copied()
    }

    fn numbers(&self, list: *const c_int) -> &[c_int] {
        if list.is_null() {
            return &[];
        }
        // SAFETY: the server made both lists with so many numbers, and they are ours
        // as long as this is there.
        unsafe { std::slice::from_raw_parts(list, self.count) }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        for list in [self.positions, self.flags] {
            if !list.is_null() {
                // SAFETY: the server made it for us; freed once.
                unsafe { server!(RedisModule_Free)(list.cast()) };
            }
        }
    }
}
