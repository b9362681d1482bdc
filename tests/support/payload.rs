//! What DUMP gives and RESTORE takes, put together and taken apart.

/// Behind the value: the version of the format, and a checksum.
const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// The checksum of RDB files: CRC-64 with the polynomial of Jones, reflected.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc, _| {
            let carry = crc & 1;
            (crc >> 1) ^ (carry * 0x95ac_9329_ac4b_c9b5)
        })
    })
}

/// A payload with this value and a checksum that is right.
pub fn sealed(value: &[u8], version: &[u8]) -> Vec<u8> {
    let mut payload = [value, version].concat();
    payload.extend(crc64(&payload).to_le_bytes());
    payload
}

/// A real payload, taken apart: the value and the version.
pub fn taken_apart(payload: &[u8]) -> (&[u8], &[u8]) {
    let (value, rest) = payload.split_at(payload.len() - VERSION_BYTES - CHECKSUM_BYTES);
    (value, &rest[..VERSION_BYTES])
}

/// What the first version of the module wrote as the DUMP of a lock: the record has
/// one holder or none, without how many it tolerates and how long it cools.
pub const OF_VERSION_1: &[u8] = b"\x07\x81\xad\xe7b\xb2Z\x1c\x90\x01\x05 \x01\x13holder-of-\
    version-1\x81\xa0\x99\xf7\xe3\xf6T\xa9\xb4\x99)\x00\n\x00\x01\x8a3\xaa6\xff2\x9d";

/// A string follows, in what a module saved.
pub const STRING: u8 = 5;
/// A record of fewer bytes is saved as strings of so many, and a last one of another
/// length.
const PIECED_BELOW: usize = 100;
const PIECE_BYTES: usize = 20;

/// The strings that the module saves for a record, in a file of its newest version.
pub fn saved(record: &[u8]) -> Vec<u8> {
    let mut saved = Vec::new();
    let mut rest = record;
    while record.len() < PIECED_BELOW && rest.len() >= PIECE_BYTES {
        saved.extend(string(&rest[..PIECE_BYTES]));
        rest = &rest[PIECE_BYTES..];
    }
    saved.extend(string(rest));
    saved
}

/// A string as it stands in a file, not compressed.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = match bytes.len() {
        short @ 0..64 => vec![short as u8],
        long => [&[0x80][..], &(long as u32).to_be_bytes()].concat(),
    };
    [&[STRING][..], &length, bytes].concat()
}

/// The record that begins in front of these bytes, and how many of them are it. No
/// string may be compressed.
pub fn record_saved(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut record, mut at) = (Vec::new(), 0);
    loop {
        assert_eq!(bytes[at], STRING);
        let (length, header) = match bytes[at + 1] {
            short @ 0..0x40 => (usize::from(short), 2),
            long @ 0x40..0x80 => (
                usize::from(long & 0x3f) << 8 | usize::from(bytes[at + 2]),
                3,
            ),
            0x80 => {
                let length = bytes[at + 2..at + 6].try_into().expect("four bytes");
                (u32::from_be_bytes(length) as usize, 6)
            }
            other => panic!("{other:#x} is no length"),
        };
        record.extend_from_slice(&bytes[at + header..at + header + length]);
        at += header + length;
        if length != PIECE_BYTES {
            return (record, at);
        }
    }
}
