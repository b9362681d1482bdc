//! RESTORE of what no server wrote, on a server that is at work: payloads of many
//! kinds of locks, made worse at random, by the ten thousand.
//!
//! Each is an error reply, or loads something that is sound in every way: on a server
//! of its own it holds nothing, in a cluster (where keys move by RESTORE) it may be a
//! hold, and then it is one as every other. `make test-corruption SEED=7
//! PAYLOADS=100000` repeats a run or makes a longer one. What single payloads do is
//! in `tests/commands/bad_dumps.rs`.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
mod support;

#[path = "../commands/dice.rs"]
#[allow(dead_code, reason = "its tests use a part of it")]
mod dice;
mod mutation;
mod restores;
mod shown;
mod sources;

use support::varint;
