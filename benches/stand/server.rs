//! Servers of our own: on loopback, on a free port, with their files in a folder that
//! goes with them, and ended by their process id whatever ends the program.

#![allow(clippy::disallowed_methods, reason = "how long a start may take")]

use crate::client::Client;
use crate::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to answer: long, for it may run under valgrind.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Another process may take a free port first.
const PORTS_TRIED: usize = 5;

/// What runs now, for whoever has to end it.
static RUNNING: Mutex<Vec<Arc<Mutex<Running>>>> = Mutex::new(Vec::new());

struct Running {
    child: Child,
    folder: Option<TempDir>,
}

impl Running {
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Dropping it removes it.
        self.folder = None;
    }
}

/// Also of a thread that panicked: what it left is to be ended all the same.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on Ctrl-C and its like end the servers first, then this program.
pub fn end_servers_on_signals() -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Held until the end, so that none is started meanwhile.
            let running = locked(&RUNNING);
            for server in running.iter() {
                locked(server).end();
            }
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// How to start a server.
#[derive(Clone, Default)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// The module that it loads.
    pub module: Option<PathBuf>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// What runs the program, if something does: valgrind, with its arguments. In
    /// them `%folder%` is the folder of the server.
    pub under: Vec<String>,
}

/// A server that runs until it is dropped.
pub struct Server {
    /// Where it listens.
    pub port: u16,
    running: Arc<Mutex<Running>>,
}

impl Server {
    /// Starts one without any file, and waits until it answers.
    pub fn start(how: &Start) -> Result<Self, Failure> {
        let mut last: Failure = "no port is free".into();
        for _ in 0..PORTS_TRIED {
            match Self::start_once(how) {
                Ok(server) => return Ok(server),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    fn start_once(how: &Start) -> Result<Self, Failure> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let folder = tempfile::Builder::new()
            .prefix("redis-lock-bench")
            .tempdir()?;
        let mut words: Vec<String> = Vec::new();
        let here = folder.path().display().to_string();
        words.extend(how.under.iter().map(|it| it.replace("%folder%", &here)));
        words.push(how.program.display().to_string());
        let log = folder.path().join("log");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir", &here])
            .args(&how.arguments);
        if let Some(module) = &how.module {
            let module = std::fs::canonicalize(module)
                .map_err(|error| format!("{}: {error}", module.display()))?;
            command.arg("--loadmodule").arg(module);
        }
        command
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::create(folder.path().join("errors"))?);
        // Whoever ends all servers waits for this, and then finds it.
        let mut all = locked(&RUNNING);
        let child = command
            .spawn()
            .map_err(|error| format!("{}: {error}", words[0]))?;
        let running = Arc::new(Mutex::new(Running {
            child,
            folder: Some(folder),
        }));
        all.push(running.clone());
        drop(all);
        let server = Self { port, running };
        server.answers().map_err(|failure| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            format!("{}: {failure}\n{said}", how.program.display())
        })?;
        Ok(server)
    }

    fn answers(&self) -> Result<(), Failure> {
        let given_up = Instant::now() + PATIENCE;
        loop {
            let answer = Client::connect(self.port).and_then(|mut it| it.ask(&["PING"]));
            if answer.is_ok_and(|it| it == "PONG") {
                return Ok(());
            }
            if let Some(status) = locked(&self.running).child.try_wait()? {
                return Err(format!("ended at once, {status}").into());
            }
            if Instant::now() > given_up {
                return Err("does not answer".into());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        locked(&self.running).child.id()
    }

    /// Where its files are.
    pub fn folder(&self) -> PathBuf {
        let running = locked(&self.running);
        let folder = running.folder.as_ref();
        folder.map_or_else(PathBuf::new, |it| it.path().to_owned())
    }

    /// A new connection to it.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::connect(self.port)
    }

    /// Its name and version.
    pub fn version(&self) -> Result<String, Failure> {
        let info = self.client()?.ask(&["INFO", "server"])?;
        Ok(version(&info))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        locked(&self.running).end();
        locked(&RUNNING).retain(|it| !Arc::ptr_eq(it, &self.running));
    }
}

/// The name and the version of a server, from what it says to INFO server.
fn version(info: &str) -> String {
    let field = |name: &str| {
        let mut values = info.lines().filter_map(|line| line.strip_prefix(name));
        values.next().map(str::trim)
    };
    match (field("valkey_version:"), field("redis_version:")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, version) => format!("Redis {}", version.unwrap_or("of an unknown version")),
    }
}

/// The one that is installed on this machine.
const INSTALLED: &str = "installed";
/// Every server that may be measured.
pub const SERVERS: [&str; 4] = [INSTALLED, "redis-8", "valkey-8", "valkey-9"];

/// A server to measure.
pub struct Candidate {
    /// One of [`SERVERS`].
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
}

impl Candidate {
    /// Whether there is such a program.
    pub fn is_there(&self) -> bool {
        let mut command = Command::new(&self.program);
        let asked = command.arg("--version").stdout(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    }
}

/// The server that is installed (or REDIS_SERVER), and the newer ones that
/// `make servers` fetches into that folder.
pub fn candidates(fetched: &Path) -> Vec<Candidate> {
    let installed = std::env::var_os("REDIS_SERVER").unwrap_or("redis-server".into());
    let program = |name: &str| match name {
        INSTALLED => PathBuf::from(&installed),
        name => fetched.join(name),
    };
    let candidate = |name| Candidate {
        name,
        program: program(name),
    };
    SERVERS.map(candidate).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_of_redis_is_called_by_its_own_name() {
        let redis = "# Server\r\nredis_version:7.0.15\r\n";
        assert_eq!(version(redis), "Redis 7.0.15");
        let valkey = "# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\n";
        assert_eq!(version(valkey), "Valkey 9.1.2");
    }
}
