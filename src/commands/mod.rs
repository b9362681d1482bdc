//! Text in, text out: the syntax of each command, and what it asks of the rules.
//!
//! One file a command. Each says what the command is called, how many arguments
//! it takes and how they read; none decides anything about locks (that is
//! `src/lock`), and none calls the server (that is `src/redis`). The commands
//! that start with an underscore are *effects*: what a master tells its replicas
//! and its log. Clients cannot send them.

#![forbid(unsafe_code)]

mod acquire;
pub mod arguments;
mod effects;
mod extend;
mod fence;
pub mod guard;
pub mod help;
pub mod info;
mod release;
pub mod syntax;

use crate::error::{Error, Number};
use crate::lock::{
    Answer, ClientId, Delay, Event, Extension, News, Patience, Place, TicketId, Token, Tolerance,
    Ttl, WallTime,
};
use std::ffi::CStr;

pub use effects::{CEILING, END, GRANT};

/// A command as the server is told of it.
pub struct Command {
    /// The name, in lower case as Redis's own.
    pub name: &'static CStr,
    /// Flags for the server, as `COMMAND INFO` lists them.
    pub flags: &'static CStr,
    /// The number of words including the name; negative: at least so many.
    pub arity: i8,
    /// Who may send it, and what it does to its key.
    pub kind: Kind,
    /// What it does to its key, as the server is told; `None`: it has none.
    pub key: Option<KeyUse>,
    /// The server's own ACL categories it belongs to. A module has to name them all:
    /// the flags alone put a module's command into none.
    pub categories: &'static CStr,
    /// Command tips, for what stands between a client and a server. There is nothing
    /// to say of where to send it and what to do with many replies: one key, one server.
    pub tips: &'static CStr,
    /// One line on what it does.
    pub summary: &'static CStr,
    /// What it costs.
    pub complexity: &'static CStr,
    /// The words behind the name.
    pub syntax: &'static [syntax::Argument],
    /// Reads the words behind the key, or behind the name if it has none.
    pub parse: for<'a> fn(&mut Arguments<'_, 'a>) -> Result<Request<'a>, Error>,
}

/// Who may send a command, and what it does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client; may change its key.
    Write,
    /// A client; only looks at its key.
    Read,
    /// A client; only looks at its key, and has a reply with parts.
    Info,
    /// A client; runs another command.
    Guard,
    /// A client; has no key.
    Help,
    /// A master or a file; changes its key.
    Effect,
    /// A master or a file; has no key.
    KeylessEffect,
}

/// What a command does to its key, in the server's words. Who may only read a key
/// (`%R~`) may send what is said to look; who may only write it (`%W~`) what is said to
/// change without looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// RO, ACCESS: tells what is there.
    Looks,
    /// The same, and there may be more keys, which the server has to ask for.
    LooksAtFirst,
    /// RW, ACCESS, UPDATE: changes what is there, and tells a token that was there.
    Changes,
    /// RW, UPDATE: changes what is there and tells nothing of it.
    Sets,
    /// RW, DELETE: takes a hold out, as SREM takes out a member.
    Removes,
}

pub use arguments::Arguments;

/// Every command of the module.
pub static COMMANDS: [Command; 10] = [
    acquire::COMMAND,
    release::COMMAND,
    extend::COMMAND,
    fence::COMMAND,
    guard::COMMAND,
    info::COMMAND,
    help::COMMAND,
    effects::GRANT_COMMAND,
    effects::END_COMMAND,
    effects::CEILING_COMMAND,
];

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// `LOCK.ACQUIRE`
    Acquire {
        /// For whom.
        owner: &'a [u8],
        /// For how long.
        ttl: Ttl,
        /// `BLOCK timeout-ms`
        block: Option<Block>,
        /// `SESSION`
        binding: Binding,
        /// `SHARED`, `LIMIT n`
        tolerates: Tolerance,
        /// `DELAY ms`
        delay: Delay,
    },
    /// `LOCK.RELEASE`
    Release {
        /// Whose.
        owner: &'a [u8],
        /// Only the hold with this token.
        token: Option<Token>,
    },
    /// `LOCK.EXTEND`
    Extend {
        /// Whose.
        owner: &'a [u8],
        /// For how long.
        ttl: Ttl,
        /// What else.
        option: ExtendOption,
    },
    /// `LOCK.FENCE`
    Fence {
        /// This token, or the lowest.
        token: Option<Token>,
    },
    /// `LOCK.GUARD`
    Guard {
        /// With which the command may run.
        token: Token,
    },
    /// `LOCK.INFO`
    Info,
    /// `LOCK.HELP`
    Help,
    /// `LOCK._GRANT`
    Grant {
        /// By whom the lock is held.
        owner: &'a [u8],
        /// With which token.
        token: Token,
        /// For how long from now; `None`: it cools.
        lease: Option<Ttl>,
        /// Together with how many.
        tolerates: Tolerance,
        /// How long it cools.
        delay: Delay,
    },
    /// `LOCK._END`
    End {
        /// Whose hold is over.
        owner: &'a [u8],
        /// With which token.
        token: Token,
    },
    /// `LOCK._CEILING`
    Ceiling(crate::lock::token::Cover),
}

/// How long a client wants to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Without limit.
    Forever,
    /// So long.
    For(Ttl),
}

/// What ends a hold besides its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing.
    None,
    /// The connection of the owner.
    Session,
}

/// What an event needs besides the words of a call.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The connection that the hold is bound to.
    pub session: Option<ClientId>,
    /// Whether and until when the client waits.
    pub patience: Patience,
    /// Reads the wall clock.
    pub wall: fn() -> WallTime,
}

/// The option of `LOCK.EXTEND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendOption {
    /// None was given.
    None,
    /// `TOKEN token`
    Token(Token),
    /// `RAISE token`
    Raise(Token),
}

impl<'a> Request<'a> {
    /// The event that the request is for the rules; `None`: it is none of theirs. The
    /// wall clock is read only where the rules need it.
    pub fn into_event(self, at: Place<'a>, circumstances: &Circumstances) -> Option<Event<'a>> {
        Some(match self {
            Self::Acquire {
                owner,
                ttl,
                tolerates,
                delay,
                ..
            } => Event::Acquire {
                at,
                owner,
                ttl,
                session: circumstances.session,
                tolerates,
                delay,
                patience: circumstances.patience,
            },
            Self::Release { owner, token } => Event::Release { at, owner, token },
            Self::Extend { owner, ttl, option } => Event::Extend {
                at,
                owner,
                ttl,
                extension: match option {
                    ExtendOption::None => Extension::Plain(None),
                    ExtendOption::Token(token) => Extension::Plain(Some(token)),
                    ExtendOption::Raise(token) => Extension::Raise(token, (circumstances.wall)()),
                },
            },
            Self::Fence { token } => Event::Fence { at, token },
            Self::Guard { token } => Event::Fence {
                at,
                token: Some(token),
            },
            Self::Info | Self::Help => return None,
            Self::Grant {
                owner,
                token,
                lease,
                tolerates,
                delay,
            } => Event::ApplyGrant {
                at,
                owner,
                token,
                lease,
                tolerates,
                delay,
            },
            Self::End { owner, token } => Event::ApplyEnd { at, owner, token },
            Self::Ceiling(cover) => Event::ApplyCover(cover),
        })
    }
}

/// A reply, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A number.
    Integer(i64),
    /// nil.
    Null,
    /// One with parts.
    Parts(Box<info::Tree>),
    /// Lines of text.
    Lines(&'static [&'static str]),
    /// None yet: the client waits.
    Later(TicketId),
}

/// What the client is told of an answer of the rules.
pub fn reply(answer: Answer) -> Result<Reply, Error> {
    match answer {
        // A token is below 2^53.
        Answer::Token(token) => Ok(Reply::Integer(token.get() as i64)),
        Answer::NoToken => Ok(Reply::Null),
        Answer::Yes => Ok(Reply::Integer(1)),
        Answer::No => Ok(Reply::Integer(0)),
        Answer::InLine(ticket) => Ok(Reply::Later(ticket)),
        Answer::QueueFull => Err(Error::QueueFull),
        Answer::Quarantine(left) => Err(Error::Quarantine(left)),
        Answer::RaiseTooFar(most) => Err(Error::RaiseTooFar(most)),
        Answer::OtherTolerance => Err(Error::OtherTolerance),
        Answer::NotAlone => Err(Error::RaiseOfMany),
        Answer::TokensExhausted => Err(Error::TokensExhausted),
        Answer::OutOfRange => Err(Error::NotAnInteger(Number::OfEffect)),
    }
}

/// What a client that waited is told.
pub fn reply_to_waiter(news: News) -> Result<Reply, Error> {
    match news {
        News::Granted(token) => reply(Answer::Token(token)),
        News::NotYours => Ok(Reply::Null),
        News::WrongType => Err(Error::WrongType),
        News::Moved(slot) => Err(Error::Moved(slot)),
        News::Demoted => Err(Error::Demoted),
        News::TokensExhausted => Err(Error::TokensExhausted),
    }
}
