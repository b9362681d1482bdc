//! Clients that wait: blocked, told, and gone.
//!
//! The rules know a waiting connection by its ticket, the server by a handle.
//! This file owns the pairs. A client's way is *waiting*, *told* (the server has
//! been given a [`Letter`] for it), *answered* (the reply is in its buffer); and
//! in each of these it can vanish:
//!
//! - while it waits, the disconnect callback says so (also for CLIENT KILL, CLIENT
//!   UNBLOCK ERROR and a server that becomes a replica), or the timeout callback
//!   (CLIENT UNBLOCK TIMEOUT);
//! - when it was told but not yet answered, nothing says so for certain but that
//!   its letter is freed unread. A grant in an unread letter is given back;
//! - a server that becomes a replica leaves some where they are (from Valkey 9 on:
//!   all in cluster mode, else those that announced CLIENT CAPA redirect). They
//!   are sent away from here, in a cluster after the slot of their key;
//! - a connection that is marked to be closed reads its letter, too, and the reply
//!   goes nowhere. It is freed before the loop sleeps, so a connection counts as
//!   answered only after that: a grant of one that goes before is given back.
//!
//! Each handle is given back to the server exactly once, by telling or by `turn`.

use super::api::{server, Context};
use super::cluster::Redirection;
use super::state::{self, Attention, Role};
use super::{clock, entry, lacks};
use crate::commands;
use crate::lock::slots::Slot;
use crate::lock::{ClientId, Event, News, TicketId};
use redis_module::raw;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::rc::Rc;

/// The server's side of a waiting connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Handle(*mut raw::RedisModuleBlockedClient);

/// Who waits, by ticket and by handle.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_ticket: HashMap<TicketId, Handle>,
    by_handle: HashMap<Handle, TicketId>,
    /// Handles of connections that went, to be given back to the server.
    finished: Vec<Handle>,
    /// Connections that read of their grant in this turn of the loop.
    granted: Vec<(ClientId, TicketId)>,
}

impl Waiters {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    /// The client of this handle waits no more.
    fn take(&mut self, handle: Handle) -> Option<TicketId> {
        let ticket = self.by_handle.remove(&handle)?;
        self.by_ticket.remove(&ticket);
        Some(ticket)
    }

    fn take_ticket(&mut self, ticket: TicketId) -> Option<Handle> {
        let handle = self.by_ticket.remove(&ticket)?;
        self.by_handle.remove(&handle);
        if self.by_handle.is_empty() {
            // A crowd leaves no empty tables behind.
            *self = Self {
                finished: std::mem::take(&mut self.finished),
                granted: std::mem::take(&mut self.granted),
                ..Self::default()
            };
        }
        Some(handle)
    }
}

/// What a client is told, on its way.
struct Letter {
    ticket: TicketId,
    news: News,
    /// Where to ask instead, if the news are that the slot moved.
    redirection: Option<Rc<Redirection>>,
    state: LetterState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LetterState {
    Unread,
    Read,
}

/// Blocks the client of this call until its ticket is told.
pub(super) fn block(ctx: Context<'_>, ticket: TicketId) {
    let on_timeout: raw::RedisModuleCmdFunc = match knows_timeouts() {
        true => Some(timed_out),
        false => None,
    };
    // A timeout of zero: the wait has a deadline of its own, on the boot clock.
    // SAFETY: the context is that of a running command; the callbacks have the
    // signatures that the server calls.
    let handle = unsafe {
        server!(RedisModule_BlockClient)(ctx.as_ptr(), Some(reply), on_timeout, Some(free), 0)
    };
    if handle.is_null() {
        // The server does not block this kind of client: it was a try.
        gone(ticket);
        lacks::say_of_wait();
        return ctx.reply_null();
    }
    // SAFETY: the handle was just made.
    unsafe { server!(RedisModule_SetDisconnectCallback)(handle, Some(disconnected)) };
    let handle = Handle(handle);
    state::with(|shell| {
        shell.waiters.by_ticket.insert(ticket, handle);
        shell.waiters.by_handle.insert(handle, ticket);
    });
}

/// Whether the server can end a wait without leaving the client unanswered or
/// crashing: from Redis 7.4 and Valkey 8 on, which brought this function along.
/// Elsewhere CLIENT UNBLOCK of a waiter answers 0.
pub(super) fn knows_timeouts() -> bool {
    // SAFETY: the table of functions is written once, while the module loads.
    unsafe { raw::RedisModule_AddACLCategory }.is_some()
}

/// Tells a client that waits; the reply goes out in this turn of the loop.
pub(super) fn tell(ticket: TicketId, news: News) {
    send(ticket, news, None);
}

/// Tells a client that waits that its key is in a slot that moved, and where to.
pub(super) fn redirect(ticket: TicketId, slot: Slot, to: Option<Rc<Redirection>>) {
    send(ticket, News::Moved(slot), to);
}

/// With each cron, if this is a replica: nobody is granted here, so whoever still
/// waits is told what the server tells others when it becomes one.
pub(super) fn send_left_behind() {
    let left = state::with(|shell| match shell.role {
        Role::Master => Vec::new(),
        Role::Replica => shell.waiters.by_ticket.keys().copied().collect(),
    });
    for ticket in left {
        gone(ticket);
        send(ticket, News::Demoted, None);
    }
}

fn send(ticket: TicketId, news: News, redirection: Option<Rc<Redirection>>) {
    let Some(handle) = state::with(|shell| shell.waiters.take_ticket(ticket)) else {
        return;
    };
    let letter = Box::new(Letter {
        ticket,
        news,
        redirection,
        state: LetterState::Unread,
    });
    // SAFETY: the handle has not been given back; `free` takes the letter.
    unsafe { server!(RedisModule_UnblockClient)(handle.0, Box::into_raw(letter).cast::<c_void>()) };
}

/// Gives the handles of connections that went back to the server.
pub(super) fn give_back_finished() {
    for handle in state::with(|shell| std::mem::take(&mut shell.waiters.finished)) {
        // SAFETY: the handle has not been given back, and has no letter.
        unsafe { server!(RedisModule_UnblockClient)(handle.0, std::ptr::null_mut()) };
    }
}

fn gone(ticket: TicketId) {
    happened(Event::TicketGone(ticket));
}

fn happened(event: Event<'_>) {
    state::with(|shell| {
        shell.locks.step(clock::boot(), event, &mut Vec::new());
        shell.attention = Attention::Wanted;
    });
}

/// A turn of the loop is over: who was answered in it and is still there has its
/// grant.
pub(super) fn settle() {
    state::with(|shell| {
        let now = match shell.waiters.granted.is_empty() {
            true => return,
            false => clock::boot(),
        };
        for (_, ticket) in std::mem::take(&mut shell.waiters.granted) {
            let event = Event::TicketDelivered(ticket);
            shell.locks.step(now, event, &mut Vec::new());
        }
    });
}

/// A connection went, perhaps in the turn in which it was answered.
pub(super) fn connection_went(client: ClientId) {
    let lost = state::with(|shell| {
        let granted = &mut shell.waiters.granted;
        let at = granted.iter().position(|&(other, _)| other == client)?;
        Some(granted.swap_remove(at).1)
    });
    if let Some(ticket) = lost {
        gone(ticket);
    }
}

/// The client of this handle waits no more, and was not told.
fn finish(handle: Handle) {
    let ticket = state::with(|shell| {
        let ticket = shell.waiters.take(handle)?;
        shell.waiters.finished.push(handle);
        Some(ticket)
    });
    if let Some(ticket) = ticket {
        gone(ticket);
    }
}

/// The client is there, and reads its letter.
unsafe extern "C" fn reply(
    ctx: *mut raw::RedisModuleCtx,
    _argv: *mut *mut raw::RedisModuleString,
    _argc: c_int,
) -> c_int {
    entry::fence((), || {
        // SAFETY: the server passes the context of this call, and with it the
        // letter that `tell` gave it, which is ours until `free`.
        let (ctx, letter) = unsafe {
            let letter = server!(RedisModule_GetBlockedClientPrivateData)(ctx);
            (Context::from_raw(ctx), letter.cast::<Letter>().as_mut())
        };
        let (Some(ctx), Some(letter)) = (ctx, letter) else {
            return;
        };
        let redirection = letter.redirection.as_deref();
        match commands::reply_to_waiter(letter.news) {
            Err(_) if redirection.is_some_and(|to| to.suits(ctx)) => {
                ctx.reply_error(redirection.map_or(c"", Redirection::text));
            }
            Ok(reply) => ctx.reply(&reply),
            Err(error) => entry::reply_error(ctx, error),
        }
        letter.state = LetterState::Read;
        if let (News::Granted(_), Some(client)) = (letter.news, ctx.client()) {
            let granted = (client, letter.ticket);
            state::with(|shell| shell.waiters.granted.push(granted));
        }
    });
    super::api::OK
}

/// CLIENT UNBLOCK, on servers that can.
unsafe extern "C" fn timed_out(
    ctx: *mut raw::RedisModuleCtx,
    _argv: *mut *mut raw::RedisModuleString,
    _argc: c_int,
) -> c_int {
    entry::fence((), || {
        // SAFETY: the server passes the context of this call.
        let (handle, ctx) = unsafe {
            let handle = server!(RedisModule_GetBlockedClientHandle)(ctx);
            (handle, Context::from_raw(ctx))
        };
        finish(Handle(handle));
        if let Some(ctx) = ctx {
            ctx.reply_null();
        }
    });
    super::api::OK
}

/// The connection went, or is answered by the server itself. This may be in the
/// middle of anything: nothing is given back and nobody is granted here.
unsafe extern "C" fn disconnected(
    _ctx: *mut raw::RedisModuleCtx,
    handle: *mut raw::RedisModuleBlockedClient,
) {
    entry::fence((), || finish(Handle(handle)));
}

/// Called once for each handle that was given back, with or without a client.
unsafe extern "C" fn free(_ctx: *mut raw::RedisModuleCtx, letter: *mut c_void) {
    if letter.is_null() {
        return;
    }
    entry::fence((), || {
        // SAFETY: made by `tell`, freed once.
        let letter = unsafe { Box::from_raw(letter.cast::<Letter>()) };
        if letter.state == LetterState::Unread {
            gone(letter.ticket);
        }
    });
}
