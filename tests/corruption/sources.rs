//! The payloads to begin with: the DUMPs of many kinds of locks.

use crate::support::payload::{taken_apart, OF_VERSION_1};
use crate::support::{eventually, Server};

/// What a server writes, and what an earlier version of the module wrote.
pub struct Sources {
    /// The values: what stands in front of version and checksum.
    pub values: Vec<Vec<u8>>,
    /// What the module itself wrote into them.
    pub records: Vec<Vec<u8>>,
    /// What stands in front of a record's length: a module's value, and which module's.
    head: Vec<u8>,
    /// The version of the server's format.
    pub version: Vec<u8>,
}

/// The type, the module's name and version, the mark of a string.
const HEAD_BYTES: usize = 1 + 9 + 1;

/// Each word of a call; a space is a word's end.
const HELD: [&[&str]; 9] = [
    &["one a 600000"],
    &["short a 1"],
    &["named an-owner-of-some-length-that-is-not-kept-in-place 600000"],
    &["session a 600000 SESSION"],
    &[
        "shared a 600000 SHARED",
        "shared b 5000 SHARED",
        "shared c 1 SHARED",
    ],
    &[
        "limited a 600000 LIMIT 3 DELAY 50",
        "limited b 600000 LIMIT 1024",
    ],
    &["delayed a 600000 DELAY 600000"],
    &["cooling a 1 DELAY 600000"],
    &[
        "mixed a 1 SHARED DELAY 600000",
        "mixed b 600000 SHARED",
        "mixed c 600000 LIMIT 9",
    ],
];

impl Sources {
    /// Makes the locks, and takes their DUMPs, on a server of their own.
    pub fn made() -> Self {
        let server = Server::start();
        let mut client = server.client();
        let mut keys = Vec::new();
        for calls in HELD {
            for call in calls {
                client.number(&format!("LOCK.ACQUIRE {call}"));
            }
            keys.push(calls[0].split(' ').next().expect("a key"));
        }
        let long = "o".repeat(512);
        client.acquired("long", &long, 86_400_000);
        for number in 0..100 {
            client.number(&format!("LOCK.ACQUIRE crowd reader-{number} 600000 SHARED"));
        }
        client.acquired("raised", "a", 600_000);
        let far = client.fence("raised").expect("it is held") + (3_000_000 << 12);
        client.number(&format!("LOCK.EXTEND raised a 1 RAISE {far}"));
        keys.extend(["long", "crowd", "raised"]);
        for key in ["cooling", "short"] {
            eventually("the lease is over", || {
                client.fence(key).is_none().then_some(())
            });
        }
        // The short one's key may be gone.
        keys.retain(|key| client.exists(key));
        let mut values = vec![taken_apart(OF_VERSION_1).0.to_vec()];
        let mut records = Vec::new();
        let (mut head, mut version) = (Vec::new(), Vec::new());
        for compresses in ["yes", "no"] {
            client.say(&format!("CONFIG SET rdbcompression {compresses}"));
            for key in &keys {
                let payload = client.bytes(&["DUMP", key]);
                let (value, written) = taken_apart(&payload);
                values.push(value.to_vec());
                version = written.to_vec();
                head = value[..HEAD_BYTES].to_vec();
                if compresses == "no" {
                    records.push(record_in(value).to_vec());
                }
            }
        }
        Self {
            values,
            records,
            head,
            version,
        }
    }

    /// A value with this record, all lengths around it right.
    pub fn wrapped(&self, record: &[u8]) -> Vec<u8> {
        let length = u32::try_from(record.len()).expect("a short one");
        let length = [&[0x80][..], &length.to_be_bytes()].concat();
        [&self.head, &length, record, &[0]].concat()
    }
}

/// A length is of one byte, or of two with the bits 01 in front.
fn record_in(value: &[u8]) -> &[u8] {
    let record = match value[HEAD_BYTES] >> 6 {
        0 => &value[HEAD_BYTES + 1..],
        1 => &value[HEAD_BYTES + 2..],
        _ => panic!("a record of more than 16 KiB"),
    };
    record.split_last().expect("the end is marked").1
}
