//! What the rules of the lock promise, proved without a server.
//!
//! The rules are included as source, not linked: the library brings the server's
//! allocator, which is not there in a test. That this compiles is the proof that
//! `src/lock` needs neither a server nor a clock. Start with `acquire`; a test's
//! name is the claim that it proves.
//!
//! | promise | where |
//! |---|---|
//! | one-holder    | `acquire`, `handles`, `histories`, `small_worlds`, `lines`, `small_lines` |
//! |               | `quarantine` |
//! | tokens-rise   | `tokens`, `handles`, `restarts`, `histories`, `small_worlds` |
//! | never-early   | `acquire`, `extend`, `sweep`, `replicas`, `histories`, `small_worlds` |
//! | in-line       | `waiting`, `lines`, `small_lines`, `together`, `small_readers` |
//! | nothing-left  | `release`, `sweep`, `handles`, `table`, `histories`, `lines` |
//! | same-answer   | `acquire`, `release`, `extend`, `histories` |
//! | no-crash      | `record`, `table`, `fuzzed` |

#[path = "../../src/lock/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the rules are a library; what only the shell uses is unused here"
)]
mod lock;

/// What a client may say, for the fuzzer's targets.
#[path = "../../src/commands/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "what only the shell uses is unused"
)]
mod commands;
#[path = "../../src/error.rs"]
#[allow(dead_code, reason = "what only the shell says is not said here")]
mod error;

/// The stage: no tests in these.
mod journal;
mod line_steps;
mod lines_model;
mod model;
mod random_steps;
mod replay;
mod sent;
mod server;
mod values;
mod waiting;

/// The commands.
mod acquire;
mod extend;
mod fence;
mod release;
mod sweep;

/// The parts that the rules are built from.
mod bytes;
mod clocks;
mod deadlines;
mod quarantine;
mod record;
mod slots;
mod table;
mod tokens;

/// Several holders.
mod cooling;
mod cooling_heard;
mod costs;
mod crowds;
mod partings;
mod together;

/// What happens to a lock from outside.
mod handles;
mod replicas;
mod restarts;

/// All of it together.
mod histories;
mod lines;
mod small_lines;
mod small_readers;
mod small_worlds;

/// What the fuzzer runs.
#[path = "../commands/dice.rs"]
#[allow(dead_code, reason = "its tests use a part of it")]
mod dice;
mod fuzzed;
#[path = "../corruption/mutation.rs"]
mod mutation;
#[path = "../../fuzz/src/records.rs"]
mod records;
#[path = "../../fuzz/src/sequences.rs"]
mod sequences;
#[path = "../support/varint.rs"]
mod varint;
#[path = "../../fuzz/src/words.rs"]
mod words;

use varint::varint;
