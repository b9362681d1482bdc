//! A server of this program's own: its directory, its port, its end.

use crate::Failure;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_MOST: Duration = Duration::from_secs(30);

/// A running server, ended by its handle when this is dropped.
pub struct Process {
    child: Child,
    port: u16,
    version: String,
    /// Goes after the process.
    _directory: tempfile::TempDir,
}

/// A directory for its data, beside those of the others.
pub fn directory(data: &Path) -> Result<tempfile::TempDir, Failure> {
    std::fs::create_dir_all(data)?;
    let made = tempfile::Builder::new()
        .prefix("peers-")
        .tempdir_in(data.canonicalize()?);
    Ok(made?)
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl Process {
    /// Starts it, and waits until `is_up` says so.
    pub fn start(
        command: &mut Command,
        (port, version): (u16, String),
        directory: tempfile::TempDir,
        is_up: impl Fn() -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let log = std::fs::File::create(directory.path().join("log"))?;
        command
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log);
        let mut process = Self {
            child: command.spawn()?,
            port,
            version,
            _directory: directory,
        };
        let until = Instant::now() + START_MOST;
        loop {
            let why = match is_up() {
                Ok(()) => return Ok(process),
                Err(why) => why,
            };
            let end = process.child.try_wait()?;
            if end.is_some() || Instant::now() > until {
                let log = process._directory.path().join("log");
                let log = std::fs::read_to_string(log).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(5).collect();
                return Err(format!("it does not start, {end:?}: {why}; {tail:?}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it calls itself.
    pub fn version(&self) -> String {
        self.version.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
