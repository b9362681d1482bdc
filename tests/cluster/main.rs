//! Cluster mode: slots come and go, and tokens rise all the same.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod down;
mod failover;
mod moving;
mod slots;
mod whole;
