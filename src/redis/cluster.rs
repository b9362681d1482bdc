//! Which slots are still ours.
//!
//! While a slot is elsewhere, another server issues tokens for its keys. When
//! it comes back, the first grant in it opens a term. To know that it was away,
//! the slots that were granted in are compared with what the cluster says: every
//! second, and as soon as the cluster's epoch has changed. A slot that leaves
//! and returns within that time is not noticed; the README says so.

use super::api::{server, Context};
use super::call::CallReply;
use super::state;
use crate::lock::slots::Slot;

/// Crons between two looks at all slots: about a second at `hz 10`.
const CRONS_PER_LOOK: u32 = 10;

/// With each cron, on a server in cluster mode.
pub(super) fn cron(ctx: Context<'_>) {
    if !state::with(|shell| shell.locks.tokens().has_slots()) {
        return;
    }
    let epoch = epoch(ctx);
    let is_time = state::with(|shell| {
        shell.crons_since_look += 1;
        shell.crons_since_look >= CRONS_PER_LOOK || shell.epoch_seen != epoch
    });
    if !is_time {
        return;
    }
    let Some(ours) = our_slots(ctx) else { return };
    state::with(|shell| {
        shell.crons_since_look = 0;
        shell.epoch_seen = epoch;
        let is_ours = |slot: Slot| ours.iter().any(|range| range.contains(&slot));
        shell.locks.keep_slots(is_ours);
    });
}

/// The cluster's epoch, which rises with each change of who serves what.
fn epoch(ctx: Context<'_>) -> Option<i64> {
    let reply = CallReply::of(ctx, c"CLUSTER", &[c"INFO"])?;
    let text = std::str::from_utf8(reply.whole().bytes()?).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("cluster_current_epoch:"))
        .and_then(|number| number.trim().parse().ok())
}

type SlotRange = std::ops::RangeInclusive<Slot>;

/// The slots that the cluster says are this server's.
fn our_slots(ctx: Context<'_>) -> Option<Vec<SlotRange>> {
    // SAFETY: the server's own name, 40 characters, there for good.
    let me = unsafe {
        let name = server!(RedisModule_GetMyClusterID)();
        super::api::slice(name, if name.is_null() { 0 } else { NODE_NAME_BYTES })
    };
    let reply = CallReply::of(ctx, c"CLUSTER", &[c"SLOTS"])?;
    let mut ours = Vec::new();
    for range in reply.elements() {
        // from, to, [address, port, name, ...] of the master, replicas
        let (from, to) = (range.element(0)?.integer()?, range.element(1)?.integer()?);
        let name = range.element(2)?.element(2)?;
        if name.bytes()? == me {
            let slot = |number| u16::try_from(number).ok().and_then(Slot::new);
            ours.push(slot(from)?..=slot(to)?);
        }
    }
    Some(ours)
}

const NODE_NAME_BYTES: usize = 40;
