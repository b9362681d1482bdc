//! The rules by which several independent servers make one lock: no clock, no
//! connections, no randomness.
//!
//! [`Attempt`] is one try to get the lock and, if that succeeds, the hold that comes of
//! it. It is told what happened ([`Event`]) and says what is to be done ([`Command`]);
//! [`Rules`] are what it decides by. The driver beside this folder runs it on real
//! servers; `client/tests/model` runs the same functions in every order there is.
//!
//! What a driver has to guarantee:
//!
//! - The owner is new for every attempt, random, and used by nobody else. The protocol
//!   never sees it.
//! - What is asked of one node goes out on one connection, in the order of the commands,
//!   once. A RELEASE that overtakes the ACQUIRE before it leaves a hold behind that nobody
//!   knows of, until its lease ends: nobody is told of a wrong token, but others wait.
//! - `now` is read from a clock that never goes back and counts through suspend: after what
//!   is told, and before anything is sent that the step commands.
//! - An answer is reported with the number of what it answers.
//! - [`Attempt::timer`] is kept: at that instant, or as soon as possible after it, comes
//!   [`Event::Timer`].
//! - Whoever uses the lock looks at `valid_until` himself: at that instant he has lost it,
//!   whether or not he was told.

mod attempt;
mod messages;
mod rules;

pub use attempt::{Attempt, Node, Phase};
pub use messages::{Answer, Ask, Command, Event, Failure, Loss, Moment, Request, Token};
pub use rules::{drift, AsWritten, Rules};
