//! Two servers, their clocks and their logs, and the stream between them.

use crate::minds::{Counter, Held, Mind, Sent, Unit};
use crate::promise::{Past, Told};

/// What a server takes itself for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Master,
    Replica,
}

/// What a log begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base {
    pub counter: Option<Counter>,
    pub held: Option<Held>,
    pub told: Told,
}

/// What is on a disk. A power cut leaves the base and as much of the rest as was
/// synced: any part of it, as nothing says when the last sync was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    pub base: Base,
    pub units: Vec<Unit>,
}

impl Log {
    /// What a server is told that reads it.
    pub fn told(&self) -> Told {
        let mut told = self.base.told;
        self.units.iter().for_each(|unit| told.hear_all(unit));
        told
    }
}

impl Told {
    /// Told all that stands in a transaction.
    pub fn hear_all(&mut self, unit: &[Sent]) {
        for sent in unit {
            match *sent {
                Sent::Cover {
                    ceiling, since_ms, ..
                } => self.hears(ceiling, since_ms),
                Sent::Grant(held) => self.token = self.token.max(held.token),
                Sent::Deleted => {}
            }
        }
    }
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// `None`: it is down.
    pub mind: Option<Mind>,
    pub role: Role,
    /// How far its clock is ahead of the time, in units.
    pub skew: i8,
    pub log: Log,
    pub told: Told,
}

/// How often each thing may yet happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    pub grants: u8,
    pub raises: u8,
    pub ticks: u8,
    pub crashes: u8,
    pub promotions: u8,
    pub attachments: u8,
    pub clock_sets: u8,
    pub rewrites: u8,
    pub deposed_grants: u8,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub now: u8,
    pub nodes: [Node; 2],
    /// Which of them is in charge, up or down.
    pub in_charge: usize,
    /// Whether the other one is sent what the one in charge writes.
    pub is_linked: bool,
    /// Sent, and not arrived.
    pub wire: Vec<Unit>,
    pub past: Past,
    pub left: Left,
}

/// A unit of time, in milliseconds: as long as a reserve of tokens lasts by the clock
/// (2^18 tokens, 4,096 to a millisecond), so that the ceiling and the clock meet.
pub const UNIT_MS: u64 = 64;

/// What a clock says in the beginning, in units.
const BEGINNING: i64 = 1_000;

impl World {
    /// What the server's clock says.
    pub fn wall_ms(&self, node: usize) -> u64 {
        let units = BEGINNING + i64::from(self.now) + i64::from(self.nodes[node].skew);
        units as u64 * UNIT_MS
    }

    /// The server that is not in charge.
    pub fn other(&self) -> usize {
        1 - self.in_charge
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].mind.is_some()
    }

    /// Whether the other one could take over.
    pub fn has_replica(&self) -> bool {
        self.is_up(self.other()) && self.nodes[self.other()].role == Role::Replica
    }
}
