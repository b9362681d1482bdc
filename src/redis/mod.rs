//! # The shell
//!
//! What stands between the rules (`src/lock`) and the server. It is the only
//! room with `unsafe`; each block says who guarantees what it relies on. It
//! decides nothing about locks: it turns what the server says into events, and
//! effects into what the server is told.
//!
//! | file | what it holds |
//! |---|---|
//! | [`load`]      | what happens when the server loads the module |
//! | [`describe`]  | what it is told of each command, for COMMAND DOCS and ACLs |
//! | [`categories`] | `@redislock`, and which of the server's ACL categories each is in |
//! | [`lacks`]     | what some servers do not let a module do |
//! | [`api`]       | the server's functions, wrapped as thinly as safety allows |
//! | [`flags`]     | the server's state and a call's |
//! | [`entry`]     | the fence no panic crosses, and the way every command takes |
//! | [`state`]     | the one global: the locks of this server |
//! | [`keyspace`]  | the native type `redislock`: save, load, rewrite, digest |
//! | [`apply`]     | effects carried out: the key, the log, the replicas |
//! | [`audience`]  | whether anybody hears what is replicated |
//! | [`blocked`]   | clients that wait: blocked, told, gone |
//! | [`turn`]      | the one function in which things change by themselves |
//! | [`alarm`]     | a timer on the boot clock, which wakes the event loop |
//! | [`events`]    | what the server tells: role, loading, FLUSH, SWAPDB, RENAME |
//! | [`cluster`]   | which slots are still ours |
//! | [`guard`]     | LOCK.GUARD: another command, run only while a token is live |
//! | [`server_commands`] | what the server says of its own commands |
//! | [`call`]      | calls of the server's own commands |
//! | [`info`]      | the section of INFO |
//! | [`notify`]    | keyspace events |
//! | [`clock`]     | the only readings of the two clocks |
//! | [`config`]    | `redislock.max-ttl-ms`, `redislock.max-waiters` |
//! | [`allocator`] | the server's allocator, with realloc |
//!
//! ## Who runs when
//!
//! The server calls the module from one thread at a time, under its global
//! lock, with one exception: `free` of a value may run on a background thread,
//! where it does nothing. A saving child process has a copy of everything.

mod alarm;
#[cfg(not(test))] // unit tests run without a server
mod allocator;
mod api;
mod apply;
mod audience;
mod blocked;
mod call;
mod categories;
mod clock;
mod cluster;
mod config;
mod decimal;
mod describe;
mod entry;
mod events;
mod flags;
mod guard;
mod info;
mod keyspace;
mod lacks;
mod load;
mod load_arguments;
mod notify;
mod quarantine;
mod server_commands;
mod state;
mod testament_file;
mod turn;
