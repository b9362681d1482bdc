//! redis-lock: one command to acquire, in line if need be, and one to release.

use crate::process::{directory, free_port, Process};
use crate::Failure;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd};
use std::path::Path;
use std::process::Command;

/// No lease ends while the benchmark runs.
const LEASE_MS: u32 = 600_000;

/// Starts a server with an append-only file that is written to disk so often.
pub fn start(
    server: &Path,
    module: &Path,
    data: &Path,
    appendfsync: &str,
) -> Result<Process, Failure> {
    let directory = directory(data)?;
    let port = free_port()?;
    let mut command = Command::new(server);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args([
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        appendfsync,
    ]);
    command.arg("--dir").arg(directory.path());
    command.arg("--loadmodule").arg(module.canonicalize()?);
    let is_up = || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
        let mut connection = client.get_connection()?;
        Ok(Cmd::new().arg("PING").exec(&mut connection)?)
    };
    let said = Command::new(server).arg("--version").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let number = said
        .split("v=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let name = said.split(' ').next().unwrap_or_default();
    let version = format!("{name} {}", number.unwrap_or_default());
    Process::start(&mut command, (port, version), directory, is_up)
}

/// A client, on a connection of its own.
pub struct Client {
    connection: MultiplexedConnection,
    name: String,
    turn: u64,
}

impl Client {
    /// Connects.
    pub async fn connect(port: u16, number: usize) -> Result<Self, Failure> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Self {
            connection: connection.await?,
            name: format!("client-{number}"),
            turn: 0,
        })
    }

    /// Waits for the lock.
    pub async fn acquire(&mut self, lock: &str) -> Result<(), Failure> {
        self.turn += 1;
        let mut acquire = Cmd::new();
        acquire.arg("LOCK.ACQUIRE").arg(lock).arg(self.owner());
        acquire.arg(LEASE_MS).arg("BLOCK").arg(0);
        acquire.query_async::<u64>(&mut self.connection).await?;
        Ok(())
    }

    /// Gives it back.
    pub async fn release(&mut self, lock: &str) -> Result<(), Failure> {
        let mut release = Cmd::new();
        release.arg("LOCK.RELEASE").arg(lock).arg(self.owner());
        match release.query_async::<u64>(&mut self.connection).await? {
            1 => Ok(()),
            _ => Err("the lock was somebody else's".into()),
        }
    }

    fn owner(&self) -> String {
        format!("{}-{}", self.name, self.turn)
    }
}
