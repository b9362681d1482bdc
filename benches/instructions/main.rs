//! How many instructions a command takes in the server, counted by callgrind, and how
//! many of them are the module's own. `make bench-instructions` runs it.

mod callgrind;
mod report;
mod rows;

use callgrind::{Counted, Counts};
use clap::Parser;
use report::{Report, Row};
use stand::server::end_servers_on_signals;
use stand::Failure;
use std::path::PathBuf;
use std::process::ExitCode;

/// How many are sent uncounted, so that what is done once is done.
const WARM_UP: u64 = 1_000;

/// Counts the instructions of commands on a server of its own, under callgrind.
#[derive(Parser)]
struct Arguments {
    /// The module.
    #[arg(long, default_value = "target/release/libredis_lock.so")]
    module: PathBuf,
    /// The server.
    #[arg(long, env = "REDIS_SERVER", default_value = "redis-server")]
    server: PathBuf,
    /// How many of each command are counted.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    commands: u64,
    /// How many of them are sent at once.
    #[arg(long, default_value_t = 32)]
    pipeline: u64,
    /// How often everything is counted; the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only rows with this in their name.
    #[arg(long, default_value = "")]
    rows: String,
    /// Where instructions.md and instructions.json are written.
    #[arg(long, default_value = "benches/results")]
    into: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("instructions: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    end_servers_on_signals()?;
    let mut counted = Counted::start(&arguments.server, &arguments.module)?;
    let mut names = Vec::new();
    let mut rounds: Vec<Vec<Counts>> = Vec::new();
    for round in 0..arguments.rounds {
        names = names_of_rows(&counted, &arguments.rows)?;
        rounds.resize_with(names.len(), Vec::new);
        for (name, seen) in names.iter().zip(&mut rounds) {
            let counts = count(&mut counted, name, arguments)?;
            let each = counts.within(|_| true) / arguments.commands;
            eprintln!(
                "round {} of {}: {name}: {each}",
                round + 1,
                arguments.rounds
            );
            seen.push(counts);
        }
    }
    let rows = names.into_iter().zip(rounds);
    let rows = rows.map(|(name, seen)| Row::middle(name, seen, arguments.commands));
    let rows: Option<Vec<Row>> = rows.collect();
    let report = Report {
        server: counted.server.version()?,
        commands: arguments.commands,
        pipeline: arguments.pipeline,
        rounds: arguments.rounds,
        rows: rows
            .filter(|it| !it.is_empty())
            .ok_or("there is no such row")?,
    };
    let table = report.table();
    std::fs::create_dir_all(&arguments.into)?;
    let file = |ending: &str| arguments.into.join(format!("instructions.{ending}"));
    std::fs::write(file("md"), &table)?;
    std::fs::write(file("json"), report.json()?)?;
    println!("\n{table}\nWritten to {}", file("*").display());
    Ok(())
}

fn names_of_rows(counted: &Counted, meant: &str) -> Result<Vec<&'static str>, Failure> {
    let rows = rows::rows(&mut counted.server.client()?)?;
    let names = rows.iter().map(|row| row.name);
    Ok(names.filter(|name| name.contains(meant)).collect())
}

/// What one row takes on a server that is empty but for what the row needs.
fn count(counted: &mut Counted, name: &str, arguments: &Arguments) -> Result<Counts, Failure> {
    let mut client = counted.server.client()?;
    let rows = rows::rows(&mut client)?;
    let row = rows.into_iter().find(|row| row.name == name);
    let row = row.ok_or("the row is gone")?;
    let (warm_up, all) = (0..WARM_UP, WARM_UP..WARM_UP + arguments.commands);
    if let Some(before) = row.before {
        client.send_each(&[before], 0..all.end, arguments.pipeline)?;
    }
    let command = [row.command];
    client.send_each(&command, warm_up, arguments.pipeline)?;
    counted.zero()?;
    client.send_each(&command, all, arguments.pipeline)?;
    counted.counts()
}
