//! What was measured, for people (a table) and for machines (JSON).

use crate::Failure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Requests.
    PerSecond,
    /// Of memory, for each lock.
    Bytes,
    /// Of memory, in all.
    KiB,
    /// Of time.
    Milliseconds,
    /// A part of one.
    Share,
}

/// What the project promises itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Ours to theirs; or ours, if there is no other.
    AtMost(f64),
    /// Ours, whatever theirs is.
    OursAtMost(f64),
    /// Ours, and theirs, too, if the comparison is to be fair.
    EachAtLeast(f64),
}

/// One number, or two side by side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Which server.
    pub server: String,
    /// What was measured.
    pub name: String,
    /// What the numbers count.
    pub unit: Unit,
    /// The module's.
    pub ours: Option<f64>,
    /// That of strings with a TTL.
    pub theirs: Option<f64>,
    /// The promise.
    pub target: Option<Target>,
    /// Whether it was kept.
    pub met: Option<bool>,
    /// The least and the most of ours over the rounds.
    pub ours_from_to: Option<(f64, f64)>,
}

/// What is found on one server in one round.
pub struct Findings<'a> {
    /// Its name.
    pub server: &'a str,
    /// Everything found so far.
    pub all: &'a mut Report,
}

/// A whole run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// How often everything was measured, at least.
    pub rounds: usize,
    /// The medians.
    pub rows: Vec<Row>,
    /// How long pings took, longest first: server, then what went on meanwhile.
    pub gaps_ms: BTreeMap<String, BTreeMap<String, Gaps>>,
    #[serde(skip)]
    seen: Vec<(Row, Vec<[Option<f64>; 2]>)>,
}

/// A PING and its PONG.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// From the one to the other.
    pub gap_ms: f64,
    /// The processor time that the server used meanwhile.
    pub work_ms: f64,
}

/// The gaps of the first round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gaps {
    /// How many pings there were.
    pub pings: usize,
    /// The longest thousand, in milliseconds, longest first.
    pub longest: Vec<f64>,
    /// The same of the processor time that the server used meanwhile.
    pub longest_work: Vec<f64>,
}

impl Findings<'_> {
    /// Ours beside theirs.
    pub fn beside(
        &mut self,
        name: String,
        unit: Unit,
        [ours, theirs]: [f64; 2],
        target: Option<Target>,
    ) {
        self.add(name, unit, [Some(ours), Some(theirs)], target);
    }

    /// Ours, where there is nothing like it.
    pub fn alone(&mut self, name: String, unit: Unit, ours: f64, target: Option<Target>) {
        self.add(name, unit, [Some(ours), None], target);
    }

    /// Theirs.
    pub fn only_theirs(&mut self, name: String, unit: Unit, theirs: f64) {
        self.add(name, unit, [None, Some(theirs)], None);
    }

    /// Ours or theirs, or both.
    pub fn either(
        &mut self,
        name: String,
        unit: Unit,
        values: [Option<f64>; 2],
        target: Option<Target>,
    ) {
        self.add(name, unit, values, target);
    }

    /// How long pings took.
    pub fn gaps(&mut self, meanwhile: &str, gaps: Vec<Gap>) {
        let longest = |of: fn(&Gap) -> f64| {
            let mut all: Vec<_> = gaps.iter().map(of).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            all.truncate(1_000);
            all
        };
        let of_server = self.all.gaps_ms.entry(self.server.to_owned()).or_default();
        of_server.entry(meanwhile.to_owned()).or_insert(Gaps {
            pings: gaps.len(),
            longest: longest(|gap| gap.gap_ms),
            longest_work: longest(|gap| gap.work_ms),
        });
    }

    fn add(&mut self, name: String, unit: Unit, values: [Option<f64>; 2], target: Option<Target>) {
        let row = Row {
            server: self.server.to_owned(),
            name,
            unit,
            ours: values[0],
            theirs: values[1],
            target,
            met: None,
            ours_from_to: None,
        };
        eprintln!("    {}: {}", row.name, row.numbers());
        let seen = &mut self.all.seen;
        match seen
            .iter_mut()
            .find(|(it, _)| it.server == row.server && it.name == row.name)
        {
            Some((_, rounds)) => rounds.push(values),
            None => seen.push((row, vec![values])),
        }
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        Some(self.ours? / self.theirs?)
    }

    fn numbers(&self) -> String {
        let shown = |value| self.unit.shown(value);
        format!("{} beside {}", shown(self.ours), shown(self.theirs))
    }

    fn is_met(&self) -> Option<bool> {
        let ours = self.ours?;
        Some(match self.target? {
            Target::AtMost(most) => self.ratio().unwrap_or(ours) <= most,
            Target::OursAtMost(most) => ours <= most,
            Target::EachAtLeast(least) => ours.min(self.theirs.unwrap_or(ours)) >= least,
        })
    }

    fn promise(&self) -> String {
        match (self.target, self.theirs) {
            (None, _) => String::new(),
            (Some(Target::AtMost(most)), Some(_)) => format!("ratio at most {most}"),
            (Some(Target::AtMost(most) | Target::OursAtMost(most)), _) => {
                format!("at most {most}{}", self.unit.name())
            }
            (Some(Target::EachAtLeast(least)), _) => format!("each at least {least}"),
        }
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Bytes => " B",
            Self::KiB => " KiB",
            Self::Milliseconds => " ms",
            Self::Share => "",
        }
    }

    fn shown(self, value: Option<f64>) -> String {
        let name = self.name();
        match (self, value) {
            (_, None) => "—".into(),
            (Self::Milliseconds | Self::Share, Some(value)) => format!("{value:.2}{name}"),
            (_, Some(value)) => format!("{value:.0}{name}"),
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

impl Report {
    /// All rounds are over: the medians.
    pub fn finish(&mut self, rounds: usize) {
        self.rounds = rounds;
        for (row, rounds) in &self.seen {
            let of = |side: usize| rounds.iter().filter_map(|round| round[side]).collect();
            let ours: Vec<f64> = of(0);
            let least = ours.iter().copied().fold(f64::MAX, f64::min);
            let most = ours.iter().copied().fold(f64::MIN, f64::max);
            let mut row = Row {
                ours_from_to: (!ours.is_empty()).then_some((least, most)),
                ours: median(ours),
                theirs: median(of(1)),
                ..row.clone()
            };
            row.met = row.is_met();
            self.rows.push(row);
        }
    }

    /// Puts what was measured now in the place of what an earlier run has of it.
    pub fn add_to(&mut self, earlier: Self) {
        self.rounds = self.rounds.min(earlier.rounds);
        let new = std::mem::replace(&mut self.rows, earlier.rows);
        for row in new {
            let same = |it: &Row| it.server == row.server && it.name == row.name;
            let behind = |it: &Row| it.server == row.server;
            match self.rows.iter().position(same) {
                Some(at) => self.rows[at] = row,
                None => match self.rows.iter().rposition(behind) {
                    Some(at) => self.rows.insert(at + 1, row),
                    None => self.rows.push(row),
                },
            }
        }
        for (server, gaps) in earlier.gaps_ms {
            let of_server = self.gaps_ms.entry(server).or_default();
            for (meanwhile, gaps) in gaps {
                of_server.entry(meanwhile).or_insert(gaps);
            }
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut server = "";
        for row in &self.rows {
            if row.server != server {
                server = &row.server;
                table += &format!(
                    "\n### {server}\n\n\
                     | what | ours | `SET NX PX` | ratio | target | |\n\
                     |---|---:|---:|---:|---|---|\n"
                );
            }
            let ratio = row.ratio().map(|ratio| format!("{ratio:.2}"));
            let verdict = match row.met {
                None => "",
                Some(true) => "met",
                Some(false) => "**missed**",
            };
            table += &format!(
                "| {} | {} | {} | {} | {} | {verdict} |\n",
                row.name,
                row.unit.shown(row.ours),
                row.unit.shown(row.theirs),
                ratio.unwrap_or_default(),
                row.promise(),
            );
        }
        table += &format!(
            "\nServer and client on one machine, AOF off, medians of at least {} rounds; keys of \
             13 bytes, owners of 16. Requests are sent in portions of 1,000 on one connection, \
             ours and theirs in turn. A gap is the time from a PING to its PONG on a second \
             connection.\n",
            self.rounds
        );
        table.trim_start().to_owned()
    }

    /// For machines.
    pub fn json(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
