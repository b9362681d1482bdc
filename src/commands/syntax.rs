//! The words of each command, as COMMAND DOCS shows them and as a client that
//! knows COMMAND DOCS gives hints while somebody types.
//!
//! This is said beside the parser, not by it: `tests/commands/documented.rs` holds
//! the two together.

use std::ffi::CStr;

/// A word of a command, or several that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// What it is called, as no other argument of the command.
    pub name: &'static CStr,
    /// What people are shown instead, where that is clearer.
    pub display: Option<&'static CStr>,
    /// What stands there.
    pub shape: Shape,
    /// The word in front of it, which names an option.
    pub token: Option<&'static CStr>,
    /// Whether it may be left out.
    pub presence: Presence,
}

/// What stands in the place of an argument.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// The name of a key.
    Key,
    /// Bytes.
    Text,
    /// A number without a fraction.
    Integer,
    /// Nothing but the word that names the option.
    Flag,
    /// One of these.
    OneOf(&'static [Argument]),
}

/// How often an argument stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Once.
    Required,
    /// Once or not at all.
    Optional,
    /// As often as one likes, or not at all.
    Repeated,
}

impl Argument {
    /// One that must be there.
    pub(super) const fn new(name: &'static CStr, shape: Shape) -> Self {
        Self {
            name,
            display: None,
            shape,
            token: None,
            presence: Presence::Required,
        }
    }

    /// One behind a word that names it.
    pub(super) const fn named(token: &'static CStr, name: &'static CStr, shape: Shape) -> Self {
        Self {
            name,
            display: None,
            shape,
            token: Some(token),
            presence: Presence::Required,
        }
    }

    /// The same, but people are shown this name.
    pub(super) const fn shown_as(self, display: &'static CStr) -> Self {
        Self {
            display: Some(display),
            ..self
        }
    }

    /// The same, but it may be left out.
    pub(super) const fn optional(self) -> Self {
        Self {
            presence: Presence::Optional,
            ..self
        }
    }

    /// The same, but as often as one likes.
    pub(super) const fn repeated(self) -> Self {
        Self {
            presence: Presence::Repeated,
            ..self
        }
    }
}

/// The key of the lock.
pub(super) const KEY: Argument = Argument::new(c"key", Shape::Key);
/// Who holds it, or is to.
pub(super) const OWNER: Argument = Argument::new(c"owner", Shape::Text);
/// The length of a lease.
pub(super) const TTL: Argument = Argument::new(c"ttl-ms", Shape::Integer);
/// A fencing token.
pub(super) const TOKEN: Argument = Argument::new(c"token", Shape::Integer);
