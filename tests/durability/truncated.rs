//! A log whose end is missing: what is left of it is exactly one earlier moment.

use super::holds::{digest, raise_far, RESERVE};
use super::log_file::{lines, tail, tail_path, ALWAYS};
use super::support::{Client, Server};
use std::fs;

/// What the locks were when the log had a length.
struct Moment {
    length: usize,
    digest: String,
}

fn moment(server: &Server, client: &mut Client) -> Moment {
    Moment {
        digest: digest(client),
        length: tail(server).len(),
    }
}

/// Lets things happen one after the other, and notes each moment. The tokens
/// are far ahead of the clock after the first, so that it is of no help.
fn history(server: &Server, client: &mut Client) -> Vec<Moment> {
    let mut moments = vec![moment(server, client)];
    client.acquired("raised", "alice", 60_000);
    moments.push(moment(server, client));
    raise_far(client, "raised", "alice");
    moments.push(moment(server, client));
    for line in [
        "LOCK.ACQUIRE a alice 60000",
        "LOCK.ACQUIRE b bob 60000",
        "LOCK.EXTEND a alice 70000",
        "LOCK.RELEASE b bob",
        "LOCK.ACQUIRE b carol 60000",
        "DEL b",
        "LOCK.RELEASE a alice",
        "LOCK.ACQUIRE a dora 80000",
        "SET string x",
        "LOCK.RELEASE raised alice",
    ] {
        client.say(line);
        moments.push(moment(server, client));
    }
    client.say("MULTI");
    client.say("LOCK.ACQUIRE a eve 60000");
    client.say("LOCK.ACQUIRE c eve 60000");
    client.say("LOCK.RELEASE a dora");
    client.say("LOCK.ACQUIRE a eve 90000");
    client.say("EXEC");
    moments.push(moment(server, client));
    moments
}

/// The largest ceiling in a log.
fn ceiling(log: &[u8]) -> Option<i64> {
    let numbers = lines(log).into_iter().filter_map(|line| {
        let rest = line.strip_prefix("LOCK._CEILING ")?.to_owned();
        rest.split(' ').next()?.parse().ok()
    });
    numbers.max()
}

#[test]
fn a_log_cut_off_anywhere_loads_as_the_last_moment_that_is_whole() {
    let mut server = Server::with(&ALWAYS);
    let mut client = server.client();
    let moments = history(&server, &mut client);
    let last = client.acquired("last", "fred", 60_000);
    server.kill();
    let path = tail_path(&server);
    let log = fs::read(&path).expect("a file of the log");
    let far = moments[2].length;
    // Every seventh byte, and around each moment.
    let edges = moments.iter().map(|moment| moment.length);
    let mut cuts: Vec<usize> = edges
        .flat_map(|at| [at.saturating_sub(1), at, at + 1])
        .collect();
    cuts.extend((0..log.len()).step_by(7));
    for cut in cuts {
        fs::write(&path, &log[..cut]).expect("a file of our own");
        server.start_again();
        let mut client = server.client();
        let whole = moments.iter().rev().find(|moment| moment.length <= cut);
        let whole = whole.expect("an empty log is whole");
        assert_eq!(digest(&mut client), whole.digest, "cut off at {cut}");
        let next = client.acquired("next", "x", 60_000);
        let known = ceiling(&log[..whole.length]);
        assert!(Some(next) > known, "cut off at {cut}: {next}, {known:?}");
        if cut >= far {
            assert!(next > last, "cut off at {cut}: {next} is not above {last}");
        }
        server.assert_healthy();
        server.kill();
    }
}

/// With the ceiling on disk in front of the first grant that needs it, not even
/// a grant whose own line is lost can be repeated.
#[test]
fn tokens_whose_lines_are_lost_are_never_issued_again() {
    let mut server = Server::with(&ALWAYS);
    let mut client = server.client();
    client.acquired("raised", "alice", 60_000);
    let far = raise_far(&mut client, "raised", "alice");
    let known = tail(&server).len();
    let script = "local t for i = 1, 1000 do
        t = redis.call('LOCK.ACQUIRE', KEYS[1], 'x', '1000')
        redis.call('LOCK.RELEASE', KEYS[1], 'x') end return t";
    client.call(&["EVAL", script, "1", "k"]);
    let lost = client.acquired("k", "x", 60_000);
    assert!(lost > far + 1_000);
    server.kill();
    let path = tail_path(&server);
    let log = fs::read(&path).expect("a file of the log");
    fs::write(&path, &log[..known]).expect("a file of our own");
    server.start_again();
    let mut client = server.client();
    let next = client.acquired("k", "y", 60_000);
    assert!(next > lost, "{next} is not above {lost}");
    assert!(next > far + RESERVE);
}

#[test]
fn a_log_cut_off_in_front_of_the_first_ceiling_leaves_it_to_the_clock() {
    let mut server = Server::with(&ALWAYS);
    let mut client = server.client();
    let script = "local t for i = 1, 20000 do
        t = redis.call('LOCK.ACQUIRE', KEYS[1], 'x', '1000')
        redis.call('LOCK.RELEASE', KEYS[1], 'x') end return t";
    client.call(&["EVAL", script, "1", "k"]);
    let lost = client.acquired("k", "x", 60_000);
    server.kill();
    fs::write(tail_path(&server), b"").expect("a file of our own");
    server.start_again();
    let next = server.client().acquired("k", "y", 60_000);
    assert!(next > lost, "{next} is not above {lost}");
}
