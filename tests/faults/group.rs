//! A master and its replicas, which change places. Each replica reaches its master
//! through a proxy of its own, so that its link can be slow, frozen or cut.

use crate::proxy::Proxy;
use crate::support::{eventually, now, Server};
use std::fs;
use std::time::Duration;

/// One of them.
pub struct Node {
    /// The server.
    pub server: Server,
    uplink: Option<Proxy>,
}

/// What a server finds that was killed and starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// What it had written.
    Kept,
    /// Nothing.
    Lost,
}

impl Node {
    /// A master.
    pub fn start(settings: &[&str]) -> Self {
        Self {
            server: Server::with(settings),
            uplink: None,
        }
    }

    /// Where clients find it.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// It becomes a replica of the server at this port.
    pub fn follow(&mut self, master: u16) {
        let uplink = Proxy::to(master);
        let words = format!("REPLICAOF 127.0.0.1 {}", uplink.port());
        self.obey(&words);
        self.uplink = Some(uplink);
    }

    /// The way to its master.
    pub fn uplink(&self) -> &Proxy {
        self.uplink.as_ref().expect("it is a replica")
    }

    /// It becomes a master.
    pub fn promote(&mut self) {
        self.obey("REPLICAOF NO ONE");
        self.uplink = None;
    }

    /// While it loads it refuses.
    fn obey(&self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let mut client = self.server.client();
        eventually(line, || client.try_call(&words).ok());
    }

    /// Waits until it has what its master had when it began to follow.
    pub fn await_link(&self) {
        let mut client = self.server.client();
        eventually("the link is up", || {
            (client.info("master_link_status") == "up").then_some(())
        });
    }

    /// Starts it again after it was killed, as a master.
    pub fn come_back(&mut self, files: Files) {
        self.clear(files);
        self.server.start_again();
    }

    /// Starts it again after it was killed, as a replica from the first moment.
    pub fn come_back_as_replica(&mut self, files: Files, master: u16) {
        self.clear(files);
        let uplink = Proxy::to(master);
        let setting = format!("replicaof 127.0.0.1 {}", uplink.port());
        self.server.start_once_with(&[&setting]);
        self.uplink = Some(uplink);
    }

    fn clear(&self, files: Files) {
        if files == Files::Kept {
            return;
        }
        let directory = self.server.directory();
        for name in ["dump.rdb", "appendonlydir"] {
            let path = directory.join(name);
            // It need not have written any.
            match path.is_dir() {
                true => fs::remove_dir_all(path).expect("a folder of our own"),
                false => fs::remove_file(path).unwrap_or_default(),
            }
        }
    }
}

/// Lets so much time pass: chance, and not a way to wait for something.
pub fn let_pass(time: Duration) {
    let end = now() + time;
    while let Some(left) = end.checked_duration_since(now()).filter(|it| !it.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// A span of time from zero up to `most_ms`.
pub fn up_to(dice: &mut fastrand::Rng, most_ms: u64) -> Duration {
    Duration::from_micros(dice.u64(0..=most_ms * 1_000))
}
