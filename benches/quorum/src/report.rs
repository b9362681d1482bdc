//! What was measured, for people (tables) and for machines (JSON).

use crate::agreement::Agreement;
use crate::nodes::Fault;
use crate::seen::{median, quantile_ms, Seen};
use crate::ways::{Keys, Way};
use serde::Serialize;
use std::fmt;

/// How many clients want how many locks, on how many servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Servers.
    pub nodes: usize,
    /// Clients.
    pub clients: usize,
    /// Which locks they want.
    pub keys: Keys,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, clients, .. } = self;
        match (clients, self.keys) {
            (1, _) => write!(f, "{nodes} servers, one client"),
            (_, Keys::Own) => write!(f, "{nodes} servers, {clients} clients, own locks"),
            (_, Keys::One) => write!(f, "{nodes} servers, {clients} clients, one lock"),
        }
    }
}

/// One way in one shape: the medians of the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct SpeedRow {
    /// Where.
    pub shape: Shape,
    /// Which way.
    pub way: Way,
    /// Acquired and released, all clients together.
    pub cycles_per_second: f64,
    /// Ours in the same round, divided by this.
    pub ours_to_this: Option<f64>,
    /// From the asking to the lock.
    pub acquire_p50_ms: f64,
    /// The same.
    pub acquire_p99_ms: f64,
    /// The longest of all rounds.
    pub acquire_longest_ms: f64,
    /// Acquire and release.
    pub cycle_p50_ms: f64,
    /// The same.
    pub cycle_p99_ms: f64,
    /// The fewest turns that a client had in a round, and the most.
    pub turns: (usize, usize),
}

impl SpeedRow {
    /// The rows of one shape, from the rounds of each way.
    pub fn all(shape: Shape, ways: &[(Way, Vec<Seen>)]) -> Vec<Self> {
        let ours = ways.iter().find(|(way, _)| *way == Way::Ours);
        let speed = Seen::cycles_per_second;
        let row = |(way, rounds): &(Way, Vec<Seen>)| {
            let of = |value: &dyn Fn(&Seen) -> f64| median(rounds.iter().map(value).collect());
            let ratios = ours.map(|(_, ours)| {
                let both = ours.iter().zip(rounds);
                both.map(|(ours, this)| speed(ours) / speed(this)).collect()
            });
            let turns = rounds.iter().map(Seen::turns);
            let longest = rounds
                .iter()
                .map(|it| quantile_ms(&it.acquires_ns(), 100))
                .fold(0.0, f64::max);
            Self {
                shape,
                way: *way,
                cycles_per_second: of(&speed),
                ours_to_this: ratios.map(median),
                acquire_p50_ms: of(&|it| quantile_ms(&it.acquires_ns(), 50)),
                acquire_p99_ms: of(&|it| quantile_ms(&it.acquires_ns(), 99)),
                acquire_longest_ms: longest,
                cycle_p50_ms: of(&|it| quantile_ms(&it.cycles_ns(), 50)),
                cycle_p99_ms: of(&|it| quantile_ms(&it.cycles_ns(), 99)),
                turns: turns
                    .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
                    .unwrap_or((0, 0)),
            }
        };
        ways.iter().map(row).collect()
    }

    fn ratio(&self) -> String {
        let ratio = self.ours_to_this.filter(|_| self.way != Way::Ours);
        ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
    }
}

/// One way with one fault.
#[derive(Clone, Debug, Serialize)]
pub struct FaultRow {
    /// What was wrong.
    pub fault: Fault,
    /// Which way.
    pub way: Way,
    /// How often a lock was asked for.
    pub asked: usize,
    /// How often it was had.
    pub had: usize,
    /// From the asking to the answer.
    pub acquire_p50_ms: f64,
    /// The same.
    pub acquire_p99_ms: f64,
    /// From the release to its end.
    pub release_p50_ms: f64,
    /// The same.
    pub release_p99_ms: f64,
    /// Keys that were left on the server.
    pub left: u64,
}

impl FaultRow {
    /// What was seen of it.
    pub fn new(fault: Fault, way: Way, seen: &Seen, left: u64) -> Self {
        let (acquires, releases) = (seen.acquires_ns(), seen.releases_ns());
        Self {
            fault,
            way,
            asked: seen.asked(),
            had: seen.had(),
            acquire_p50_ms: quantile_ms(&acquires, 50),
            acquire_p99_ms: quantile_ms(&acquires, 99),
            release_p50_ms: quantile_ms(&releases, 50),
            release_p99_ms: quantile_ms(&releases, 99),
            left,
        }
    }

    /// As a line of the table.
    pub fn line(&self) -> String {
        format!(
            "| {} | {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms | {} of {} | {}{} |",
            self.fault.name(),
            self.way.name(),
            self.acquire_p50_ms,
            self.acquire_p99_ms,
            self.release_p50_ms,
            self.release_p99_ms,
            self.had,
            self.asked,
            self.left,
            match self.left {
                0 => String::new(),
                left => format!(" ({:.1} %)", 100.0 * left as f64 / self.asked.max(1) as f64),
            },
        )
    }
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name and version.
    pub server: String,
    /// How often speed was measured.
    pub rounds: usize,
    /// How long each crowd was watched.
    pub seconds: f64,
    /// How often each fault was tried.
    pub fault_rounds: usize,
    /// For how long.
    pub fault_seconds: f64,
    /// How fast.
    pub speeds: Vec<SpeedRow>,
    /// How often the servers disagreed.
    pub agreements: Vec<Agreement>,
    /// What faults did.
    pub faults: Vec<FaultRow>,
}

impl Report {
    /// As tables in Markdown.
    pub fn table(&self) -> String {
        let mut all = String::new();
        self.own(&mut all);
        self.one(&mut all);
        self.agreed(&mut all);
        self.faulty(&mut all);
        all += &format!(
            "{}, no log; servers and clients on one machine. Medians of {} rounds of {} s each; \
             with faults all of {} rounds of {} s, and at least one lock in each; of fewer than a \
             hundred, p99 is the longest.\n",
            self.server, self.rounds, self.seconds, self.fault_rounds, self.fault_seconds
        );
        all
    }

    fn own(&self, all: &mut String) {
        *all += "**Locks that nobody else wants**\n\n\
            | servers | clients | way | acquire p50 | p99 | with release p50 | p99 | locks/s \
            | ours to this |\n\
            |---:|---:|---|---:|---:|---:|---:|---:|---:|\n";
        for row in self.of(Keys::Own) {
            *all += &format!(
                "| {} | {} | {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms | {:.0} | {} |\n",
                row.shape.nodes,
                row.shape.clients,
                row.way.name(),
                row.acquire_p50_ms,
                row.acquire_p99_ms,
                row.cycle_p50_ms,
                row.cycle_p99_ms,
                row.cycles_per_second,
                row.ratio(),
            );
        }
        *all += "\n";
    }

    fn one(&self, all: &mut String) {
        *all += "**One lock that all want**\n\n\
            | servers | clients | way | locks/s | ours to this | wait p50 | p99 | longest wait \
            | turns of a client |\n\
            |---:|---:|---|---:|---:|---:|---:|---:|---:|\n";
        for row in self.of(Keys::One) {
            *all += &format!(
                "| {} | {} | {} | {:.0} | {} | {:.2} ms | {:.1} ms | {:.1} ms | {} to {} |\n",
                row.shape.nodes,
                row.shape.clients,
                row.way.name(),
                row.cycles_per_second,
                row.ratio(),
                row.acquire_p50_ms,
                row.acquire_p99_ms,
                row.acquire_longest_ms,
                row.turns.0,
                row.turns.1,
            );
        }
        *all += "\n";
    }

    fn agreed(&self, all: &mut String) {
        if self.agreements.is_empty() {
            return;
        }
        *all += "**How often the largest token had to be written back (ours)**\n\n\
            | servers | clients | locks | all gave the same token | a majority did | none did: \
            a second round trip |\n\
            |---:|---:|---:|---:|---:|---:|\n";
        for row in &self.agreements {
            let of = |some: usize| 100.0 * some as f64 / row.locks.max(1) as f64;
            *all += &format!(
                "| {} | {} | {} | {:.1} % | {:.1} % | {:.1} % |\n",
                row.nodes,
                row.clients,
                row.locks,
                of(row.at_once),
                of(row.by_a_majority),
                of(row.written_back),
            );
        }
        *all += "\n";
    }

    fn faulty(&self, all: &mut String) {
        if self.faults.is_empty() {
            return;
        }
        *all +=
            "**One of three servers is not well: one client, locks that nobody else wants**\n\n\
            | that server is | way | acquire p50 | p99 | release p50 | p99 | had | left behind \
            on it |\n\
            |---|---|---:|---:|---:|---:|---:|---:|\n";
        for row in &self.faults {
            *all += &row.line();
            *all += "\n";
        }
        *all += "\n";
    }

    fn of(&self, keys: Keys) -> impl Iterator<Item = &SpeedRow> {
        self.speeds.iter().filter(move |row| row.shape.keys == keys)
    }
}
