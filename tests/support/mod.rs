//! What the tests against real servers need: a server of its own for each test,
//! clients, a listener to its replication stream, and waiting without sleeping.

pub mod client;
pub mod cluster;
pub mod connections;
pub mod eventually;
pub mod payload;
pub mod process;
pub mod replica;
pub mod resp;
pub mod sentinel;
pub mod server;
pub mod stream;
pub mod valgrind;
pub mod varint;
pub mod version;
pub mod waiter;

pub use client::Client;
pub use connections::connections_most;
pub use eventually::{eventually, now, pass, patience};
pub use replica::{catch_up, replica_of};
pub use sentinel::Sentinel;
pub use server::Server;
pub use stream::{Listening, Stream};
pub use valgrind::stretched_ms;
pub use varint::varint;
pub use version::Version;
pub use waiter::{blocked_clients, Waiter};
