//! Each block marked `redis-cli` is typed into a shell, and its output is what
//! the page says. Tokens differ from day to day: a token of the page stands for
//! the token that the server gave in its place, and must rise where the page's
//! tokens rise. So do times: in the lines that say how long, any number will do.
//! What ends with `&` waits in the background until the dialogue is over.

use super::support::{blocked_clients, eventually, Server};
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

const README: &str = include_str!("../../README.md");
const MOVING: &str = include_str!("../../docs/MOVING.md");

/// A command and what follows it.
struct Exchange {
    typed: String,
    shown: String,
}

fn dialogues(page: &str) -> Vec<Vec<Exchange>> {
    let blocks = page.split("```redis-cli\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.map(exchanges).collect()
}

fn exchanges(block: &str) -> Vec<Exchange> {
    let parts = block.split("$ redis-cli ").skip(1);
    let exchange = |part: &str| {
        let (typed, shown) = part.split_once('\n').unwrap_or((part, ""));
        Exchange {
            typed: typed.to_owned(),
            shown: shown.trim_end().to_owned(),
        }
    };
    parts.map(exchange).collect()
}

/// Numbers this large are tokens.
fn as_token(word: &str) -> Option<u64> {
    word.parse().ok().filter(|&number: &u64| number > 1 << 40)
}

/// Puts the server's tokens where the page has its own.
fn translated(text: &str, tokens: &BTreeMap<u64, u64>) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let bare = word.trim_end();
        let known = as_token(bare).and_then(|token| tokens.get(&token));
        known.map_or(word.to_owned(), |token| {
            format!("{token}{}", &word[bare.len()..])
        })
    });
    words.collect()
}

/// Without what differs from day to day, and without spaces at the ends of lines.
fn comparable(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let says_how_long = [
            "\"ttl-ms\"",
            "\"held-ms\"",
            "\"waited-ms\"",
            "\"cooling-ms\"",
        ];
        let is_time = says_how_long.iter().any(|name| line.contains(name));
        match line.rsplit_once(' ') {
            Some((start, number)) if is_time && number.parse::<u64>().is_ok_and(|ms| ms > 0) => {
                format!("{start} so many")
            }
            _ => line.trim_end().to_owned(),
        }
    });
    lines.collect()
}

fn redis_cli(server: &Server, line: &str) -> Command {
    let mut command = Command::new("redis-cli");
    command
        .args(["--no-raw", "-p", &server.port().to_string()])
        .args(line.split_whitespace());
    command
}

fn type_in(server: &Server, line: &str) -> String {
    let output = redis_cli(server, line).output();
    let output = output.expect("redis-cli is installed");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// A command that waits; it ends with the test.
struct InBackground(Child);

impl InBackground {
    fn type_in(server: &Server, line: &str) -> Self {
        let mut client = server.client();
        let blocked = blocked_clients(&mut client);
        let child = redis_cli(server, line).stdout(Stdio::null()).spawn();
        let background = Self(child.expect("redis-cli is installed"));
        eventually("it waits", || {
            (blocked_clients(&mut client) > blocked).then_some(())
        });
        background
    }
}

impl Drop for InBackground {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_dialogues_of_the_readme_are_real() {
    are_real(README);
}

#[test]
fn the_dialogues_of_the_page_on_moving_over_are_real() {
    are_real(MOVING);
}

fn are_real(page: &str) {
    let dialogues = dialogues(page);
    assert!(!dialogues.is_empty(), "the page has a dialogue");
    for dialogue in dialogues {
        let server = Server::start();
        // From a token of the page to the token of the server.
        let mut tokens = BTreeMap::new();
        let mut background = Vec::new();
        for exchange in dialogue {
            let typed = translated(&exchange.typed, &tokens);
            if let Some(waits) = typed.strip_suffix(" &") {
                background.push(InBackground::type_in(&server, waits));
                continue;
            }
            let got = type_in(&server, &typed);
            let said = exchange.shown.strip_prefix("(integer) ");
            let meant = got.strip_prefix("(integer) ");
            if let (Some(said), Some(meant)) = (said.and_then(as_token), meant.and_then(as_token)) {
                tokens.entry(said).or_insert(meant);
            }
            let expected = translated(&exchange.shown, &tokens);
            let (got, expected) = (comparable(&got), comparable(&expected));
            assert_eq!(got, expected, "redis-cli {}", exchange.typed);
        }
        let given: Vec<u64> = tokens.values().copied().collect();
        assert!(given.is_sorted(), "tokens rise where the page's do");
    }
}

/// What the page says of tests exists.
#[test]
fn the_tests_that_the_promises_name_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let table = README
        .split("## What is promised")
        .nth(1)
        .unwrap_or_default();
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    assert!(rows.len() > 5, "the table of promises is there");
    for row in &rows[1..] {
        let proof = row.rsplit('|').nth(1).unwrap_or_default();
        for name in proof.split('`').skip(1).step_by(2) {
            let path = root.join(name.replace("::", "/"));
            let is_there = path.is_dir() || path.with_extension("rs").is_file();
            assert!(is_there, "{name}, named in: {row}");
        }
    }
}
