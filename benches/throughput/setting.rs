//! The settings in which rows are measured: what the server has to do besides, and
//! how its clients talk to it.

#![allow(
    clippy::disallowed_methods,
    reason = "how long a state may take to come"
)]

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use stand::client::Client;
use stand::server::{Server, Start};
use stand::Failure;
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing is saved; 16 connections, pipeline 32.
    Plain,
    /// An append-only file, flushed every second.
    Everysec,
    /// A replica.
    Replica,
    /// Nothing is saved; 16 connections, pipeline 1.
    Unpipelined,
    /// Nothing is saved; one connection, pipeline 1: how long one command takes.
    Latency,
}

/// In the order in which they are measured.
pub const MODES: [Mode; 5] = [
    Mode::Plain,
    Mode::Everysec,
    Mode::Replica,
    Mode::Unpipelined,
    Mode::Latency,
];

impl Mode {
    /// What it says above its table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Plain => "AOF off, 16 connections, pipeline 32",
            Self::Everysec => "AOF everysec, 16 connections, pipeline 32",
            Self::Replica => "one replica, AOF off, 16 connections, pipeline 32",
            Self::Unpipelined => "AOF off, 16 connections, pipeline 1",
            Self::Latency => "AOF off, 1 connection, pipeline 1: nanoseconds, the median",
        }
    }

    /// How many connections.
    pub fn connections(self) -> u64 {
        if self == Self::Latency {
            1
        } else {
            16
        }
    }

    /// How many commands are on their way at once on each.
    pub fn pipeline(self) -> u64 {
        match self {
            Self::Plain | Self::Everysec | Self::Replica => 32,
            Self::Unpipelined | Self::Latency => 1,
        }
    }

    /// The part of the requests that is enough, for without pipelines each of them
    /// takes ten times as long.
    pub fn part(self) -> f64 {
        match self {
            Self::Plain | Self::Everysec | Self::Replica => 1.0,
            Self::Unpipelined => 0.25,
            Self::Latency => 0.1,
        }
    }
}

/// A server in a setting, and its replica if that has one.
pub struct Setting {
    /// The server that is measured.
    pub server: Server,
    mode: Mode,
    replica: Option<Server>,
}

impl Setting {
    /// Starts what it takes, and waits until it stands.
    pub fn start(mode: Mode, program: &Path, module: &Path) -> Result<Self, Failure> {
        let words = |words: &[&str]| words.iter().map(|&it| it.to_owned()).collect();
        let with = |arguments| Start {
            program: program.to_owned(),
            module: Some(module.to_owned()),
            arguments,
            ..Start::default()
        };
        let arguments: Vec<String> = match mode {
            // It is written anew when we say so, and not while something is measured.
            Mode::Everysec => words(&[
                "--appendonly",
                "yes",
                "--appendfsync",
                "everysec",
                "--auto-aof-rewrite-percentage",
                "0",
            ]),
            // A replica that lags is not thrown out: it would have to start anew.
            Mode::Replica => words(&[
                "--repl-diskless-sync-delay",
                "0",
                "--client-output-buffer-limit",
                "replica 0 0 0",
            ]),
            Mode::Plain | Mode::Unpipelined | Mode::Latency => Vec::new(),
        };
        let server = Server::start(&with(arguments))?;
        let port = server.port.to_string();
        let replica = match mode {
            Mode::Replica => Some(Server::start(&with(words(&[
                "--replicaof",
                &format!("127.0.0.1 {port}"),
            ])))?),
            _ => None,
        };
        let setting = Self {
            server,
            mode,
            replica,
        };
        setting.settle()?;
        Ok(setting)
    }

    /// Empties it, and waits until nothing of what was before is still under way.
    pub fn empty(&self) -> Result<Client, Failure> {
        let mut client = self.server.client()?;
        client.ask(&["FLUSHALL", "SYNC"])?;
        if self.mode == Mode::Everysec {
            client.ask(&["BGREWRITEAOF"])?;
        }
        self.settle()?;
        Ok(client)
    }

    /// Waits until the log and the replica are where the server is.
    pub fn settle(&self) -> Result<(), Failure> {
        let mut client = self.server.client()?;
        if self.mode == Mode::Everysec {
            until("the AOF is written", || {
                let info = client.ask(&["INFO", "persistence"])?;
                let is = |state| info.contains(state);
                let is_rewritten = is("aof_rewrite_in_progress:0") && is("aof_rewrite_scheduled:0");
                Ok(is_rewritten && is("aof_pending_bio_fsync:0"))
            })?;
        }
        if self.replica.is_some() {
            until("the replica is in step", || {
                let info = client.ask(&["INFO", "replication"])?;
                let is_there = info.contains("state=online");
                // Something to confirm, or an old confirmation would do.
                client.ask(&["PUBLISH", "bench:step", "1"])?;
                Ok(is_there && client.ask(&["WAIT", "1", "1000"])? == "1")
            })?;
        }
        Ok(())
    }

    /// An error if what the setting promises did not hold since the statistics were
    /// reset: the replica was there, and the log was written.
    pub fn held(&self) -> Result<(), Failure> {
        let mut client = self.server.client()?;
        if self.replica.is_some() {
            let info = client.ask(&["INFO", "replication"])?;
            let stats = client.ask(&["INFO", "stats"])?;
            if !info.contains("connected_slaves:1") || !stats.contains("sync_full:0\r\n") {
                return Err("the replica was lost meanwhile".into());
            }
        }
        if self.mode == Mode::Everysec {
            let info = client.ask(&["INFO", "persistence"])?;
            if !info.contains("aof_enabled:1") || !info.contains("aof_last_write_status:ok") {
                return Err("the AOF was not written".into());
            }
        }
        Ok(())
    }
}

/// Looks again and again, with a deadline.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let given_up = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > given_up {
            return Err(format!("waited in vain until {what}").into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
