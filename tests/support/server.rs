//! A real server with the module, on a port and in a directory of its own.
//!
//! It listens on loopback only and is killed when it goes out of scope, also
//! when the test panics; then its log is shown.

use super::{eventually, patience, valgrind, Client};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// A running (or killed) server.
pub struct Server {
    child: Option<Child>,
    directory: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    starts: usize,
}

/// The binary: `REDIS_SERVER`, or `redis-server` from the path.
pub fn binary() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into())
}

/// The module that was built together with this test: the one beside it. The
/// one a directory further up may be yesterday's.
pub fn module() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let beside = test.with_file_name("libredis_lock.so");
    assert!(beside.exists(), "{} is not built", beside.display());
    beside
}

/// A port that was free a moment ago. Each test process starts in another part
/// of the range, and tries in turn.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_500;
    const PORTS: u16 = 9_000;
    let start = (std::process::id() as u16).wrapping_mul(97) % PORTS;
    for _ in 0..PORTS {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(turn)) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

impl Server {
    /// A server without persistence.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with more settings, each a line of redis.conf.
    pub fn with(settings: &[&str]) -> Self {
        Self::within(settings, &[])
    }

    /// A server with more settings, and variables in its environment.
    pub fn within(settings: &[&str], environment: &[(&str, &str)]) -> Self {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let mut server = Self {
            child: None,
            directory: tempfile::tempdir().expect("a directory for temporary files"),
            port: 0,
            settings: settings.iter().map(|&line| line.to_owned()).collect(),
            environment: environment.iter().map(own).collect(),
            starts: 0,
        };
        server.start_again();
        server
    }

    /// Adds settings for the next start.
    pub fn configure(&mut self, settings: &[&str]) {
        self.settings
            .extend(settings.iter().map(|&line| line.to_owned()));
    }

    /// Starts the server in the directory it had, after it was killed.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it is running");
        for _ in 0..5 {
            if self.port == 0 || self.starts == 0 {
                self.port = free_port();
            }
            self.spawn();
            if self.comes_up() {
                self.starts += 1;
                return;
            }
            self.kill();
            if !self.log().contains("Address already in use") {
                break;
            }
            self.port = 0;
        }
        panic!("the server does not start:\n{}", self.log());
    }

    /// Starts the server in the directory it had and does not wait for an answer:
    /// only [`Server::kill`] may follow.
    pub fn start_and_look_away(&mut self) {
        assert!(self.child.is_none(), "it is running");
        self.spawn();
    }

    /// As [`Server::start_again`], with more settings for this one start.
    pub fn start_once_with(&mut self, settings: &[&str]) {
        let own = self.settings.len();
        self.configure(settings);
        self.start_again();
        self.settings.truncate(own);
    }

    /// Starts the server and says how it ends, for files it cannot load.
    pub fn start_and_fail(&mut self) -> String {
        self.spawn();
        eventually("the server gives up", || {
            let child = self.child.as_mut()?;
            child.try_wait().expect("a child")
        });
        self.child = None;
        self.log()
    }

    /// Starts the server on files that it may refuse: how the process ended, or
    /// `None` if it runs.
    pub fn start_or_end(&mut self) -> Option<ExitStatus> {
        self.spawn();
        self.ended_or_up()
    }

    /// As [`Server::start_or_end`], but without the module.
    pub fn start_without_module_or_end(&mut self) -> Option<ExitStatus> {
        self.spawn_on(&self.conf());
        self.ended_or_up()
    }

    fn ended_or_up(&mut self) -> Option<ExitStatus> {
        if self.comes_up() {
            self.starts += 1;
            return None;
        }
        let child = self.child.as_mut().expect("it was started");
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_some(), "it neither answers nor ends");
        self.child = None;
        ended
    }

    fn spawn(&mut self) {
        let conf = format!("loadmodule {}\n{}", module().display(), self.conf());
        self.spawn_on(&conf);
    }

    fn conf(&self) -> String {
        let path = self.directory.path();
        let mut conf = format!(
            "bind 127.0.0.1\nport {}\ndir {}\n",
            self.port,
            path.display()
        );
        conf += "save \"\"\nenable-debug-command yes\nrepl-diskless-sync no\n";
        conf += "loglevel notice\nprotected-mode no\n";
        if valgrind::is_watching() {
            conf += valgrind::ENDS_AT_ONCE;
        }
        for line in &self.settings {
            conf += line;
            conf += "\n";
        }
        conf
    }

    /// Its redis.conf.
    pub fn conf_path(&self) -> PathBuf {
        self.directory.path().join("redis.conf")
    }

    /// Starts the server, after it was killed, on its redis.conf as that is now: how
    /// the process ended, or `None` if it runs.
    pub fn start_on_file_or_end(&mut self) -> Option<ExitStatus> {
        assert!(self.child.is_none(), "it is running");
        self.spawn_on_file();
        self.ended_or_up()
    }

    fn spawn_on(&mut self, conf: &str) {
        fs::write(self.conf_path(), conf).expect("a file of our own");
        self.spawn_on_file();
    }

    fn spawn_on_file(&mut self) {
        let path = self.directory.path();
        let log = File::options()
            .create(true)
            .append(true)
            .open(path.join("log"))
            .expect("a file of our own");
        let child = Command::new(binary())
            .arg(self.conf_path())
            .current_dir(path)
            .env("RUST_BACKTRACE", "0")
            .envs(self.environment.clone())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}", binary())));
    }

    /// Whether it answers; false if it ends before. Another server may have taken the
    /// port first, and would answer in its place.
    fn comes_up(&mut self) -> bool {
        super::eventually::within(patience(), || {
            let child = self.child.as_mut()?;
            if child.try_wait().expect("a child").is_some() {
                return Some(false);
            }
            let mut client = Client::try_connect(self.port)?;
            let pong = client.try_call(&["PING"]).ok()?;
            let is_up = pong == redis::Value::SimpleString("PONG".into());
            let is_ours = is_up && client.info("process_id") == child.id().to_string();
            is_ours.then_some(true)
        })
        .unwrap_or(false)
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        eventually("a connection", || Client::try_connect(self.port))
    }

    /// A connection of a user who may do what the ACL rules say.
    pub fn user(&self, rules: &str) -> Client {
        let mut admin = self.client();
        admin.say(&format!("ACL SETUSER somebody reset on nopass {rules}"));
        let mut client = self.client();
        client.say("AUTH somebody any");
        client
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it is running").id()
    }

    /// Sends the process a signal: STOP, and CONT to go on.
    pub fn signal(&self, name: &str) {
        super::process::signal(self.pid(), name);
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it wrote into its log.
    pub fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Kills it as a power cut would: at once, with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child");
            child.wait().expect("our own child");
        }
    }

    /// Lets it end by itself, so that valgrind says what was leaked.
    fn end(&mut self) {
        let Some(child) = self.child.as_mut() else {
            return;
        };
        // One that was stopped hears nothing.
        for signal in ["TERM", "CONT"] {
            super::process::signal(child.id(), signal);
        }
        let ended = super::eventually::within(valgrind::ENDS_WITHIN, || {
            child.try_wait().expect("our own child")
        });
        if ended.is_some() {
            self.child = None;
        }
    }

    /// Kills it and starts it again on what is in its directory.
    pub fn crash(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Whether it still runs and never printed a crash report.
    pub fn assert_healthy(&mut self) {
        let child = self.child.as_mut().expect("it was started");
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "the server ended: {ended:?}");
        let log = self.log();
        for sign in ["BUG REPORT", "a bug in redislock", "panicked"] {
            assert!(!log.contains(sign), "{sign} in the log");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if valgrind::is_watching() {
            self.end();
        }
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(8_000);
            let tail = log.get(from..).unwrap_or(&log);
            eprintln!("--- log of the server on port {}:\n{tail}---", self.port);
        }
    }
}
