//! The values and effects that tests name all the time, spelled short.

use crate::lock::holders::HoldRef;
use crate::lock::table::Lock;
use crate::lock::token::{Cover, RESERVE};
use crate::lock::{ClientId, Delay, Effect, LockId, Patience, Token, Tolerance, Ttl, WallTime};

/// 2024-01-01T00:00:00Z in milliseconds of Unix time.
pub(crate) const START_OF_2024_UNIX_MS: u64 = 1_704_067_200_000;

/// The largest token, 2^53 - 1.
pub(crate) const TOKEN_MOST: u64 = 9_007_199_254_740_991;

/// A lease of `ms` milliseconds.
pub(crate) fn ttl(ms: u64) -> Ttl {
    Ttl::from_ms(ms).expect("a lease within range")
}

/// The token `number`.
pub(crate) fn token(number: u64) -> Token {
    Token::new(number).expect("a token within range")
}

/// The moment `ms` milliseconds after 2024 began.
pub(crate) fn wall(ms: u64) -> WallTime {
    WallTime::from_unix_ms(START_OF_2024_UNIX_MS + ms)
}

/// A cover, as it is sent in a term that began with 2024.
pub(crate) fn cover(ceiling: u64, ttl_most_ms: u64) -> Effect {
    cover_since(ceiling, ttl_most_ms, 0)
}

/// A cover, as it is sent in a term that began then.
pub(crate) fn cover_since(ceiling: u64, ttl_most_ms: u64, since_ms: u64) -> Effect {
    Effect::Cover(Cover {
        ceiling: token(ceiling),
        ttl_most: ttl(ttl_most_ms),
        since: wall(since_ms),
    })
}

/// The cover in front of a server's very first grant, which has token 1.
pub(crate) fn first_cover(ttl_ms: u64) -> Effect {
    cover(1 + RESERVE, ttl_ms)
}

/// A hold that is new or moved, with `left_ms` left of its lease.
pub(crate) fn grant(lock: LockId, number: u64, left_ms: u64) -> Effect {
    Effect::Grant {
        lock,
        token: token(number),
        ttl: ttl(left_ms),
    }
}

/// What a client asks for who wants a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) owner: &'a [u8],
    pub(crate) ttl_ms: u64,
    pub(crate) session: Option<ClientId>,
    pub(crate) tolerates: Tolerance,
    pub(crate) delay: Delay,
    pub(crate) patience: Patience,
}

impl<'a> Request<'a> {
    /// As most are: alone, without a delay, and now or never.
    pub(crate) fn plain(owner: &'a [u8], ttl_ms: u64) -> Self {
        Self {
            owner,
            ttl_ms,
            session: None,
            tolerates: Tolerance::ALONE,
            delay: Delay::NONE,
            patience: Patience::Try,
        }
    }
}

/// The hold of a lock that has one.
pub(crate) fn the_hold(lock: &Lock) -> HoldRef<'_> {
    let mut holds = lock.holders.iter();
    let hold = holds.next().expect("there is always one");
    assert!(holds.next().is_none(), "there are several");
    hold
}

/// A hold that is over, with another one behind it.
pub(crate) fn end(owner: &[u8], number: u64) -> Effect {
    Effect::End {
        owner: owner.into(),
        token: token(number),
    }
}

/// A key that goes, as no hold is left.
pub(crate) fn delete(db: u32, key: &[u8], lock: LockId) -> Effect {
    Effect::Delete {
        db,
        key: key.into(),
        lock,
    }
}
