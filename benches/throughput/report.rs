//! What was measured, for people (tables) and for machines (JSON).

use crate::measure::Which;
use crate::rows::{target, IDS};
use crate::setting::{Mode, MODES};
use serde::{Deserialize, Serialize};
use stand::Failure;

/// One round of a row.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Round {
    /// Requests a second, or nanoseconds for one.
    pub ours: f64,
    /// The same of what it is compared with.
    pub theirs: f64,
    /// Whether ours was measured first.
    pub ours_first: bool,
}

/// One row, on one server in one setting.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// As `--rows` names it.
    pub id: String,
    /// Name and version.
    pub server: String,
    /// The setting.
    pub mode: Mode,
    /// Ours, in words.
    pub ours: String,
    /// Theirs, in words.
    pub theirs: String,
    /// Median of the rounds.
    pub ours_median: f64,
    /// Median of the rounds.
    pub theirs_median: f64,
    /// Above 1 ours is faster. Median of the ratios of the rounds.
    pub ratio: f64,
    /// The least of them.
    pub ratio_least: f64,
    /// The largest of them.
    pub ratio_most: f64,
    /// The least ratio that is good enough, where one is set.
    pub target: Option<f64>,
    /// Whether the ratio is.
    pub met: Option<bool>,
    /// Every round.
    pub rounds: Vec<Round>,
}

/// A whole run.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// How many requests a measurement has at the most.
    pub requests: u64,
    /// How many processors the machine has.
    pub processors: usize,
    /// All rows.
    pub rows: Vec<Row>,
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(*values.get(low)?, *values.get(high)?))
}

impl Round {
    /// Both values, in the order in which they were measured.
    pub fn new(first: (Which, f64), second: f64) -> Self {
        let ours_first = first.0 == Which::Ours;
        let (ours, theirs) = if ours_first {
            (first.1, second)
        } else {
            (second, first.1)
        };
        Self {
            ours,
            theirs,
            ours_first,
        }
    }

    /// Above 1 ours is faster.
    pub fn ratio(&self, mode: Mode) -> f64 {
        if mode == Mode::Latency {
            self.theirs / self.ours
        } else {
            self.ours / self.theirs
        }
    }
}

impl Row {
    /// What several rounds come to.
    pub fn new(
        id: &str,
        (ours, theirs): (&str, &str),
        server: &str,
        mode: Mode,
        rounds: Vec<Round>,
    ) -> Option<Self> {
        let all = |value: &dyn Fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
        let ratios = all(&|round| round.ratio(mode));
        let (ratio, target) = (median(&ratios)?, target(id, mode, server));
        Some(Self {
            id: id.to_owned(),
            server: server.to_owned(),
            mode,
            ours: ours.to_owned(),
            theirs: theirs.to_owned(),
            ours_median: median(&all(&|round| round.ours))?,
            theirs_median: median(&all(&|round| round.theirs))?,
            ratio,
            ratio_least: ratios.iter().copied().fold(f64::MAX, f64::min),
            ratio_most: ratios.iter().copied().fold(f64::MIN, f64::max),
            target,
            met: target.map(|target| ratio >= target),
            rounds,
        })
    }

    fn line(&self) -> String {
        let target = self.target.map_or(String::new(), |it| format!("{it:.2}"));
        let met = match self.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        format!(
            "| {} | {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {target} | {met} |\n",
            self.ours,
            self.theirs,
            self.server,
            self.ours_median,
            self.theirs_median,
            self.ratio,
            self.ratio_least,
            self.ratio_most,
        )
    }
}

impl Report {
    /// Takes what was measured now, in place of what was measured of the same before.
    pub fn take(&mut self, now: Vec<Row>) {
        let what = |row: &Row| (row.id.clone(), row.server.clone(), row.mode);
        let is_new = |row: &Row| now.iter().any(|it| what(it) == what(row));
        self.rows.retain(|row| !is_new(row));
        self.rows.extend(now);
    }

    /// The rows of a setting, those with the same id together.
    pub fn of(&self, mode: Mode) -> Vec<&Row> {
        let rows = self.rows.iter().filter(|row| row.mode == mode);
        let mut rows: Vec<&Row> = rows.collect();
        let place = |row: &Row| IDS.iter().position(|id| *id == row.id);
        rows.sort_by_key(|row| (place(row), row.server.clone()));
        rows
    }

    /// How many rounds a row had, in words.
    fn rounds(&self) -> String {
        let rounds = || self.rows.iter().map(|row| row.rounds.len());
        match (rounds().min(), rounds().max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
            (_, most) => most.unwrap_or(0).to_string(),
        }
    }

    /// As tables in Markdown, one for each setting.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for mode in MODES {
            let rows = self.of(mode);
            if rows.is_empty() {
                continue;
            }
            let each = if mode == Mode::Latency { "ns" } else { "/s" };
            table += &format!(
                "**{}**\n\n\
                 | ours | beside | server | ours {each} | theirs {each} | ratio | least | most \
                 | target | |\n|---|---|---|---:|---:|---:|---:|---:|---:|---|\n",
                mode.title()
            );
            for row in rows {
                table += &row.line();
            }
            table += "\n";
        }
        let (rounds, processors) = (self.rounds(), self.processors);
        table += &format!(
            "Medians of {rounds} rounds; above 1 ours is faster. Server and clients on one \
             machine with {processors} processors. Each request has a key of its own (16 bytes; \
             owner 16 bytes; the same lease), but for FENCE, GUARD and tries on what is held. \
             Every RELEASE and EXTEND, and what they are compared with, finds its key. Sent by \
             redis-benchmark; RELEASE, cycles and latencies by a client of our own. A \
             measurement in which any reply was an error counts for nothing.\n"
        );
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

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    fn rounds(ratios: [f64; 3]) -> Vec<Round> {
        let round = |ratio| Round::new((Which::Theirs, 100.0), ratio * 100.0);
        Vec::from(ratios.map(round))
    }

    fn row(id: &str, mode: Mode, ratios: [f64; 3]) -> Row {
        let names = ("LOCK.ACQUIRE", "SET NX PX");
        Row::new(id, names, "Redis 7.0.15", mode, rounds(ratios)).expect("a row")
    }

    #[test]
    fn a_row_is_its_median_and_is_held_against_its_target() {
        let met = row("acquire", Mode::Plain, [1.5, 1.0, 1.25]);
        assert_eq!(
            (met.ratio_least, met.ratio, met.ratio_most),
            (1.0, 1.25, 1.5)
        );
        assert_eq!((met.ours_median, met.theirs_median), (125.0, 100.0));
        assert_eq!(met.met, Some(true));
        let missed = row("acquire", Mode::Plain, [1.5, 1.0, 1.125]);
        assert_eq!(missed.met, Some(false));
        assert_eq!(row("guard-set", Mode::Plain, [1.0; 3]).met, None);
    }

    #[test]
    fn less_time_is_a_larger_ratio() {
        let slower = row("acquire", Mode::Latency, [2.0; 3]);
        assert_eq!((slower.ratio, slower.met), (0.5, Some(false)));
    }

    #[test]
    fn the_table_groups_rows_and_says_what_was_missed() {
        let other = |mut row: Row| {
            row.server = "Redis 8.0.6".into();
            row
        };
        let report = Report {
            rows: vec![
                other(row("acquire", Mode::Plain, [1.0; 3])),
                row("release", Mode::Plain, [2.5; 3]),
                row("acquire", Mode::Everysec, [1.0; 3]),
                row("acquire", Mode::Plain, [1.25; 3]),
                other(row("release", Mode::Plain, [3.0; 3])),
            ],
            ..Report::default()
        };
        let table = report.table();
        let line = "| LOCK.ACQUIRE | SET NX PX | Redis 7.0.15 | 125 | 100 | 1.25 | 1.25 | 1.25 \
             | 1.20 | met |\n\
             | LOCK.ACQUIRE | SET NX PX | Redis 8.0.6 | 100 | 100 | 1.00 | 1.00 | 1.00 \
             | 1.20 | **missed** |\n";
        assert!(table.contains(line), "{table}");
        let rows = report.of(Mode::Plain);
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["acquire", "acquire", "release", "release"]);
        assert!(table.contains("**AOF everysec"), "{table}");
        assert!(!table.contains("one replica"), "{table}");
        assert!(table.contains("Medians of 3 rounds"), "{table}");
    }

    #[test]
    fn what_is_measured_again_takes_the_place_of_what_was() {
        let mut report = Report::default();
        report.take(vec![
            row("acquire", Mode::Plain, [1.0; 3]),
            row("acquire", Mode::Replica, [1.0; 3]),
        ]);
        report.take(vec![row("acquire", Mode::Plain, [1.5; 3])]);
        let ratio = |mode| {
            report
                .of(mode)
                .iter()
                .map(|row| row.ratio)
                .collect::<Vec<_>>()
        };
        assert_eq!(ratio(Mode::Plain), [1.5]);
        assert_eq!(ratio(Mode::Replica), [1.0]);
        let read: Report = serde_json::from_str(&report.json().expect("JSON")).expect("a report");
        assert_eq!(read.table(), report.table());
    }
}
