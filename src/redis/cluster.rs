//! Which slots are still ours, and whose the others are.
//!
//! While a slot is elsewhere, another server issues tokens for its keys. When
//! it comes back, the first grant in it opens a term. To know that it was away,
//! the slots that were granted in are asked about: each of them once a second,
//! and all at once when the cluster's epoch has changed. A slot that leaves and
//! returns within that time is not noticed; the README says so. Where slots move
//! whole (CLUSTER MIGRATESLOTS of Valkey 9) the server tells of it, and none is missed.
//!
//! Whoever waits for a key of a slot that left is sent after it with MOVED, as a
//! client that asks is; so are those whom a server left waiting when it became a
//! replica, and all its slots left. While keys of a slot are on their way one by one (the
//! slot is *open*: migrating or importing), those who wait stay in line.
//!
//! The server is asked with a call on a key of the slot. Only if that is refused
//! its map is looked at, with CLUSTER NODES and SLOTS: before Valkey 9.0.1 these
//! follow a null pointer when a module calls them outside a client's command. On
//! such a server nobody can be told where a slot went, nor that it is only on its
//! way: the answer is TRYAGAIN, upon which a client asks again and joins the line
//! again, or is redirected by the server itself.

use super::api::{server, Context, Transport, OK};
use super::call::{self, CallReply, Element, Ownership};
use super::state::{self, Role};
use super::{blocked, clock, entry};
use crate::lock::slots::{Slot, SLOTS};
use crate::lock::{Effect, Event};
use redis_module::raw;
use std::ffi::{c_void, CStr, CString};
use std::rc::Rc;

/// Crons in which every slot is asked about once: a second at `hz 10`.
const CRONS_PER_ROUND: u16 = 10;
const SLOTS_PER_CRON: u16 = SLOTS.div_ceil(CRONS_PER_ROUND);

/// Whether CLUSTER NODES and SLOTS may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapSafety {
    /// Yes.
    Safe,
    /// They would crash the server.
    Unsafe,
}

/// The first Valkey whose CLUSTER NODES and SLOTS a module may call at any time.
const VALKEY_SAFE: [u32; 3] = [9, 0, 1];

/// With each cron, on a server in cluster mode.
pub(super) fn cron(ctx: Context<'_>) {
    let is_concerned = state::with(|shell| {
        let has_slots = shell.locks.tokens().has_slots() || !shell.slots_open.is_empty();
        // A server that became a replica may have left waiters where they are.
        let is_served = shell.role == Role::Master || !shell.waiters.is_empty();
        is_served && has_slots
    });
    if !is_concerned {
        return;
    }
    let epoch = epoch(ctx);
    let from = state::with(|shell| {
        let has_changed = std::mem::replace(&mut shell.epoch_seen, epoch) != epoch;
        let from = if shell.slots_asked < SLOTS {
            shell.slots_asked
        } else {
            0
        };
        shell.slots_asked = from + SLOTS_PER_CRON;
        (!has_changed).then_some(from)
    });
    match from {
        Some(from) => ask_about(ctx, from..from + SLOTS_PER_CRON),
        None => ask_about(ctx, 0..SLOTS),
    }
}

fn ask_about(ctx: Context<'_>, numbers: std::ops::Range<u16>) {
    let mut map = None;
    for slot in Slot::range(numbers) {
        let is_concerned = state::with(|shell| {
            !shell.locks.tokens().is_new_slot(slot) || shell.slots_open.contains(&slot)
        });
        if !is_concerned {
            continue;
        }
        if call::ownership(ctx, &slot.example_key()) == Ownership::Ours {
            state::with(|shell| shell.slots_open.remove(&slot));
            continue;
        }
        let map = map.get_or_insert_with(|| Map::of(ctx));
        if map.is_open(slot) {
            // The other server may grant in it already.
            state::with(|shell| {
                shell.slots_open.insert(slot);
                shell
                    .locks
                    .step(clock::boot(), Event::SlotOpen(slot), &mut Vec::new());
            });
        } else {
            left(slot, map);
        }
    }
}

/// The slot is another server's: whoever waits in it is sent there.
fn left(slot: Slot, map: &Map) {
    let mut effects = Vec::new();
    state::with(|shell| {
        shell.slots_open.remove(&slot);
        let event = Event::SlotLeft(slot);
        shell.locks.step(clock::boot(), event, &mut effects);
    });
    if effects.is_empty() {
        return;
    }
    let to = map.redirection(slot).map(Rc::new);
    for effect in effects {
        // A slot that leaves changes no key.
        if let Effect::Reply { ticket, .. } = effect {
            blocked::redirect(ticket, slot, to.clone());
        }
    }
}

/// Where a client is sent that waited for a key of a slot that moved.
#[derive(Debug)]
pub(super) struct Redirection {
    text: CString,
    /// What kind of connection the port is for.
    transport: Transport,
}

impl Redirection {
    /// Whether the client of this call can be sent there: the port is that of
    /// its kind of connection.
    pub(super) fn suits(&self, ctx: Context<'_>) -> bool {
        ctx.transport() == Some(self.transport)
    }

    /// The error that sends it there.
    pub(super) fn text(&self) -> &CStr {
        &self.text
    }
}

/// What the server knows of who serves what; nothing, where it must not be asked.
#[derive(Default)]
struct Map {
    nodes: Option<CallReply>,
    slots: Option<CallReply>,
    transport: Option<Transport>,
}

impl Map {
    fn of(ctx: Context<'_>) -> Self {
        if safety(ctx) == MapSafety::Unsafe {
            return Self::default();
        }
        Self {
            nodes: CallReply::of(ctx, c"CLUSTER", &[c"NODES"]),
            slots: CallReply::of(ctx, c"CLUSTER", &[c"SLOTS"]),
            transport: Some(transport(ctx)),
        }
    }

    /// Whether keys of the slot are on their way to or from this server. Only of
    /// itself a server lists such slots: `[93-<-node]`, `[77->-node]`.
    fn is_open(&self, slot: Slot) -> bool {
        let text = self.nodes.as_ref().and_then(|nodes| nodes.whole().bytes());
        let text = String::from_utf8_lossy(text.unwrap_or_default());
        text.contains(&format!(" [{}-", slot.number()))
    }

    /// Where the clients of the slot are to be sent.
    fn redirection(&self, slot: Slot) -> Option<Redirection> {
        let number = i64::from(slot.number());
        let has_slot = |range: &Element<'_>| {
            let end = |index| range.element(index).and_then(Element::number);
            matches!((end(0), end(1)), (Some(first), Some(last))
                if (first..=last).contains(&number))
        };
        let range = self.slots.as_ref()?.whole().elements().find(has_slot)?;
        let master = range.element(2)?;
        // No name: the one under which the client knows this server.
        let name = master.element(0)?.bytes().unwrap_or_default();
        let port = master.element(1)?.number()?;
        let mut text = format!("MOVED {number} ").into_bytes();
        text.extend_from_slice(name);
        text.extend_from_slice(format!(":{port}").as_bytes());
        Some(Redirection {
            text: CString::new(text).ok()?,
            transport: self.transport?,
        })
    }
}

/// Whether this server's map may be asked for. It does not change.
pub(super) fn safety(ctx: Context<'_>) -> MapSafety {
    if let Some(known) = state::with(|shell| shell.map_safety) {
        return known;
    }
    let version = ctx.about_server(c"server", c"valkey_version");
    let safety = match version.as_deref().map(version_numbers) {
        Some(version) if version < VALKEY_SAFE => MapSafety::Unsafe,
        _ => MapSafety::Safe,
    };
    state::with(|shell| shell.map_safety = Some(safety));
    safety
}

/// The first Valkey that moves whole slots at once (CLUSTER MIGRATESLOTS).
const VALKEY_MOVES_SLOTS: [u32; 3] = [9, 0, 0];

/// `VALKEYMODULE_OPTIONS_HANDLE_ATOMIC_SLOT_MIGRATION`: of Valkey alone.
const HANDLE_ATOMIC_SLOT_MIGRATION: u32 = 1 << 5;

/// `VALKEYMODULE_EVENT_ATOMIC_SLOT_MIGRATION` and what it tells of: of Valkey alone.
const SLOTS_MOVED: u64 = 19;
const IMPORT_COMPLETED: u64 = 4;
const EXPORT_COMPLETED: u64 = 5;

/// Takes part in CLUSTER MIGRATESLOTS, which Valkey refuses as long as any module does
/// not say that it is ready. Returns what it has to say, if the server has that.
///
/// The keys of the slots arrive here as `LOCK._GRANT`, before the slots do; what
/// happens to them meanwhile follows. If the move fails the server deletes them.
pub(super) fn take_part_in_slot_moves(ctx: Context<'_>) -> u32 {
    let version = ctx.about_server(c"server", c"valkey_version");
    let has_them = version.is_some_and(|it| version_numbers(&it) >= VALKEY_MOVES_SLOTS);
    if !has_them {
        return 0;
    }
    let event = raw::RedisModuleEvent {
        id: SLOTS_MOVED,
        dataver: 1,
    };
    // SAFETY: the callback has the signature that the server calls.
    let subscribed = unsafe {
        server!(RedisModule_SubscribeToServerEvent)(ctx.as_ptr(), event, Some(slots_moved))
    };
    match subscribed {
        OK => HANDLE_ATOMIC_SLOT_MIGRATION,
        _ => 0,
    }
}

/// Slots came or went whole, and may come back before anybody has asked about them.
/// Which ones does not matter: to ask about all costs little, and so does a term.
unsafe extern "C" fn slots_moved(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    what: u64,
    _data: *mut c_void,
) {
    if what != IMPORT_COMPLETED && what != EXPORT_COMPLETED {
        return;
    }
    entry::fence((), || {
        state::with(|shell| {
            for slot in Slot::range(0..SLOTS) {
                if !shell.locks.tokens().is_new_slot(slot) {
                    // Those who wait in it are looked after with the next cron.
                    shell.slots_open.insert(slot);
                    let event = Event::SlotOpen(slot);
                    shell.locks.step(clock::boot(), event, &mut Vec::new());
                }
            }
        });
    });
}

fn version_numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        *number = part.parse().unwrap_or_default();
    }
    numbers
}

/// For which kind of connection the ports are that a module is told: those that
/// the nodes use among themselves.
fn transport(ctx: Context<'_>) -> Transport {
    let reply = CallReply::of(ctx, c"CONFIG", &[c"GET", c"tls-cluster"]);
    let value = reply.as_ref().and_then(|pair| pair.element(1)?.bytes());
    if value == Some(b"yes") {
        Transport::Tls
    } else {
        Transport::Plain
    }
}

/// The cluster's epoch, which rises with each change of who serves what.
fn epoch(ctx: Context<'_>) -> Option<u64> {
    let reply = CallReply::of(ctx, c"CLUSTER", &[c"INFO"])?;
    let text = std::str::from_utf8(reply.whole().bytes()?).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("cluster_current_epoch:"))
        .and_then(|number| number.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{version_numbers, VALKEY_SAFE};

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, is_safe) in [
            ("7.2.9", false),
            ("8.0.1", false),
            ("8.1.10", false),
            ("9.0.0", false),
            ("9.0.1", true),
            ("9.1.0-rc1", true),
            ("10.0.0", true),
            ("255.255.255", true),
        ] {
            assert_eq!(
                version_numbers(version) >= VALKEY_SAFE,
                is_safe,
                "{version}"
            );
        }
    }
}
