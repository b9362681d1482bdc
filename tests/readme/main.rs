//! The README is typed as it stands: its dialogues with redis-cli, and the
//! commands that start the project.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod dialogue;
mod first_run;
mod moving;
mod results;
