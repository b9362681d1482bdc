//! # The rules of the lock
//!
//! Everything that decides *who holds what, until when and with which token*
//! is in this folder, and nothing else is. There is no Redis here, no clock, no
//! randomness, no thread and no `unsafe`: what happens comes in as an
//! [`Event`] together with the time, what must be done about it goes out as a
//! list of [`Effect`]s, and the same events always give the same effects.
//!
//! ```text
//!            now, Event                     Vec<Effect>, Answer
//!   shell ───────────────▶  Locks::step  ───────────────────────▶  shell
//!  (src/redis)               (this room)                        (src/redis)
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`machine`]  | [`Locks`]: the one `step` through which all state changes |
//! | [`event`]    | what can happen, and what the caller is told |
//! | [`effect`]   | what the server must then do: a closed list |
//! | [`token`]    | fencing tokens: term, ceiling, caps |
//! | [`holders`]  | who holds a lock, and whether one more may join them |
//! | `holding`    | the part of `step` in which holds begin, change and end |
//! | `many`       | the same where they are many |
//! | [`table`]    | the locks, behind handles that die with their lock |
//! | [`mod@line`] | who waits for which key, in which order |
//! | `waiting`    | the part of `step` in which somebody waits |
//! | `upkeep`     | the part of `step` in which things end or arrive by themselves |
//! | [`quarantine`] | a time after the start in which nothing is granted |
//! | [`testament`] | what a server leaves behind for its next start |
//! | [`info`]     | who holds a lock and who waits, for those who look |
//! | [`journal`]  | what happened, counted and listed for those who watch |
//! | [`slab`]     | a list with holes |
//! | [`deadlines`]| which lease ends next |
//! | [`record`]   | the stored form: what RDB files and DUMP carry |
//! | [`slots`]    | cluster slots: which were granted in under this term |
//! | [`time`]     | the two clocks and the length of a lease |
//! | [`bytes`]    | short byte strings, kept without an allocation |
//! | [`invariants`]| what is true between any two steps |
//!
//! ## The life of a hold
//!
//! ```text
//!              Acquire                    deadline
//!   (no key) ───────────▶  held  ─────────────────────▶  lapsed
//!      ▲                   │  ▲ │                          │
//!      │                   │  └─┘ Acquire by the holder,   │
//!      │                   │      Extend: later, never     │
//!      │                   │      earlier                  │
//!      └───────────────────┴───────────────────────────────┘
//!        Release, DEL, FLUSH, …            Sweep, next Acquire
//! ```
//!
//! A lapsed hold is over for every command from its deadline on; the sweep only
//! tidies up. A key exists exactly while it has a holder.

#![forbid(unsafe_code)]

pub mod bytes;
pub mod deadlines;
pub mod effect;
pub mod event;
pub mod holders;
mod holding;
pub mod info;
pub mod invariants;
pub mod journal;
pub mod line;
pub mod machine;
mod many;
pub mod quarantine;
pub mod record;
pub mod slab;
pub mod slots;
pub mod table;
pub mod testament;
pub mod time;
pub mod token;
pub mod tolerance;
mod upkeep;
mod waiting;

pub use effect::{Effect, News};
pub use event::{Answer, Event, Extension, Patience, Place};
pub use line::TicketId;
pub use machine::Locks;
pub use table::{ClientId, LockId};
pub use time::{BootTime, Delay, Ttl, WallTime};
pub use token::Token;
pub use tolerance::Tolerance;

/// The longest owner, in bytes. The shortest is one byte.
pub const OWNER_BYTES_MOST: usize = 512;
