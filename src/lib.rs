//! # redis-lock
//!
//! A Redis module that makes distributed locks native: acquire, extend, release
//! and fence are single commands that run inside the server, and every grant
//! carries a fencing token that only rises.
//!
//! ```text
//!  LOCK.ACQUIRE seat:42 alice 30000
//!       │ words                                    reply: token  ▲
//!       ▼                                                        │
//!  src/commands   what was asked ──▶ Event         Answer ──▶ what is said
//!       │                                                        ▲
//!       ▼                                                        │
//!  src/lock       step(now, Event) ──────────▶ Effects, Answer ──┘
//!                 the rules: pure                 │
//!                                                 ▼
//!  src/redis      the key, the log, the replicas, the alarm
//!                 the shell: the only room with `unsafe`
//! ```
//!
//! Read [`lock`] first.

pub mod commands;
pub mod error;
pub mod lock;
mod redis;
