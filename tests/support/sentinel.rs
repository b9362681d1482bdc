//! A sentinel: a process that watches a master and promotes a replica in its place.

use super::server::{binary, free_port};
use super::{eventually, Client};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

/// What the sentinels call the master they watch.
pub const MASTER: &str = "mymaster";

/// A running sentinel, in a directory of its own; killed when it goes out of scope.
pub struct Sentinel {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Sentinel {
    /// Watches the master at this port. More settings are lines of its file.
    pub fn watching(master: u16, quorum: u32, settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let port = free_port();
        let path = directory.path();
        let mut conf = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nprotected-mode no\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} {quorum}\n",
            path.display()
        );
        for line in settings {
            conf += line;
            conf += "\n";
        }
        let conf_path = path.join("sentinel.conf");
        fs::write(&conf_path, conf).expect("a file of our own");
        let log = File::create(path.join("log")).expect("a file of our own");
        let child = Command::new(binary())
            .arg(&conf_path)
            .arg("--sentinel")
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the server can be a sentinel");
        let sentinel = Self {
            child,
            directory,
            port,
        };
        eventually("the sentinel answers", || {
            Client::try_connect(port)?.try_call(&["PING"]).ok()
        });
        sentinel
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        eventually("a connection", || Client::try_connect(self.port))
    }
}

/// The port of the master, as the sentinel of this connection sees it.
pub fn master_of(client: &mut Client) -> Option<u16> {
    let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
    match client.try_call(&words).ok()? {
        redis::Value::Array(place) => match place.as_slice() {
            [_, redis::Value::BulkString(port)] => std::str::from_utf8(port).ok()?.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The number of the promotion that made the master one: each has a larger one.
pub fn promotion_of(client: &mut Client) -> Option<u64> {
    let words = ["SENTINEL", "MASTER", MASTER];
    let redis::Value::Array(fields) = client.try_call(&words).ok()? else {
        return None;
    };
    let text = |value: &redis::Value| match value {
        redis::Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        _ => None,
    };
    let is_it = |pair: &&[redis::Value]| text(&pair[0]).as_deref() == Some("config-epoch");
    text(fields.chunks_exact(2).find(is_it)?.last()?)?
        .parse()
        .ok()
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
            let tail = &log[log.len().saturating_sub(3_000)..];
            let text = String::from_utf8_lossy(tail);
            eprintln!("--- log of the sentinel on port {}:\n{text}---", self.port);
        }
    }
}
