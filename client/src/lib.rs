//! # Locks with fencing tokens, for Rust programs
//!
//! For servers that have loaded the module redis-lock.
//!
//! | room | what it holds |
//! |---|---|
//! | [`node`] | the commands of one server, typed: one request, one answer |
//! | [`quorum`] | one lock over several independent servers: a majority decides |
//! | [`token`], [`owner`] | what a holder shows to a resource, and who it is to the server |
//! | [`lease`], [`clock`] | how long a holder may rely on its lock, and the clock of that |
//! | [`error`] | what goes wrong, and which server said so |

pub mod clock;
pub mod error;
pub mod lease;
pub mod node;
pub mod owner;
pub mod quorum;
pub mod token;

pub use error::{Error, ErrorKind, LossReason};
pub use node::{Node, Request, Together};
pub use owner::Owner;
pub use token::Token;
