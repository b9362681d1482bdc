//! One lock over several independent servers: this project's crate beside the crate rslock
//! and the Go module redsync.
//!
//! All on the same servers, in one run, in turn, over several rounds. How long a lock takes
//! and how many there are in a second; what happens when one server is slow, dead, silent
//! or late, and what is left behind there; how often the servers disagree about the token.
//! `make bench-quorum` runs it.

mod agreement;
mod clients;
mod nodes;
mod picture;
mod proxy;
mod redsync;
mod report;
mod seen;
mod ways;

use agreement::Agreement;
use clap::Parser;
use nodes::{Fault, Nodes, FAULTS};
use report::{FaultRow, Report, Shape, SpeedRow};
use seen::Seen;
use stand::server::{end_servers_on_signals, Start};
use stand::Failure;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use ways::{Crowd, Keys, Stage, Way, WAYS, WAYS_WITH_FAULTS};

/// Measures locks on several servers: ours, rslock's and redsync's. About five minutes.
#[derive(Parser)]
struct Arguments {
    /// The module.
    #[arg(long, default_value = "target/release/libredis_lock.so")]
    module: PathBuf,
    /// The server.
    #[arg(long, env = "REDIS_SERVER", default_value = "redis-server")]
    server: PathBuf,
    /// The program with redsync's clients; without it redsync is left out.
    #[arg(long, default_value = "target/redsync-bench")]
    redsync: PathBuf,
    /// Which ways, in the order in which they take turns.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = WAYS)]
    ways: Vec<Way>,
    /// How many servers, one number after the other; odd.
    #[arg(long, value_delimiter = ',', default_value = "3,5")]
    nodes: Vec<usize>,
    /// How often speed is measured; the medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each crowd is watched.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// What is to be wrong with one of three servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = FAULTS)]
    faults: Vec<Fault>,
    /// How often each fault is tried; all of it counts together.
    #[arg(long, default_value_t = 2)]
    fault_rounds: usize,
    /// For how long.
    #[arg(long, default_value_t = 1.5)]
    fault_seconds: f64,
    /// The lease in milliseconds.
    #[arg(long, default_value_t = 30_000)]
    ttl_ms: u64,
    /// Where quorum.md, quorum.svg and quorum.json are written.
    #[arg(long, default_value = "benches/results")]
    into: PathBuf,
}

/// On how many servers faults are tried.
const FAULTY: usize = 3;
/// How many clients have locks of their own, and how many want the same one.
const MANY: usize = 16;
const RIVALS: usize = 8;

fn main() -> ExitCode {
    let done = end_servers_on_signals().and_then(|()| run(Arguments::parse()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("quorum: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Arguments) -> Result<(), Failure> {
    if !arguments.redsync.exists() {
        let program = arguments.redsync.display();
        eprintln!("redsync is left out: there is no {program} (it is built where Go is)");
        arguments.ways.retain(|way| !way.is_in_go());
    }
    let sound = arguments.nodes.iter().all(|nodes| nodes % 2 == 1);
    if !sound || arguments.rounds == 0 || arguments.seconds <= 0.0 {
        return Err("odd numbers of servers; rounds and seconds above zero".into());
    }
    let most = arguments.nodes.iter().copied().max().unwrap_or(0);
    let how = Start {
        program: arguments.server.clone(),
        module: Some(arguments.module.clone()),
        ..Start::default()
    };
    let nodes = Nodes::start(&how, most.max(FAULTY))?;
    let stage = Stage {
        runtime: tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?,
        redsync: std::path::absolute(&arguments.redsync)?,
    };
    let bench = Bench {
        arguments,
        nodes,
        stage,
    };
    let report = Report {
        server: bench.nodes.version()?,
        rounds: bench.arguments.rounds,
        seconds: bench.arguments.seconds,
        fault_rounds: bench.arguments.fault_rounds,
        fault_seconds: bench.arguments.fault_seconds,
        speeds: bench.speeds()?,
        agreements: bench.agreements()?,
        faults: bench.faults()?,
    };
    let into = &bench.arguments.into;
    std::fs::create_dir_all(into)?;
    let table = report.table();
    std::fs::write(into.join("quorum.md"), &table)?;
    let json = serde_json::to_string_pretty(&report)? + "\n";
    std::fs::write(into.join("quorum.json"), json)?;
    std::fs::write(into.join("quorum.svg"), picture::drawn(&report)?)?;
    println!("\n{table}\nWritten to {}.*", into.join("quorum").display());
    Ok(())
}

struct Bench {
    arguments: Arguments,
    nodes: Nodes,
    stage: Stage,
}

impl Bench {
    fn ttl(&self) -> Duration {
        Duration::from_millis(self.arguments.ttl_ms)
    }

    fn shapes(&self) -> Vec<Shape> {
        let crowds = [(1, Keys::Own), (MANY, Keys::Own), (RIVALS, Keys::One)];
        let shapes = crowds.iter().flat_map(|&(clients, keys)| {
            let nodes = self.arguments.nodes.iter();
            nodes.map(move |&nodes| Shape {
                nodes,
                clients,
                keys,
            })
        });
        shapes.collect()
    }

    fn speeds(&self) -> Result<Vec<SpeedRow>, Failure> {
        let shapes = self.shapes();
        let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); shapes.len() * self.arguments.ways.len()];
        for round in 0..self.arguments.rounds {
            let mut place = 0;
            for shape in &shapes {
                for &way in &self.arguments.ways {
                    self.nodes.clear()?;
                    let crowd = Crowd {
                        ports: self.nodes.ports(shape.nodes),
                        clients: shape.clients,
                        keys: shape.keys,
                        prefix: format!("speed:{round}:{place}"),
                        window: Duration::from_secs_f64(self.arguments.seconds),
                        ttl: self.ttl(),
                    };
                    let one = self.stage.watch(way, &crowd, &mut || Ok(()))?;
                    let round = round + 1;
                    let (speed, way) = (one.cycles_per_second(), way.name());
                    eprintln!("round {round}, {shape}, {way}: {speed:.0} locks/s");
                    seen[place].push(one);
                    place += 1;
                }
            }
        }
        let mut rounds = seen.into_iter();
        let mut rows = Vec::new();
        for shape in shapes {
            let ways = self.arguments.ways.iter();
            let of_shape: Vec<_> = ways.copied().zip(rounds.by_ref()).collect();
            rows.extend(SpeedRow::all(shape, &of_shape));
        }
        Ok(rows)
    }

    fn agreements(&self) -> Result<Vec<Agreement>, Failure> {
        let mut all = Vec::new();
        if !self.arguments.ways.contains(&Way::Ours) {
            return Ok(all);
        }
        let window = Duration::from_secs_f64(self.arguments.seconds);
        for clients in [1, MANY] {
            for &count in &self.arguments.nodes {
                self.nodes.clear()?;
                let lot = (count, clients);
                let one = agreement::watch(&self.nodes, &self.stage, lot, (window, self.ttl()))?;
                eprintln!("{one:?}");
                all.push(one);
            }
        }
        Ok(all)
    }

    fn ways_with_faults(&self) -> impl Iterator<Item = Way> + '_ {
        let ways = &self.arguments.ways;
        let is_asked_for = |way: &Way| match way {
            Way::OursDropped => ways.contains(&Way::Ours),
            way => ways.contains(way),
        };
        WAYS_WITH_FAULTS.into_iter().filter(is_asked_for)
    }

    fn faults(&self) -> Result<Vec<FaultRow>, Failure> {
        let mut rows = Vec::new();
        let window = Duration::from_secs_f64(self.arguments.fault_seconds);
        for &fault in &self.arguments.faults {
            for way in self.ways_with_faults() {
                let (mut seen, mut left) = (Seen::default(), 0);
                for _ in 0..self.arguments.fault_rounds {
                    let lot = (FAULTY, window, self.ttl());
                    let (one, behind) = self.nodes.suffer(fault, (&self.stage, way), lot)?;
                    seen = seen.and(one);
                    left += behind;
                }
                let row = FaultRow::new(fault, way, &seen, left);
                eprintln!("{}", row.line());
                rows.push(row);
            }
        }
        Ok(rows)
    }
}
