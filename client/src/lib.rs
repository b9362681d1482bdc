//! # Locks with fencing tokens, for Rust programs
//!
//! For servers that have loaded the module redis-lock. A [`Lock`] is asked for and waited for
//! in line; what comes of it is a [`Guard`], which keeps the lock alive, says for how long it
//! may be relied on, stops the work when it is lost, and has the [`Token`] that a resource
//! checks.
//!
//! ```no_run
#![doc = include_str!("../examples/seat.rs")]
//! ```
//!
//! # Where locks live
//!
//! [`Servers::single`], [`Servers::sentinel`] and [`Servers::cluster`]; all else is the same.
//! Clones share one connection to each server for short commands. Each [`Lock::acquire`] that
//! has to wait opens one of its own for as long as it waits, because whatever is sent on a
//! connection behind a request that waits would wait, too. For the same reason do not send
//! `LOCK.ACQUIRE ... BLOCK` on a [`redis::aio::MultiplexedConnection`] that something else uses;
//! it also has a time-out of its own (500 ms, if nothing else is said). A `ClusterConnection` of
//! the crate `redis` is no place for it either: it keeps one connection to each node, which all
//! requests to that node share. So this crate finds the node of a key itself.
//!
//! TLS: turn on a TLS feature of the crate `redis` in the program.
//!
//! # What may be relied on
//!
//! A request sent at `t` that was granted, or extended a lease, is good until
//! `t + ttl - (ttl / 100 + 2 ms)`, on a clock that counts through suspend: see [`lease`]. After a
//! wait, during which the lease may have begun at any time, the lock is extended once more
//! before it is handed out, so that `t` is known. [`Guard::run`] lets no work go on after that,
//! and [`Guard::lost`] comes back then. A process can still be paused between this check and its
//! next write, for as long as it takes: the resource has to check the token.
//!
//! A lock that somebody *breaks* (DEL, FLUSHALL, a failover that had not seen the grant) is
//! free at once, and known to its holder with the next extension, after a third of the lease at
//! the latest.
//!
//! # Map
//!
//! | room | what it holds |
//! |---|---|
//! | [`lock`] | a lock on one server, how it is asked for and waited for |
//! | [`guard`] | a lock that is held: its token, its validity, its end |
//! | [`servers`] | where locks live: one server, a master that sentinels name, a cluster |
//! | [`connection`] | a connection to one server |
//! | [`node`] | the commands of one server, typed: one request, one answer |
//! | [`quorum`] | one lock over several independent servers: a majority decides |
//! | [`token`], [`owner`] | what a holder shows to a resource, and who it is to the server |
//! | [`lease`], [`clock`] | how long a holder may rely on its lock, and the clock of that |
//! | [`error`] | what goes wrong, and which server said so |
//!
//! It needs a [`tokio`] runtime with time and network.

pub mod clock;
mod cluster;
pub mod connection;
pub mod error;
pub mod guard;
mod hold;
pub mod lease;
pub mod lock;
pub mod node;
pub mod owner;
pub mod quorum;
pub mod servers;
pub mod token;
mod validity;

pub use error::{Error, ErrorKind, LossReason};
pub use guard::{Guard, Released};
pub use lock::Lock;
pub use node::{Node, Request, Together};
pub use owner::Owner;
pub use quorum::{Quorum, QuorumLock};
pub use servers::Servers;
pub use token::Token;
