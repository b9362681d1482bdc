//! A power cut: what was written to the log of a server and had not reached the disk
//! is gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// How much of the log is cut, mostly.
const UNSYNCED_MOST: u64 = 16 << 10;

/// What a power cut cannot take: the log of a server, as far as it is on the disk.
#[derive(Default)]
pub struct Durable {
    path: PathBuf,
    length: u64,
}

impl Durable {
    /// All that was written so far reached the disk.
    pub fn reaches_the_disk(&mut self, directory: &Path) {
        if let Some(path) = growing_file(directory) {
            let length = path.metadata().expect("our own").len();
            *self = Self { path, length };
        }
    }

    /// Cuts some of what was written since, or all of it. The rest is on the disk.
    pub fn power_cut(&mut self, dice: &mut fastrand::Rng, directory: &Path) {
        let Some(path) = growing_file(directory) else {
            return;
        };
        if path != self.path {
            *self = Self { path, length: 0 };
        }
        let file = File::options().write(true).open(&self.path);
        let file = file.expect("our own");
        let length = file.metadata().expect("our own").len();
        let written = length.saturating_sub(self.length);
        let lost = match dice.u8(0..4) {
            0 => written,
            _ => dice.u64(0..=written.min(UNSYNCED_MOST)),
        };
        self.length = length - lost;
        file.set_len(self.length).expect("our own");
    }
}

/// The latest of the files of the log.
fn growing_file(directory: &Path) -> Option<PathBuf> {
    let folder = fs::read_dir(directory.join("appendonlydir")).ok()?;
    let names = folder.flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        let number = name.strip_prefix("appendonly.aof.")?;
        number.strip_suffix(".incr.aof")?.parse::<u64>().ok()
    };
    names
        .filter(|path| number(path).is_some())
        .max_by_key(number)
}
