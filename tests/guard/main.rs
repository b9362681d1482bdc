//! LOCK.GUARD on real servers: what runs, what is refused, and that nothing is
//! reached through it that could not be reached without it.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod access;
mod calls;
mod keys;
mod limits;
mod raw;
mod recipe;
mod refusals;
mod replies;
