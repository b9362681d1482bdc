//! Which slots are still ours.
//!
//! While a slot is elsewhere, another server issues tokens for its keys. When
//! it comes back, the first grant in it opens a term. To know that it was away,
//! the slots that were granted in are asked about: each of them once a second,
//! and all at once when the cluster's epoch has changed. A slot that leaves and
//! returns within that time is not noticed; the README says so.
//!
//! The server is asked with a call on a key of the slot. CLUSTER SLOTS, NODES and
//! SHARDS would say more at once, but follow a null pointer in Valkey 8 when a
//! module calls them outside a client's command.

use super::api::Context;
use super::call::{self, CallReply, Ownership};
use super::state::{self, Role};
use super::{apply, clock};
use crate::lock::slots::{Slot, SLOTS};
use crate::lock::Event;

/// Crons in which every slot is asked about once: a second at `hz 10`.
const CRONS_PER_ROUND: u16 = 10;
const SLOTS_PER_CRON: u16 = SLOTS.div_ceil(CRONS_PER_ROUND);

/// With each cron, on a server in cluster mode.
pub(super) fn cron(ctx: Context<'_>) {
    let is_concerned =
        state::with(|shell| shell.role == Role::Master && shell.locks.tokens().has_slots());
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
    for slot in Slot::range(numbers) {
        let was_granted_in = state::with(|shell| !shell.locks.tokens().is_new_slot(slot));
        if was_granted_in && call::ownership(ctx, &slot.example_key()) == Ownership::Elsewhere {
            let mut effects = Vec::new();
            let event = Event::SlotLeft(slot);
            state::with(|shell| shell.locks.step(clock::boot(), event, &mut effects));
            apply::in_background(ctx, &mut effects);
        }
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
