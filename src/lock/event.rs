//! What can happen to the locks, and what the caller is told.

use super::line::TicketId;
use super::slots::Slot;
use super::table::{ClientId, LockId};
use super::time::{BootTime, Delay, Ttl, WallTime};
use super::token::{Cover, StoredCounter, Token};
use super::tolerance::Tolerance;

/// A key, and what the keyspace holds under it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The database.
    pub db: u32,
    /// The key's name.
    pub key: &'a [u8],
    /// The handle found under the key, alive or dead; `None`: no such key.
    pub lock: Option<LockId>,
}

/// What EXTEND is asked to do besides moving the lease.
#[derive(Clone, Copy, Debug)]
pub enum Extension {
    /// Nothing. With a token: act on the hold with that token only.
    Plain(Option<Token>),
    /// Make the token at least this large. The time bounds it.
    Raise(Token, WallTime),
}

/// What a client does if the lock is not free.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// It takes no for an answer.
    Try,
    /// It stands in line.
    Wait {
        /// Until then; `None`: for as long as it takes.
        until: Option<BootTime>,
        /// If no more than this many connections wait on the server then.
        waiters_most: usize,
    },
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A client asks for a lock.
    Acquire {
        /// Which lock.
        at: Place<'a>,
        /// For whom.
        owner: &'a [u8],
        /// For how long.
        ttl: Ttl,
        /// Bound to this connection.
        session: Option<ClientId>,
        /// Together with how many.
        tolerates: Tolerance,
        /// How long it cools if its lease runs out or its connection goes.
        delay: Delay,
        /// Whether it stands in line if the lock is not free.
        patience: Patience,
    },
    /// A client gives a lock back.
    Release {
        /// Which lock.
        at: Place<'a>,
        /// Who held it.
        owner: &'a [u8],
        /// Only the hold with this token.
        token: Option<Token>,
    },
    /// A client wants to keep a lock for longer.
    Extend {
        /// Which lock.
        at: Place<'a>,
        /// Who holds it.
        owner: &'a [u8],
        /// For how long, from now.
        ttl: Ttl,
        /// What else.
        extension: Extension,
    },
    /// Somebody asks which tokens are live; changes nothing.
    Fence {
        /// Which lock.
        at: Place<'a>,
        /// This one? Or, without one: which is the lowest?
        token: Option<Token>,
    },
    /// Time went by: end up to `most` leases that are over.
    Sweep {
        /// The largest number to end in this step.
        most: usize,
    },
    /// Time went by: up to `most` connections have waited long enough.
    SweepWaits {
        /// The largest number to send away in this step.
        most: usize,
    },
    /// Holds of the lock may be over, and the head of its line may be let in.
    GrantNext {
        /// Which lock.
        at: Place<'a>,
    },
    /// The key came to hold something that is not a lock.
    KeyTaken {
        /// The database.
        db: u32,
        /// The key's name.
        key: &'a [u8],
    },
    /// A cluster slot went to another server.
    SlotLeft(Slot),
    /// Keys of a cluster slot are on their way to another server or from it.
    SlotOpen(Slot),
    /// A blocked connection went, or is answered by somebody else.
    TicketGone(TicketId),
    /// A blocked connection got the token that it was granted.
    TicketDelivered(TicketId),
    /// A connection went.
    SessionEnded(ClientId),
    /// The server became a replica: what it holds for others is its master's to
    /// end, and the master knows nothing of its connections.
    Demoted,
    /// The server took a key's value out of the keyspace (DEL, overwrite,
    /// expiry, eviction, the old name of RENAME and MOVE).
    Unlinked {
        /// The handle that the value was.
        lock: LockId,
    },
    /// The server emptied a database, or all of them.
    Flushed {
        /// Which; `None`: all.
        db: Option<u32>,
    },
    /// The server exchanged two databases; their keys are still there.
    Swapped {
        /// The two.
        dbs: [u32; 2],
    },
    /// There is time to reclaim up to `most` slots of locks that FLUSH or SWAPDB
    /// ended.
    Reclaim {
        /// The largest number to look at in this step.
        most: u32,
    },
    /// A master or a file says: this is held.
    ApplyGrant {
        /// Which lock.
        at: Place<'a>,
        /// By whom.
        owner: &'a [u8],
        /// With which token.
        token: Token,
        /// For how long from now; `None`: the lease is over, and the hold cools.
        lease: Option<Ttl>,
        /// Together with how many.
        tolerates: Tolerance,
        /// How long it cools then.
        delay: Delay,
    },
    /// A master or a file says: this hold is over.
    ApplyEnd {
        /// Which lock.
        at: Place<'a>,
        /// Whose hold.
        owner: &'a [u8],
        /// Which token.
        token: Token,
    },
    /// A master or a file says: no token above this one was issued.
    ApplyCover(Cover),
    /// The counter of an RDB file.
    LoadCounter(StoredCounter),
    /// The server becomes a source of tokens.
    OpenTerm(WallTime),
    /// The server may have forgotten holds: it grants nothing before then. `None`: it
    /// has not, or must grant all the same.
    Quarantine(Option<BootTime>),
    /// The server's log is begun anew, without what was written before.
    LogBegun,
}

/// What the caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A token: of the hold that is yours, or the lowest live one.
    Token(Token),
    /// No token: the lock is not yours, or nothing is live.
    NoToken,
    /// Yes: it was done, the token is live.
    Yes,
    /// No: you did not hold it, the token is not live.
    No,
    /// RAISE: the token is further ahead than RAISE may go; this is the most.
    /// Nothing changed.
    RaiseTooFar(Token),
    /// It stands in line, and will be told ([`super::Effect::Reply`]).
    InLine(TicketId),
    /// Nothing is granted for so long; nothing changed.
    Quarantine(Ttl),
    /// Too many wait already; nothing changed.
    QueueFull,
    /// The owner holds or waits for the lock already, but together with another
    /// number of holders; nothing changed.
    OtherTolerance,
    /// RAISE: the hold tolerates others; nothing changed.
    NotAlone,
    /// There are no tokens left; nothing changed.
    TokensExhausted,
    /// A stored number that no server ever stores; nothing changed.
    OutOfRange,
}
