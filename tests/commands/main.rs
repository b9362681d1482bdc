//! The commands on a real server: what they answer, and what they refuse.
//!
//! Each file is a subject: one per command, then what goes wrong, where the
//! commands are sent from, what else may happen to their keys, and what the
//! server knows about them. `hourglass` is how they let time pass, `refusals` how
//! they see that nothing happened, `dice` where random input comes from, `grammar` what
//! COMMAND DOCS allows.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod acl;
mod acquire;
mod bad_dumps;
mod bad_input;
mod breaks;
mod config;
mod contexts;
mod dead_keys;
mod described;
mod dice;
mod documented;
mod effects;
mod errors;
mod events;
mod extend;
mod fence;
mod grammar;
mod hints;
mod hourglass;
mod info;
mod keyspace;
mod lacking;
mod load_arguments;
mod refusals;
mod release;
mod scripts;
mod statistics;
mod transactions;
mod usage;
mod watch;
