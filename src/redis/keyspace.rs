//! The native type `redislock`: what the keyspace holds is a handle.
//!
//! The 64 bits of the value pointer are the handle itself; nothing is behind
//! them. So `free` has nothing to free, on whatever thread it runs, and nothing
//! has to be defragmented. A value is saved by looking its lock up, and loaded
//! by making a lock for it - but only while the server loads a file or syncs
//! with its master, or in cluster mode, where keys move between servers as DUMP
//! and RESTORE. Any other RESTORE brings back a state that is over, and its
//! value is a dead handle.
//!
//! There is no copy callback: COPY of a lock is refused by the server.

use super::api::{self, server, Level, LockType};
use super::decimal::Decimal;
use super::flags::Flags;
use super::state::{self, Attention, Role, Suspect};
use super::{clock, entry, notify};
use crate::commands;
use crate::lock::holders::StoredHold;
use crate::lock::record;
use crate::lock::{Effect, Event, LockId, Locks, Place, Ttl};
use redis_module::raw;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

static LOCK_TYPE: AtomicPtr<raw::RedisModuleType> = AtomicPtr::new(std::ptr::null_mut());

/// The type, as the server knows it.
pub(super) fn lock_type() -> LockType {
    LockType(LOCK_TYPE.load(Ordering::Relaxed))
}

/// Registers the type.
pub(super) fn register(ctx: api::Context<'_>) -> Result<(), &'static str> {
    let mut methods = raw::RedisModuleTypeMethods {
        version: u64::from(raw::REDISMODULE_TYPE_METHOD_VERSION),
        rdb_load: Some(load),
        rdb_save: Some(save),
        aof_rewrite: Some(rewrite),
        mem_usage: None, // mem_usage2 is asked
        digest: Some(digest),
        free: Some(free),
        aux_load: Some(load_counter),
        aux_save: Some(save_counter), // by Redis 7.0
        aux_save_triggers: raw::REDISMODULE_AUX_BEFORE_RDB as c_int,
        free_effort: None, // 1, as there is nothing to free
        unlink: None,      // unlink2 is asked
        copy: None,        // COPY is refused
        defrag: None,      // there is no memory behind a value
        mem_usage2: Some(memory_usage),
        free_effort2: None,
        unlink2: Some(unlink),
        copy2: None,
        aux_save2: Some(save_counter_if_any), // by later servers
    };
    // SAFETY: the callbacks have the signatures that the server calls; name and
    // methods are copied.
    let registered = unsafe {
        server!(RedisModule_CreateDataType)(
            ctx.as_ptr(),
            c"redislock".as_ptr(),
            record::VERSION as c_int,
            &mut methods,
        )
    };
    if registered.is_null() {
        return Err("the type redislock is taken");
    }
    LOCK_TYPE.store(registered, Ordering::Relaxed);
    Ok(())
}

fn handle(value: *mut c_void) -> LockId {
    LockId::from_bits(value as u64)
}

fn value(lock: LockId) -> *mut c_void {
    lock.to_bits() as *mut c_void
}

/// The server takes the value out of the keyspace: the lock ends here and now,
/// so that nothing can bring it back under this or another name.
unsafe extern "C" fn unlink(_key: *mut raw::RedisModuleKeyOptCtx, value: *const c_void) {
    end_lock(value);
}

/// Whether a file is being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loading {
    /// One is.
    Yes,
    /// None is.
    No,
}

/// The thread that loads files, while it does; else zero, which is no thread.
static LOADING_THREAD: AtomicU64 = AtomicU64::new(0);

/// Called by the thread that loads, when it begins and when it ends.
pub(super) fn note_loading(loading: Loading) {
    let thread = match loading {
        Loading::Yes => this_thread(),
        Loading::No => 0,
    };
    LOADING_THREAD.store(thread, Ordering::Relaxed);
}

fn this_thread() -> u64 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::pthread_self() }
}

/// May run on any thread, and has nothing to free. But a value that the server
/// drops while it loads a file, because its key's TTL ran out meanwhile, was
/// never in the keyspace and is never unlinked: its lock ends here.
unsafe extern "C" fn free(value: *mut c_void) {
    if LOADING_THREAD.load(Ordering::Relaxed) == this_thread() {
        end_lock(value);
    }
}

fn end_lock(value: *const c_void) {
    entry::fence((), || {
        let lock = handle(value.cast_mut());
        state::with(|shell| {
            // Where the module itself deletes the key the lock has ended already: no
            // need to ask how late it is.
            if shell.locks.is_in_table(lock) {
                notify::listen(shell);
                let event = Event::Unlinked { lock };
                shell.step(clock::boot(), event, &mut Vec::new());
                // Nothing may be published in the middle of this: `turn` does.
                if shell.locks.journal().has_happenings() {
                    shell.attention = Attention::Wanted;
                }
            }
        });
    });
}

unsafe extern "C" fn save(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    entry::fence((), || {
        let bytes =
            state::with(|shell| record::encode(clock::boot(), shell.locks.lock(handle(value))));
        save_bytes(io, &bytes);
    });
}

fn save_bytes(io: *mut raw::RedisModuleIO, bytes: &[u8]) {
    // SAFETY: the server passed `io` to the callback that calls this; it copies
    // the bytes.
    unsafe {
        server!(RedisModule_SaveStringBuffer)(io, bytes.as_ptr().cast::<c_char>(), bytes.len());
    }
}

/// Bytes that the server read from a file, freed when they go.
struct FileBytes {
    bytes: *mut c_char,
    length: usize,
}

impl FileBytes {
    /// `None` if the file ends early or has something else here.
    fn read(io: *mut raw::RedisModuleIO) -> Option<Self> {
        let mut length = 0;
        // SAFETY: the server passed `io` to the callback that calls this.
        let (bytes, is_error) = unsafe {
            let bytes = server!(RedisModule_LoadStringBuffer)(io, &mut length);
            (bytes, server!(RedisModule_IsIOError)(io) != 0)
        };
        let read = Self { bytes, length };
        (!is_error && !bytes.is_null()).then_some(read)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the server gave so many bytes, and they are ours.
        unsafe { api::slice(self.bytes, self.length) }
    }
}

impl Drop for FileBytes {
    fn drop(&mut self) {
        if !self.bytes.is_null() {
            // SAFETY: the server allocated them for us; freed once.
            unsafe { server!(RedisModule_Free)(self.bytes.cast()) };
        }
    }
}

/// Null is an error: RESTORE says so, loading a file ends with the server's own
/// message.
unsafe extern "C" fn load(io: *mut raw::RedisModuleIO, version: c_int) -> *mut c_void {
    entry::fence(std::ptr::null_mut(), || {
        let Some(file) = FileBytes::read(io) else {
            return std::ptr::null_mut();
        };
        let version = u32::try_from(version).unwrap_or_default();
        match record::decode(version, file.bytes()) {
            Ok(holds) => load_lock(io, &holds),
            Err(refusal) => {
                let text = format!("a stored lock is refused: {refusal:?} (version {version})");
                api::log(Level::Warning, &text);
                std::ptr::null_mut()
            }
        }
    })
}

fn load_lock(io: *mut raw::RedisModuleIO, holds: &[StoredHold<'_>]) -> *mut c_void {
    // SAFETY: the server passed `io` to the callback that calls this; the name,
    // if it has one, lives as long.
    let (db, key) = unsafe {
        let db = server!(RedisModule_GetDbIdFromIO)(io);
        let name = server!(RedisModule_GetKeyNameFromIO)(io);
        if name.is_null() {
            return value(LockId::DEAD);
        }
        (db, api::Name::from_raw(name.cast_mut()).bytes())
    };
    let Ok(db) = u32::try_from(db) else {
        return value(LockId::DEAD);
    };
    let flags = Flags::of_server();
    if holds.is_empty() || !(flags.is_loading() || flags.is_cluster()) {
        suspect(db, key);
        return value(LockId::DEAD);
    }
    if !flags.is_loading() && holds.iter().any(is_too_far) {
        api::log(
            Level::Warning,
            "RESTORE is refused: its token is over an hour ahead of this server's clock",
        );
        return std::ptr::null_mut();
    }
    value(make_lock(db, key, holds))
}

/// Whether a key that moves here has a token that RAISE would refuse.
fn is_too_far(hold: &StoredHold<'_>) -> bool {
    state::with(|shell| {
        if shell.role != Role::Master {
            return false;
        }
        let now = clock::wall();
        shell.locks.see_clock(now);
        hold.token > shell.locks.tokens().raise_most(now)
    })
}

fn make_lock(db: u32, key: &[u8], holds: &[StoredHold<'_>]) -> LockId {
    // A file of a million locks comes here a million times: one list for all.
    let mut effects = state::with(|shell| std::mem::take(&mut shell.effects));
    let mut lock = None;
    for hold in holds {
        let event = Event::ApplyGrant {
            at: Place { db, key, lock },
            owner: hold.owner,
            token: hold.token,
            lease: hold.lease,
            tolerates: hold.tolerates,
            delay: hold.delay,
        };
        state::with(|shell| {
            shell.attention = Attention::Wanted;
            shell.locks.step(clock::boot(), event, &mut effects);
        });
        let stored = effects.drain(..).find_map(|effect| match effect {
            Effect::Store(lock) => Some(lock),
            _ => None,
        });
        lock = stored.or(lock);
    }
    state::with(|shell| shell.effects = effects);
    lock.unwrap_or(LockId::DEAD)
}

/// The key will hold a dead handle: `turn` deletes it.
fn suspect(db: u32, key: &[u8]) {
    state::with(|shell| {
        shell.attention = Attention::Wanted;
        shell.suspects.push_back(Suspect {
            db: Some(db),
            key: key.to_vec(),
        });
    });
}

/// A dead handle is rewritten as nothing: its key is gone when the log is read.
unsafe extern "C" fn rewrite(
    io: *mut raw::RedisModuleIO,
    key: *mut raw::RedisModuleString,
    value: *mut c_void,
) {
    entry::fence((), || {
        state::with(|shell| {
            let Some(lock) = shell.locks.lock(handle(value)) else {
                return;
            };
            for hold in lock.holders.stored(clock::boot()) {
                let token = Decimal::new(hold.token.get());
                let left = Decimal::new(hold.lease.map_or(0, Ttl::as_ms));
                // SAFETY: the format says what follows, as in `replicate_grant`;
                // everything is alive, and the server writes it at once.
                unsafe {
                    server!(RedisModule_EmitAOF)(
                        io,
                        commands::GRANT.as_ptr(),
                        api::grant_format(hold.tolerates, hold.delay.as_ms()).as_ptr(),
                        key,
                        hold.owner.as_ptr().cast::<c_char>(),
                        hold.owner.len(),
                        token.as_ptr(),
                        token.len(),
                        left.as_ptr(),
                        left.len(),
                        api::long(hold.tolerates.to_number()),
                        api::long(hold.delay.as_ms()),
                    );
                }
            }
        });
    });
}

/// What DEBUG DIGEST compares: who holds it with which token, not until when.
unsafe extern "C" fn digest(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    entry::fence((), || {
        state::with(|shell| {
            let Some(lock) = shell.locks.lock(handle(value)) else {
                return;
            };
            let now = clock::boot();
            let mut holds: Vec<_> = lock.holders.stored(now).collect();
            holds.sort_unstable_by_key(|hold| hold.token);
            for hold in holds {
                // SAFETY: the server passed `digest` to this callback and reads the
                // owner, which is alive, at once.
                unsafe {
                    server!(RedisModule_DigestAddStringBuffer)(
                        digest,
                        hold.owner.as_ptr().cast::<c_char>(),
                        hold.owner.len(),
                    );
                    server!(RedisModule_DigestAddLongLong)(digest, api::long(hold.token.get()));
                    server!(RedisModule_DigestEndSequence)(digest);
                }
            }
        });
    });
}

unsafe extern "C" fn memory_usage(
    _key: *mut raw::RedisModuleKeyOptCtx,
    value: *const c_void,
    _samples: usize,
) -> usize {
    entry::fence(0, || {
        state::with(|shell| match shell.locks.lock(handle(value.cast_mut())) {
            Some(lock) => Locks::BYTES_PER_LOCK + lock.key.heap_bytes() + lock.holders.heap_bytes(),
            None => 0,
        })
    })
}

/// For Redis 7.0, which expects something to be written each time.
unsafe extern "C" fn save_counter(io: *mut raw::RedisModuleIO, _when: c_int) {
    entry::fence((), || {
        let counter = state::with(|shell| shell.locks.tokens().stored()).unwrap_or_default();
        save_bytes(io, &record::encode_counter(counter));
    });
}

/// For later servers: a file of a server that never granted anything can be
/// read without this module.
unsafe extern "C" fn save_counter_if_any(io: *mut raw::RedisModuleIO, _when: c_int) {
    entry::fence((), || {
        if let Some(counter) = state::with(|shell| shell.locks.tokens().stored()) {
            save_bytes(io, &record::encode_counter(counter));
        }
    });
}

unsafe extern "C" fn load_counter(
    io: *mut raw::RedisModuleIO,
    version: c_int,
    _when: c_int,
) -> c_int {
    entry::fence(api::ERR, || {
        let Some(file) = FileBytes::read(io) else {
            return api::ERR;
        };
        let version = u32::try_from(version).unwrap_or_default();
        let counter = match record::decode_counter(version, file.bytes()) {
            Ok(counter) => counter,
            Err(refusal) => {
                let text = format!("the token counter of the file is refused: {refusal:?}");
                api::log(Level::Warning, &text);
                return api::ERR;
            }
        };
        let event = Event::LoadCounter(counter);
        let answer = state::with(|shell| shell.locks.step(clock::boot(), event, &mut Vec::new()));
        if commands::reply(answer).is_ok() {
            api::OK
        } else {
            api::log(
                Level::Warning,
                "the token counter of the file is out of range",
            );
            api::ERR
        }
    })
}
