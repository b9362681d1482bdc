//! What replicas hear: exactly what happened, and nothing else.

#[allow(
    dead_code,
    unused_imports,
    reason = "each group of tests uses a part of it"
)]
#[path = "../support/mod.rs"]
mod support;

mod audience;
mod followers;
mod promotion;
mod silence;
mod stream;
