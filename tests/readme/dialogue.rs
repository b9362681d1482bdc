//! Each block marked `redis-cli` is typed into a shell, and its output is what
//! the page says. Tokens differ from day to day: a token of the page stands for
//! the token that the server gave in its place, and must rise where the page's
//! tokens rise.

use super::support::Server;
use std::collections::BTreeMap;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// A command and what follows it.
struct Exchange {
    typed: String,
    shown: String,
}

fn dialogues() -> Vec<Vec<Exchange>> {
    let blocks = README.split("```redis-cli\n").skip(1);
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
    let words = text.split(' ').map(|word| {
        let known = as_token(word).and_then(|token| tokens.get(&token));
        known.map_or(word.to_owned(), u64::to_string)
    });
    words.collect::<Vec<_>>().join(" ")
}

fn type_in(server: &Server, line: &str) -> String {
    let output = Command::new("redis-cli")
        .args(["--no-raw", "-p", &server.port().to_string()])
        .args(line.split_whitespace())
        .output()
        .expect("redis-cli is installed");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

#[test]
fn the_dialogues_of_the_readme_are_real() {
    let dialogues = dialogues();
    assert!(!dialogues.is_empty(), "the README has a dialogue");
    for dialogue in dialogues {
        let server = Server::start();
        // From a token of the page to the token of the server.
        let mut tokens = BTreeMap::new();
        for exchange in dialogue {
            let got = type_in(&server, &translated(&exchange.typed, &tokens));
            let said = exchange.shown.strip_prefix("(integer) ");
            let meant = got.strip_prefix("(integer) ");
            if let (Some(said), Some(meant)) = (said.and_then(as_token), meant.and_then(as_token)) {
                tokens.entry(said).or_insert(meant);
            }
            let expected = translated(&exchange.shown, &tokens);
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
