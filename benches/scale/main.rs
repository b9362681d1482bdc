//! Many locks: what a million of them cost, and whether the server ever stops for them.
//!
//! Locks of the module and strings with a TTL (`SET NX PX`) are measured side by side,
//! each on a server of its own that this program starts and ends: throughput and
//! memory with more and more held, saving and loading, how late a lapsed lease is
//! handed on, and how long a second connection waits for its PONG while a hundred
//! thousand leases end at once and while the server grows. `make bench-scale` runs it.

mod handoff;
mod held;
mod picture;
mod report;
mod server;
mod stalls;
mod stream;
mod way;

use clap::{Parser, ValueEnum};
use held::Pair;
use report::{Findings, Report};
use server::Server;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why there is no result.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Requests a second with 1, 10,000 and a million locks held.
    Throughput,
    /// Bytes for each lock, and what is left when all are released.
    Memory,
    /// From a lapsed lease to the grant of the next in line.
    Handoff,
    /// SAVE, and loading that file.
    Files,
    /// Many leases that end at once.
    Expiry,
    /// Gaps while locks are taken.
    Growth,
}

/// Measures the module with many locks, beside strings with a TTL.
#[derive(Parser)]
pub struct Arguments {
    /// The module.
    module: PathBuf,
    /// The servers; what is not there is left out.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "redis-server,target/servers/redis-8,target/servers/valkey-9"
    )]
    servers: Vec<PathBuf>,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How often everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The many locks.
    #[arg(long, default_value_t = 1_000_000)]
    pub locks: u64,
    /// Further sizes for throughput, like 10000000 (some 3 GiB for each side).
    #[arg(long, value_delimiter = ',')]
    pub more: Vec<u64>,
    /// Requests of each kind for throughput.
    #[arg(long, default_value_t = 200_000)]
    pub requests: u64,
    /// How many lapsed leases are handed on.
    #[arg(long, default_value_t = 1_000)]
    pub handoffs: u64,
    /// Seconds to wait for the server to say that strings expired.
    #[arg(long, default_value_t = 5)]
    pub patience: u64,
    /// How many leases end at once.
    #[arg(long, default_value_t = 100_000)]
    pub expiring: u64,
    /// How many locks the server grows to while it is pinged; 10000000 for a long run.
    #[arg(long, default_value_t = 1_000_000)]
    pub growth: u64,
    /// Where scale.md, scale.json and scale.svg are written.
    #[arg(long, default_value = "benches/results")]
    into: PathBuf,
    /// Keep what scale.json has of an earlier run, but for what is measured now.
    #[arg(long)]
    add: bool,
}

impl Arguments {
    /// Whether this part is to be measured.
    pub fn does(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// How many locks are held, one after the other.
    pub fn sizes(&self) -> Vec<u64> {
        let mut sizes = vec![self.locks];
        if self.does(Part::Throughput) {
            sizes.extend([1, 10_000]);
        }
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("scale: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let module = arguments.module.canonicalize()?;
    let mut report = Report::default();
    let mut servers = Vec::new();
    for program in &arguments.servers {
        match Server::start(program, &module).and_then(|server| server.name()) {
            Ok(name) => servers.push((program, name)),
            Err(why) => eprintln!("skipped: {why}"),
        }
    }
    if servers.is_empty() || arguments.rounds == 0 {
        return Err("there is nothing to measure".into());
    }
    for round in 0..arguments.rounds {
        for (program, name) in &servers {
            eprintln!("round {} of {}, {name}:", round + 1, arguments.rounds);
            let mut findings = Findings {
                server: name,
                all: &mut report,
            };
            one_round(arguments, (program, &module), &mut findings)?;
        }
    }
    report.finish(arguments.rounds);
    let file = |ending: &str| arguments.into.join(format!("scale.{ending}"));
    if arguments.add {
        report.add_to(serde_json::from_slice(&std::fs::read(file("json"))?)?);
    }
    std::fs::create_dir_all(&arguments.into)?;
    let table = report.table();
    std::fs::write(file("md"), &table)?;
    std::fs::write(file("json"), report.json()?)?;
    if let Some(picture) = picture::drawn(&report)? {
        std::fs::write(file("svg"), picture)?;
    }
    println!("\n{table}\nWritten to {}", file("*").display());
    Ok(())
}

fn one_round(
    arguments: &Arguments,
    at: (&Path, &Path),
    findings: &mut Findings<'_>,
) -> Result<(), Failure> {
    use Part::{Files, Handoff, Memory, Throughput};
    let parts = [Throughput, Memory, Handoff, Files];
    if parts.iter().any(|&part| arguments.does(part)) {
        let pair = || -> Result<Pair, Failure> {
            Ok(Pair {
                ours: Server::start(at.0, at.1)?,
                theirs: Server::start(at.0, at.1)?,
            })
        };
        let at_ten_thousand = held::measure(arguments, &mut pair()?, findings)?;
        if arguments.does(Throughput) && !arguments.more.is_empty() {
            held::with_more(arguments, &pair()?, &at_ten_thousand, findings)?;
        }
    }
    stalls::measure(arguments, at, findings)
}
