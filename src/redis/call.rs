//! Calls of the server's own commands, and their replies.

use super::api::{self, server, Context};
use redis_module::raw;
use std::ffi::{c_char, c_int, CStr};
use std::marker::PhantomData;

/// A reply of the server to a call of ours. The elements of a reply belong to
/// the whole, which is freed when it goes.
pub(super) struct CallReply(*mut raw::RedisModuleCallReply);

/// A part of a reply.
#[derive(Clone, Copy)]
pub(super) struct Element<'reply>(*mut raw::RedisModuleCallReply, PhantomData<&'reply ()>);

impl CallReply {
    /// What the command says to one or two words; `None` if it cannot be called.
    pub(super) fn of(ctx: Context<'_>, command: &CStr, words: &[&CStr]) -> Option<Self> {
        let (format, first, second) = match *words {
            [first] => (c"c", first, first),
            [first, second] => (c"cc", first, second),
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

    /// All of it.
    pub(super) fn whole(&self) -> Element<'_> {
        Element(self.0, PhantomData)
    }

    /// The element of an array or map, counted flat.
    pub(super) fn element(&self, index: usize) -> Option<Element<'_>> {
        self.whole().element(index)
    }

    /// The elements of an array; none if it is no array.
    pub(super) fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        let whole = self.whole();
        let length = if whole.is_array() {
            // SAFETY: the reply is an array.
            unsafe { server!(RedisModule_CallReplyLength)(self.0) }
        } else {
            0
        };
        (0..length).filter_map(move |index| whole.element(index))
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
    pub(super) fn integer(self) -> Option<i64> {
        if !self.is(raw::REDISMODULE_REPLY_INTEGER as c_int) {
            return None;
        }
        // SAFETY: the reply is an integer.
        Some(unsafe { server!(RedisModule_CallReplyInteger)(self.0) })
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
