//! # Locks with fencing tokens, for Rust programs
//!
//! For servers that have loaded the module redis-lock.
//!
//! | room | what it holds |
//! |---|---|
//! | [`quorum`] | one lock over several independent servers: a majority decides |

pub mod quorum;
