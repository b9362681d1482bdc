//! The ways in which a server can keep what it knows over a crash.

use super::log_file::rewrite;
use super::support::{eventually, Client, Server};

/// One way.
pub struct Keeping {
    /// What a failed test calls it.
    pub name: &'static str,
    settings: &'static [&'static str],
    keep: fn(&mut Client),
}

/// All ways. A rewritten log begins with an RDB file or with commands.
static KEEPINGS: [Keeping; 5] = [
    Keeping {
        name: "a saved file",
        settings: &[],
        keep: |client| drop(client.say("SAVE")),
    },
    Keeping {
        name: "a log, written at once",
        settings: &["appendonly yes", "appendfsync always"],
        keep: |_| {},
    },
    Keeping {
        name: "a log, synced each second",
        settings: &["appendonly yes", "appendfsync everysec"],
        // While the disk is busy the server holds back what it writes.
        keep: wait_for_log,
    },
    Keeping {
        name: "a rewritten log",
        settings: &[
            "appendonly yes",
            "appendfsync always",
            "aof-use-rdb-preamble yes",
            "hz 100",
        ],
        keep: rewrite,
    },
    Keeping {
        name: "a log rewritten as commands",
        settings: &[
            "appendonly yes",
            "appendfsync always",
            "aof-use-rdb-preamble no",
            "hz 100",
        ],
        keep: rewrite,
    },
];

impl Keeping {
    /// A server that keeps things in this way.
    pub fn server(&self) -> Server {
        Server::with(self.settings)
    }

    /// As [`Keeping::server`], with more settings.
    pub fn server_with(&self, settings: &[&str]) -> Server {
        Server::with(&[self.settings, settings].concat())
    }

    /// Sees to it that everything up to now is in the files.
    pub fn keep(&self, client: &mut Client) {
        (self.keep)(client);
    }
}

/// Waits until everything up to now is in the log.
pub fn wait_for_log(client: &mut Client) {
    eventually("the log is written", || {
        (client.info("aof_buffer_length") == "0").then_some(())
    });
}

/// Tries every way, all at the same time: most of what such a test does is to
/// wait.
pub fn each_at_once(test: impl Fn(&Keeping) + Sync) {
    std::thread::scope(|threads| {
        for keeping in &KEEPINGS {
            let test = &test;
            threads.spawn(move || test(keeping));
        }
    });
}
