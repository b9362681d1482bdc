//! A server of the benchmark's own: on a free port of this machine, with the module,
//! in a directory that goes with it. Ended by its handle when it is dropped.

#![allow(clippy::disallowed_methods, reason = "it waits for a server")]

use crate::Failure;
use nix::time::ClockId;
use nix::unistd::Pid;
use redis::Cmd;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a start may take, with ten million keys to load.
const START_MOST: Duration = Duration::from_secs(300);
/// How long memory may take to come to rest.
const REST_MOST: Duration = Duration::from_secs(30);
/// It rests if it changes by less than this between two looks.
const REST_BYTES: u64 = 8_192;

/// A running server.
pub struct Server {
    program: PathBuf,
    module: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Server {
    /// Starts one.
    pub fn start(program: &Path, module: &Path) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let child = spawn(program, module, directory.path(), port)?;
        let mut server = Self {
            program: program.to_owned(),
            module: module.to_owned(),
            directory,
            port,
            child,
        };
        server.wait_until_up()?;
        Ok(server)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Processor time that it has used so far.
    pub fn work(&self) -> Result<Duration, Failure> {
        let process = Pid::from_raw(i32::try_from(self.child.id())?);
        let clock = ClockId::pid_cpu_clock_id(process)?;
        Ok(clock.now()?.into())
    }

    /// A connection for questions, not for throughput.
    pub fn connect(&self) -> Result<redis::Connection, Failure> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port))?;
        Ok(client.get_connection()?)
    }

    /// Kills it and starts it on what it saved; the seconds that it says it loaded.
    pub fn restart(&mut self) -> Result<f64, Failure> {
        self.child.kill()?;
        self.child.wait()?;
        std::fs::write(self.log(), "")?;
        self.child = spawn(
            &self.program,
            &self.module,
            self.directory.path(),
            self.port,
        )?;
        self.wait_until_up()?;
        let log = std::fs::read_to_string(self.log())?;
        let said = log
            .split_once("DB loaded from disk: ")
            .and_then(|(_, rest)| rest.split(' ').next());
        let seconds = said.and_then(|number| number.parse().ok());
        seconds.ok_or_else(|| format!("it does not say how long it loaded:\n{log}").into())
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn wait_until_up(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + START_MOST;
        while Instant::now() < until {
            let is_up = self
                .connect()
                .and_then(|mut connection| Ok(Cmd::new().arg("PING").exec(&mut connection)?))
                .is_ok();
            // Another program may answer on that port, if ours could not have it.
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                return Err(format!("the server ended, {status}:\n{log}").into());
            }
            if is_up {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err("the server does not answer".into())
    }

    /// A field of INFO.
    pub fn info(&self, section: &str, field: &str) -> Result<Option<String>, Failure> {
        let mut info = Cmd::new();
        info.arg("INFO").arg(section);
        let info: String = info.query(&mut self.connect()?)?;
        let value = info.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == field).then(|| value.trim().to_owned())
        });
        Ok(value)
    }

    /// Name and version.
    pub fn name(&self) -> Result<String, Failure> {
        if let Some(version) = self.info("server", "valkey_version")? {
            return Ok(format!("Valkey {version}"));
        }
        let version = self.info("server", "redis_version")?;
        Ok(format!("Redis {}", version.unwrap_or_default()))
    }

    /// Bytes in use once that comes to rest: tables may still be growing or shrinking.
    pub fn memory(&self) -> Result<u64, Failure> {
        let until = Instant::now() + REST_MOST;
        let mut before = 0_u64;
        let mut at_rest = 0;
        while at_rest < 3 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(300));
            let used = self.info("memory", "used_memory")?;
            let used: u64 = used.unwrap_or_default().parse()?;
            at_rest = if used.abs_diff(before) < REST_BYTES {
                at_rest + 1
            } else {
                0
            };
            before = used;
        }
        Ok(before)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, module: &Path, directory: &Path, port: u16) -> Result<Child, Failure> {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no", "--maxclients", "2000"]);
    command.arg("--dir").arg(directory);
    command.arg("--logfile").arg(directory.join("log"));
    command.arg("--loadmodule").arg(module);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    command
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()).into())
}
