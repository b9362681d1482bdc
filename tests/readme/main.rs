//! The README and the pages it leads to are typed as they stand: their dialogues with
//! redis-cli, and the commands that start the project, build and install it.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod bare;
mod dialogue;
mod first_run;
mod install;
mod mixed;
mod moving;
mod results;
