//! Waiting in line: BLOCK and SESSION, granted by the server itself.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod asking_again;
mod cost;
mod databases;
mod handing_over;
mod limits;
mod modes;
mod order;
mod pauses;
mod pipelines;
mod session;
mod shutdown;
mod storm;
mod timeouts;
mod unread;
mod vanishing;
