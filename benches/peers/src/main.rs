//! Acquire-release cycles of redis-lock beside etcd and ZooKeeper.
//!
//! Each is a real server that this program starts, on loopback and in a directory of
//! its own, with the durability that it has by default (etcd and ZooKeeper write every
//! change to disk before they answer); ours is measured with that (`appendfsync
//! always`) and with Redis's usual once a second. One client alone, sixteen with a lock
//! each, and many for one lock. `make bench-peers` runs it.

#![allow(clippy::disallowed_methods, reason = "clients measure their own time")]

mod crowd;
mod disk;
mod etcd;
mod ours;
mod picture;
mod process;
mod report;
mod zookeeper;

use clap::{Parser, ValueEnum};
use process::Process;
use report::Report;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Why there is no result.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Whose locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// redis-lock, its log written to disk every second.
    Everysec,
    /// redis-lock, its log written to disk before each answer.
    Always,
    /// etcd's Lock service, with a lease for each client.
    Etcd,
    /// ZooKeeper's recipe: ephemeral sequential nodes, each watches the one before it.
    Zookeeper,
}

/// In the order in which they take turns.
pub const WAYS: [Way; 4] = [Way::Everysec, Way::Always, Way::Etcd, Way::Zookeeper];

impl Way {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everysec => "redis-lock, AOF everysec",
            Self::Always => "redis-lock, AOF always",
            Self::Etcd => "etcd",
            Self::Zookeeper => "ZooKeeper",
        }
    }
}

/// How many clients want how many locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One client, one lock.
    Alone,
    /// Sixteen clients, each with its own lock.
    Apart,
    /// All clients want the same lock.
    Crowd,
}

/// In the order in which they are measured.
pub const SHAPES: [Shape; 3] = [Shape::Alone, Shape::Apart, Shape::Crowd];

/// Measures redis-lock beside etcd and ZooKeeper.
#[derive(Parser)]
pub struct Arguments {
    /// The module.
    module: PathBuf,
    /// The server that has it.
    #[arg(long, default_value = "redis-server")]
    server: PathBuf,
    /// Where .ci/peers put the others.
    #[arg(long, default_value = "target/peers")]
    peers: PathBuf,
    /// Where all of them keep their data: a disk, if the comparison is to mean anything.
    #[arg(long, default_value = "target")]
    data: PathBuf,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = WAYS)]
    ways: Vec<Way>,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = SHAPES)]
    shapes: Vec<Shape>,
    /// How many want the same lock.
    #[arg(long, default_value_t = 200)]
    pub clients: usize,
    /// How long each is watched.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How long each goes on before that: a Java machine needs a while.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// How often everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where peers.md, peers.json and peers.svg are written.
    #[arg(long, default_value = "benches/results")]
    into: PathBuf,
}

impl Arguments {
    /// How many clients a shape has.
    pub fn clients(&self, shape: Shape) -> usize {
        match shape {
            Shape::Alone => 1,
            Shape::Apart => 16,
            Shape::Crowd => self.clients,
        }
    }

    fn window(&self) -> crowd::Window {
        crowd::Window {
            warm_up: Duration::from_secs_f64(self.warm_up),
            watched: Duration::from_secs_f64(self.seconds),
        }
    }

    fn start(&self, way: Way) -> Result<Process, Failure> {
        match way {
            Way::Everysec => ours::start(&self.server, &self.module, &self.data, "everysec"),
            Way::Always => ours::start(&self.server, &self.module, &self.data, "always"),
            Way::Etcd => etcd::start(&self.peers, &self.data),
            Way::Zookeeper => zookeeper::start(&self.peers, &self.data),
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("peers: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.rounds == 0 || arguments.seconds <= 0.0 {
        return Err("rounds and seconds must be above zero".into());
    }
    // Each client has a connection or two.
    rlimit::increase_nofile_limit(4 * arguments.clients as u64 + 200)?;
    let mut report = Report::default();
    let mut ways = arguments.ways.clone();
    ways.retain(|&way| match arguments.start(way) {
        Ok(process) => {
            report.versions.insert(way.name().into(), process.version());
            true
        }
        Err(why) => {
            eprintln!("{} is skipped: {why}", way.name());
            false
        }
    });
    for round in 0..arguments.rounds {
        // Whoever was first in one round is the last in the next.
        for &way in &ways {
            let process = arguments.start(way)?;
            for &shape in &arguments.shapes {
                let clients = arguments.clients(shape);
                report.see_disk(disk::writes(&arguments.data)?);
                let speed = crowd::cycles(way, shape, clients, process.port(), arguments.window())?;
                eprintln!(
                    "round {} of {}: {}, {clients} clients, {shape:?}: {speed:.0} cycles/s",
                    round + 1,
                    arguments.rounds,
                    way.name()
                );
                report.see(way, shape, speed);
            }
        }
        ways.rotate_left(1);
    }
    report.finish(arguments);
    std::fs::create_dir_all(&arguments.into)?;
    let file = |ending: &str| arguments.into.join(format!("peers.{ending}"));
    let table = report.table();
    std::fs::write(file("md"), &table)?;
    std::fs::write(file("json"), report.json()?)?;
    std::fs::write(file("svg"), picture::drawn(&report)?)?;
    println!("\n{table}");
    Ok(())
}
