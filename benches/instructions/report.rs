//! What was counted, for people (tables) and for machines (JSON).

use crate::callgrind::{Counts, Function};
use serde::Serialize;
use stand::Failure;

/// How many functions of each command are named.
const FUNCTIONS_MOST: usize = 15;
/// Whose functions are in the table.
const TOLD_IN_FULL: [&str; 4] = [
    "LOCK.ACQUIRE key owner ttl",
    "LOCK.RELEASE key owner",
    "LOCK.FENCE key token",
    "LOCK.ACQUIRE, held by another",
];

/// One command.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it is.
    pub command: &'static str,
    /// Instructions for one of it.
    pub instructions: u64,
    /// The module's own part of them.
    pub module: u64,
    /// The allocator's part.
    pub allocator: u64,
    /// What each round counted.
    pub rounds: Vec<u64>,
    /// The costliest functions.
    pub functions: Vec<Function>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name and version.
    pub server: String,
    /// How many of each command were counted in a round.
    pub commands: u64,
    /// How many of them were sent at once.
    pub pipeline: u64,
    /// How many rounds.
    pub rounds: usize,
    /// Every command.
    pub rows: Vec<Row>,
}

impl Row {
    /// The middle one of several rounds, in instructions for one command.
    pub fn middle(command: &'static str, mut rounds: Vec<Counts>, commands: u64) -> Option<Self> {
        let each = |count: u64| (count + commands / 2) / commands;
        let all = |counts: &Counts| counts.within(|_| true);
        let counted = rounds.iter().map(|it| each(all(it))).collect();
        rounds.sort_by_key(all);
        let middle = rounds.get(rounds.len() / 2)?;
        let functions = middle.functions.iter().take(FUNCTIONS_MOST);
        let functions = functions.cloned().map(|it| Function {
            instructions: each(it.instructions),
            ..it
        });
        Some(Self {
            command,
            instructions: each(all(middle)),
            module: each(middle.within(|object| object.contains("redis_lock"))),
            allocator: each(middle.within(|object| object.contains("jemalloc"))),
            rounds: counted,
            functions: functions.collect(),
        })
    }
}

impl Report {
    /// As tables in Markdown.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| command | instructions | of these the module | the allocator \
             | the server and libc |\n\
             |---|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let named = row.module + row.allocator;
            table += &format!(
                "| {} | {} | {} | {} | {} |\n",
                row.command,
                row.instructions,
                row.module,
                row.allocator,
                row.instructions.saturating_sub(named)
            );
        }
        table += &format!(
            "\n{}, counted by callgrind; each is the middle one of {} rounds of {} commands, \
             pipeline {}, on one connection. A part that is linked into the server counts as \
             the server.\n",
            self.server, self.rounds, self.commands, self.pipeline
        );
        for name in TOLD_IN_FULL {
            let Some(row) = self.rows.iter().find(|row| row.command == name) else {
                continue;
            };
            table += &format!("\n| {name}: in itself | of | instructions |\n|---|---|---:|\n");
            for it in &row.functions {
                let name = it.name.replace('|', "\\|");
                table += &format!("| `{name}` | {} | {} |\n", it.object, it.instructions);
            }
        }
        table
    }

    /// For machines.
    pub fn json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(module: u64, server: u64) -> Counts {
        let function = |object: &str, instructions| Function {
            object: object.into(),
            name: "it".into(),
            instructions,
        };
        Counts {
            functions: vec![
                function("libredis_lock.so", module),
                function("redis-server", server),
            ],
        }
    }

    #[test]
    fn a_row_is_its_middle_round_for_one_command() {
        let rounds = vec![counts(50, 150), counts(30, 90), counts(40, 120)];
        let row = Row::middle("X", rounds, 10).expect("a row");
        assert_eq!((row.instructions, row.module), (16, 4));
        assert_eq!(row.rounds, [20, 12, 16]);
    }

    #[test]
    fn the_table_tells_the_module_from_the_server() {
        let report = Report {
            server: "Redis 7.0.15".into(),
            commands: 10,
            pipeline: 32,
            rounds: 1,
            rows: vec![Row::middle("X", vec![counts(30, 90)], 10).expect("a row")],
        };
        assert!(report.table().contains("| X | 12 | 3 | 0 | 9 |\n"));
    }
}
