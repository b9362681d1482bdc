//! What a command costs beside what people use instead: throughput and latency, side by
//! side, on every server there is.
//!
//! Ours and theirs are measured one after the other in each round, and whoever is
//! first in one round is second in the next, so that whatever else the machine does
//! meets both. What counts is the median of the ratios, not the figures. Writes a
//! table, a picture and a file for machines. `make bench` runs it.

mod benchmark;
mod measure;
mod own;
mod picture;
mod report;
mod rows;
mod setting;

use clap::Parser;
use measure::{measured, order};
use report::{Report, Round, Row};
use setting::{Mode, Setting, MODES};
use stand::server::{candidates, end_servers_on_signals, Candidate, SERVERS};
use stand::Failure;
use std::path::PathBuf;
use std::process::ExitCode;

/// To warm up, so many times fewer requests are enough.
const WARM_UP_PART: u64 = 10;

/// Measures commands of the module beside what people use instead, on servers of its
/// own.
#[derive(Parser)]
struct Arguments {
    /// The module.
    #[arg(long, default_value = "target/release/libredis_lock.so")]
    module: PathBuf,
    /// Where `make servers` puts newer servers.
    #[arg(long, default_value = "target/servers")]
    fetched: PathBuf,
    /// Which servers. All there are, if none is named; "installed" is redis-server, or
    /// REDIS_SERVER.
    #[arg(long, value_delimiter = ',', value_parser = SERVERS)]
    servers: Vec<String>,
    /// Which rows. All, if none is named.
    #[arg(long, value_delimiter = ',', value_parser = rows::IDS)]
    rows: Vec<String>,
    /// Which settings.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = MODES)]
    modes: Vec<Mode>,
    /// How often everything is measured, after once to warm up.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many requests a measurement has; slower rows have fewer.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,
    /// Keep the rows of an earlier run that this one does not measure again.
    #[arg(long)]
    add: bool,
    /// Where throughput.md, throughput.json and the pictures throughput.svg and
    /// throughput-settings.svg are written.
    #[arg(long, default_value = "benches/results")]
    into: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("throughput: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    end_servers_on_signals()?;
    let earlier = match arguments.add {
        true => earlier(arguments)?,
        false => Vec::new(),
    };
    let mut report = Report {
        requests: arguments.requests,
        processors: std::thread::available_parallelism()?.get(),
        rows: earlier,
    };
    let mut measured = 0;
    for candidate in chosen(arguments) {
        for &mode in &arguments.modes {
            let rows = measured_in(arguments, &candidate, mode)?;
            measured += rows.len();
            report.take(rows);
            // At once: what comes next may fail, and --add goes on from here.
            write(arguments, &report)?;
        }
    }
    if measured == 0 {
        return Err("there is no such row in these settings on these servers".into());
    }
    let files = arguments.into.join("throughput*");
    println!("\n{}\nWritten to {}", report.table(), files.display());
    Ok(())
}

/// The rows of an earlier run; none if there was none.
fn earlier(arguments: &Arguments) -> Result<Vec<Row>, Failure> {
    match std::fs::read_to_string(arguments.into.join("throughput.json")) {
        Ok(text) => Ok(serde_json::from_str::<Report>(&text)?.rows),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn write(arguments: &Arguments, report: &Report) -> Result<(), Failure> {
    if report.rows.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(&arguments.into)?;
    let file = |ending: &str| arguments.into.join(format!("throughput.{ending}"));
    std::fs::write(file("md"), report.table())?;
    std::fs::write(file("json"), report.json()?)?;
    let (first, others) = MODES.split_at(1);
    for (name, modes) in [
        ("throughput.svg", first),
        ("throughput-settings.svg", others),
    ] {
        if let Some(picture) = picture::drawn(report, modes)? {
            std::fs::write(arguments.into.join(name), picture)?;
        }
    }
    Ok(())
}

/// The servers that are meant and there. Of each other one a line says why not.
fn chosen(arguments: &Arguments) -> Vec<Candidate> {
    let all = candidates(&arguments.fetched);
    let is_meant = |it: &Candidate| {
        arguments.servers.is_empty() || arguments.servers.iter().any(|name| name == it.name)
    };
    let mut there = Vec::new();
    for candidate in all.into_iter().filter(is_meant) {
        if candidate.is_there() {
            there.push(candidate);
        } else {
            let (name, program) = (&candidate.name, candidate.program.display());
            eprintln!("{name}: skipped, there is no {program}; `make servers` fetches it");
        }
    }
    there
}

/// The rows of a setting on a server, which is started for it.
fn measured_in(
    arguments: &Arguments,
    candidate: &Candidate,
    mode: Mode,
) -> Result<Vec<Row>, Failure> {
    let setting = Setting::start(mode, &candidate.program, &arguments.module)?;
    let server = setting.server.version()?;
    let rows = rows::rows(&mut setting.empty()?)?.into_iter();
    let is_meant =
        |id: &str| arguments.rows.is_empty() || arguments.rows.iter().any(|meant| meant == id);
    let rows: Vec<_> = rows
        .filter(|row| is_meant(row.id) && row.modes.contains(&mode))
        .collect();
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); rows.len()];
    // The first one, 0, warms up and is not counted.
    for round in 0..=arguments.rounds as usize {
        for (row, seen) in rows.iter().zip(&mut rounds) {
            let [first, second] = order(round);
            let requests = match round {
                0 => arguments.requests.div_ceil(WARM_UP_PART),
                _ => arguments.requests,
            };
            let side = |which| measured(&setting, mode, row.id, which, requests);
            let first = (first, side(first)?);
            let both = Round::new(first, side(second)?);
            let what = format!("{server}, {mode:?}, {}", row.id);
            if round == 0 {
                eprintln!("{what}: warmed up");
                continue;
            }
            let (ratio, all) = (both.ratio(mode), arguments.rounds);
            eprintln!("{what}, round {round} of {all}: {ratio:.3}");
            seen.push(both);
        }
    }
    let counted = rows.iter().zip(rounds);
    let counted = counted.filter_map(|(row, rounds)| {
        let names = (row.ours.name, row.theirs.name);
        Row::new(row.id, names, &server, mode, rounds)
    });
    Ok(counted.collect())
}
