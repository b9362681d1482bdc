//! Effects carried out: the key, the log and the replicas.
//!
//! Every case of [`Effect`] is matched; there is no `_`. Nothing here holds the
//! global while it calls what may call back (storing and deleting keys does).

use super::api::{Context, Key, Mode, Name, NotALock};
use super::call::{self, Permission};
use super::state::{self, Attention, Deployment, Suspect};
use super::{audience, blocked, clock, keyspace, notify, quarantine};
use crate::lock::holders::HoldRef;
use crate::lock::{BootTime, Effect, Event, LockId, Place, Token};

/// Carries out the effects of a command on its own key, which is open.
pub(super) fn to_open_key(
    ctx: Context<'_>,
    key: &Key<'_>,
    name: Name<'_>,
    mut effects: Vec<Effect>,
) {
    for effect in effects.drain(..) {
        match effect {
            Effect::Cover(cover) => {
                quarantine::note(cover.ttl_most);
                ctx.replicate_cover(cover);
            }
            Effect::Store(lock) => store(key, lock),
            Effect::Grant { lock, token, ttl } => tell_of(lock, token, |hold| {
                ctx.replicate_grant(name, hold, ttl);
            }),
            Effect::Cool { lock, token, left } => tell_of(lock, token, |hold| {
                ctx.replicate_cooling(name, hold, left);
            }),
            Effect::End { owner, token } => ctx.replicate_end(name, &owner, token),
            Effect::Delete { .. } => {
                key.delete();
                ctx.replicate_delete(name);
                ctx.signal(name);
            }
            Effect::Signal => ctx.signal(name),
            Effect::Reply { ticket, news } => blocked::tell(ticket, news),
            Effect::Search { key } => search(&key),
            Effect::Look { .. } => unreachable!("only a sweep has others looked at"),
        }
    }
    let has_happenings = state::with(|shell| {
        shell.effects = effects;
        shell.wake_for_deadline();
        shell.locks.journal().has_happenings()
    });
    if has_happenings {
        notify::publish(ctx);
    }
}

/// Looks a hold up, if anybody listens to what is said of it.
fn tell_of(lock: LockId, token: Token, tell: impl FnOnce(HoldRef<'_>)) {
    if !audience::is_there() {
        return;
    }
    state::with(|shell| {
        let lock = shell.locks.lock(lock);
        if let Some(hold) = lock.and_then(|lock| lock.holders.with_token(token)) {
            tell(hold);
        }
    });
}

/// Carries out the effects of a command that is itself handed on as it came.
pub(super) fn without_telling(
    ctx: Context<'_>,
    key: &Key<'_>,
    name: Name<'_>,
    mut effects: Vec<Effect>,
) {
    for effect in effects.drain(..) {
        match effect {
            Effect::Cover(_) | Effect::Grant { .. } | Effect::Cool { .. } | Effect::End { .. } => {}
            Effect::Store(lock) => store(key, lock),
            Effect::Delete { .. } => {
                key.delete();
                ctx.signal(name);
            }
            Effect::Signal => ctx.signal(name),
            Effect::Reply { ticket, news } => blocked::tell(ticket, news),
            Effect::Search { key } => search(&key),
            Effect::Look { .. } => unreachable!("only a sweep has others looked at"),
        }
    }
    state::with(|shell| shell.effects = effects);
}

/// Carries out the effects of what happened by itself; keys are opened here.
pub(super) fn in_background(ctx: Context<'_>, effects: &mut Vec<Effect>) {
    for effect in effects.drain(..) {
        match effect {
            Effect::Delete { db, key, lock } => delete_if_holds(ctx, db, &key, lock),
            Effect::Reply { ticket, news } => blocked::tell(ticket, news),
            Effect::Search { key } => search(&key),
            Effect::Look { db, key } => {
                if grant_next(ctx, clock::boot(), db, &key) == HandOver::NotNow {
                    state::with(|shell| shell.locks.put_ready_line_back(db, &key));
                }
            }
            Effect::Cover(_)
            | Effect::Store(_)
            | Effect::Grant { .. }
            | Effect::Cool { .. }
            | Effect::End { .. }
            | Effect::Signal => unreachable!("nobody is granted in the background"),
        }
    }
}

/// What became of the head of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandOver {
    /// It was granted, or need not be.
    Done,
    /// The server would refuse a client's command now, for any key.
    NotNow,
    /// It would refuse one for this key: the key is elsewhere, or about to be.
    NotHere,
}

/// Grants the lock of a line to its head, if it is free and if the server would
/// let a client write: an unasked write is no better than an asked one.
pub(super) fn grant_next(ctx: Context<'_>, now: BootTime, db: u32, key: &[u8]) -> HandOver {
    if !ctx.select_db(db) {
        return HandOver::Done;
    }
    let name = ctx.name(key);
    let name = name.name();
    let refusal = match call::permission(ctx, key) {
        Permission::Given => None,
        Permission::Elsewhere => Some(HandOver::NotHere),
        Permission::Refused => Some(HandOver::NotNow),
    };
    if let Some(refusal) = refusal {
        // A key of another type is refused, too, and that will not change.
        let found = ctx.open(name, Mode::Read).lock(keyspace::lock_type());
        if found != Err(NotALock) {
            return refusal;
        }
    }
    let open = ctx.open(name, Mode::Write);
    let event = match open.lock(keyspace::lock_type()) {
        Ok(lock) => Event::GrantNext {
            at: Place { db, key, lock },
        },
        Err(NotALock) => Event::KeyTaken { db, key },
    };
    let effects = state::with(|shell| {
        if shell.deployment == Deployment::Cluster && shell.locks.is_new_slot(key) {
            shell.locks.enter_slot(key, clock::wall());
        }
        let mut effects = std::mem::take(&mut shell.effects);
        shell.locks.step(now, event, &mut effects);
        effects
    });
    to_open_key(ctx, &open, name, effects);
    HandOver::Done
}

fn store(key: &Key<'_>, lock: LockId) {
    key.store(keyspace::lock_type(), lock);
}

fn delete_if_holds(ctx: Context<'_>, db: u32, key: &[u8], lock: LockId) {
    if !ctx.select_db(db) {
        return;
    }
    let name = ctx.name(key);
    let name = name.name();
    let open = ctx.open(name, Mode::Write);
    if open.lock(keyspace::lock_type()) == Ok(Some(lock)) {
        open.delete();
        ctx.replicate_delete(name);
        ctx.signal(name);
    }
}

/// What became of a key that was suspected of holding a dead handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It does not.
    Innocent,
    /// It does.
    Dead,
}

/// Whether the key holds a dead handle.
pub(super) fn inspect(ctx: Context<'_>, db: u32, key: &[u8]) -> Verdict {
    if !ctx.select_db(db) {
        return Verdict::Innocent;
    }
    let name = ctx.name(key);
    let open = ctx.open(name.name(), Mode::Read);
    match open.lock(keyspace::lock_type()) {
        Ok(Some(lock)) if state::with(|shell| shell.locks.lock(lock).is_none()) => Verdict::Dead,
        _ => Verdict::Innocent,
    }
}

/// Deletes the key if it holds a dead handle.
pub(super) fn delete_if_dead(ctx: Context<'_>, db: u32, key: &[u8]) {
    if inspect(ctx, db, key) == Verdict::Dead {
        let name = ctx.name(key);
        let name = name.name();
        ctx.open(name, Mode::Write).delete();
        ctx.replicate_delete(name);
        ctx.signal(name);
    }
}

fn search(key: &[u8]) {
    state::with(|shell| {
        shell.attention = Attention::Wanted;
        shell.suspects.push_back(Suspect {
            db: None,
            key: key.to_vec(),
        });
    });
}
