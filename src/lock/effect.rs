//! What the server must do after a step, in the order of the list.
//!
//! The list is closed: the shell matches every case (`src/redis/apply.rs`), and
//! the tests of the rules compare lists of effects.

use super::bytes::ShortBytes;
use super::line::TicketId;
use super::slots::Slot;
use super::table::LockId;
use super::time::Ttl;
use super::token::{Cover, Token};

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send `LOCK._CEILING`: it must reach log and replicas before the grant
    /// behind it.
    Cover(Cover),
    /// The key is to hold this handle.
    Store(LockId),
    /// Send `LOCK._GRANT`: a hold is new, or its lease or token moved. The lease
    /// has `ttl` left.
    Grant {
        /// Which lock; the hold is in the table.
        lock: LockId,
        /// Which of its holds.
        token: Token,
        /// What is left of the lease.
        ttl: Ttl,
    },
    /// Send `LOCK._GRANT` without a lease: a hold cools for as long as `left`.
    Cool {
        /// Which lock; the hold is in the table.
        lock: LockId,
        /// Which of its holds.
        token: Token,
        /// What is left of the delay.
        left: Ttl,
    },
    /// Send `LOCK._END`: this hold is over, and others are left or follow.
    End {
        /// Who held the lock.
        owner: ShortBytes,
        /// With which token.
        token: Token,
    },
    /// Delete the key, if it is still this handle that it holds, send `DEL` and
    /// tell WATCH: no hold is left.
    Delete {
        /// The database.
        db: u32,
        /// The key's name.
        key: ShortBytes,
        /// The handle, dead by now.
        lock: LockId,
    },
    /// Some holds of a lock cool or are over, others are not: open the key, say so,
    /// and see whether somebody can be let in ([`super::Event::GrantNext`]).
    Look {
        /// The database.
        db: u32,
        /// The key's name.
        key: ShortBytes,
    },
    /// The set of holders, or a token, changed: WATCH and client-side caches
    /// must hear of it.
    Signal,
    /// Tell a blocked connection.
    Reply {
        /// Which.
        ticket: TicketId,
        /// What.
        news: News,
    },
    /// Somewhere a key with this name may hold this dead handle: look in every
    /// database and delete it.
    Search {
        /// The key's name.
        key: ShortBytes,
    },
}

/// What a blocked connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The lock is yours, with this token.
    Granted(Token),
    /// The wait ran out, or the owner left the line.
    NotYours,
    /// The key holds something that is not a lock.
    WrongType,
    /// The key's slot is another server's now.
    Moved(Slot),
    /// The server became a replica, and grants nothing any more.
    Demoted,
    /// There are no tokens left.
    TokensExhausted,
}
