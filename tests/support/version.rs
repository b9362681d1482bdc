//! Which server is under test, and how servers differ: all that the tests know of
//! it is here, a question for each difference. No test is left out for it: it says
//! what happens instead.

use super::Client;
use std::fmt::{self, Display, Formatter};

/// What the server says it is. Valkey says that it is Redis 7.2, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Redis([u32; 3]),
    Valkey([u32; 3]),
}

impl Display for Version {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let (name, [major, minor, patch]) = match self {
            Self::Redis(version) => ("Redis", version),
            Self::Valkey(version) => ("Valkey", version),
        };
        write!(to, "{name} {major}.{minor}.{patch}")
    }
}

impl Version {
    pub fn of(client: &mut Client) -> Self {
        let info = client.text("INFO server");
        let numbers = |field: &str| {
            let text = info.lines().find_map(|line| line.strip_prefix(field))?;
            let mut numbers = [0; 3];
            for (number, part) in numbers.iter_mut().zip(text.trim().split('.')) {
                *number = part.parse().unwrap_or_else(|_| panic!("{field}{text}"));
            }
            Some(numbers)
        };
        match (numbers("valkey_version:"), numbers("redis_version:")) {
            (Some(version), _) => Self::Valkey(version),
            (None, Some(version)) => Self::Redis(version),
            (None, None) => panic!("no version: {info}"),
        }
    }

    /// Whether a client that waits for a module can be ended by CLIENT UNBLOCK.
    pub fn lets_modules_end_waits(self) -> bool {
        match self {
            Self::Redis(version) => version >= [7, 4, 0],
            Self::Valkey(_) => true,
        }
    }

    /// Whether a module can hide commands from clients.
    pub fn hides_internal_commands(self) -> bool {
        match self {
            Self::Redis(version) => version >= [8, 0, 0],
            Self::Valkey(_) => false,
        }
    }

    /// Whether a module can say which ACL categories its commands belong to.
    pub fn lets_modules_name_categories(self) -> bool {
        match self {
            Self::Redis(version) => version >= [7, 2, 0],
            Self::Valkey(_) => true,
        }
    }

    /// Whether a module can add an ACL category of its own.
    pub fn lets_modules_add_categories(self) -> bool {
        match self {
            Self::Redis(version) => version >= [7, 4, 0],
            Self::Valkey(_) => true,
        }
    }

    /// Whether the server looks again at what a client may do when its BLPOP gets
    /// something.
    pub fn asks_again_before_it_pops(self) -> bool {
        match self {
            Self::Redis(version) => version >= [7, 2, 0],
            Self::Valkey(_) => true,
        }
    }

    /// Whether a module may ask where slots are. Else who waits in a slot that is on
    /// its way is told to ask again.
    pub fn lets_modules_see_its_map(self) -> bool {
        match self {
            Self::Redis(_) => true,
            Self::Valkey(version) => version >= [9, 0, 1],
        }
    }

    /// Whether a subscriber (in RESP3) can wait. From 8.1.1 on (its change 1819) Valkey
    /// does not let a module block a client that it counts as a subscriber, though it
    /// blocks one itself.
    pub fn lets_subscribers_wait(self) -> bool {
        match self {
            Self::Redis(_) => true,
            Self::Valkey(version) => version < [8, 1, 1],
        }
    }

    /// Whether the server does not tell modules of the keys of MSETEX, its own command
    /// that Redis has from 8.4 on, too. Then it cannot be guarded.
    pub fn hides_keys_of_msetex(self) -> bool {
        matches!(self, Self::Valkey(version) if version >= [9, 0, 0])
    }

    /// Whether a log with a command of too few or too many words is loaded. Valkey
    /// looks at the arity while it loads, and stops.
    pub fn loads_lines_of_other_arity(self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// What a waiter is told, by the server or by the module, whose server becomes a
    /// replica in its cluster.
    pub fn error_upon_failover(self) -> &'static str {
        match self {
            Self::Valkey(version) if version >= [9, 0, 0] => "-MOVED ",
            _ => "-UNBLOCKED ",
        }
    }
}
