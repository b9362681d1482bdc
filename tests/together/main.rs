//! Several holders at once, SHARED and LIMIT, and holds that cool, DELAY, on real
//! servers.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod cooling;
mod cost;
mod holding;
mod in_line;
mod keeping;
mod replicas;
mod session_ends;
mod stream;
