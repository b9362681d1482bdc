//! Waiting in line: BLOCK and SESSION, granted by the server itself.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod asking_again;
mod handing_over;
mod limits;
mod order;
mod pauses;
mod session;
mod storm;
mod timeouts;
mod vanishing;
