//! The append-only file as bytes: which file is written to, what it says, and
//! what is put behind it by hand.

use super::support::resp::{command, length};
use super::support::{eventually, Client, Server};
use std::fs::{self, File};
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

/// What makes a server keep a log whose every line outlives a crash.
pub const ALWAYS: [&str; 3] = ["appendonly yes", "appendfsync always", "hz 100"];

/// The file that is written to now.
pub fn tail_path(server: &Server) -> PathBuf {
    named_last(server, "i")
}

/// The file that the log begins with.
pub fn base_path(server: &Server) -> PathBuf {
    named_last(server, "b")
}

/// The manifest has a line for each file: `file NAME seq N type T`, and more on
/// later servers.
fn named_last(server: &Server, kind: &str) -> PathBuf {
    let directory = server.directory().join("appendonlydir");
    let manifest = fs::read_to_string(directory.join("appendonly.aof.manifest"));
    let manifest = manifest.expect("the log has a manifest");
    let names: Vec<&str> = manifest
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.windows(2).any(|pair| pair == ["type", kind]))
        .filter_map(|words| words.get(1).copied())
        .collect();
    let name = names.last().unwrap_or_else(|| panic!("{manifest}"));
    directory.join(name)
}

/// The bytes of the file that is written to now.
pub fn tail(server: &Server) -> Vec<u8> {
    fs::read(tail_path(server)).expect("a file of the log")
}

/// The commands in the file that is written to now, as lines, without SELECT.
pub fn tail_lines(server: &Server) -> Vec<String> {
    lines(&tail(server))
}

/// As [`tail_lines`], without the time at which the term of a ceiling began.
pub fn tail_lines_without_times(server: &Server) -> Vec<String> {
    let without_time = |line: String| match line.strip_prefix("LOCK._CEILING ") {
        Some(rest) => match rest.rsplit_once(' ') {
            Some((ceiling_and_lease, _)) => format!("LOCK._CEILING {ceiling_and_lease}"),
            None => line,
        },
        None => line,
    };
    tail_lines(server).into_iter().map(without_time).collect()
}

/// The commands in `bytes`, as lines, without SELECT. What is cut off in the
/// middle of a command ends the list.
pub fn lines(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(words) = next_command(&mut bytes) {
        let words: Vec<String> = words
            .iter()
            .map(|word| word.escape_ascii().to_string())
            .collect();
        if words[0] != "SELECT" {
            lines.push(words.join(" "));
        }
    }
    lines
}

fn next_command(bytes: &mut &[u8]) -> Option<Vec<Vec<u8>>> {
    let count = length(&next_line(bytes)?, b'*').expect("a command");
    let mut words = Vec::new();
    for _ in 0..count {
        let count = length(&next_line(bytes)?, b'$').expect("a word");
        let mut word = vec![0; count + 2];
        bytes.read_exact(&mut word).ok()?;
        word.truncate(count);
        words.push(word);
    }
    Some(words)
}

fn next_line(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    bytes.read_until(b'\n', &mut line).ok()?;
    line.ends_with(b"\r\n").then(|| {
        line.truncate(line.len() - 2);
        line
    })
}

/// Writes commands behind the log of a server that does not run; no word may
/// hold a space.
pub fn append(server: &Server, lines: &[String]) {
    let file = File::options().append(true).open(tail_path(server));
    let mut file = file.expect("a file of the log");
    for line in lines {
        let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        file.write_all(&command(&words)).expect("a file of the log");
    }
}

/// Has the log rewritten, and waits until that is done.
pub fn rewrite(client: &mut Client) {
    client.say("BGREWRITEAOF");
    wait_for_rewrite(client);
}

/// Waits until no rewrite of the log runs or is about to.
pub fn wait_for_rewrite(client: &mut Client) {
    eventually("the log is rewritten", || {
        let is_over = client.info("aof_rewrite_in_progress") == "0"
            && client.info("aof_rewrite_scheduled") == "0";
        is_over.then_some(())
    });
    assert_eq!(client.info("aof_last_bgrewrite_status"), "ok");
}
