//! What survives: RDB, AOF, kill -9, and what must not come back.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod aof;
mod clock;
mod corrupt;
mod frozen_files;
mod holds;
mod imported;
mod keeping;
mod leases;
mod leftovers;
mod log_file;
mod quarantine;
mod quarantine_kills;
mod rdb;
mod restarts;
mod resurrection;
mod rewrite;
mod snapshot_file;
mod truncated;
