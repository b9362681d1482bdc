//! The file in which a server leaves a line behind for its next start. What is written is
//! on disk when the call returns.
//!
//! One server at a time has it. The lock is one of the process (`fcntl`), which a child
//! that saves a snapshot does not keep alive beyond the server's end.

use crate::lock::testament::{Testament, LINE_BYTES};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// In the server's directory, which is the one it runs in.
const NAME: &str = "redislock.quarantine";

/// The file, which is ours alone.
#[derive(Debug)]
pub(super) struct TestamentFile(File);

impl TestamentFile {
    /// Opens it; makes an empty one if there is none.
    pub(super) fn open() -> Result<Self, String> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(NAME);
        let file = file.map_err(|error| said("cannot be opened", &error))?;
        lock(&file).map_err(|error| {
            said(
                "is another server's, it seems: give each server a dir of its own",
                &error,
            )
        })?;
        Ok(Self(file))
    }

    /// Empties the file of an earlier run, if there is one.
    pub(super) fn empty_if_there() {
        let found = File::options().write(true).open(NAME).ok();
        if let Some(file) = found.filter(|file| lock(file).is_ok()) {
            if let Err(error) = Self(file).empty() {
                super::api::log(super::api::Level::Warning, &error);
            }
        }
    }

    /// What it says; `None`: nothing.
    pub(super) fn read(&self) -> Option<Testament> {
        let mut bytes = [0; LINE_BYTES];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        let length = self.0.metadata().ok()?.len();
        Testament::decode(&bytes).filter(|_| length == LINE_BYTES as u64)
    }

    /// Writes the line in the place of another.
    pub(super) fn write(&mut self, testament: &Testament) -> Result<(), String> {
        let line = testament.encode();
        let written = self.0.write_all_at(line.as_bytes(), 0);
        let synced = written.and_then(|()| self.0.sync_all());
        synced.map_err(|error| said("cannot be written", &error))
    }

    /// Nothing is in it any more.
    pub(super) fn empty(&mut self) -> Result<(), String> {
        let emptied = self.0.set_len(0).and_then(|()| self.0.sync_all());
        emptied.map_err(|error| said("cannot be emptied: delete it", &error))
    }
}

fn lock(file: &File) -> io::Result<()> {
    let whole_file = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: the file is open, and the structure is read only.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &whole_file) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn said(what: &str, error: &io::Error) -> String {
    format!("quarantine: the file {NAME} in the server's dir {what} ({error})")
}
