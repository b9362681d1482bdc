//! With so many locks held: throughput, memory, files.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use crate::report::{Findings, Target, Unit};
use crate::server::Server;
use crate::stream::Requests;
use crate::way::{Side, Verb, VERBS};
use crate::{Arguments, Failure, Part};
use redis::Cmd;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Requests sent at once. So many locks come and go beside those that are held.
const AT_ONCE: u64 = 1_000;

/// Two servers side by side, one of them with locks and one with strings.
pub struct Pair {
    /// The server with locks.
    pub ours: Server,
    /// The server with strings.
    pub theirs: Server,
}

/// Requests a second of each verb: ours and theirs.
pub type Speeds = Vec<[f64; 2]>;

/// Everything that is measured while more and more locks are held; how fast it was with
/// ten thousand.
pub fn measure(
    arguments: &Arguments,
    pair: &mut Pair,
    findings: &mut Findings<'_>,
) -> Result<Speeds, Failure> {
    let mut sides = pair.sides()?;
    let empty = pair.memory()?;
    let mut held = 0;
    let mut at_ten_thousand = Speeds::new();
    for size in arguments.sizes() {
        hold(&mut sides, held..size)?;
        held = size;
        if size == arguments.locks && arguments.does(Part::Memory) {
            let full = pair.memory()?;
            let each = |side: usize| (full[side] - empty[side]) as f64 / size as f64;
            let least = if findings.server.starts_with("Valkey 9") {
                1.6
            } else {
                1.3
            };
            findings.beside(
                format!("memory of each of {size}"),
                Unit::Bytes,
                [each(0), each(1)],
                Some(Target::AtMost(least)),
            );
        }
        if arguments.does(Part::Throughput) {
            let speeds = with_held(arguments, &mut sides, size, findings)?;
            match size {
                10_000 => at_ten_thousand = speeds,
                10_001.. => compare(size, &at_ten_thousand, &speeds, findings),
                _ => {}
            }
        }
    }
    if arguments.does(Part::Handoff) {
        crate::handoff::measure(arguments, pair, findings)?;
    }
    if arguments.does(Part::Files) {
        files(held, pair, findings)?;
        sides = pair.sides()?;
    }
    if arguments.does(Part::Memory) {
        for side in &mut sides {
            side.all(Verb::GiveBack, 0..held)?;
        }
        let after = pair.memory()?;
        let left = |side: usize| after[side].saturating_sub(empty[side]) as f64 / 1024.0;
        // Scripts and connections are counted, too: what matters is the difference.
        findings.alone(
            format!("memory left after {held} were released, beyond theirs"),
            Unit::KiB,
            left(0) - left(1),
            Some(Target::AtMost(256.0)),
        );
    }
    Ok(at_ten_thousand)
}

/// Throughput with still more locks held, on servers of their own.
pub fn with_more(
    arguments: &Arguments,
    pair: &Pair,
    at_ten_thousand: &Speeds,
    findings: &mut Findings<'_>,
) -> Result<(), Failure> {
    let mut sides = pair.sides()?;
    let mut held = 0;
    for &size in &arguments.more {
        hold(&mut sides, held..size)?;
        held = size;
        let speeds = with_held(arguments, &mut sides, size, findings)?;
        compare(size, at_ten_thousand, &speeds, findings);
    }
    Ok(())
}

/// Takes these on both sides, beside those before them.
fn hold(sides: &mut [Side; 2], numbers: Range<u64>) -> Result<(), Failure> {
    eprintln!("  {} held ...", numbers.end);
    for side in sides {
        side.all(Verb::Take, numbers.clone())?;
    }
    Ok(())
}

fn with_held(
    arguments: &Arguments,
    sides: &mut [Side; 2],
    size: u64,
    findings: &mut Findings<'_>,
) -> Result<Speeds, Failure> {
    let speeds = throughput(arguments, sides, size)?;
    for (verb, speeds) in VERBS.iter().zip(&speeds) {
        let name = format!("{}, {size} held", verb.name());
        findings.beside(name, Unit::PerSecond, *speeds, None);
    }
    Ok(speeds)
}

impl Pair {
    fn sides(&self) -> Result<[Side; 2], Failure> {
        use crate::way::Way::{Lock, Set};
        Ok([
            Side::open(Lock, self.ours.port())?,
            Side::open(Set, self.theirs.port())?,
        ])
    }

    fn memory(&self) -> Result<[u64; 2], Failure> {
        Ok([self.ours.memory()?, self.theirs.memory()?])
    }
}

/// How throughput here is to that with ten thousand held, for each verb.
fn compare(size: u64, before: &Speeds, now: &Speeds, findings: &mut Findings<'_>) {
    for ((verb, before), now) in VERBS.iter().zip(before).zip(now) {
        let name = format!("{}: with {size} held, of that with 10000", verb.name());
        let target = (size == 1_000_000).then_some(Target::EachAtLeast(0.75));
        let parts = [now[0] / before[0], now[1] / before[1]];
        findings.beside(name, Unit::Share, parts, target);
    }
}

/// Requests a second of each verb on each side. The sides take turns.
fn throughput(arguments: &Arguments, sides: &mut [Side; 2], held: u64) -> Result<Speeds, Failure> {
    let mut spent = [[Duration::ZERO; 2]; VERBS.len()];
    let portions = arguments.requests.div_ceil(AT_ONCE);
    let mut requests = Requests::default();
    for portion in 0..portions {
        // Whoever is first in one portion is second in the next.
        let order = if portion % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            for (verb, spent) in VERBS.iter().zip(&mut spent) {
                requests.clear();
                for number in 0..AT_ONCE {
                    let turn = portion * AT_ONCE + number;
                    let number = match verb {
                        // Names that nobody holds.
                        Verb::Take | Verb::GiveBack => 1_000_000_000 + turn,
                        Verb::Look | Verb::Extend => scattered(turn) % held,
                    };
                    sides[side].add(*verb, number, &mut requests);
                }
                let since = Instant::now();
                sides[side].send(&requests)?;
                spent[side] += since.elapsed();
            }
        }
    }
    let count = (portions * AT_ONCE) as f64;
    let speed = |spent: Duration| count / spent.as_secs_f64();
    Ok(spent.iter().map(|spent| spent.map(speed)).collect())
}

fn scattered(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number ^ number >> 29
}

/// How long it takes to save them all, and to load them again.
fn files(held: u64, pair: &mut Pair, findings: &mut Findings<'_>) -> Result<(), Failure> {
    let (mut saved, mut loaded) = ([0.0; 2], [0.0; 2]);
    for (side, server) in [&mut pair.ours, &mut pair.theirs].into_iter().enumerate() {
        let mut connection = server.connect()?;
        let since = Instant::now();
        Cmd::new().arg("SAVE").exec(&mut connection)?;
        saved[side] = since.elapsed().as_secs_f64() * 1e3;
        loaded[side] = server.restart()? * 1e3;
        let kept: u64 = Cmd::new().arg("DBSIZE").query(&mut server.connect()?)?;
        if kept != held {
            return Err(format!("{kept} of {held} keys came back from the file").into());
        }
    }
    let target = Some(Target::AtMost(1.5));
    findings.beside(format!("SAVE of {held}"), Unit::Milliseconds, saved, target);
    findings.beside(
        format!("load of {held}"),
        Unit::Milliseconds,
        loaded,
        target,
    );
    Ok(())
}
