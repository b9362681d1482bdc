//! The record: what long runs have shown. `record.jsonl` has a line for each run,
//! as the run wrote it; the table in `RECORD.md` is their sum and is made here.
//!
//! `make faults-record` adds the release runs of `target/faults/record.jsonl` and
//! writes the table anew. It refuses a run that was void or found something wrong: it
//! takes a person to leave that out, and a reason to do so.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- made from record.jsonl: begin -->\n";
const END: &str = "<!-- made from record.jsonl: end -->\n";

/// All runs of one campaign on one server.
#[derive(Default)]
struct Row {
    test: String,
    seeds: Vec<u64>,
    trials: u64,
    seconds: u64,
    /// By kind: all, on a held lock, on a queued one.
    faults: BTreeMap<String, [u64; 3]>,
    operations: u64,
    grants: u64,
    bare_lost: u64,
    violations: u64,
    void: u64,
}

fn number(value: &Value, field: &str) -> u64 {
    let number = value[field].as_u64();
    number.unwrap_or_else(|| panic!("{field} in {value}"))
}

fn text(value: &Value, field: &str) -> String {
    let text = value[field].as_str();
    text.unwrap_or_else(|| panic!("{field} in {value}"))
        .to_owned()
}

impl Row {
    fn add(&mut self, run: &Value) {
        self.test = text(run, "test");
        self.seeds.push(number(run, "seed"));
        self.trials += number(run, "trials");
        self.seconds += number(run, "seconds");
        for fault in run["faults"].as_array().into_iter().flatten() {
            let sums = self.faults.entry(text(fault, "kind")).or_default();
            for (sum, field) in sums.iter_mut().zip(["all", "held", "queued"]) {
                *sum += number(fault, field);
            }
        }
        self.operations += number(run, "operations");
        self.grants += number(run, "grants");
        self.bare_lost += number(run, "bare_lost");
        self.violations += number(run, "broken") + number(run, "fenced_lost");
        self.void += u64::from(text(run, "worth") == "void");
    }

    fn faults(&self) -> String {
        let fault = |(kind, [all, held, queued]): (&String, &[u64; 3])| match held + queued {
            0 => format!("{kind}: {all}"),
            _ => format!("{kind}: {all} ({held} held, {queued} queued)"),
        };
        let faults: Vec<String> = self.faults.iter().map(fault).collect();
        faults.join("; ")
    }
}

/// The table of all runs.
fn table(lines: &str) -> String {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    for line in lines.lines() {
        let run: Value = serde_json::from_str(line).expect("a run wrote it");
        let of = (text(&run, "campaign"), text(&run, "server"));
        rows.entry(of).or_default().add(&run);
    }
    let mut table = String::from(
        "| campaign | server | trials | faults, and those that hit a held or queued lock | \
         grants | commands | lost without a fence | violations | seeds | minutes |\n\
         |---|---|--:|---|--:|--:|--:|--:|---|--:|\n",
    );
    for ((campaign, server), row) in &rows {
        assert_eq!(row.void, 0, "{campaign} on {server}: a run was void");
        assert_eq!(
            row.violations, 0,
            "{campaign} on {server}: something is wrong"
        );
        let seeds: Vec<String> = row.seeds.iter().map(u64::to_string).collect();
        writeln!(
            table,
            "| {campaign} (`{}`) | {server} | {} | {} | {} | {} | {} | {} | {} | {:.1} |",
            row.test,
            row.trials,
            row.faults(),
            row.grants,
            row.operations,
            row.bare_lost,
            row.violations,
            seeds.join(" "),
            row.seconds as f64 / 60.0,
        )
        .expect("a string takes all");
    }
    table
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_default()
}

#[test]
fn the_table_is_the_sum_of_what_was_recorded() {
    if std::env::var_os("RECORD").is_some_and(|wish| wish == "add") {
        add_the_new_runs();
    }
    let page = read("RECORD.md");
    let (_, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (written, _) = rest.split_once(END).expect("where the table ends");
    assert_eq!(written, table(&read("record.jsonl")));
}

/// For `make faults-record`.
fn add_the_new_runs() {
    let new = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults/record.jsonl");
    let mut lines = read("record.jsonl");
    for line in fs::read_to_string(&new).unwrap_or_default().lines() {
        let run: Value = serde_json::from_str(line).expect("a run wrote it");
        if text(&run, "build") == "release" {
            writeln!(lines, "{line}").expect("a string takes all");
        }
    }
    let page = read("RECORD.md");
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where the table ends");
    let page = format!("{before}{BEGIN}{}{END}{after}", table(&lines));
    fs::write(folder().join("record.jsonl"), lines).expect("a file of our own");
    fs::write(folder().join("RECORD.md"), page).expect("a file of our own");
    fs::remove_file(new).unwrap_or_default();
}
