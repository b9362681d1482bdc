//! A server that is started from a configuration file as it stands, with the module or
//! without, and may refuse to start.

use super::support::server::{binary, free_port, module};
use super::support::{eventually, Client};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The line that loads the module that was built together with this test.
pub fn loadmodule() -> String {
    format!("loadmodule {}", module().display())
}

/// A folder with a `redis.conf`, and the server that runs there. It is killed when it
/// goes out of scope.
pub struct Bare {
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub port: u16,
}

impl Bare {
    /// A folder with this file, and no server yet. Where it listens and keeps its files
    /// is added.
    pub fn with(conf: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let bare = Self {
            folder,
            child: None,
            port: free_port(),
        };
        bare.write(conf);
        bare
    }

    /// Another file, for the next start.
    pub fn write(&self, conf: &str) {
        let own = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nrepl-diskless-sync-delay 0\n",
            self.port,
            self.path("").display()
        );
        fs::write(self.path("redis.conf"), own + conf).expect("a file of our own");
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it, with more words on its command line: a connection, or what it said
    /// before it ended.
    pub fn start(&mut self, words: &[&str]) -> Result<Client, String> {
        assert!(self.child.is_none(), "it is running");
        let log = File::create(self.path("log")).expect("a file of our own");
        let child = Command::new(binary())
            .arg(self.path("redis.conf"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("the server is installed"));
        eventually("it starts or ends", || {
            if self.has_ended() {
                return Some(Err(self.log()));
            }
            let mut client = Client::try_connect(self.port)?;
            let pong = client.try_call(&["PING"]).ok()?;
            let is_up = pong == redis::Value::SimpleString("PONG".into());
            let is_ours = is_up && client.info("process_id") == self.pid().to_string();
            is_ours.then_some(Ok(client))
        })
    }

    /// Starts it; it has to run.
    pub fn runs(&mut self) -> Client {
        let started = self.start(&[]);
        started.unwrap_or_else(|said| panic!("it does not start:\n{said}"))
    }

    /// Starts it; it has to refuse. What it said.
    pub fn refuses(&mut self) -> String {
        match self.start(&[]) {
            Ok(_) => panic!("it runs:\n{}", self.log()),
            Err(said) => said,
        }
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    /// Whether its process is over.
    pub fn has_ended(&mut self) -> bool {
        let Some(child) = self.child.as_mut() else {
            return true;
        };
        let is_over = child.try_wait().expect("our child").is_some();
        if is_over {
            self.child = None;
        }
        is_over
    }

    /// What it wrote since its last start.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// Ends it as SHUTDOWN does, with a snapshot or without.
    pub fn ends(&mut self, how: &str) {
        let mut client = Client::try_connect(self.port).expect("it runs");
        let _ = client.try_call(&["SHUTDOWN", how]);
        eventually("it ends", || self.has_ended().then_some(()));
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
