//! What the benchmarks stand on: servers that are ended whatever happens, commands
//! as templates, and a client that sends them in pipelines and looks at each reply.

pub mod client;
pub mod commands;
pub mod scripts;
pub mod server;

/// Why there is no result.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
