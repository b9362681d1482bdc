//! `turn`: the one function in which things change by themselves.
//!
//! It is called from the event loop just before that goes to sleep. The server
//! does not do that in the middle of a script or while it loads, and it gives
//! the call an execution unit of its own: what is replicated here goes out as
//! one transaction. Every other callback only leaves a note for `turn`.
//!
//! What may not be done now, because writes are paused or this is a replica, is
//! kept and tried again with each cron (by default every 100 ms). Ending a lease
//! needs no more than that: like the server's own expiry it is not held back by
//! `min-replicas-to-write`, a full disk or a full memory.
//!
//! A turn is a slice: if there is more to do than fits, the alarm is set to ring
//! at once, and clients are served in between.

use super::api::{self, server, Context};
use super::apply::{self, HandOver, Verdict};
use super::blocked;
use super::call::CallReply;
use super::clock;
use super::notify;
use super::state::{self, Attention, Role, Suspect};
use crate::lock::{BootTime, Event};

/// Leases ended in one turn, at most. One takes 1 to 3 µs.
const SWEEP_MOST: usize = 512;
/// Connections sent away in one turn, at most.
const WAITS_MOST: usize = 512;
/// Lines looked at in one turn, at most.
const HAND_OVERS_MOST: usize = 256;
/// Slots of the table looked at in one turn, at most. One takes some 10 ns.
const RECLAIM_MOST: u32 = 16_384;
/// Suspected keys looked at in one turn, at most.
const SUSPECTS_MOST: usize = 128;
/// More databases than this are not searched for a lost key.
const DATABASES_MOST: u32 = 1_024;

/// What may be changed in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// Keys may be deleted, and replicas told.
    Write,
    /// Nothing that replicas would hear of; try again with cron.
    Wait,
}

/// Whether a slice was enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Finished,
    MoreToDo,
}

/// Does what is due. Called before each sleep, and cheap if nothing is.
pub(super) fn turn(ctx: Context<'_>) {
    let is_wanted = state::with(|shell| std::mem::take(&mut shell.attention) == Attention::Wanted);
    if !is_wanted {
        return;
    }
    // The context is used again by others: they find it as we found it.
    let db = ctx.db();
    let began = clock::boot();
    do_what_is_due(ctx);
    ctx.select_db(db);
    let took_ms = clock::boot().ms_since(began);
    if took_ms > 0 {
        report_slow(ctx, took_ms);
    }
}

/// The latency monitor hears of turns that took long, if it is on: the server itself
/// would note them down whatever its threshold.
#[cold]
fn report_slow(ctx: Context<'_>, took_ms: u64) {
    let setting = CallReply::of(ctx, c"CONFIG", &[c"GET", c"latency-monitor-threshold"]);
    let threshold = setting.as_ref().and_then(|reply| reply.element(1));
    let threshold = threshold.and_then(|it| std::str::from_utf8(it.bytes()?).ok()?.parse().ok());
    if threshold.is_some_and(|threshold: u64| threshold > 0 && took_ms >= threshold) {
        // SAFETY: the name is copied.
        unsafe {
            server!(RedisModule_LatencyAddSample)(c"redislock-turn".as_ptr(), api::long(took_ms));
        }
    }
}

fn do_what_is_due(ctx: Context<'_>) {
    let leave = leave();
    if !api::is_write_paused() {
        write_lost_cover(ctx);
    }
    blocked::give_back_finished();
    let now = clock::boot();
    state::with(notify::listen);
    let mut progress = reclaim(ctx, now).and(sweep_waits(ctx, now));
    if leave == Leave::Write {
        progress = progress.and(sweep(ctx, now)).and(hand_over(ctx, now));
    }
    progress = progress.and(look_at_suspects(ctx, leave));
    if state::with(|shell| shell.locks.journal().has_happenings()) {
        notify::publish(ctx);
    }
    set_alarm(leave, progress);
}

impl Progress {
    fn unless_due(deadline: Option<BootTime>, now: BootTime) -> Self {
        match deadline {
            Some(deadline) if deadline <= now => Self::MoreToDo,
            _ => Self::Finished,
        }
    }

    fn and(self, other: Self) -> Self {
        if self == Self::Finished {
            other
        } else {
            self
        }
    }
}

fn leave() -> Leave {
    let is_master = state::with(|shell| shell.role) == Role::Master;
    if is_master && !api::is_write_paused() {
        Leave::Write
    } else {
        Leave::Wait
    }
}

/// The log was begun anew: write down again how far tokens may go. A replica
/// writes it into its own log only.
fn write_lost_cover(ctx: Context<'_>) {
    if let Some(cover) = state::with(|shell| shell.locks.take_lost_cover()) {
        ctx.replicate_cover(cover);
    }
}

/// Frees what FLUSH and SWAPDB ended.
fn reclaim(ctx: Context<'_>, now: BootTime) -> Progress {
    let mut effects = Vec::new();
    let progress = state::with(|shell| {
        let event = Event::Reclaim { most: RECLAIM_MOST };
        shell.locks.step(now, event, &mut effects);
        if shell.locks.has_to_reclaim() {
            Progress::MoreToDo
        } else {
            Progress::Finished
        }
    });
    apply::in_background(ctx, &mut effects);
    progress
}

/// Sends connections away that have waited long enough. That needs no leave: their
/// clocks run on whatever the server is doing.
fn sweep_waits(ctx: Context<'_>, now: BootTime) -> Progress {
    let mut effects = Vec::new();
    let progress = state::with(|shell| {
        let event = Event::SweepWaits { most: WAITS_MOST };
        shell.locks.step(now, event, &mut effects);
        Progress::unless_due(shell.locks.next_wait_deadline(), now)
    });
    apply::in_background(ctx, &mut effects);
    progress
}

/// Grants free locks to the heads of their lines. What the server would refuse a
/// client is tried again with cron; the line keeps its order.
fn hand_over(ctx: Context<'_>, now: BootTime) -> Progress {
    let count = state::with(|shell| shell.locks.lines_ready().min(HAND_OVERS_MOST));
    let (mut served, mut elsewhere) = (0, 0);
    for _ in 0..count {
        let Some((db, key)) = state::with(|shell| shell.locks.take_ready_line()) else {
            break;
        };
        let outcome = apply::grant_next(ctx, now, db, &key);
        if outcome != HandOver::Done {
            state::with(|shell| shell.locks.put_ready_line_back(db, &key));
        }
        match outcome {
            HandOver::Done => served += 1,
            HandOver::NotHere => elsewhere += 1,
            HandOver::NotNow => return Progress::Finished,
        }
    }
    // Lines that wait for a slot to move hold nobody else up, and need no haste:
    // those that were looked at are now the last, and cron comes back to them.
    match state::with(|shell| shell.locks.lines_ready()) {
        ready if ready <= elsewhere || served == 0 => Progress::Finished,
        _ => Progress::MoreToDo,
    }
}

/// Ends leases that are over.
fn sweep(ctx: Context<'_>, now: BootTime) -> Progress {
    let (mut effects, progress) = state::with(|shell| {
        let mut effects = std::mem::take(&mut shell.effects);
        let event = Event::Sweep { most: SWEEP_MOST };
        shell.locks.step(now, event, &mut effects);
        let progress = Progress::unless_due(shell.locks.next_deadline(), now);
        (effects, progress)
    });
    apply::in_background(ctx, &mut effects);
    state::with(|shell| shell.effects = effects);
    progress
}

/// Deletes keys that hold dead handles. On a replica they are its master's to
/// delete; they are remembered in case this replica is promoted.
fn look_at_suspects(ctx: Context<'_>, leave: Leave) -> Progress {
    let count = state::with(|shell| shell.suspects.len().min(SUSPECTS_MOST));
    for _ in 0..count {
        let Some(suspect) = state::with(|shell| shell.suspects.pop_front()) else {
            break;
        };
        match suspect.db {
            Some(db) => look_at(ctx, db, suspect.key, leave),
            None => {
                for db in (0..DATABASES_MOST).take_while(|&db| ctx.select_db(db)) {
                    look_at(ctx, db, suspect.key.clone(), leave);
                }
            }
        }
    }
    match leave {
        Leave::Write if state::with(|shell| !shell.suspects.is_empty()) => Progress::MoreToDo,
        _ => Progress::Finished,
    }
}

fn look_at(ctx: Context<'_>, db: u32, key: Vec<u8>, leave: Leave) {
    match leave {
        Leave::Write => apply::delete_if_dead(ctx, db, &key),
        Leave::Wait if apply::inspect(ctx, db, &key) == Verdict::Dead => state::with(|shell| {
            let db = Some(db);
            shell.suspects.push_back(Suspect { db, key });
        }),
        Leave::Wait => {}
    }
}

fn set_alarm(leave: Leave, progress: Progress) {
    state::with(|shell| {
        let (leases, waits) = (
            shell.locks.next_deadline(),
            shell.locks.next_wait_deadline(),
        );
        let next = match (progress, leave) {
            (Progress::MoreToDo, _) => Some(clock::boot()),
            (Progress::Finished, Leave::Write) => state::earlier(leases, waits),
            (Progress::Finished, Leave::Wait) => waits,
        };
        if let (Some(alarm), Some(next)) = (&mut shell.alarm, next) {
            alarm.ring_by(next);
        }
    });
}

/// With each cron: whether something was put off.
pub(super) fn try_again() {
    state::with(|shell| {
        let is_due = shell
            .locks
            .next_deadline()
            .is_some_and(|deadline| deadline <= clock::boot());
        let is_put_off = is_due
            || !shell.suspects.is_empty()
            || shell.locks.has_to_reclaim()
            || shell.locks.tokens().has_lost_cover()
            || shell.locks.lines_ready() > 0;
        if is_put_off {
            shell.attention = Attention::Wanted;
        }
    });
}
