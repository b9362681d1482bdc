//! A lease that nobody gave back: how late is the next in line granted?
//!
//! Beside it stands what the server does for a string whose TTL ran out: how late it
//! says so, if anybody waits for its message.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use crate::held::Pair;
use crate::report::{Findings, Target, Unit};
use crate::stream::{Reply, Stream};
use crate::{Arguments, Failure};
use redis::Cmd;
use std::time::{Duration, Instant};

/// Clients that wait at the same time.
const WAITERS: u64 = 50;
const SHORTEST_MS: u64 = 50;
const LONGEST_MS: u64 = 200;

/// Measures both.
pub fn measure(
    arguments: &Arguments,
    pair: &Pair,
    findings: &mut Findings<'_>,
) -> Result<(), Failure> {
    let late = granted_late(arguments, pair.ours.port())?;
    let target = Some(Target::AtMost(20.0));
    let name = |what| {
        format!(
            "lapsed lease to next grant, {} held: {what} late",
            arguments.locks
        )
    };
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
    findings.alone(name("median"), Unit::Milliseconds, at(0.5), None);
    findings.alone(name("p99"), Unit::Milliseconds, at(0.99), target);
    findings.alone(name("longest"), Unit::Milliseconds, at(1.0), None);
    let (told, all) = told_late(arguments, pair)?;
    findings.only_theirs(
        format!(
            "strings of a short TTL that the server reports as expired within {} s",
            arguments.patience
        ),
        Unit::Share,
        told as f64 / all as f64,
    );
    Ok(())
}

/// How late past the deadline each waiter heard of its grant, in order.
fn granted_late(arguments: &Arguments, port: u16) -> Result<Vec<f64>, Failure> {
    let turns = arguments.handoffs.div_ceil(WAITERS);
    let mut late = Vec::new();
    std::thread::scope(|scope| {
        let one = |waiter| move || one_waiter(port, waiter, turns);
        let threads: Vec<_> = (0..WAITERS)
            .map(|waiter| scope.spawn(one(waiter)))
            .collect();
        for thread in threads {
            late.extend(thread.join().map_err(|_| "a waiter panicked")??);
        }
        Ok::<(), Failure>(())
    })?;
    late.sort_by(f64::total_cmp);
    Ok(late)
}

fn one_waiter(port: u16, waiter: u64, turns: u64) -> Result<Vec<f64>, Failure> {
    let mut stream = Stream::open(port)?;
    let key = format!("handoff:{waiter}");
    let mut late = Vec::new();
    for turn in 0..turns {
        let ttl = SHORTEST_MS + (waiter * 31 + turn * 17) % (LONGEST_MS - SHORTEST_MS);
        let words: [&[u8]; 4] = [b"LOCK.ACQUIRE", key.as_bytes(), b"gone", &digits(ttl)];
        // Reckoned from before it was sent: the way there counts as delay.
        let deadline = Instant::now() + Duration::from_millis(ttl);
        number(stream.ask(&words)?)?;
        let words: [&[u8]; 6] = [
            b"LOCK.ACQUIRE",
            key.as_bytes(),
            b"next",
            b"60000",
            b"BLOCK",
            b"0",
        ];
        number(stream.ask(&words)?)?;
        let now = Instant::now();
        if now < deadline {
            return Err("a lease ended early".into());
        }
        late.push((now - deadline).as_secs_f64() * 1e3);
        let words: [&[u8]; 3] = [b"LOCK.RELEASE", key.as_bytes(), b"next"];
        number(stream.ask(&words)?)?;
    }
    Ok(late)
}

fn digits(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn number(reply: Reply) -> Result<(), Failure> {
    match reply {
        Reply::Number(1..) => Ok(()),
        other => Err(format!("not granted: {other:?}").into()),
    }
}

/// Of how many strings the server said in time that they expired, and of how many
/// it should have.
fn told_late(arguments: &Arguments, pair: &Pair) -> Result<(u64, u64), Failure> {
    let mut connection = pair.theirs.connect()?;
    let mut listener = pair.theirs.connect()?;
    let mut set = Cmd::new();
    set.arg("CONFIG").arg("SET").arg("notify-keyspace-events");
    set.arg("Ex").exec(&mut connection)?;
    let mut messages = listener.as_pubsub();
    messages.subscribe("__keyevent@0__:expired")?;
    for number in 0..WAITERS {
        let mut set = Cmd::set(format!("handoff:{number}"), "gone");
        set.arg("PX").arg(SHORTEST_MS).exec(&mut connection)?;
    }
    let until = Instant::now() + Duration::from_secs(arguments.patience);
    let mut told = 0;
    while told < WAITERS {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        messages.set_read_timeout(Some(left))?;
        match messages.get_message() {
            Ok(_) => told += 1,
            Err(error) if error.is_timeout() => break,
            Err(error) => return Err(error.into()),
        }
    }
    // What is still there would be loaded again.
    for number in 0..WAITERS {
        Cmd::del(format!("handoff:{number}")).exec(&mut connection)?;
    }
    Ok((told, WAITERS))
}
