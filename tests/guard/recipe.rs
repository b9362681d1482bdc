//! Several commands under one token: WATCH lock, FENCE lock token, MULTI ... EXEC.
//! The lock changes hands between every two steps, from another connection.

use super::support::{eventually, Client, Server};
use redis::Value;

const STEPS: usize = 5;

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// FENCE said that the token is not live.
    Refused,
    /// EXEC said nil.
    Aborted,
    /// It was executed.
    Done,
}

/// Follows the recipe; `between` is called in front of the step with that number.
fn follow(client: &mut Client, token: i64, mut between: impl FnMut(usize)) -> Outcome {
    between(0);
    client.say("WATCH lock");
    between(1);
    if !client.is_live("lock", token) {
        client.say("UNWATCH");
        return Outcome::Refused;
    }
    between(2);
    client.say("MULTI");
    between(3);
    client.say("SET one v");
    client.say("SET two v");
    between(4);
    match client.say("EXEC") {
        Value::Nil => Outcome::Aborted,
        Value::Array(_) => Outcome::Done,
        other => panic!("{other:?}"),
    }
}

/// How the lock is held, what somebody does, and whether the token is still live.
struct Change {
    held: &'static str,
    lines: &'static [&'static str],
    is_live: bool,
}

const fn change(held: &'static str, lines: &'static [&'static str]) -> Change {
    Change {
        held,
        lines,
        is_live: false,
    }
}

const fn keeps(held: &'static str, lines: &'static [&'static str]) -> Change {
    Change {
        held,
        lines,
        is_live: true,
    }
}

const HELD: &str = "LOCK.ACQUIRE lock me 600000";
const READS: &str = "LOCK.ACQUIRE lock me 600000 SHARED";

fn run(change: &Change, at: usize) -> Outcome {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    let token = client.number(change.held);
    let outcome = follow(&mut client, token, |step| {
        if step == at {
            for line in change.lines {
                other.say(&line.replace("{more}", &(token + 1).to_string()));
            }
        }
    });
    let written = other.number("EXISTS one two");
    assert_eq!(written, if outcome == Outcome::Done { 2 } else { 0 });
    outcome
}

#[test]
fn a_change_of_holders_between_any_two_steps_leaves_nothing_written() {
    let changes = [
        change(HELD, &["DEL lock"]),
        change(HELD, &["LOCK.RELEASE lock me"]),
        change(HELD, &["LOCK.RELEASE lock me", HELD]),
        change(
            HELD,
            &["LOCK.RELEASE lock me", "LOCK.ACQUIRE lock you 600000"],
        ),
        change(HELD, &["LOCK.EXTEND lock me 600000 RAISE {more}"]),
        change(HELD, &["FLUSHALL"]),
        change(HELD, &["SET lock x", "DEL lock"]),
        change(READS, &["LOCK.RELEASE lock me"]),
        keeps(READS, &["LOCK.ACQUIRE lock you 600000 SHARED"]),
    ];
    for (index, change) in changes.iter().enumerate() {
        for at in 0..STEPS {
            let expected = match (at, change.is_live) {
                (0 | 1, false) => Outcome::Refused,
                // Nothing had been watched when it came.
                (0, true) => Outcome::Done,
                _ => Outcome::Aborted,
            };
            assert_eq!(
                run(change, at),
                expected,
                "change {index} in front of step {at}"
            );
        }
    }
}

#[test]
fn what_is_no_change_of_holders_leaves_the_transaction_alone() {
    let quiet = [
        keeps(HELD, &["LOCK.EXTEND lock me 700000"]),
        keeps(HELD, &["LOCK.ACQUIRE lock me 700000"]),
        keeps(HELD, &["LOCK.ACQUIRE lock you 1000"]),
        keeps(HELD, &["LOCK.RELEASE lock you"]),
        keeps(HELD, &["LOCK.ACQUIRE lock me 600000 DELAY 5000"]),
        keeps(READS, &["LOCK.ACQUIRE lock you 1000"]),
        keeps(HELD, &["LOCK.INFO lock"]),
    ];
    for (index, change) in quiet.iter().enumerate() {
        for at in 0..STEPS {
            assert_eq!(
                run(change, at),
                Outcome::Done,
                "{index} in front of step {at}"
            );
        }
    }
}

#[test]
fn a_lease_that_ends_between_any_two_steps_leaves_nothing_written() {
    for at in 0..STEPS {
        let server = Server::start();
        let (mut client, mut other) = (server.client(), server.client());
        // Long enough to come so far, short enough to be waited for.
        let token = client.acquired("lock", "me", 300);
        let outcome = follow(&mut client, token, |step| {
            if step == at {
                eventually("the lease ends", || (!other.exists("lock")).then_some(()));
            }
        });
        let expected = if at < 2 {
            Outcome::Refused
        } else {
            Outcome::Aborted
        };
        assert_eq!(outcome, expected, "in front of step {at}");
        assert_eq!(other.number("EXISTS one two"), 0);
    }
}

#[test]
fn a_waiter_that_joins_changes_nothing_and_one_that_is_granted_does() {
    let server = Server::start();
    let (mut client, mut other) = (server.client(), server.client());
    let token = client.number(HELD);
    let mut waiter = None;
    let outcome = follow(&mut client, token, |step| {
        if step == 2 {
            let line = "LOCK.ACQUIRE lock you 600000 BLOCK 0";
            waiter = Some(super::support::Waiter::joins(&server, &mut other, line));
        }
    });
    assert_eq!(outcome, Outcome::Done);
    other.say("DEL one two");
    let outcome = follow(&mut client, token, |step| {
        if step == 3 {
            other.release("lock", "me");
        }
    });
    assert_eq!(outcome, Outcome::Aborted);
    let next = waiter.expect("it waits").token();
    assert_eq!(follow(&mut client, next, |_| {}), Outcome::Done);
}

/// A lapse that is followed by cooling is one, too: the token is not live.
#[test]
fn a_lease_that_ends_and_cools_between_any_two_steps_leaves_nothing_written() {
    for at in 0..STEPS {
        let server = Server::start();
        let (mut client, mut other) = (server.client(), server.client());
        let token = client.number("LOCK.ACQUIRE lock me 300 DELAY 600000");
        let outcome = follow(&mut client, token, |step| {
            if step == at {
                eventually("it cools", || (!other.is_live("lock", token)).then_some(()));
            }
        });
        assert_ne!(outcome, Outcome::Done, "in front of step {at}");
        assert_eq!(other.number("EXISTS one two"), 0);
    }
}
