//! An RDB file as bytes: the counter and the locks in it, found and replaced.
//!
//! What the tests know of the format: a value of a module is the module's id,
//! then strings with their lengths, then a zero. The strings of this module are
//! shorter than 64 bytes here, so a length is one byte.

use super::support::{varint, Server};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

/// The bytes of a file that a server saved.
#[derive(Clone)]
pub struct SnapshotFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The version of the module's data that is written.
const VERSION: u8 = 2;
/// A string follows.
const STRING: u8 = 5;
/// Data of a module that belongs to no key.
const AUX: u8 = 0xf7;
/// A number of 64 bits follows.
const WIDE: u8 = 0x81;

impl SnapshotFile {
    /// The file that `SAVE` wrote. The server must not compress strings.
    pub fn of(server: &Server) -> Self {
        let path = server.directory().join("dump.rdb");
        let bytes = fs::read(&path).expect("the server saved");
        Self { path, bytes }
    }

    /// Writes the file back, marked as one without a checksum.
    pub fn write(&self) {
        let mut bytes = self.bytes.clone();
        let checksum = bytes.len() - 8;
        bytes[checksum..].fill(0);
        fs::write(&self.path, bytes).expect("a file of our own");
    }

    /// Where the module's own data is, from its id to the zero behind it.
    pub fn aux(&self) -> Range<usize> {
        let head = [&[AUX][..], &module_id(VERSION)].concat();
        let start = self.position(&head) + 1;
        let counter = self.string_behind(start);
        start..counter.end + 1
    }

    /// Where the value of the lock of `owner` is, from the module's id to the
    /// zero behind it.
    pub fn value(&self, owner: &str) -> Range<usize> {
        let record = self.record(owner);
        record.start - 2 - module_id(VERSION).len()..record.end + 1
    }

    /// Where the record of the lock of `owner` is.
    fn record(&self, owner: &str) -> Range<usize> {
        // The record's length, "one holder", the owner's length.
        let length = self.position(owner.as_bytes()) - 3;
        let record = length + 1..length + 1 + usize::from(self.bytes[length]);
        assert_eq!(self.bytes[length - 1], STRING);
        record
    }

    /// Puts `counter` where the module's counter is.
    pub fn set_counter(&mut self, counter: &[u8]) {
        let old = self.string_behind(self.aux().start);
        self.set_string(old, counter);
    }

    /// Puts `record` where the record of the lock of `owner` is.
    pub fn set_record(&mut self, owner: &str, record: &[u8]) {
        let old = self.record(owner);
        self.set_string(old, record);
    }

    /// Makes it look as if version `version` of the module had saved the lock
    /// of `owner`.
    pub fn set_version_of_value(&mut self, owner: &str, version: u8) {
        let start = self.value(owner).start;
        let id = module_id(version);
        self.bytes.splice(start..start + id.len(), id);
    }

    /// As [`SnapshotFile::set_version_of_value`], of the counter.
    pub fn set_version_of_counter(&mut self, version: u8) {
        let start = self.aux().start;
        let id = module_id(version);
        self.bytes.splice(start..start + id.len(), id);
    }

    /// Turns the bits of one byte around that are set in `mask`.
    pub fn flip(&mut self, place: usize, mask: u8) {
        self.bytes[place] ^= mask;
    }

    /// The first string behind `start`, an id of the module.
    fn string_behind(&self, start: usize) -> Range<usize> {
        let mark = start + module_id(VERSION).len();
        // The counter has two more bytes here: when it is to be loaded.
        let mark = mark + if self.bytes[mark] == STRING { 0 } else { 2 };
        assert_eq!(self.bytes[mark], STRING);
        let length = usize::from(self.bytes[mark + 1]);
        mark + 2..mark + 2 + length
    }

    fn set_string(&mut self, old: Range<usize>, new: &[u8]) {
        assert!(new.len() < 64, "its length does not fit into one byte");
        self.bytes[old.start - 1] = new.len() as u8;
        self.bytes.splice(old, new.iter().copied());
    }

    fn position(&self, part: &[u8]) -> usize {
        let mut places = self
            .bytes
            .windows(part.len())
            .enumerate()
            .filter_map(|(place, window)| (window == part).then_some(place));
        let place = places.next().expect("it is in the file");
        assert_eq!(places.next(), None, "it is in the file twice");
        place
    }
}

/// The id under which the module's data of this version is saved: nine letters
/// of six bits, and ten bits of version.
fn module_id(version: u8) -> Vec<u8> {
    let letter = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        _ => panic!("no letter of an id"),
    };
    let name = b"redislock".iter();
    let id = name.fold(0_u64, |id, &byte| id << 6 | u64::from(letter(byte)));
    let id = id << 10 | u64::from(version);
    [&[WIDE][..], &id.to_be_bytes()].concat()
}

/// The counter as the module saves it.
pub fn counter(last: u64, ceiling: u64, ttl_most_ms: u64) -> Vec<u8> {
    counter_since(last, ceiling, ttl_most_ms, 5)
}

/// As [`counter`], with the time at which the term of the ceiling began.
pub fn counter_since(last: u64, ceiling: u64, ttl_most_ms: u64, since_ms: u64) -> Vec<u8> {
    [last, ceiling, ttl_most_ms, since_ms].map(varint).concat()
}

/// A lock of one exclusive holder as the module saves it.
pub fn record(owner: &[u8], token: u64, left_ms: u64) -> Vec<u8> {
    [&[1][..], &holder(owner, [token, left_ms, 1, 0])].concat()
}

/// One holder of a lock: its token, what is left of its lease, how many it tolerates
/// and how long it cools.
pub fn holder(owner: &[u8], numbers: [u64; 4]) -> Vec<u8> {
    let length = varint(owner.len() as u64);
    [&length, owner, &numbers.map(varint).concat()].concat()
}
