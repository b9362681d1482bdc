//! Faults on real servers: servers die, are promoted, paused and cut off while
//! clients take locks. What the clients saw is judged afterwards, by a judge that
//! knows nothing of the module.
//!
//! | file | holds |
//! |---|---|
//! | `campaign.rs`  | trials, seeds, counting faults, what is written down at the end |
//! | `clock.rs`     | a wall clock that is wrong |
//! | `cluster.rs`   | several masters, and the way to the one that serves a slot |
//! | `history.rs`   | what a client was told, and when |
//! | `liveness.rs`  | what must be so when the faults are over |
//! | `judge.rs`     | what must be true of a history |
//! | `nodes.rs`     | independent servers for one lock, their clocks and the ways to them |
//! | `power.rs`     | power cuts |
//! | `process.rs`   | clients that are processes of their own |
//! | `queuer.rs`    | clients that stand in line, and what they die of |
//! | `resource.rs`  | what the locks protect: a counter with a fence, and one without |
//! | `route.rs`     | where a client finds the server of a key |
//! | `sites.rs`     | programs that take locks of several servers at once |
//! | `sitters.rs`   | locks that are held and waited for while their slot moves |
//! | `workers.rs`   | the clients |
//! | `zombies.rs`   | masters that were replaced and do not know it |
//! | `proxy.rs`     | a connection that is slow, silent, or breaks |
//! | `group.rs`     | a master and its replicas, which change places |
//! | `agree.rs`     | whether a replica has what its master has |
//!
//! All other files are campaigns. `make test-faults` runs them; `RECORD.md` is what
//! long runs have shown.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

/// The slots, as the rules know them: to choose keys by.
#[allow(dead_code, reason = "the tests need no sets of slots")]
#[path = "../../src/lock/slots.rs"]
mod slots;

mod agree;
mod campaign;
mod clock;
mod clocks;
mod cluster;
mod deaths;
mod failover;
mod failovers;
mod group;
mod guarded;
#[allow(dead_code, reason = "not every campaign has a use for all of it")]
mod history;
mod judge;
mod kills;
mod liveness;
mod lonely;
mod moves;
mod nodes;
mod partitions;
mod pauses;
mod power;
mod process;
mod promotions;
mod proxy;
mod queuer;
mod quorum;
mod record;
mod resource;
mod route;
mod sentinel;
mod sites;
mod sitters;
mod split;
mod upheavals;
mod volume;
mod workers;
#[allow(dead_code, reason = "not every campaign has a use for all of it")]
mod zombies;
