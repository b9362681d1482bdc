//! Leases end by themselves: never early, soon after, and leaving nothing.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod clock;
mod memory;
mod on_time;
mod pauses;
