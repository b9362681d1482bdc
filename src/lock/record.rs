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
//! | version | a record is |
//! |---|---|
//! | 1 | an exclusive holder, or none (a dead handle) |
//! | 2 | any number of holders, each with how many it tolerates and how long it cools |
//!
//! The counter has the same form in both.

use super::holders::StoredHold;
use super::table::Lock;
use super::time::{BootTime, Delay, Ttl};
use super::token::{StoredCounter, Token};
use super::tolerance::Tolerance;
use super::OWNER_BYTES_MOST;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

/// The version that is written, and the newest that can be read.
pub const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct RecordOf1<'a> {
    #[serde(borrow)]
    holder: Option<HolderOf1<'a>>,
}

#[derive(Serialize, Deserialize)]
struct HolderOf1<'a> {
    owner: &'a [u8],
    token: u64,
    left_ms: u64,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    holders: Vec<Holder<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Holder<'a> {
    owner: &'a [u8],
    token: u64,
    /// 0: the hold cools.
    left_ms: u64,
    /// 0: any number.
    tolerates: u64,
    delay_ms: u64,
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
    // One allocation for a single holder: a file of a million locks is a million of these.
    let bytes = Vec::with_capacity(RECORD_BYTES);
    postcard::to_extend(&Stored { now, lock }, bytes).unwrap_or_default()
}

/// Room for a holder with an owner of usual length.
const RECORD_BYTES: usize = 80;

/// The holders of a lock; what is written of them reads as a [`Record`].
struct Stored<'a> {
    now: BootTime,
    lock: Option<&'a Lock>,
}

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let holders = || {
            let lock = self.lock.into_iter();
            lock.flat_map(|lock| lock.holders.stored(self.now))
        };
        let mut record = out.serialize_seq(Some(holders().count()))?;
        for hold in holders() {
            record.serialize_element(&Holder::from(hold))?;
        }
        record.end()
    }
}

impl<'a> From<StoredHold<'a>> for Holder<'a> {
    fn from(hold: StoredHold<'a>) -> Self {
        Self {
            owner: hold.owner,
            token: hold.token.get(),
            left_ms: hold.lease.map_or(0, Ttl::as_ms),
            tolerates: hold.tolerates.to_number(),
            delay_ms: hold.delay.as_ms(),
        }
    }
}

impl<'a> Holder<'a> {
    fn checked(self) -> Result<StoredHold<'a>, Refusal> {
        let delay = Delay::from_ms(self.delay_ms).ok_or(Refusal::Range)?;
        let lease = match self.left_ms {
            0 if delay == Delay::NONE => return Err(Refusal::Range),
            0 => None,
            ms => Some(Ttl::from_ms(ms).ok_or(Refusal::Range)?),
        };
        Ok(StoredHold {
            owner: owner(self.owner)?,
            token: Token::new(self.token).ok_or(Refusal::Range)?,
            lease,
            tolerates: Tolerance::from_number(self.tolerates).ok_or(Refusal::Range)?,
            delay,
        })
    }
}

/// Reads a record: its holders, each with another token, and no more of them than each
/// tolerates. None: a dead handle.
pub fn decode(version: u32, bytes: &[u8]) -> Result<Vec<StoredHold<'_>>, Refusal> {
    let holds = match version {
        1 => decode_1(bytes)?,
        VERSION => decode_2(bytes)?,
        _ => return Err(Refusal::Version),
    };
    let fits = |hold: &StoredHold<'_>| hold.tolerates.allows(holds.len());
    if (holds.len() < 2 || are_distinct(&holds)) && holds.iter().all(fits) {
        Ok(holds)
    } else {
        Err(Refusal::Range)
    }
}

/// Whether each has another token.
fn are_distinct(holds: &[StoredHold<'_>]) -> bool {
    let mut tokens: Vec<Token> = holds.iter().map(|hold| hold.token).collect();
    tokens.sort_unstable();
    tokens.windows(2).all(|pair| pair[0] != pair[1])
}

fn decode_1(bytes: &[u8]) -> Result<Vec<StoredHold<'_>>, Refusal> {
    let record: RecordOf1<'_> = whole(bytes)?;
    let Some(stored) = record.holder else {
        return Ok(Vec::new());
    };
    Ok(vec![StoredHold {
        owner: owner(stored.owner)?,
        token: Token::new(stored.token).ok_or(Refusal::Range)?,
        lease: Some(Ttl::from_ms(stored.left_ms).ok_or(Refusal::Range)?),
        tolerates: Tolerance::ALONE,
        delay: Delay::NONE,
    }])
}

fn decode_2(bytes: &[u8]) -> Result<Vec<StoredHold<'_>>, Refusal> {
    let record: Record<'_> = whole(bytes)?;
    record.holders.into_iter().map(Holder::checked).collect()
}

fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(Refusal::Form),
    }
}

fn owner(bytes: &[u8]) -> Result<&[u8], Refusal> {
    if (1..=OWNER_BYTES_MOST).contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(Refusal::Range)
    }
}

/// The counter's stored form.
pub fn encode_counter(counter: StoredCounter) -> Vec<u8> {
    postcard::to_allocvec(&counter).unwrap_or_default()
}

/// Reads a stored counter; its ranges are checked when it is taken in
/// ([`super::token::Tokens::load`]).
pub fn decode_counter(version: u32, bytes: &[u8]) -> Result<StoredCounter, Refusal> {
    if !(1..=VERSION).contains(&version) {
        return Err(Refusal::Version);
    }
    whole(bytes)
}
