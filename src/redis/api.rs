//! The server's functions, wrapped as thinly as safety allows.
//!
//! A [`Context`] lives as long as the call it was made for, and so do the names
//! and keys that come from it. All functions used here exist since Redis 7.0;
//! [`missing_function`] is asked at load, before any of them is called.

use super::audience;
use super::decimal::Decimal;
use crate::commands::info::Tree;
use crate::commands::{Reply, CEILING, END, GRANT};
use crate::lock::holders::HoldRef;
use crate::lock::token::Cover;
use crate::lock::{ClientId, LockId, Token, Tolerance, Ttl};
use redis_module::raw;
use std::ffi::{c_char, c_int, c_long, c_longlong, c_void, CStr};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The server's function of this name.
macro_rules! server {
    ($name:ident) => {{
        // SAFETY: the table of functions is written once, while the module
        // loads, before anything else of the module runs.
        #[allow(unused_unsafe, reason = "most calls stand in a block already")]
        let function = unsafe { redis_module::raw::$name };
        match function {
            Some(function) => function,
            None => $crate::redis::api::missing(stringify!($name)),
        }
    }};
}
pub(super) use server;

#[cold]
pub(super) fn missing(name: &str) -> ! {
    unreachable!("{name} was there when the module was loaded")
}

/// The name of a function that the module needs and this server lacks.
pub(super) fn missing_function() -> Option<&'static str> {
    macro_rules! check {
        ($($name:ident)*) => {
            $(
                // SAFETY: as in `server!`.
                if unsafe { raw::$name }.is_none() {
                    return Some(stringify!($name));
                }
            )*
        };
    }
    check! {
        RedisModule_Alloc RedisModule_AvoidReplicaTraffic RedisModule_BlockClient RedisModule_Call
        RedisModule_CallReplyArrayElement RedisModule_CallReplyInteger
        RedisModule_CallReplyStringPtr RedisModule_CallReplyType RedisModule_Calloc
        RedisModule_CloseKey RedisModule_CreateCommand RedisModule_CreateDataType
        RedisModule_CreateString RedisModule_DeleteKey RedisModule_DigestAddLongLong
        RedisModule_DigestAddStringBuffer RedisModule_DigestEndSequence RedisModule_EmitAOF
        RedisModule_EventLoopAdd RedisModule_Free RedisModule_FreeCallReply
        RedisModule_FreeServerInfo RedisModule_FreeString RedisModule_GetBlockedClientHandle
        RedisModule_GetBlockedClientPrivateData RedisModule_GetClientId
        RedisModule_GetClientInfoById RedisModule_GetCommand RedisModule_GetCommandKeysWithFlags
        RedisModule_GetContextFlags RedisModule_GetDbIdFromIO RedisModule_GetKeyNameFromIO
        RedisModule_GetNotifyKeyspaceEvents RedisModule_GetSelectedDb
        RedisModule_InfoAddFieldULongLong RedisModule_InfoAddSection RedisModule_GetServerInfo
        RedisModule_IsIOError RedisModule_IsKeysPositionRequest RedisModule_KeyAtPosWithFlags
        RedisModule_KeyType RedisModule_LoadConfigs RedisModule_LatencyAddSample
        RedisModule_LoadStringBuffer RedisModule_Log RedisModule_ModuleTypeGetType
        RedisModule_ModuleTypeGetValue RedisModule_ModuleTypeSetValue
        RedisModule_NotifyKeyspaceEvent RedisModule_OpenKey RedisModule_Realloc
        RedisModule_RegisterBoolConfig RedisModule_RegisterInfoFunc
        RedisModule_RegisterNumericConfig RedisModule_Replicate
        RedisModule_ReplicateVerbatim RedisModule_ReplyWithArray RedisModule_ReplyWithCallReply
        RedisModule_ReplyWithError RedisModule_ReplyWithLongLong RedisModule_ReplyWithMap
        RedisModule_ReplyWithNull RedisModule_ReplyWithStringBuffer RedisModule_SaveStringBuffer
        RedisModule_SelectDb RedisModule_ServerInfoGetFieldC RedisModule_SetCommandInfo
        RedisModule_SetDisconnectCallback RedisModule_SetModuleOptions
        RedisModule_SignalModifiedKey RedisModule_StringPtrLen
        RedisModule_SubscribeToKeyspaceEvents RedisModule_SubscribeToServerEvent
        RedisModule_UnblockClient
    }
    None
}

/// How loud a line in the server's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// For everybody.
    Notice,
    /// Somebody should look.
    Warning,
}

/// Writes a line into the server's log.
pub(super) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Notice => c"notice",
        Level::Warning => c"warning",
    };
    // The server cuts lines at about a kilobyte.
    let length = c_int::try_from(message.len().min(1_000)).unwrap_or_default();
    // SAFETY: a log line needs no context; `%.*s` reads `length` bytes of the
    // message, which are there.
    unsafe {
        server!(RedisModule_Log)(
            std::ptr::null_mut(),
            level.as_ptr(),
            c"<redislock> %.*s".as_ptr(),
            length,
            message.as_ptr().cast::<c_char>(),
        );
    }
}

/// The server's leave to call it, for the length of one call.
#[derive(Clone, Copy)]
pub(super) struct Context<'call> {
    raw: NonNull<raw::RedisModuleCtx>,
    call: PhantomData<&'call ()>,
}

/// How a connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// As it is.
    Plain,
    /// With TLS.
    Tls,
}

/// How a key is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// To look at it.
    Read,
    /// To change it.
    Write,
}

impl<'call> Context<'call> {
    /// # Safety
    /// `raw` is the context that the server passed to the call that lasts for
    /// `'call`.
    pub(super) unsafe fn from_raw(raw: *mut raw::RedisModuleCtx) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self {
            raw,
            call: PhantomData,
        })
    }

    pub(super) fn as_ptr(self) -> *mut raw::RedisModuleCtx {
        self.raw.as_ptr()
    }

    /// The database that the call works on.
    pub(super) fn db(self) -> u32 {
        // SAFETY: the context is alive.
        let db = unsafe { server!(RedisModule_GetSelectedDb)(self.as_ptr()) };
        u32::try_from(db).unwrap_or_default()
    }

    /// The connection that the call came from.
    pub(super) fn client(self) -> Option<ClientId> {
        // SAFETY: the context is alive.
        ClientId::new(unsafe { server!(RedisModule_GetClientId)(self.as_ptr()) })
    }

    /// How that connection is made; `None` if it is gone.
    pub(super) fn transport(self) -> Option<Transport> {
        let mut about = raw::RedisModuleClientInfo {
            version: 1,
            flags: 0,
            id: 0,
            addr: [0; 46],
            port: 0,
            db: 0,
        };
        // SAFETY: the context is alive, and the structure is of the version that
        // it says.
        let found = unsafe {
            let client = server!(RedisModule_GetClientId)(self.as_ptr());
            let about: *mut raw::RedisModuleClientInfo = &mut about;
            server!(RedisModule_GetClientInfoById)(about.cast::<c_void>(), client)
        };
        let is_tls = about.flags & u64::from(raw::REDISMODULE_CLIENTINFO_FLAG_SSL) != 0;
        let transport = if is_tls {
            Transport::Tls
        } else {
            Transport::Plain
        };
        (found == OK).then_some(transport)
    }

    /// A field of a section of INFO.
    pub(super) fn about_server(self, section: &CStr, field: &CStr) -> Option<String> {
        // SAFETY: the context is alive; what is returned is freed below, and the
        // field's text with it.
        unsafe {
            let data = server!(RedisModule_GetServerInfo)(self.as_ptr(), section.as_ptr());
            let text = server!(RedisModule_ServerInfoGetFieldC)(data, field.as_ptr());
            let text = NonNull::new(text.cast_mut())
                .map(|text| CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned());
            server!(RedisModule_FreeServerInfo)(self.as_ptr(), data);
            text
        }
    }

    /// Works on another database from here on; false if there is none.
    pub(super) fn select_db(self, db: u32) -> bool {
        let Ok(db) = c_int::try_from(db) else {
            return false;
        };
        // SAFETY: the context is alive.
        unsafe { server!(RedisModule_SelectDb)(self.as_ptr(), db) == OK }
    }

    /// Opens a key. With [`Mode::Read`], a missing key is an empty one.
    pub(super) fn open(self, name: Name<'call>, mode: Mode) -> Key<'call> {
        let mode = match mode {
            Mode::Read => raw::REDISMODULE_READ,
            Mode::Write => raw::REDISMODULE_READ | raw::REDISMODULE_WRITE,
        };
        // SAFETY: context and name are alive; the key is closed before them.
        let raw =
            unsafe { server!(RedisModule_OpenKey)(self.as_ptr(), name.as_ptr(), mode as c_int) };
        Key {
            raw,
            call: PhantomData,
        }
    }

    /// A new name, for a key that no argument names.
    pub(super) fn name(self, bytes: &[u8]) -> OwnedName<'call> {
        // SAFETY: the server copies the bytes; without a context the string is
        // ours to free.
        let raw = unsafe {
            server!(RedisModule_CreateString)(
                std::ptr::null_mut(),
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
            )
        };
        OwnedName(Name {
            raw,
            call: PhantomData,
        })
    }

    /// Tells WATCH and client-side caches that the key changed.
    pub(super) fn signal(self, name: Name<'_>) {
        // SAFETY: context and name are alive.
        unsafe { server!(RedisModule_SignalModifiedKey)(self.as_ptr(), name.as_ptr()) };
    }

    /// Replies.
    pub(super) fn reply(self, reply: &Reply) {
        match reply {
            Reply::Integer(number) => self.reply_integer(*number),
            Reply::Null | Reply::Later(_) => self.reply_null(),
            Reply::Parts(tree) => self.reply_tree(tree),
            Reply::Lines(lines) => {
                self.reply_list(lines.len());
                for line in *lines {
                    self.reply_bytes(line.as_bytes());
                }
            }
        }
    }

    fn reply_tree(self, tree: &Tree) {
        match tree {
            Tree::Integer(number) => self.reply_integer(*number),
            Tree::Null => self.reply_null(),
            Tree::Bytes(bytes) => self.reply_bytes(bytes),
            Tree::List(list) => {
                self.reply_list(list.len());
                list.iter().for_each(|part| self.reply_tree(part));
            }
            Tree::Map(map) => {
                // SAFETY: the context is alive; so many pairs follow.
                unsafe { server!(RedisModule_ReplyWithMap)(self.as_ptr(), count(map.len())) };
                for (name, part) in map {
                    self.reply_bytes(name.as_bytes());
                    self.reply_tree(part);
                }
            }
        }
    }

    fn reply_list(self, length: usize) {
        // SAFETY: the context is alive; so many replies follow.
        unsafe { server!(RedisModule_ReplyWithArray)(self.as_ptr(), count(length)) };
    }

    fn reply_bytes(self, bytes: &[u8]) {
        // SAFETY: the context is alive; the server copies the bytes.
        unsafe {
            server!(RedisModule_ReplyWithStringBuffer)(
                self.as_ptr(),
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
            );
        }
    }

    /// Replies with a number.
    pub(super) fn reply_integer(self, number: i64) {
        // SAFETY: the context is alive.
        unsafe { server!(RedisModule_ReplyWithLongLong)(self.as_ptr(), number) };
    }

    /// Replies with nil.
    pub(super) fn reply_null(self) {
        // SAFETY: the context is alive.
        unsafe { server!(RedisModule_ReplyWithNull)(self.as_ptr()) };
    }

    /// Replies with an error; `text` begins with the error's code.
    pub(super) fn reply_error(self, text: &CStr) {
        // SAFETY: the context is alive; the server copies the text.
        unsafe { server!(RedisModule_ReplyWithError)(self.as_ptr(), text.as_ptr()) };
    }

    /// Hands the running command to the log and the replicas as it came.
    pub(super) fn replicate_verbatim(self) {
        // SAFETY: the context is that of a running command.
        unsafe { server!(RedisModule_ReplicateVerbatim)(self.as_ptr()) };
    }

    /// Tells log and replicas of a hold whose lease has `ttl` left.
    pub(super) fn replicate_grant(self, name: Name<'_>, hold: HoldRef<'_>, ttl: Ttl) {
        self.replicate_hold(name, hold, (ttl.as_ms(), hold.delay.as_ms()));
    }

    /// Tells log and replicas of a hold that cools for as long as `left`.
    pub(super) fn replicate_cooling(self, name: Name<'_>, hold: HoldRef<'_>, left: Ttl) {
        self.replicate_hold(name, hold, (0, left.as_ms()));
    }

    fn replicate_hold(self, name: Name<'_>, hold: HoldRef<'_>, (left_ms, delay_ms): (u64, u64)) {
        let format = grant_format(hold.tolerates, delay_ms);
        let (token, left) = (Decimal::new(hold.token.get()), Decimal::new(left_ms));
        // SAFETY: the format says what follows: a string object, three times bytes with
        // their length, and two long longs, which it may leave out. All are alive; the
        // server copies.
        unsafe {
            server!(RedisModule_Replicate)(
                self.as_ptr(),
                GRANT.as_ptr(),
                format.as_ptr(),
                name.as_ptr(),
                hold.owner.as_ptr().cast::<c_char>(),
                hold.owner.len(),
                token.as_ptr(),
                token.len(),
                left.as_ptr(),
                left.len(),
                long(hold.tolerates.to_number()),
                long(delay_ms),
            );
        }
    }

    /// Tells log and replicas that a hold is over.
    pub(super) fn replicate_end(self, name: Name<'_>, owner: &[u8], token: Token) {
        if !audience::is_there() {
            return;
        }
        // SAFETY: as in `replicate_grant`.
        unsafe {
            server!(RedisModule_Replicate)(
                self.as_ptr(),
                END.as_ptr(),
                c"sbl".as_ptr(),
                name.as_ptr(),
                owner.as_ptr().cast::<c_char>(),
                owner.len(),
                long(token.get()),
            );
        }
    }

    /// Tells log and replicas how far tokens may go.
    pub(super) fn replicate_cover(self, cover: Cover) {
        if !audience::is_there() {
            return;
        }
        // SAFETY: as in `replicate_grant`.
        unsafe {
            server!(RedisModule_Replicate)(
                self.as_ptr(),
                CEILING.as_ptr(),
                c"lll".as_ptr(),
                long(cover.ceiling.get()),
                long(cover.ttl_most.as_ms()),
                long(cover.since.as_ms_since_2024()),
            );
        }
    }

    /// Tells log and replicas that the key is gone.
    pub(super) fn replicate_delete(self, name: Name<'_>) {
        if !audience::is_there() {
            return;
        }
        // SAFETY: as in `replicate_grant`.
        unsafe {
            server!(RedisModule_Replicate)(
                self.as_ptr(),
                c"DEL".as_ptr(),
                c"s".as_ptr(),
                name.as_ptr(),
            );
        }
    }
}

pub(super) const OK: c_int = raw::REDISMODULE_OK as c_int;
pub(super) const ERR: c_int = raw::REDISMODULE_ERR as c_int;

/// key, owner, token, ttl-ms, tolerates, delay-ms
const GRANT_FORMAT: &CStr = c"sbbbll";
/// The same, without the last two.
const PLAIN_GRANT_FORMAT: &CStr = c"sbbb";

/// In which form a hold is told: most are exclusive and do not cool, which goes
/// without saying.
pub(super) fn grant_format(tolerates: Tolerance, delay_ms: u64) -> &'static CStr {
    if (tolerates, delay_ms) == (Tolerance::ALONE, 0) {
        PLAIN_GRANT_FORMAT
    } else {
        GRANT_FORMAT
    }
}

/// A reply has few parts.
fn count(parts: usize) -> c_long {
    c_long::try_from(parts).unwrap_or_default()
}

/// Tokens and leases are far below 2^63.
pub(super) fn long(number: u64) -> c_longlong {
    number as c_longlong
}

/// Whether anything that is replicated now would stop the server: it asserts
/// that nothing is while writes are paused (CLIENT PAUSE, FAILOVER, SHUTDOWN).
pub(super) fn is_write_paused() -> bool {
    // SAFETY: takes nothing, changes nothing.
    unsafe { server!(RedisModule_AvoidReplicaTraffic)() != 0 }
}

/// The name of a key: a string that the server keeps alive for the call.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Name<'call> {
    raw: *mut raw::RedisModuleString,
    call: PhantomData<&'call ()>,
}

impl<'call> Name<'call> {
    /// # Safety
    /// `raw` is a string of the server that lives for `'call`.
    pub(super) unsafe fn from_raw(raw: *mut raw::RedisModuleString) -> Self {
        Self {
            raw,
            call: PhantomData,
        }
    }

    /// # Safety
    /// `raw` points at `count` strings of the server that live for `'call`.
    pub(super) unsafe fn all_from_raw(
        raw: *mut *mut raw::RedisModuleString,
        count: usize,
    ) -> &'call [Self] {
        // SAFETY: promised by the caller; a name is such a pointer and no more.
        unsafe { std::slice::from_raw_parts(raw.cast::<Self>(), count) }
    }

    pub(super) fn as_ptr(self) -> *mut raw::RedisModuleString {
        self.raw
    }

    /// The bytes of the string.
    pub(super) fn bytes(self) -> &'call [u8] {
        let mut length = 0;
        // SAFETY: the string is alive for 'call, and the server never changes
        // one while a module may look at it.
        unsafe {
            let bytes = server!(RedisModule_StringPtrLen)(self.raw, &mut length);
            slice(bytes, length)
        }
    }
}

/// # Safety
/// `bytes` is null, or points at `length` bytes that live for `'a`.
pub(super) unsafe fn slice<'a>(bytes: *const c_char, length: usize) -> &'a [u8] {
    if bytes.is_null() {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }
}

/// A name that was made here, freed when it goes.
pub(super) struct OwnedName<'call>(Name<'call>);

impl<'call> OwnedName<'call> {
    /// The name, to be used while this is alive.
    pub(super) fn name(&self) -> Name<'_> {
        self.0
    }
}

impl Drop for OwnedName<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `Context::name`, freed once.
        unsafe { server!(RedisModule_FreeString)(std::ptr::null_mut(), self.0.raw) };
    }
}

/// An open key, closed when it goes.
pub(super) struct Key<'call> {
    raw: *mut raw::RedisModuleKey,
    call: PhantomData<&'call ()>,
}

/// The key holds something that is not a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotALock;

impl Key<'_> {
    /// The handle that the key holds, alive or dead; `None`: no such key.
    pub(super) fn lock(&self, lock_type: LockType) -> Result<Option<LockId>, NotALock> {
        // SAFETY: the key is open, or null, which is an empty key.
        unsafe {
            if server!(RedisModule_ModuleTypeGetType)(self.raw) == lock_type.0 {
                let value = server!(RedisModule_ModuleTypeGetValue)(self.raw);
                return Ok(Some(LockId::from_bits(value as u64)));
            }
            if server!(RedisModule_KeyType)(self.raw) == EMPTY {
                return Ok(None);
            }
            Err(NotALock)
        }
    }

    /// Makes the key hold `lock`, whatever it held.
    pub(super) fn store(&self, lock_type: LockType, lock: LockId) {
        let value = lock.to_bits() as *mut c_void;
        // SAFETY: the key is open for writing. The value is never followed as a
        // pointer, by the server or by us.
        unsafe { server!(RedisModule_ModuleTypeSetValue)(self.raw, lock_type.0, value) };
    }

    /// Takes the key out of the keyspace.
    pub(super) fn delete(&self) {
        // SAFETY: the key is open for writing.
        unsafe { server!(RedisModule_DeleteKey)(self.raw) };
    }
}

const EMPTY: c_int = raw::REDISMODULE_KEYTYPE_EMPTY as c_int;

impl Drop for Key<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by `Context::open`, closed once; null is allowed.
        unsafe { server!(RedisModule_CloseKey)(self.raw) };
    }
}

/// The native type, as the server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockType(pub(super) *mut raw::RedisModuleType);
