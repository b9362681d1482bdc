//! What the tests against real servers need: a server of its own for each test,
//! clients, a listener to its replication stream, and waiting without sleeping.

pub mod client;
pub mod cluster;
pub mod eventually;
pub mod process;
pub mod resp;
pub mod server;
pub mod stream;
pub mod waiter;

pub use client::Client;
pub use eventually::{eventually, now, PATIENCE};
pub use server::Server;
pub use stream::Stream;
pub use waiter::{blocked_clients, lets_subscribers_wait, Waiter};
