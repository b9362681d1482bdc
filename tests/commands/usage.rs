//! What people read of the commands says what COMMAND DOCS says: LOCK.HELP, the table of
//! the README, and the errors that quote how a command is called. And what LOCK.HELP says
//! of a lock that is stuck is tried.

use crate::described::COMMANDS;
use crate::grammar::{arguments, calls, calls_of_text, Shown};
use crate::support::{eventually, Client, Server, Waiter};
use std::collections::BTreeSet;

const README: &str = include_str!("../../README.md");

/// Every call of a command that the docs allow, in the words that people are shown.
fn documented(client: &mut Client, command: &str) -> BTreeSet<String> {
    let arguments = arguments(client, command);
    let calls = calls(&arguments, Shown::placeholder).into_iter();
    calls
        .map(|words| {
            let name = [command.to_uppercase()];
            [&name[..], &words[..]].concat().join(" ")
        })
        .collect()
}

/// Every call of a command that these lines of text allow together.
fn written(lines: &[String], command: &str) -> BTreeSet<String> {
    let name = command.to_uppercase();
    let lines = lines.iter().filter(|line| {
        let first = line.split(' ').next();
        first == Some(&name)
    });
    lines.flat_map(|line| calls_of_text(line)).collect()
}

fn assert_agrees(client: &mut Client, lines: &[String]) {
    for command in COMMANDS {
        assert_eq!(written(lines, command), documented(client, command));
    }
}

#[test]
fn the_help_shows_the_calls_that_the_docs_allow() {
    let server = Server::start();
    let mut client = server.client();
    let help = client.texts("LOCK.HELP");
    assert_agrees(&mut client, &help);
    for line in &help {
        assert!(line.is_ascii() && line.len() <= 90, "{line}");
    }
}

#[test]
fn the_table_of_the_readme_shows_the_calls_that_the_docs_allow() {
    let server = Server::start();
    let rows = README.lines().filter(|line| line.starts_with("| `LOCK."));
    let usage = rows.map(|row| {
        let row = row.replace("\\|", "|");
        row.split('`').nth(1).unwrap_or_default().to_owned()
    });
    assert_agrees(&mut server.client(), &usage.collect::<Vec<_>>());
}

#[test]
fn an_error_quotes_the_calls_that_the_docs_allow() {
    let server = Server::start();
    let mut client = server.client();
    for (command, call) in [
        ("lock.acquire", "LOCK.ACQUIRE k me 1000 NX"),
        ("lock.release", "LOCK.RELEASE k me NX"),
        ("lock.extend", "LOCK.EXTEND k me 1000 NX"),
        ("lock.fence", "LOCK.FENCE k 5 NX"),
    ] {
        let error = client.error_of(call);
        let quoted = error.split("is not part of ").nth(1);
        let usage = quoted.unwrap_or_default().to_owned();
        assert_eq!(written(&[usage], command), documented(&mut client, command));
    }
}

#[test]
fn what_the_help_says_of_a_stuck_lock_is_what_finds_and_breaks_it() {
    let server = Server::start();
    let mut client = server.client();
    let help = client.texts("LOCK.HELP").join("\n");
    for words in [
        "SCAN 0 TYPE redislock COUNT 1000",
        "LOCK.INFO key",
        "CLIENT LIST",
        "LOCK.RELEASE key owner",
        "CLIENT KILL ID id",
        "DEL key",
    ] {
        assert!(help.contains(words), "{words}");
    }
    let holder = Waiter::asks(&server, "LOCK.ACQUIRE stuck a 600000 SESSION");
    eventually("it is held", || client.fence("stuck"));
    let lines =
        ["b", "c", "d", "e"].map(|owner| format!("LOCK.ACQUIRE stuck {owner} 600000 BLOCK 0"));
    let [mut b, mut c, mut d, mut e] = lines.map(|line| Waiter::joins(&server, &mut client, &line));
    client.say("SET other v");
    let found = client.say("SCAN 0 TYPE redislock COUNT 1000");
    assert!(format!("{found:?}").contains("stuck"), "{found:?}");
    assert!(!format!("{found:?}").contains("other"), "{found:?}");
    let info = format!("{:?}", client.say("LOCK.INFO stuck"));
    assert!(info.contains(&format!("int({})", holder.id)), "{info}");
    let connections = client.text("CLIENT LIST");
    assert!(connections.contains(&format!("id={} ", holder.id)));

    client.say(&format!("CLIENT KILL ID {}", holder.id));
    b.token();
    client.say(&format!("CLIENT KILL ID {}", c.id));
    assert!(c.answer().starts_with("closed"));
    assert_eq!(client.release("stuck", "b"), 1);
    d.token();
    client.say("DEL stuck");
    e.token();
    assert_eq!(client.number("LOCK.EXTEND stuck d 600000"), 0);
}
