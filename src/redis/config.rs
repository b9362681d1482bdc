//! `redislock.max-ttl-ms`, the longest lease that a client may ask for;
//! `redislock.max-waiters`, how many clients may wait at once; and
//! `redislock.quarantine`, whether a server that may have forgotten holds waits.
//!
//! The first two bound what clients ask from now on, never what is held already, what a
//! master sends or what a file has.

use super::api::{long, server, Context, ERR, OK};
use super::load_arguments::Defaults;
use super::quarantine::{self, Setting};
use super::{entry, state};
use crate::lock::Ttl;
use redis_module::raw;
use std::ffi::{c_char, c_int, c_longlong, c_void};

/// 24 hours.
pub(super) const TTL_MOST_DEFAULT: Ttl = match Ttl::from_ms(24 * 3_600_000) {
    Some(ttl) => ttl,
    None => Ttl::MOST,
};

/// 10,000 clients, some 340 MB of the server's memory.
pub(super) const WAITERS_MOST_DEFAULT: usize = 10_000;
pub(super) const WAITERS_MOST_LARGEST: u64 = 10_000_000;

/// Registers the settings and reads them from the server's configuration, which beats
/// the defaults.
pub(super) fn register(ctx: Context<'_>, defaults: Defaults) -> Result<(), &'static str> {
    // SAFETY: the callbacks have the signatures that the server calls; the name
    // is copied.
    unsafe {
        let registered = server!(RedisModule_RegisterNumericConfig)(
            ctx.as_ptr(),
            c"max-ttl-ms".as_ptr(),
            long(defaults.ttl_most.as_ms()),
            raw::REDISMODULE_CONFIG_DEFAULT,
            1,
            long(Ttl::MOST.as_ms()),
            Some(get),
            Some(set),
            None,
            std::ptr::null_mut(),
        );
        if registered != OK {
            return Err("the setting redislock.max-ttl-ms is taken");
        }
        let registered = server!(RedisModule_RegisterNumericConfig)(
            ctx.as_ptr(),
            c"max-waiters".as_ptr(),
            long(defaults.waiters_most as u64),
            raw::REDISMODULE_CONFIG_DEFAULT,
            0,
            long(WAITERS_MOST_LARGEST),
            Some(get_waiters),
            Some(set_waiters),
            None,
            std::ptr::null_mut(),
        );
        if registered != OK {
            return Err("the setting redislock.max-waiters is taken");
        }
        let registered = server!(RedisModule_RegisterBoolConfig)(
            ctx.as_ptr(),
            c"quarantine".as_ptr(),
            c_int::from(defaults.quarantine == Setting::On),
            raw::REDISMODULE_CONFIG_DEFAULT,
            Some(get_quarantine),
            Some(set_quarantine),
            Some(apply_quarantine),
            std::ptr::null_mut(),
        );
        if registered != OK {
            return Err("the setting redislock.quarantine is taken");
        }
        match server!(RedisModule_LoadConfigs)(ctx.as_ptr()) {
            OK => Ok(()),
            _ => Err("a setting redislock.* is not what it must be, see the line above"),
        }
    }
}

unsafe extern "C" fn get(_name: *const c_char, _data: *mut c_void) -> c_longlong {
    let most = entry::fence(TTL_MOST_DEFAULT, || state::with(|shell| shell.ttl_most));
    most.as_ms() as c_longlong
}

unsafe extern "C" fn set(
    _name: *const c_char,
    value: c_longlong,
    _data: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    entry::fence(ERR, || {
        // The server has checked the range.
        match u64::try_from(value).ok().and_then(Ttl::from_ms) {
            Some(most) => {
                state::with(|shell| shell.ttl_most = most);
                OK
            }
            None => ERR,
        }
    })
}

unsafe extern "C" fn get_waiters(_name: *const c_char, _data: *mut c_void) -> c_longlong {
    let most = entry::fence(0, || state::with(|shell| shell.waiters_most));
    most as c_longlong
}

unsafe extern "C" fn set_waiters(
    _name: *const c_char,
    value: c_longlong,
    _data: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    entry::fence(ERR, || match usize::try_from(value) {
        Ok(most) => {
            state::with(|shell| shell.waiters_most = most);
            OK
        }
        Err(_) => ERR,
    })
}

unsafe extern "C" fn get_quarantine(_name: *const c_char, _data: *mut c_void) -> c_int {
    let setting = entry::fence(Setting::Off, || state::with(|shell| shell.keeper.setting));
    c_int::from(setting == Setting::On)
}

unsafe extern "C" fn set_quarantine(
    _name: *const c_char,
    value: c_int,
    _data: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    entry::fence(ERR, || {
        let setting = match value {
            0 => Setting::Off,
            _ => Setting::On,
        };
        let prepared = match setting {
            Setting::On => quarantine::prepare(),
            Setting::Off => Ok(()),
        };
        if let Err(reason) = prepared {
            // SAFETY: the server passes a place for a string, which it frees.
            unsafe {
                *error = server!(RedisModule_CreateString)(
                    std::ptr::null_mut(),
                    reason.as_ptr().cast::<c_char>(),
                    reason.len(),
                );
            }
            return ERR;
        }
        state::with(|shell| shell.keeper.setting = setting);
        OK
    })
}

unsafe extern "C" fn apply_quarantine(
    _ctx: *mut raw::RedisModuleCtx,
    _data: *mut c_void,
    _error: *mut *mut raw::RedisModuleString,
) -> c_int {
    entry::fence(ERR, || {
        quarantine::setting_changed();
        OK
    })
}
