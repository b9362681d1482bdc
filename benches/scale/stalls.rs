//! Whether the server stops answering: a second connection pings all the while.
//!
//! What is called a gap is the time from a PING to its PONG, as a client sees it. The
//! machine's own hiccups are in that: so it is also said how much processor time the
//! server used from the one to the other.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use crate::report::{Findings, Gap, Target, Unit};
use crate::server::Server;
use crate::stream::Stream;
use crate::way::{Side, Verb, Way, LEASE_MS};
use crate::{Arguments, Failure, Part};
use redis::Cmd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Requests sent at once: so few that reckoning their lease from one instant is
/// exact to the millisecond.
const AT_ONCE: u64 = 100;
/// The leases end so long after the first of them was taken.
const AHEAD: Duration = Duration::from_secs(4);
/// Pings begin so long before the leases end, and go on behind that.
const BEFORE: Duration = Duration::from_millis(200);
const SETTLE_MOST: Duration = Duration::from_secs(60);
const HOT: &str = "hot";

/// What ends at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Each lock has a holder.
    Keys,
    /// One lock has them all.
    Holders,
}

/// Measures all shapes on servers of their own.
pub fn measure(
    arguments: &Arguments,
    (program, module): (&Path, &Path),
    findings: &mut Findings<'_>,
) -> Result<(), Failure> {
    if arguments.does(Part::Expiry) {
        let count = arguments.expiring;
        let idle = quiet(&Server::start(program, module)?)?;
        found(findings, "an idle server", [Some(idle), None], None);
        let start = || Server::start(program, module);
        let ours = expiry(&start()?, Way::Lock, Shape::Keys, count)?;
        let theirs = expiry(&start()?, Way::Set, Shape::Keys, count)?;
        let name = format!("{count} leases of {count} keys end at once");
        found(findings, &name, [Some(ours), Some(theirs)], Some(10.0));
        let ours = expiry(&start()?, Way::Lock, Shape::Holders, count)?;
        let name = format!("{count} leases of one shared key end at once");
        found(findings, &name, [Some(ours), None], Some(10.0));
    }
    if arguments.does(Part::Growth) {
        let count = arguments.growth;
        let ours = growth(&Server::start(program, module)?, Way::Lock, count)?;
        let theirs = growth(&Server::start(program, module)?, Way::Set, count)?;
        let name = format!("growing to {count}");
        found(findings, &name, [Some(ours), Some(theirs)], Some(5.0));
    }
    Ok(())
}

/// The longest gaps, and the pings for the picture.
fn found(
    findings: &mut Findings<'_>,
    meanwhile: &str,
    gaps: [Option<Vec<Gap>>; 2],
    most_ms: Option<f64>,
) {
    let longest = |of: fn(&Gap) -> f64| {
        gaps.each_ref().map(|gaps| {
            let gaps = gaps.as_ref()?.iter().map(of);
            Some(gaps.fold(0.0, f64::max))
        })
    };
    let target = most_ms.map(Target::OursAtMost);
    let name = format!("{meanwhile}: longest gap");
    let values = longest(|gap| gap.gap_ms);
    findings.either(name, Unit::Milliseconds, values, target);
    let name = format!("{meanwhile}: most work of the server in a gap");
    let values = longest(|gap| gap.work_ms);
    findings.either(name, Unit::Milliseconds, values, target);
    for (whose, gaps) in ["ours", "SET NX PX"].into_iter().zip(gaps) {
        if let Some(gaps) = gaps {
            findings.gaps(&format!("{meanwhile}, {whose}"), gaps);
        }
    }
}

/// Gaps while `work` goes on.
fn pinged<T>(
    server: &Server,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<(T, Vec<Gap>), Failure> {
    let is_over = AtomicBool::new(false);
    let mut stream = Stream::open(server.port())?;
    stream.ask(&[b"PING"])?;
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let pings = scope.spawn(move || -> Result<Vec<Gap>, Failure> {
            let mut gaps = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let (work, since) = (server.work()?, Instant::now());
                stream.ask(&[b"PING"])?;
                let gap = since.elapsed();
                let work = server.work()?.saturating_sub(work);
                gaps.push(Gap {
                    gap_ms: gap.as_secs_f64() * 1e3,
                    work_ms: work.as_secs_f64() * 1e3,
                });
                // Others want the machine, too; a gap is no shorter for it.
                std::thread::sleep(Duration::from_micros(50));
            }
            Ok(gaps)
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        let gaps = pings.join().map_err(|_| "the pinging thread panicked")??;
        Ok((done?, gaps))
    })
}

fn quiet(server: &Server) -> Result<Vec<Gap>, Failure> {
    let nothing = || {
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    };
    Ok(pinged(server, nothing)?.1)
}

/// Gaps while that many leases end in one millisecond.
fn expiry(server: &Server, way: Way, shape: Shape, count: u64) -> Result<Vec<Gap>, Failure> {
    let mut side = Side::open(way, server.port())?;
    // Another thousand are held for long, as on any server.
    side.all(Verb::Take, 1_000_000_000..1_000_001_000)?;
    let end = Instant::now() + AHEAD;
    let mut next = 0;
    while next < count {
        let numbers = next..count.min(next + AT_ONCE);
        next = numbers.end;
        let left = end.saturating_duration_since(Instant::now());
        // Rounded: half a millisecond to either side.
        let lease_ms = ((left.as_secs_f64() * 1e3).round() as u64).max(1);
        match shape {
            Shape::Keys => side.take_for(numbers, lease_ms)?,
            Shape::Holders => side.share_for(HOT, numbers, lease_ms)?,
        }
    }
    let wait = end.checked_duration_since(Instant::now() + BEFORE);
    let wait = wait.ok_or("it took too long to take all the leases")?;
    std::thread::sleep(wait);
    let mut connection = server.connect()?;
    let all_gone = || {
        std::thread::sleep(2 * BEFORE);
        let until = Instant::now() + SETTLE_MOST;
        // DBSIZE takes no time, and what is over but not swept is in it.
        while Instant::now() < until {
            let left: u64 = Cmd::new().arg("DBSIZE").query(&mut connection)?;
            if left <= 1_000 {
                std::thread::sleep(BEFORE);
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("the leases do not end".into())
    };
    Ok(pinged(server, all_gone)?.1)
}

/// Gaps while locks are taken, as fast as one connection can.
fn growth(server: &Server, way: Way, count: u64) -> Result<Vec<Gap>, Failure> {
    let mut side = Side::open(way, server.port())?;
    let grow = || {
        // No more at once than the server reads at once: what it does in one go is
        // not to be the client's doing.
        let mut next = 0;
        while next < count {
            let end = count.min(next + AT_ONCE);
            side.take_for(next..end, LEASE_MS + next)?;
            next = end;
        }
        Ok(())
    };
    Ok(pinged(server, grow)?.1)
}
