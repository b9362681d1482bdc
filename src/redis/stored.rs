//! How records go into the server's files, and come out of them.
//!
//! A server tries to compress each string of more than 20 bytes that it saves. Of a
//! record nothing can be compressed, and trying is up to a third of what saving a lock
//! costs (Redis 8.0). So short records are cut in pieces that are left alone: strings
//! of 20 bytes and a last one of another length, which may be zero. A long one, of many
//! holders or of a long owner, is one string, and may be compressed.

use super::api::{self, server};
use redis_module::raw;
use std::ffi::c_char;

/// The longest string that a server does not try to compress, in bytes.
const PIECE_BYTES: usize = 20;
/// The most pieces that a record is cut in. An owner of up to 64 bytes and its
/// numbers fit.
const PIECES_MOST: usize = 5;
/// The first version whose records are cut in pieces.
const VERSION_OF_PIECES: u32 = 3;

/// Saves a record of the version that is written.
pub(super) fn save_record(io: *mut raw::RedisModuleIO, record: &[u8]) {
    let mut rest = record;
    if rest.len() < PIECES_MOST * PIECE_BYTES {
        while let Some((piece, behind)) = rest.split_at_checked(PIECE_BYTES) {
            save_string(io, piece);
            rest = behind;
        }
    }
    save_string(io, rest);
}

/// A record as it came out of a file.
pub(super) enum Record {
    /// One string.
    Whole(FileString),
    /// Pieces, put together; so many bytes of the room are it.
    Pieced([u8; PIECES_MOST * PIECE_BYTES], usize),
}

impl Record {
    /// Loads what this version of the module saved. `None` if the file ends early, or
    /// has something else here.
    pub(super) fn load(io: *mut raw::RedisModuleIO, version: u32) -> Option<Self> {
        let mut piece = FileString::load(io)?;
        if version < VERSION_OF_PIECES || piece.bytes().len() != PIECE_BYTES {
            return Some(Self::Whole(piece));
        }
        let mut room = [0; PIECES_MOST * PIECE_BYTES];
        let mut length = 0;
        loop {
            let bytes = piece.bytes();
            room.get_mut(length..length + bytes.len())?
                .copy_from_slice(bytes);
            length += bytes.len();
            if bytes.len() != PIECE_BYTES {
                return Some(Self::Pieced(room, length));
            }
            piece = FileString::load(io)?;
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(string) => string.bytes(),
            Self::Pieced(room, length) => &room[..*length],
        }
    }
}

/// Saves bytes as they are.
pub(super) fn save_string(io: *mut raw::RedisModuleIO, bytes: &[u8]) {
    // SAFETY: the server passed `io` to the callback that calls this; it copies
    // the bytes.
    unsafe {
        server!(RedisModule_SaveStringBuffer)(io, bytes.as_ptr().cast::<c_char>(), bytes.len());
    }
}

/// Bytes that the server read from a file, freed when they go.
pub(super) struct FileString {
    bytes: *mut c_char,
    length: usize,
}

impl FileString {
    /// `None` if the file ends early or has something else here.
    pub(super) fn load(io: *mut raw::RedisModuleIO) -> Option<Self> {
        let mut length = 0;
        // SAFETY: the server passed `io` to the callback that calls this.
        let (bytes, is_error) = unsafe {
            let bytes = server!(RedisModule_LoadStringBuffer)(io, &mut length);
            (bytes, server!(RedisModule_IsIOError)(io) != 0)
        };
        let read = Self { bytes, length };
        (!is_error && !bytes.is_null()).then_some(read)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the server gave so many bytes, and they are ours.
        unsafe { api::slice(self.bytes, self.length) }
    }
}

impl Drop for FileString {
    fn drop(&mut self) {
        if !self.bytes.is_null() {
            // SAFETY: the server allocated them for us; freed once.
            unsafe { server!(RedisModule_Free)(self.bytes.cast()) };
        }
    }
}
