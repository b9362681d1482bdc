//! The stored form of a lock and of the counter: what RDB files and DUMP carry.
//!
//! A record lists the holders with what is *left* of their leases, never a
//! moment in time: clocks differ between machines and between boots, so a lease
//! that is carried elsewhere starts when it arrives. It ends later there, never
//! earlier.
//!
//! Reading checks every length against the bytes that are there and every value
//! against its range, and refuses whole what does not fit or has bytes behind it.
//! (A number may be written longer than [`encode`] writes it: it says the same.)
//!
//! Version 1 knows exclusive holds: a record has one holder, or none (a dead
//! handle). A later form gets a later version and a file of its own.

use super::table::Lock;
use super::time::{BootTime, Ttl};
use super::token::{StoredCounter, Token};
use super::OWNER_BYTES_MOST;
use serde::{Deserialize, Serialize};

/// The version that is written, and the newest that can be read.
pub const VERSION: u32 = 1;

/// The most bytes a sound record of this version can have.
pub const BYTES_MOST: usize = OWNER_BYTES_MOST + 64;

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    holder: Option<StoredHolder<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredHolder<'a> {
    owner: &'a [u8],
    token: u64,
    left_ms: u64,
}

/// A holder as a record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedHolder<'a> {
    /// Who held the lock.
    pub owner: &'a [u8],
    /// With which token.
    pub token: Token,
    /// What was left of the lease.
    pub left: Ttl,
}

/// Why a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Written by a later version of this module.
    Version,
    /// Not the bytes of a record, or followed by others.
    Form,
    /// An owner, token or lease that no server ever grants.
    Range,
}

/// The record of a lock, or of a dead handle. Without enough memory, nothing.
pub fn encode(now: BootTime, lock: Option<&Lock>) -> Vec<u8> {
    let holder = lock.map(|lock| StoredHolder {
        owner: &lock.hold.owner,
        token: lock.hold.token.get(),
        left_ms: now.left_until(lock.hold.deadline).as_ms(),
    });
    postcard::to_allocvec(&Record { holder }).unwrap_or_default()
}

/// Reads a record. `Ok(None)`: it holds nothing.
pub fn decode(version: u32, bytes: &[u8]) -> Result<Option<LoadedHolder<'_>>, Refusal> {
    if version != VERSION {
        return Err(Refusal::Version);
    }
    if bytes.len() > BYTES_MOST {
        return Err(Refusal::Form);
    }
    let (record, rest) =
        postcard::take_from_bytes::<Record<'_>>(bytes).map_err(|_| Refusal::Form)?;
    if !rest.is_empty() {
        return Err(Refusal::Form);
    }
    let Some(stored) = record.holder else {
        return Ok(None);
    };
    if !(1..=OWNER_BYTES_MOST).contains(&stored.owner.len()) {
        return Err(Refusal::Range);
    }
    Ok(Some(LoadedHolder {
        owner: stored.owner,
        token: Token::new(stored.token).ok_or(Refusal::Range)?,
        left: Ttl::from_ms(stored.left_ms).ok_or(Refusal::Range)?,
    }))
}

/// The counter's stored form.
pub fn encode_counter(counter: StoredCounter) -> Vec<u8> {
    postcard::to_allocvec(&counter).unwrap_or_default()
}

/// Reads a stored counter; its ranges are checked when it is taken in
/// ([`super::token::Tokens::load`]).
pub fn decode_counter(version: u32, bytes: &[u8]) -> Result<StoredCounter, Refusal> {
    if version != VERSION {
        return Err(Refusal::Version);
    }
    match postcard::take_from_bytes(bytes) {
        Ok((counter, [])) => Ok(counter),
        _ => Err(Refusal::Form),
    }
}
