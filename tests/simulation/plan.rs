//! What a seed stands for: the deployment that is built, and the steps it is taken
//! through.
//!
//! Which kinds of steps there are, and how often, is drawn for each seed anew
//! ("swarm testing"): where everything happens all the time, much never happens,
//! as one fault keeps another from mattering.

use crate::clocks::{MS, SECOND};
use fastrand::Rng;
use std::ops::Range;

/// How much of what was sent a machine still has after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// A log that is synced before anybody is answered.
    Always,
    /// A log that is synced each second.
    EverySecond,
    /// A log that is synced whenever the system likes.
    Sometimes,
    /// Snapshots only.
    Snapshots,
    Nothing,
}

/// How good the wall clocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walls {
    /// They agree, and never jump.
    Agree,
    /// They are off by some seconds, and drift.
    Differ,
    /// They jump, by up to an hour.
    Jump,
}

/// The deployment, and what may happen to it.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) replicas: usize,
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    pub(crate) persistence: Persistence,
    /// Whether a rewritten log begins with a snapshot, which carries the counter.
    pub(crate) preamble: bool,
    pub(crate) walls: Walls,
    /// Whether two masters may be there at once.
    pub(crate) splits: bool,
    /// Whether clients raise their tokens.
    pub(crate) raises: bool,
    pub(crate) ttl_most_ms: u64,
    pub(crate) network_most_ns: u64,
    pub(crate) lag_most_ns: u64,
    /// In 1,000: requests with BLOCK, with another tolerance, DELAY, SESSION.
    pub(crate) blocks: u64,
    pub(crate) together: u64,
    pub(crate) delays: u64,
    pub(crate) sessions: u64,
    /// In 1,000: what a client forgets to look at before it writes.
    pub(crate) careless: u64,
    pub(crate) clock_seed: u64,
}

impl Setting {
    /// Whether tokens must rise here without any excuse.
    pub(crate) fn is_strict(&self) -> bool {
        self.walls == Walls::Agree && !self.splits && !self.raises
    }
}

/// What is done to keys behind the holders' backs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    Del,
    Set,
    Rename,
    Move,
    Swap,
    FlushAll,
}

/// One step, drawn without regard to what the deployment is doing; so that any
/// list of steps can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    Client {
        who: usize,
        dice: u64,
    },
    ClientPauses {
        who: usize,
        ns: u64,
    },
    ConnectionBreaks {
        who: usize,
    },
    ClientDies {
        who: usize,
    },
    Breaks {
        node: usize,
        how: Break,
        key: usize,
    },
    Kill {
        node: usize,
        down_ns: u64,
    },
    PowerCut {
        node: usize,
        down_ns: u64,
        kept: u64,
    },
    Promote {
        node: usize,
    },
    Heal,
    LinkBreaks {
        node: usize,
        ns: u64,
    },
    LinkLags {
        node: usize,
        ns: u64,
    },
    RewriteLog {
        node: usize,
        takes_ns: u64,
    },
    Save {
        node: usize,
    },
    WritesPause {
        node: usize,
        ns: u64,
    },
    TooFewReplicas {
        node: usize,
        ns: u64,
    },
    Stall {
        node: usize,
        ns: u64,
    },
    WallJumps {
        node: usize,
        ms: i64,
    },
}

/// The kinds, as they are counted.
pub(crate) const KINDS: [&str; 18] = [
    "time goes by",
    "a client acts",
    "a client pauses",
    "a connection breaks",
    "a client dies",
    "a key is broken",
    "a kill -9",
    "a power cut",
    "a promotion",
    "the deployment heals",
    "a link breaks",
    "a link lags",
    "the log is rewritten",
    "a snapshot is saved",
    "writes are paused",
    "too few replicas",
    "a node stalls",
    "a wall clock jumps",
];

/// How often each of [`KINDS`] is drawn, before a seed has its way with it.
const WEIGHTS: [u32; KINDS.len()] = [
    20, 1_000, 40, 30, 20, 25, 8, 8, 8, 12, 12, 20, 8, 8, 12, 10, 12, 15,
];

impl Action {
    /// Which of [`KINDS`].
    pub(crate) fn kind(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Client { .. } => 1,
            Self::ClientPauses { .. } => 2,
            Self::ConnectionBreaks { .. } => 3,
            Self::ClientDies { .. } => 4,
            Self::Breaks { .. } => 5,
            Self::Kill { .. } => 6,
            Self::PowerCut { .. } => 7,
            Self::Promote { .. } => 8,
            Self::Heal => 9,
            Self::LinkBreaks { .. } => 10,
            Self::LinkLags { .. } => 11,
            Self::RewriteLog { .. } => 12,
            Self::Save { .. } => 13,
            Self::WritesPause { .. } => 14,
            Self::TooFewReplicas { .. } => 15,
            Self::Stall { .. } => 16,
            Self::WallJumps { .. } => 17,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// So long after the one before.
    pub(crate) after_ns: u64,
    pub(crate) action: Action,
}

/// A setting, and the steps that follow; they do not end.
pub(crate) struct Plan {
    pub(crate) setting: Setting,
    rng: Rng,
    weights: [u32; KINDS.len()],
    weights_sum: u32,
    /// In 1,000: steps that come at once, soon, or after a while.
    at_once: u64,
    soon: u64,
    while_most_ns: u64,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut weights = WEIGHTS;
        for weight in &mut weights[2..] {
            *weight = match rng.u32(..8) {
                0..=2 => 0,
                3 | 4 => *weight / 2,
                5 | 6 => *weight,
                _ => *weight * 4,
            };
        }
        let setting = setting(&mut rng);
        if setting.walls != Walls::Jump {
            weights[17] = 0;
        }
        Self {
            weights_sum: weights.iter().sum(),
            weights,
            at_once: rng.u64(300..900),
            soon: rng.u64(50..300),
            while_most_ns: [SECOND, 5 * SECOND, 60 * SECOND][rng.usize(..3)],
            setting,
            rng,
        }
    }

    fn kind(&mut self) -> usize {
        let mut drawn = self.rng.u32(..self.weights_sum);
        for (kind, &weight) in self.weights.iter().enumerate() {
            if drawn < weight {
                return kind;
            }
            drawn -= weight;
        }
        0
    }

    fn after_ns(&mut self) -> u64 {
        match self.rng.u64(..1_000) {
            dice if dice < self.at_once => match dice % 4 {
                0 => 0,
                _ => self.rng.u64(..2 * MS),
            },
            dice if dice < self.at_once + self.soon => self.rng.u64(..200 * MS),
            _ => self.rng.u64(..self.while_most_ns),
        }
    }

    /// From nothing to most, the short ones more often.
    fn span(&mut self, most_ns: u64) -> u64 {
        let most_ns = most_ns >> self.rng.u32(..12);
        self.rng.u64(..most_ns.max(1))
    }

    fn action(&mut self) -> Action {
        let kind = self.kind();
        let who = self.rng.usize(..self.setting.clients);
        let node = self.rng.usize(..self.setting.replicas + 1);
        match kind {
            1 => {
                let dice = self.rng.u64(..);
                Action::Client { who, dice }
            }
            2 => {
                let ns = self.span(30 * SECOND);
                Action::ClientPauses { who, ns }
            }
            3 => Action::ConnectionBreaks { who },
            4 => Action::ClientDies { who },
            5 => Action::Breaks {
                node,
                how: self.how(),
                key: self.rng.usize(..self.setting.keys),
            },
            6 => Action::Kill {
                node,
                down_ns: self.span(10 * SECOND),
            },
            7 => Action::PowerCut {
                node,
                down_ns: self.span(30 * SECOND),
                kept: self.rng.u64(..=1_000),
            },
            8 => Action::Promote { node },
            9 => Action::Heal,
            10 => {
                let ns = self.span(60 * SECOND);
                Action::LinkBreaks { node, ns }
            }
            11 => {
                let ns = self.span(self.setting.lag_most_ns);
                Action::LinkLags { node, ns }
            }
            12 => Action::RewriteLog {
                node,
                takes_ns: self.span(5 * SECOND),
            },
            13 => Action::Save { node },
            14 => {
                let ns = self.span(20 * SECOND);
                Action::WritesPause { node, ns }
            }
            15 => {
                let ns = self.span(20 * SECOND);
                Action::TooFewReplicas { node, ns }
            }
            16 => {
                let ns = self.span(5 * SECOND);
                Action::Stall { node, ns }
            }
            17 => Action::WallJumps {
                node,
                ms: self.jump_ms(),
            },
            _ => Action::Nothing,
        }
    }

    fn how(&mut self) -> Break {
        match self.rng.u32(..12) {
            0..=5 => Break::Del,
            6 => Break::Set,
            7 => Break::Rename,
            8 => Break::Move,
            9 => Break::Swap,
            _ => Break::FlushAll,
        }
    }

    fn jump_ms(&mut self) -> i64 {
        let most = [1_000, 60_000, 3_600_000][self.rng.usize(..3)];
        match self.rng.u32(..3) {
            0 => most,
            1 => -most,
            _ => self.rng.i64(-most..=most),
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        Some(Step {
            after_ns: self.after_ns(),
            action: self.action(),
        })
    }
}

fn setting(rng: &mut Rng) -> Setting {
    let often = |rng: &mut Rng, most: Range<u64>| match rng.u32(..3) {
        0 => 0,
        _ => rng.u64(most),
    };
    Setting {
        replicas: rng.usize(..3),
        clients: rng.usize(2..7),
        keys: rng.usize(1..4),
        persistence: [
            Persistence::Always,
            Persistence::EverySecond,
            Persistence::EverySecond,
            Persistence::Sometimes,
            Persistence::Snapshots,
            Persistence::Nothing,
        ][rng.usize(..6)],
        preamble: rng.bool(),
        walls: [Walls::Agree, Walls::Differ, Walls::Jump][rng.usize(..3)],
        splits: rng.bool(),
        raises: rng.bool(),
        ttl_most_ms: [20, 200, 3_000, 60_000][rng.usize(..4)],
        network_most_ns: [50_000, MS, 20 * MS][rng.usize(..3)],
        lag_most_ns: [2 * MS, 200 * MS, 5 * SECOND][rng.usize(..3)],
        blocks: often(rng, 0..1_001),
        together: often(rng, 0..1_001),
        delays: often(rng, 0..500),
        sessions: often(rng, 0..1_001),
        careless: rng.u64(..1_001),
        clock_seed: rng.u64(..),
    }
}
