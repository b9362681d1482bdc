//! One side of a row, measured once, and the proof that it was that which was
//! measured: no error, as many calls as were asked for, and the keys they leave.

use crate::rows::{Keys, Row, Sender, Side};
use crate::setting::{Mode, Setting};
use crate::{benchmark, own};
use stand::client::Client;
use stand::Failure;

/// How many requests have to make a key of their own: of the numbers that
/// redis-benchmark draws, some come twice.
const SHARE_LEAST: f64 = 0.99;
/// A number that redis-benchmark does not draw.
const PROBE: u64 = 999_999_999_999;

/// Which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Ours,
    Theirs,
}

/// Both, whoever is first.
pub fn order(round: usize) -> [Which; 2] {
    if round.is_multiple_of(2) {
        [Which::Ours, Which::Theirs]
    } else {
        [Which::Theirs, Which::Ours]
    }
}

/// Requests a second, or nanoseconds in the setting for latency.
pub fn measured(
    setting: &Setting,
    mode: Mode,
    id: &str,
    which: Which,
    requests: u64,
) -> Result<f64, Failure> {
    let mut client = setting.empty()?;
    let row = crate::rows::rows(&mut client)?;
    let row = row.into_iter().find(|row| row.id == id);
    let row = row.ok_or_else(|| format!("there is no row {id}"))?;
    // Whole pipelines: redis-benchmark sends no others.
    let pipelines = requests as f64 * row.part * mode.part() / mode.pipeline() as f64;
    let requests = (pipelines as u64).max(1) * mode.pipeline();
    let side = match which {
        Which::Ours => &row.ours,
        Which::Theirs => &row.theirs,
    };
    let failed = |failure| format!("{id}, {}: {failure}", side.name);
    let value = side_measured(setting, mode, &row, side, requests, &mut client);
    Ok(value.map_err(failed)?)
}

fn side_measured(
    setting: &Setting,
    mode: Mode,
    row: &Row,
    side: &Side,
    requests: u64,
    client: &mut Client,
) -> Result<f64, Failure> {
    // Where each command is timed, whoever sends it must time it finely.
    let sender = if mode == Mode::Latency {
        Sender::Own
    } else {
        row.sender
    };
    let there = match sender {
        Sender::Own => requests,
        Sender::Benchmark { numbers } => numbers,
    };
    if let Some(before) = &side.before {
        client.send_each(std::slice::from_ref(before), 0..there, 500)?;
        client.send_each(std::slice::from_ref(before), PROBE..PROBE + 1, 1)?;
    }
    // Its answers are looked at here; redis-benchmark does not.
    client.send_each(&side.commands, PROBE..PROBE + 1, 1)?;
    setting.settle()?;
    let keys_before = keys(client)?;
    client.ask(&["CONFIG", "RESETSTAT"])?;
    let value = match sender {
        Sender::Benchmark { numbers } => benchmark::Load {
            port: setting.server.port,
            connections: mode.connections(),
            pipeline: mode.pipeline(),
            requests,
            numbers,
            command: &side.commands[0],
        }
        .run()?,
        Sender::Own => {
            let load = own::Load {
                port: setting.server.port,
                connections: mode.connections(),
                pipeline: mode.pipeline(),
                times: requests,
                commands: &side.commands,
            };
            if mode == Mode::Latency {
                load.latency()?
            } else {
                load.run()?
            }
        }
    };
    no_error(client, side, requests)?;
    if sender != Sender::Own && side.keys == Keys::Same {
        no_miss(client)?;
    }
    setting.held()?;
    let (change, all) = (keys(client)? - keys_before, requests as i64);
    let is_right = match side.keys {
        Keys::More => change <= all && change as f64 >= SHARE_LEAST * all as f64,
        Keys::Same => change == 0,
        Keys::Fewer => change == -all,
    };
    if !is_right {
        return Err(format!("{all} requests changed the number of keys by {change}").into());
    }
    Ok(value)
}

fn keys(client: &mut Client) -> Result<i64, Failure> {
    Ok(client.ask(&["DBSIZE"])?.parse()?)
}

/// Whether the server did what was asked for, and answered none of it with an error.
fn no_error(client: &mut Client, side: &Side, requests: u64) -> Result<(), Failure> {
    let errors = client.ask(&["INFO", "errorstats"])?;
    if let Some(error) = errors.lines().find(|line| line.starts_with("errorstat_")) {
        return Err(format!("the server answered with errors: {error}").into());
    }
    let statistics = client.ask(&["INFO", "commandstats"])?;
    for command in &side.commands {
        let name = command.words[0].to_lowercase();
        let same = side.commands.iter();
        let same = same.filter(|it| it.words[0].eq_ignore_ascii_case(&name));
        let expected = requests * same.count() as u64;
        let calls = calls(&statistics, &name);
        if calls != Some(expected) {
            return Err(format!("{name} was called {calls:?} times, not {expected}").into());
        }
    }
    Ok(())
}

/// Whether every key that was looked for was there.
fn no_miss(client: &mut Client) -> Result<(), Failure> {
    let statistics = client.ask(&["INFO", "stats"])?;
    let mut lines = statistics.lines();
    match lines.find(|line| line.starts_with("keyspace_misses:")) {
        Some("keyspace_misses:0") => Ok(()),
        line => Err(format!("keys were not there: {line:?}").into()),
    }
}

/// How often a command was called, all of them without an error.
fn calls(statistics: &str, name: &str) -> Option<u64> {
    let prefix = format!("cmdstat_{name}:");
    let line = statistics
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))?;
    let field = |name| {
        let mut values = line.split(',').filter_map(|it| it.split_once('='));
        values.find(|(key, _)| *key == name)?.1.trim().parse().ok()
    };
    let refused: u64 = field("rejected_calls")?;
    let failed: u64 = field("failed_calls")?;
    (refused + failed == 0).then(|| field("calls")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_failed_count_for_nothing() {
        let line = "# Commandstats\r\ncmdstat_get:calls=7,usec=3,usec_per_call=0.4,\
            rejected_calls=0,failed_calls=0\r\ncmdstat_set:calls=9,usec=3,\
            usec_per_call=0.4,rejected_calls=0,failed_calls=2\r\n";
        assert_eq!(calls(line, "get"), Some(7));
        assert_eq!(calls(line, "set"), None);
        assert_eq!(calls(line, "del"), None);
    }

    #[test]
    fn whoever_is_first_in_one_round_is_second_in_the_next() {
        assert_eq!(order(0), [Which::Ours, Which::Theirs]);
        assert_eq!(order(1), [Which::Theirs, Which::Ours]);
    }
}
