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
