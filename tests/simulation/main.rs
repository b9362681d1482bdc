//! A whole deployment in one process, driven by one number.
//!
//! Nodes, replicas, logs of which a part is synced, clocks that drift and jump, and
//! clients that pause, die and ask again: all of it is made up, but the rules are
//! those that run in the server (`src/lock`), and the server around them is that of
//! the tests of safety. Each step is drawn from a seed, everything that must be true
//! is looked at after each of them, and a step list that breaks a promise is shortened
//! before it is shown.
//!
//! ```text
//!   seed ──▶ plan ──▶ steps ──▶ deployment ──▶ nodes ──▶ src/lock
//!                                   │            │
//!                                   ▼            ▼
//!                                 judge ◀──── mirror        totals
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`plan`]       | what a seed stands for |
//! | [`deployment`] | the parts, and the time that goes by |
//! | [`node`]       | one server, and what it says to log and replicas |
//! | [`requests`]   | what clients ask of it |
//! | [`client`]     | the clients |
//! | [`faults`]     | what goes wrong |
//! | [`disk`] [`clocks`] [`post`] [`resource`] | what is made up around them |
//! | [`mirror`] [`judge`] [`inspection`] | what must be true |
//! | [`seeds`] [`shrinking`] [`totals`] | many seeds, a failing one, and what was counted |
//!
//! `make simulate` runs it; `SEED=7` runs one seed and tells what happens.

#[path = "../../src/lock/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the rules are a library; what only the shell uses is unused here"
)]
mod lock;

#[path = "../safety/sent.rs"]
mod sent;
#[allow(dead_code, reason = "the tests of safety use the rest")]
#[path = "../safety/server.rs"]
mod server;
#[allow(dead_code, reason = "the tests of safety use the rest")]
#[path = "../safety/values.rs"]
mod values;

mod client;
mod clocks;
mod deployment;
mod disk;
mod faults;
mod inspection;
mod judge;
mod mirror;
mod node;
mod plan;
mod post;
mod requests;
mod resource;
mod seeds;
mod shrinking;
mod totals;

use seeds::Campaign;

#[test]
fn no_seed_breaks_a_promise() {
    let campaign = Campaign::from_environment();
    match campaign.run() {
        Ok(totals) => {
            println!("{totals}");
            if totals.steps >= 1_000_000 {
                assert!(totals.unfenced_lost > 0, "the control found no lost write");
            }
        }
        Err(failure) => panic!("{failure}"),
    }
}
