//! Calls of the server's own commands, and their replies.

use super::api::{self, server, Context};
use super::flags::Flags;
use redis_module::raw;
use std::ffi::{c_char, c_int, CStr};
use std::marker::PhantomData;

/// A reply of the server to a call of ours. The elements of a reply belong to
/// the whole, which is freed when it goes.
pub(super) struct CallReply(*mut raw::RedisModuleCallReply);

/// Who serves a key, in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This server, as far as it knows.
    Ours,
    /// Another one.
    Elsewhere,
}

/// Who serves `key`. Asked with MEMORY USAGE, which counts as no hit and no miss.
pub(super) fn ownership(ctx: Context<'_>, key: &[u8]) -> Ownership {
    // SAFETY: the format says that a C string and bytes with their length follow.
    let reply = unsafe {
        server!(RedisModule_Call)(
            ctx.as_ptr(),
            c"MEMORY".as_ptr(),
            c"cb".as_ptr(),
            c"USAGE".as_ptr(),
            key.as_ptr().cast::<c_char>(),
            key.len(),
        )
    };
    if !reply.is_null() {
        drop(CallReply(reply));
        return Ownership::Ours;
    }
    // A cluster that is down is another error, and says nothing of the slot.
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EPERM) => Ownership::Elsewhere,
        _ => Ownership::Ours,
    }
}

/// Whether the server would let a client change a key now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// It would.
    Given,
    /// It would not: a read-only replica, too few replicas, a full disk or
    /// memory, a cluster that is down.
    Refused,
    /// It would send the client to another server, where the key or its slot is.
    Elsewhere,
}

/// Whether a client could write to `key` now. The server is asked to run a write
/// that does nothing, as it runs those of a script.
pub(super) fn permission(ctx: Context<'_>, key: &[u8]) -> Permission {
    if Flags::of_server().is_out_of_memory() {
        return Permission::Refused;
    }
    // SAFETY: the format says that bytes with their length and a C string follow.
    let reply = unsafe {
        server!(RedisModule_Call)(
            ctx.as_ptr(),
            c"LOCK.RELEASE".as_ptr(),
            c"SEbc".as_ptr(),
            key.as_ptr().cast::<c_char>(),
            key.len(),
            NOBODY.as_ptr(),
        )
    };
    let cause = std::io::Error::last_os_error().raw_os_error();
    if reply.is_null() {
        return Permission::Refused;
    }
    let reply = CallReply(reply);
    match (reply.whole().number(), cause) {
        (Some(_), _) => Permission::Given,
        (None, Some(libc::EPERM)) => Permission::Elsewhere,
        (None, _) => Permission::Refused,
    }
}

/// An owner that waits for nothing and holds nothing, or if it does has asked
/// for what it gets.
const NOBODY: &CStr = c"redislock:nobody";

/// A part of a reply.
#[derive(Clone, Copy)]
pub(super) struct Element<'reply>(*mut raw::RedisModuleCallReply, PhantomData<&'reply ()>);

impl CallReply {
    /// What the command says to at most two words; `None` if it cannot be called.
    pub(super) fn of(ctx: Context<'_>, command: &CStr, words: &[&CStr]) -> Option<Self> {
        let (format, first, second) = match *words {
            [first] => (c"c", first, first),
            [first, second] => (c"cc", first, second),
            [] => (c"", c"", c""),
            _ => return None,
        };
        // SAFETY: the format says how many C strings follow; one more than it
        // says is not looked at.
        let reply = unsafe {
            server!(RedisModule_Call)(
                ctx.as_ptr(),
                command.as_ptr(),
                format.as_ptr(),
                first.as_ptr(),
                second.as_ptr(),
            )
        };
        (!reply.is_null()).then_some(Self(reply))
    }

    /// What a command says to words of a client: as that client's user (C), as in a
    /// script (S), within the memory limit (M), with errors as replies (E), in the
    /// client's protocol (0), and replicated (!).
    pub(super) fn of_words(
        ctx: Context<'_>,
        command: &CStr,
        words: &[*mut raw::RedisModuleString],
    ) -> Option<Self> {
        // SAFETY: the format says that a list of strings and its length follow; the
        // strings live for this call, and the server takes its own share of each.
        let reply = unsafe {
            server!(RedisModule_Call)(
                ctx.as_ptr(),
                command.as_ptr(),
                c"!0CSMEv".as_ptr(),
                words.as_ptr(),
                words.len(),
            )
        };
        (!reply.is_null()).then_some(Self(reply))
    }

    /// Gives the reply to the client as it is.
    pub(super) fn pass_on(self, ctx: Context<'_>) {
        // SAFETY: the context and the reply are alive.
        unsafe { server!(RedisModule_ReplyWithCallReply)(ctx.as_ptr(), self.0) };
    }

    /// All of it.
    pub(super) fn whole(&self) -> Element<'_> {
        Element(self.0, PhantomData)
    }

    /// The element of an array or map, counted flat.
    pub(super) fn element(&self, index: usize) -> Option<Element<'_>> {
        self.whole().element(index)
    }
}

impl Drop for CallReply {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { server!(RedisModule_FreeCallReply)(self.0) };
    }
}

impl<'reply> Element<'reply> {
    fn is(self, kind: c_int) -> bool {
        // SAFETY: the reply is alive.
        unsafe { server!(RedisModule_CallReplyType)(self.0) == kind }
    }

    fn is_array(self) -> bool {
        self.is(raw::REDISMODULE_REPLY_ARRAY as c_int)
    }

    /// An element of an array.
    pub(super) fn element(self, index: usize) -> Option<Self> {
        if !self.is_array() {
            return None;
        }
        // SAFETY: the reply is an array; beyond its end the server gives null.
        let element = unsafe { server!(RedisModule_CallReplyArrayElement)(self.0, index) };
        (!element.is_null()).then_some(Self(element, self.1))
    }

    /// The number, if it is one.
    pub(super) fn number(self) -> Option<i64> {
        if !self.is(raw::REDISMODULE_REPLY_INTEGER as c_int) {
            return None;
        }
        // SAFETY: the reply is a number.
        Some(unsafe { server!(RedisModule_CallReplyInteger)(self.0) })
    }

    /// The elements of an array.
    pub(super) fn elements(self) -> impl Iterator<Item = Self> {
        (0..).map_while(move |index| self.element(index))
    }

    /// The part with this name of a map, which is a flat array.
    pub(super) fn field(self, name: &[u8]) -> Option<Self> {
        let mut parts = self.elements();
        while let Some(found) = parts.next() {
            let value = parts.next()?;
            if found.bytes() == Some(name) {
                return Some(value);
            }
        }
        None
    }

    /// The bytes, if it is a string.
    pub(super) fn bytes(self) -> Option<&'reply [u8]> {
        let mut length = 0;
        // SAFETY: the reply is alive for 'reply; if it is no string, null comes
        // back.
        unsafe {
            let bytes: *const c_char = server!(RedisModule_CallReplyStringPtr)(self.0, &mut length);
            (!bytes.is_null()).then(|| api::slice(bytes, length))
        }
    }
}
