//! What a command costs beside another one: throughput side by side.
//!
//! Each pair is measured with redis-benchmark, one after the other in each round,
//! so that whatever else the machine does meets both. What counts is the median
//! of the ratios of the rounds, not the figures.

use clap::Parser;
use redis::Cmd;
use serde::Serialize;
use std::process::{Command, ExitCode};

/// Why there is no result.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// No lease ends while the benchmark runs.
const LEASE_MS: u32 = 3_600_000;

/// Measures commands of the module beside those that they are compared with.
#[derive(Parser)]
struct Arguments {
    /// The port of a server on this machine that has the module. Its data goes!
    port: u16,
    /// How many requests each measurement sends.
    #[arg(long, default_value_t = 400_000)]
    requests: u32,
    /// How many of them are on their way at once on each connection.
    #[arg(long, default_value_t = 32)]
    pipeline: u32,
    /// How often everything is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Where commands.md and commands.json are written.
    #[arg(long, default_value = "benches/results")]
    into: std::path::PathBuf,
}

/// A command and what it is compared with.
struct Pair {
    name: &'static str,
    ours: Vec<String>,
    theirs: Vec<String>,
}

/// What was measured.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    ours_per_second: f64,
    theirs_per_second: f64,
    ratio: f64,
    ratio_least: f64,
    ratio_most: f64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("commands: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let pairs = pairs(arguments.port)?;
    let mut measured = vec![Vec::new(); pairs.len()];
    for round in 0..arguments.rounds {
        for (pair, seen) in pairs.iter().zip(&mut measured) {
            // Whoever is first in one round is second in the next.
            let (ours, theirs) = if round % 2 == 0 {
                let ours = throughput(arguments, &pair.ours)?;
                (ours, throughput(arguments, &pair.theirs)?)
            } else {
                let theirs = throughput(arguments, &pair.theirs)?;
                (throughput(arguments, &pair.ours)?, theirs)
            };
            let ratio = ours / theirs;
            eprintln!("round {}: {}: {ratio:.3}", round + 1, pair.name);
            seen.push((ratio, ours, theirs));
        }
    }
    let rows = pairs.iter().zip(&mut measured);
    let rows: Option<Vec<Row>> = rows.map(|(pair, seen)| Row::of(pair.name, seen)).collect();
    let rows = rows.ok_or("rounds must be above zero")?;
    let table = table(&rows, arguments);
    std::fs::create_dir_all(&arguments.into)?;
    std::fs::write(arguments.into.join("commands.md"), &table)?;
    let json = serde_json::to_string_pretty(&rows)? + "\n";
    std::fs::write(arguments.into.join("commands.json"), json)?;
    println!("\n{table}");
    Ok(())
}

fn table(rows: &[Row], arguments: &Arguments) -> String {
    let mut table = String::from(
        "| ours, beside theirs | ours/s | theirs/s | ratio | least | most |\n\
         |---|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        table += &format!(
            "| {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |\n",
            row.name,
            row.ours_per_second,
            row.theirs_per_second,
            row.ratio,
            row.ratio_least,
            row.ratio_most
        );
    }
    let (rounds, pipeline) = (arguments.rounds, arguments.pipeline);
    table += &format!(
        "\nMedians of {rounds} rounds with redis-benchmark, 16 connections, pipeline {pipeline}.\n"
    );
    table
}

fn pairs(port: u16) -> Result<Vec<Pair>, Failure> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_connection()?;
    Cmd::new().arg("FLUSHALL").exec(&mut connection)?;
    let mut acquire = Cmd::new();
    acquire
        .arg("LOCK.ACQUIRE")
        .arg("bench:lock")
        .arg("bench")
        .arg(LEASE_MS);
    let token: u64 = acquire.query(&mut connection)?;
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let guarded = |name, line: &str| Pair {
        name,
        ours: words(&format!("LOCK.GUARD bench:lock {token} {line}")),
        theirs: words(line),
    };
    Ok(vec![
        guarded("LOCK.GUARD ... SET, beside SET", "SET bench:value 12345678"),
        guarded("LOCK.GUARD ... GET, beside GET", "GET bench:value"),
        guarded(
            "LOCK.GUARD ... HSET, beside HSET",
            "HSET bench:hash field 12345678",
        ),
        Pair {
            name: "LOCK.FENCE key token, beside GET",
            ours: words(&format!("LOCK.FENCE bench:lock {token}")),
            theirs: words("GET bench:value"),
        },
    ])
}

/// Commands a second, as redis-benchmark has it.
fn throughput(arguments: &Arguments, words: &[String]) -> Result<f64, Failure> {
    let output = Command::new("redis-benchmark")
        .args(["-p", &arguments.port.to_string(), "--csv", "-c", "16"])
        .args(["-n", &arguments.requests.to_string()])
        .args(["-P", &arguments.pipeline.to_string()])
        .args(words)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let field = last.split("\",\"").nth(1).unwrap_or_default();
    let number = field.trim_matches('"').parse();
    number.map_err(|_| format!("redis-benchmark says: {text}").into())
}

impl Row {
    fn of(name: &'static str, seen: &mut [(f64, f64, f64)]) -> Option<Self> {
        seen.sort_by(|a, b| a.0.total_cmp(&b.0));
        let &(ratio, ours_per_second, theirs_per_second) = seen.get(seen.len() / 2)?;
        Some(Self {
            name,
            ours_per_second,
            theirs_per_second,
            ratio,
            ratio_least: seen.first()?.0,
            ratio_most: seen.last()?.0,
        })
    }
}
