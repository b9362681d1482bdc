//! Whether a server that starts may have forgotten holds, and what it leaves behind so
//! that its next start can tell. The rules are in `src/lock/quarantine.rs`; nothing here
//! happens unless `redislock.quarantine` is yes.
//!
//! ```text
//!  load ──▶ Starting ── the loop runs ──▶ Waiting ── time is over ──▶ Settled
//!           nothing is                    nothing is                  what is granted
//!           granted      files are whole  granted                     is written down
//!              └────────────────────────────────────────────────────────▲
//! ```
//!
//! `redislock.quarantine` in the server's directory holds one line
//! ([`Testament`]). It is empty until everything that an earlier run may have granted is
//! over: a crash before that leaves the next start as wise as this one. A longer lease
//! than ever is in it before it is granted. That files are whole is in it only as long as
//! nothing can be granted that they do not have: it is taken back, on disk, before a
//! server grants that does not sync each answer, and when a setting changes that decides
//! what the files get.

use super::api::{self, Context, Level};
use super::call::CallReply;
use super::flags::Flags;
use super::state::{self, Attention, Role, Shell};
use super::testament_file::TestamentFile;
use super::{clock, entry};
use crate::lock::testament::{self, Loaded, Proof, Testament};
use crate::lock::{BootTime, Event, Ttl};
use redis_module::raw;
use std::ffi::{c_void, CStr};

/// `redislock.quarantine`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Setting {
    /// A server grants from its start on.
    #[default]
    Off,
    /// It does not, unless it knows every hold.
    On,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The module is being loaded.
    #[default]
    Unborn,
    /// There is nothing to do: the setting is off, or this is a replica.
    Idle,
    /// Files may yet be loaded.
    Starting,
    /// Until then something may be held of which this server knows nothing.
    Waiting(BootTime),
    /// Every hold is known.
    Settled,
}

/// Whether the files got everything since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trail {
    #[default]
    Whole,
    Broken,
}

/// What this server knows of itself.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    pub(super) setting: Setting,
    phase: Phase,
    file: Option<TestamentFile>,
    /// What is in the file.
    left: Option<Testament>,
    /// Since when this server may have forgotten something.
    begun: BootTime,
    loaded: Loaded,
    trail: Trail,
    /// The holds that the snapshot has that is being saved, by the number of changes.
    saving: Option<u64>,
    /// The same of the last one that was.
    saved: Option<u64>,
}

/// Settings that decide what the files get, or which they are.
const WATCHED: [&CStr; 6] = [
    c"appendonly",
    c"appendfsync",
    c"no-appendfsync-on-rewrite",
    c"aof-load-corrupt-tail-max-size",
    c"dir",
    c"dbfilename",
];

/// The module is loaded: nothing is granted until it is known what the files hold.
pub(super) fn begin_at_load() -> Result<(), String> {
    let (setting, role) = state::with(|shell| (shell.keeper.setting, shell.role));
    if setting == Setting::Off {
        // What is written there is not kept up to date any more.
        TestamentFile::empty_if_there();
        state::with(|shell| shell.keeper.phase = Phase::Idle);
        return Ok(());
    }
    let file = TestamentFile::open()?;
    let left = file.read();
    state::with(|shell| {
        shell.keeper.file = Some(file);
        if role == Role::Replica {
            shell.keeper.forget();
            shell.keeper.phase = Phase::Idle;
            return;
        }
        shell.keeper.left = left;
        shell.keeper.begun = clock::boot();
        shell.keeper.phase = Phase::Starting;
        quarantine(shell);
    });
    Ok(())
}

/// Nothing is granted for as long as what is forgotten may last.
fn quarantine(shell: &mut Shell) -> (BootTime, Ttl) {
    let longest_known = shell.locks.tokens().ttl_most();
    let wait = testament::wait(shell.keeper.left, longest_known, shell.ttl_most);
    let until = shell.keeper.begun.after(wait);
    lock_step(shell, Event::Quarantine(Some(until)));
    (until, wait)
}

fn lock_step(shell: &mut Shell, event: Event<'_>) {
    shell.locks.step(clock::boot(), event, &mut Vec::new());
    shell.attention = Attention::Wanted;
}

/// Before each sleep of the loop: the first time everything is loaded that there is.
pub(super) fn judge(ctx: Context<'_>) {
    let is_starting = state::with(|shell| shell.keeper.phase) == Phase::Starting;
    if !is_starting || Flags::of_server().is_loading() {
        return;
    }
    let is_complete = state::with(|shell| {
        let ceiling = shell.locks.tokens().ceiling();
        let left = shell.keeper.left;
        left.is_some_and(|left| left.proves(shell.keeper.loaded, ceiling))
    });
    if is_complete {
        settle(ctx);
        state::with(|shell| lock_step(shell, Event::Quarantine(None)));
        api::log(Level::Notice, "every hold is known: there is no quarantine");
        return;
    }
    state::with(|shell| {
        let (until, wait) = quarantine(shell);
        shell.keeper.phase = Phase::Waiting(until);
        // The holds that were loaded may be lost in turn.
        if let Some(left) = shell.keeper.left {
            let longest = left.longest.max(wait);
            shell.keeper.write(Testament {
                longest,
                proof: Proof::None,
                ..left
            });
        }
        say_how_long(wait, "holds may have been forgotten");
    });
}

fn say_how_long(wait: Ttl, why: &str) {
    let ms = wait.as_ms();
    let text = format!("quarantine: {why}, so nothing is granted for {ms} ms");
    api::log(Level::Warning, &text);
}

/// With each cron: whether the time is over.
pub(super) fn cron(ctx: Context<'_>) {
    let is_over = state::with(|shell| match shell.keeper.phase {
        Phase::Waiting(until) => until <= clock::boot(),
        _ => false,
    });
    if is_over {
        settle(ctx);
        api::log(
            Level::Notice,
            "quarantine: what may have been forgotten is over",
        );
    }
}

/// From now on every hold is known, and what is granted is written down.
fn settle(ctx: Context<'_>) {
    let has_every_answer = syncs_every_answer(ctx);
    state::with(|shell| {
        let tokens = shell.locks.tokens();
        let shortest = Ttl::from_ms(1).unwrap_or(Ttl::MOST);
        let longest = tokens.ttl_most().unwrap_or(shortest);
        let proof = if has_every_answer && shell.keeper.trail == Trail::Whole {
            Proof::EveryAnswer
        } else {
            Proof::None
        };
        let ceiling = tokens.ceiling();
        let keeper = &mut shell.keeper;
        let longest = keeper
            .left
            .map_or(longest, |left| left.longest.max(longest));
        keeper.phase = Phase::Settled;
        keeper.write(Testament {
            longest,
            proof,
            ceiling,
        });
    });
}

/// Whether nothing is answered before it is in the log and on disk.
fn syncs_every_answer(ctx: Context<'_>) -> bool {
    // A log that is being switched on counts, too; but then the trail is broken.
    Flags::of_server().has_log()
        && is_set_to(ctx, c"appendfsync", b"always")
        && is_set_to(ctx, c"no-appendfsync-on-rewrite", b"no")
        && is_set_to(ctx, c"aof-load-corrupt-tail-max-size", b"0")
}

/// Whether the server's setting is this, or does not exist.
fn is_set_to(ctx: Context<'_>, name: &CStr, wanted: &[u8]) -> bool {
    let reply = CallReply::of(ctx, c"CONFIG", &[c"GET", name]);
    let value = reply.as_ref().map(|pair| pair.element(1));
    match value {
        Some(Some(value)) => value.bytes() == Some(wanted),
        Some(None) => true,
        None => false,
    }
}

/// A lease of this length is about to be granted, or is what a hold has now: no longer
/// one is in the file before.
pub(super) fn note(longest: Ttl) {
    state::with(|shell| {
        let left = shell.keeper.left;
        if let Some(more) = left.and_then(|left| left.with_lease(longest)) {
            shell.keeper.write(more);
        }
    });
}

/// The replica that this server was may lack what its master granted last.
pub(super) fn promoted() {
    state::with(|shell| {
        if shell.keeper.is_at_work() {
            shell.keeper.forget();
            shell.keeper.trail = Trail::Whole;
            shell.keeper.begun = clock::boot();
            let (until, wait) = quarantine(shell);
            shell.keeper.phase = Phase::Waiting(until);
            say_how_long(wait, "a replica may lack what its master granted last");
        }
    });
}

/// What a master grants is in no file of ours.
pub(super) fn demoted() {
    state::with(|shell| {
        if shell.keeper.is_at_work() {
            shell.keeper.forget();
            shell.keeper.phase = Phase::Idle;
            lock_step(shell, Event::Quarantine(None));
        }
    });
}

/// Files are loaded, or were.
pub(super) fn loading(what: u64) {
    let is_over = what == raw::REDISMODULE_SUBEVENT_LOADING_ENDED
        || what == raw::REDISMODULE_SUBEVENT_LOADING_FAILED;
    state::with(|shell| match shell.keeper.phase {
        Phase::Starting if !is_over => {
            shell.keeper.loaded = match what {
                raw::REDISMODULE_SUBEVENT_LOADING_AOF_START => Loaded::Log,
                raw::REDISMODULE_SUBEVENT_LOADING_RDB_START => Loaded::File,
                _ => Loaded::Nothing,
            };
        }
        // In the middle of a run: DEBUG RELOAD. The files are not what is in memory.
        Phase::Waiting(_) | Phase::Settled => {
            shell.keeper.break_trail();
            if is_over {
                shell.keeper.begun = clock::boot();
                let (until, wait) = quarantine(shell);
                shell.keeper.phase = Phase::Waiting(until);
                say_how_long(wait, "what was loaded may lack holds");
            }
        }
        _ => {}
    });
}

/// CONFIG SET is about to say yes.
pub(super) fn prepare() -> Result<(), String> {
    let is_missing =
        state::with(|shell| shell.keeper.phase != Phase::Unborn && shell.keeper.file.is_none());
    if is_missing {
        let file = TestamentFile::open()?;
        state::with(|shell| shell.keeper.file = Some(file));
    }
    Ok(())
}

/// CONFIG SET has changed the setting. No ends a quarantine. Yes begins none: it is for
/// the next start, and what was granted before it is over before that can rely on it.
pub(super) fn setting_changed() {
    state::with(|shell| match (shell.keeper.setting, shell.keeper.phase) {
        (_, Phase::Unborn) | (Setting::Off, Phase::Idle) => {}
        (Setting::Off, _) => {
            shell.keeper.forget();
            shell.keeper.phase = Phase::Idle;
            lock_step(shell, Event::Quarantine(None));
        }
        (Setting::On, Phase::Idle) => {
            shell.keeper.forget();
            if shell.role == Role::Replica {
                return;
            }
            shell.keeper.trail = Trail::Whole;
            let longest_known = shell.locks.tokens().ttl_most();
            let wait = testament::wait(None, longest_known, shell.ttl_most);
            shell.keeper.phase = Phase::Waiting(clock::boot().after(wait));
        }
        (Setting::On, _) => {}
    });
}

impl Keeper {
    fn is_at_work(&self) -> bool {
        self.setting == Setting::On && self.phase != Phase::Unborn
    }

    /// From now on the files may lack something.
    fn break_trail(&mut self) {
        self.trail = Trail::Broken;
        if let Some(left) = self.left.filter(|left| left.proof != Proof::None) {
            let proof = Proof::None;
            self.write(Testament { proof, ..left });
        }
    }

    fn write(&mut self, testament: Testament) {
        if self.left == Some(testament) {
            return;
        }
        let written = self.file.as_mut().map(|file| file.write(&testament));
        match written {
            Some(Ok(())) => self.left = Some(testament),
            Some(Err(error)) => {
                // What is there may be less than what is granted from now on.
                api::log(Level::Warning, &error);
                self.forget();
            }
            None => {}
        }
    }

    /// The next start is to know nothing.
    fn forget(&mut self) {
        self.left = None;
        let emptied = self.file.as_mut().map(TestamentFile::empty);
        if let Some(Err(error)) = emptied {
            api::log(Level::Warning, &error);
        }
    }
}

/// What else the server tells of: its snapshots, its settings, its end.
pub(super) unsafe extern "C" fn persistence(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    _data: *mut c_void,
) {
    // Also called in a child that saves, whose memory is its own: nothing is written here.
    entry::fence((), || {
        state::with(|shell| {
            let changes = shell.locks.tokens().changes();
            let keeper = &mut shell.keeper;
            match what {
                raw::REDISMODULE_SUBEVENT_PERSISTENCE_SYNC_RDB_START => {
                    keeper.saving = Some(changes);
                }
                raw::REDISMODULE_SUBEVENT_PERSISTENCE_ENDED => keeper.saved = keeper.saving.take(),
                _ => keeper.saving = None,
            }
        });
    });
}

/// A setting of the server changed; nothing has been answered under the new one yet.
pub(super) unsafe extern "C" fn config_changed(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _what: u64,
    data: *mut c_void,
) {
    if data.is_null() {
        return;
    }
    // SAFETY: with this event the server passes this structure, with so many names.
    let names = unsafe {
        let change = &*data.cast::<raw::RedisModuleConfigChange>();
        match change.num_changes {
            0 => return,
            count => std::slice::from_raw_parts(change.config_names, count as usize),
        }
    };
    entry::fence((), || {
        let is_watched = names.iter().any(|&name| {
            // SAFETY: the server passes strings with a NUL at their end.
            let name = unsafe { CStr::from_ptr(name) };
            let name = name.to_bytes();
            WATCHED
                .iter()
                .any(|it| it.to_bytes().eq_ignore_ascii_case(name))
        });
        if is_watched {
            state::with(|shell| shell.keeper.break_trail());
        }
    });
}

/// The server ends, and has written its files: whether they have everything.
pub(super) unsafe extern "C" fn shutdown(
    ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _what: u64,
    _data: *mut c_void,
) {
    entry::fence((), || {
        // SAFETY: the server passes the context of this call.
        let Some(ctx) = (unsafe { Context::from_raw(ctx) }) else {
            return;
        };
        let has_log = Flags::of_server().has_log();
        let is_log_whole = has_log && is_log_whole(ctx);
        state::with(|shell| {
            let tokens = shell.locks.tokens();
            let (changes, ceiling) = (tokens.changes(), tokens.ceiling());
            let keeper = &mut shell.keeper;
            let is_known = keeper.phase == Phase::Settled && keeper.trail == Trail::Whole;
            let proof = if is_log_whole {
                Proof::ClosedLog
            } else if !has_log && keeper.saved == Some(changes) {
                Proof::ClosedFile
            } else {
                return;
            };
            if let Some(left) = keeper.left.filter(|_| is_known) {
                keeper.write(Testament {
                    proof,
                    ceiling,
                    ..left
                });
            }
        });
    });
}

/// Whether the server wrote the end of its log.
fn is_log_whole(ctx: Context<'_>) -> bool {
    let field = |name| ctx.about_server(c"persistence", name);
    field(c"aof_last_write_status").as_deref() == Some("ok")
        && field(c"aof_buffer_length").as_deref() == Some("0")
}
