//! What was measured, for people (a table) and for machines (JSON).

use crate::crowd::{Failure, Seen};
use crate::ways::Way;
use serde::Serialize;
use std::fmt;

/// One way with one number of clients.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which way.
    pub way: Way,
    /// How many clients.
    pub clients: usize,
    /// Turns that all clients together had.
    pub cycles_per_second: f64,
    /// The mean wait.
    pub wait_mean_ms: f64,
    /// The longest wait; longer than that if some had no turn.
    pub wait_longest_ms: f64,
    /// How many clients had no turn.
    pub starved: usize,
    /// The most turns that a client had.
    pub turns_most: u64,
    /// The fewest.
    pub turns_fewest: u64,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name and version.
    pub server: String,
    /// How often everything was measured.
    pub rounds: usize,
    /// How long each crowd was watched.
    pub seconds: f64,
    /// The middle rounds.
    pub rows: Vec<Row>,
}

impl Row {
    /// What was seen of one crowd.
    pub fn new(way: Way, clients: usize, seen: &Seen) -> Self {
        Self {
            way,
            clients,
            cycles_per_second: seen.cycles_per_second,
            wait_mean_ms: seen.wait_mean.as_secs_f64() * 1e3,
            wait_longest_ms: seen.wait_longest.as_secs_f64() * 1e3,
            starved: seen.starved,
            turns_most: seen.turns_most,
            turns_fewest: seen.turns_fewest,
        }
    }

    /// The middle one of several rounds, by cycles a second.
    pub fn middle(mut rounds: Vec<Self>) -> Option<Self> {
        rounds.sort_by(|a, b| a.cycles_per_second.total_cmp(&b.cycles_per_second));
        let middle = rounds.len() / 2;
        rounds.into_iter().nth(middle)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:4} clients, {}: {:.0} cycles/s, wait {:.1} ms, at most {:.1} ms, turns {} to {}",
            self.clients,
            self.way.name(),
            self.cycles_per_second,
            self.wait_mean_ms,
            self.wait_longest_ms,
            self.turns_fewest,
            self.turns_most,
        )
    }
}

impl Report {
    /// The cycles a second of a way, if it was measured.
    pub fn cycles(&self, way: Way, clients: usize) -> Option<f64> {
        let row = self
            .rows
            .iter()
            .find(|row| row.way == way && row.clients == clients);
        row.map(|row| row.cycles_per_second)
    }

    /// As a table in Markdown.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| clients | way | cycles/s | of the limit | mean wait | longest wait \
             | turns of a client | had no turn |\n\
             |---:|---|---:|---:|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let limit = self.cycles(Way::List, row.clients);
            let of_limit = limit.map_or("-".into(), |limit| {
                format!("{:.2}", row.cycles_per_second / limit)
            });
            table += &format!(
                "| {} | {} | {:.0} | {of_limit} | {:.1} ms | {}{:.1} ms | {} to {} | {} |\n",
                row.clients,
                row.way.name(),
                row.cycles_per_second,
                row.wait_mean_ms,
                if row.starved > 0 { "over " } else { "" },
                row.wait_longest_ms,
                row.turns_fewest,
                row.turns_most,
                row.starved,
            );
        }
        table += &format!(
            "\n{}, server and clients on one machine; each row is the middle one of {} rounds \
             of {} s. The mean is over those who got a turn.\n",
            self.server, self.rounds, self.seconds
        );
        table
    }

    /// For machines.
    pub fn json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
