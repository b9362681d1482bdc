//! # Locks with fencing tokens, for Rust programs
//!
//! For servers that have loaded the module redis-lock.
//!
//! | room | what it holds |
//! |---|---|
//! | [`lock`] | a lock on one server, how it is asked for and waited for |
//! | [`guard`] | a lock that is held: its token, its validity, its end |
//! | [`servers`] | where locks live: one server, a master that sentinels name, a cluster |
//! | [`node`] | the commands of one server, typed: one request, one answer |
//! | [`quorum`] | one lock over several independent servers: a majority decides |
//! | [`token`], [`owner`] | what a holder shows to a resource, and who it is to the server |
//! | [`lease`], [`clock`] | how long a holder may rely on its lock, and the clock of that |
//! | [`error`] | what goes wrong, and which server said so |

pub mod clock;
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

pub use error::{Error, ErrorKind, LossReason};
pub use guard::{Guard, Released};
pub use lock::Lock;
pub use node::{Node, Request, Together};
pub use owner::Owner;
pub use servers::Servers;
pub use token::Token;
