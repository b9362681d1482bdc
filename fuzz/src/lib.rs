//! What the fuzzer runs, each target a function of bytes that must not panic.
//!
//! The rules and the commands are included as source, as in `tests/safety`, whose
//! stage and whose model judge the histories here. `tests/safety/fuzzed.rs` runs the
//! same functions without a fuzzer.

#[path = "../../src/commands/mod.rs"]
#[allow(dead_code, reason = "what only the shell uses is unused here")]
pub mod commands;
#[path = "../../src/error.rs"]
pub mod error;
#[path = "../../src/lock/mod.rs"]
#[allow(dead_code, reason = "what only the shell uses is unused here")]
pub mod lock;

#[path = "../../tests/commands/dice.rs"]
#[allow(dead_code, reason = "the seeds use a part of it")]
pub mod dice;
#[path = "../../tests/safety/line_steps.rs"]
#[allow(dead_code, reason = "steps come from the fuzzer")]
mod line_steps;
#[path = "../../tests/safety/lines.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are not here")]
mod lines;
#[path = "../../tests/safety/lines_model.rs"]
#[allow(dead_code, reason = "its tests are not here")]
mod lines_model;
#[path = "../../tests/safety/random_steps.rs"]
#[allow(dead_code, reason = "steps come from the fuzzer")]
mod random_steps;
#[path = "../../tests/safety/replay.rs"]
#[allow(dead_code, reason = "its tests are not here")]
mod replay;
#[path = "../../tests/safety/sent.rs"]
mod sent;
#[path = "../../tests/safety/server.rs"]
#[allow(dead_code, reason = "the targets use a part of the stage")]
mod server;
#[path = "../../tests/safety/values.rs"]
#[allow(dead_code, reason = "the targets use a part of it")]
mod values;

pub mod records;
pub mod sequences;
pub mod words;
