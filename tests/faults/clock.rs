//! A wall clock for a server, which can be wrong and be set while the server runs: a
//! library that is preloaded (`stepped_clock.c`) adds so many seconds to the true time.

use crate::support::{eventually, Client, Server};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// A clock for a server, and how wrong it is.
pub struct Clock {
    directory: tempfile::TempDir,
    file: File,
    wrong_by_s: i64,
}

impl Clock {
    /// A clock that is right.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/stepped_clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .arg(directory.path().join("stepped_clock.so"))
            .arg(source)
            .status();
        assert!(built.expect("a C compiler").success());
        let file = File::create(directory.path().join("steps")).expect("our own");
        let mut clock = Self {
            directory,
            file,
            wrong_by_s: 0,
        };
        clock.is_wrong_by(0);
        clock
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A server that lives by this clock.
    pub fn server(&self, settings: &[&str]) -> Server {
        let library = self.path("stepped_clock.so").display().to_string();
        let steps = self.path("steps").display().to_string();
        let environment = [
            ("LD_PRELOAD", library.as_str()),
            ("CLOCK_STEPS", steps.as_str()),
        ];
        Server::within(settings, &environment)
    }

    /// Sets it.
    pub fn is_wrong_by(&mut self, seconds: i64) {
        let written = self.file.write_all_at(&seconds.to_ne_bytes(), 0);
        written.expect("our own");
        self.wrong_by_s = seconds;
    }

    /// By how many seconds it is wrong.
    pub fn wrong_by_s(&self) -> i64 {
        self.wrong_by_s
    }

    /// That the server sees it: else all of this proves nothing. (It may tell the time
    /// that it read before it went to sleep.)
    pub fn is_seen_by(&self, client: &mut Client) {
        eventually("the server's clock is stepped", || {
            let wrong_by = self.told_by(client) - self.truth();
            ((wrong_by - self.wrong_by_s).abs() <= 1).then_some(())
        });
    }

    /// The server's time, in seconds.
    fn told_by(&self, client: &mut Client) -> i64 {
        let parts = client.texts("TIME");
        parts[0].parse().expect("a number")
    }

    /// The true time, in seconds: that of a file which was written just now.
    fn truth(&self) -> i64 {
        let touched = self.path("now");
        fs::write(&touched, "").expect("our own");
        let written = touched.metadata().and_then(|it| it.modified());
        let since = written.expect("a time").duration_since(UNIX_EPOCH);
        since.expect("after 1970").as_secs() as i64
    }
}
