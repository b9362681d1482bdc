//! Many clients, one lock: how fast it goes round, how long each waits, and
//! whether all get their turn.
//!
//! Four ways are measured side by side in one run on one server, in turn, over
//! several rounds; a row of the table is the middle round. Writes a table, a
//! picture and a file for machines. `make bench-contention` runs it.

mod crowd;
mod picture;
mod report;
mod ways;

use clap::Parser;
use crowd::{Crowd, Failure};
use redis::Cmd;
use report::{Report, Row};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use ways::{Way, WAYS};

/// Connections for the largest crowd: two for each client, and some to spare.
const CONNECTIONS_SPARE: u64 = 200;

/// Measures waiting for a lock: LOCK.ACQUIRE BLOCK, a list as the limit of what
/// Redis can do, Lua with pub/sub, and SET NX PX with back-off.
#[derive(Parser)]
struct Arguments {
    /// The port of a server on this machine that has the module. Its data goes!
    port: u16,
    /// How many clients, one crowd after the other.
    #[arg(long, value_delimiter = ',', default_value = "10,50,200,1000")]
    clients: Vec<usize>,
    /// Which ways, in the order in which they take turns being measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = WAYS)]
    ways: Vec<Way>,
    /// How long each crowd is watched.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How often everything is measured; the middle one counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where contention.md, contention.svg and contention.json are written.
    #[arg(long, default_value = "benches/results")]
    into: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("contention: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let clients_most = arguments.clients.iter().copied().max().unwrap_or(0);
    if clients_most == 0 || arguments.rounds == 0 || arguments.seconds <= 0.0 {
        return Err("clients, rounds and seconds must be above zero".into());
    }
    let connections = 2 * clients_most as u64 + CONNECTIONS_SPARE;
    let server = prepare(arguments.port, connections)?;
    let (mut step, steps) = (
        0,
        arguments.rounds * arguments.clients.len() * arguments.ways.len(),
    );
    let mut rows: Vec<Vec<Row>> = Vec::new();
    for round in 0..arguments.rounds {
        for (place, (&clients, way)) in both(&arguments.clients, &arguments.ways).enumerate() {
            let crowd = Crowd {
                port: arguments.port,
                clients,
                window: Duration::from_secs_f64(arguments.seconds),
            };
            let row = Row::new(*way, clients, &crowd.watch(*way)?);
            step += 1;
            eprintln!("{step:3} of {steps}, round {}: {row}", round + 1);
            if rows.len() == place {
                rows.push(Vec::new());
            }
            rows[place].push(row);
        }
    }
    let report = Report {
        server,
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        rows: rows.into_iter().filter_map(Row::middle).collect(),
    };
    std::fs::create_dir_all(&arguments.into)?;
    let file = |ending: &str| arguments.into.join(format!("contention.{ending}"));
    let table = report.table();
    std::fs::write(file("md"), &table)?;
    std::fs::write(file("json"), report.json()?)?;
    std::fs::write(file("svg"), picture::drawn(&report)?)?;
    println!(
        "\n{table}\nWritten to {}.*",
        arguments.into.join("contention").display()
    );
    Ok(())
}

fn both<'a, A, B>(outer: &'a [A], inner: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    outer
        .iter()
        .flat_map(move |a| inner.iter().map(move |b| (a, b)))
}

/// Lets server and client have that many connections; the server's name.
fn prepare(port: u16, connections: u64) -> Result<String, Failure> {
    let allowed = rlimit::increase_nofile_limit(connections)?;
    if allowed < connections {
        return Err(format!("{connections} connections are needed, {allowed} allowed").into());
    }
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_connection()?;
    let mut set = Cmd::new();
    set.arg("CONFIG")
        .arg("SET")
        .arg("maxclients")
        .arg(connections);
    set.exec(&mut connection)?;
    let mut info = Cmd::new();
    let info: String = info.arg("INFO").arg("server").query(&mut connection)?;
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    Ok(match (field("valkey_version:"), field("redis_version:")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, version) => format!("Redis {}", version.unwrap_or("of an unknown version")),
    })
}
