//! A timer on the boot clock that wakes the event loop.
//!
//! When it rings it is only drained: its callback may run in the middle of a
//! busy script, where nothing may change. What is to be done is done in `turn`,
//! before the loop goes to sleep.

use super::api::{server, OK};
use super::state::{self, Attention};
use super::{clock, entry};
use crate::lock::BootTime;
use redis_module::raw;
use std::ffi::{c_int, c_void};

/// The timer.
#[derive(Debug)]
pub(super) struct Alarm {
    fd: c_int,
    /// When it rings next, if it is set.
    set_for: Option<BootTime>,
}

impl Alarm {
    /// Makes the timer and puts it into the server's event loop.
    pub(super) fn new() -> Result<Self, &'static str> {
        // SAFETY: takes numbers only.
        let fd = unsafe {
            libc::timerfd_create(clock::boot_clock(), libc::TFD_NONBLOCK | libc::TFD_CLOEXEC)
        };
        if fd < 0 {
            return Err("the system has no timer on the boot clock (timerfd)");
        }
        // SAFETY: `rang` has the signature that the server calls.
        let added = unsafe {
            server!(RedisModule_EventLoopAdd)(
                fd,
                raw::REDISMODULE_EVENTLOOP_READABLE as c_int,
                Some(rang),
                std::ptr::null_mut(),
            )
        };
        if added == OK {
            return Ok(Self { fd, set_for: None });
        }
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(fd) };
        Err("the event loop takes no more descriptors")
    }

    /// Whether it rings at `time` or earlier.
    pub(super) fn rings_by(&self, time: BootTime) -> bool {
        self.set_for.is_some_and(|set_for| set_for <= time)
    }

    /// Sees to it that the loop wakes up at `time`, or earlier.
    pub(super) fn ring_by(&mut self, time: BootTime) {
        if self.rings_by(time) {
            return;
        }
        // A time of zero would mean never.
        let ns = time.as_ns().max(1);
        let setting = libc::itimerspec {
            it_interval: timespec(0),
            it_value: timespec(ns),
        };
        // SAFETY: the descriptor is a timer's, the setting is ours.
        unsafe {
            libc::timerfd_settime(
                self.fd,
                libc::TFD_TIMER_ABSTIME,
                &setting,
                std::ptr::null_mut(),
            );
        }
        self.set_for = Some(time);
    }
}

fn timespec(ns: u64) -> libc::timespec {
    // Ten years of nanoseconds are far from the end of either field.
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}

unsafe extern "C" fn rang(fd: c_int, _data: *mut c_void, _mask: c_int) {
    entry::fence((), || {
        let mut rings = 0_u64;
        // SAFETY: a timer gives eight bytes, and `rings` has eight.
        unsafe { libc::read(fd, (&raw mut rings).cast::<c_void>(), 8) };
        state::with(|shell| {
            shell.attention = Attention::Wanted;
            if let Some(alarm) = &mut shell.alarm {
                alarm.set_for = None;
            }
        });
    });
}
