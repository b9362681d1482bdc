//! The clients in Go: a program of their own, beside this file, driven over its standard
//! input and output.

use crate::seen::Seen;
use crate::ways::{Crowd, Keys};
use stand::Failure;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ended, whatever becomes of this program's business with it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The clients' own time-out is what it is, or this, and then they fail fast.
pub fn watch(
    program: &Path,
    crowd: &Crowd,
    timeout: Option<Duration>,
    begin: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<Seen, Failure> {
    let servers = crowd.ports.iter().map(|port| format!("127.0.0.1:{port}"));
    let servers: Vec<String> = servers.collect();
    let mut command = Command::new(program);
    command.args(["-servers", &servers.join(","), "-key", &crowd.prefix]);
    command.args(["-clients", &crowd.clients.to_string()]);
    command.args(["-ms", &crowd.window.as_millis().to_string()]);
    command.args(["-ttl", &crowd.ttl.as_millis().to_string()]);
    if crowd.keys == Keys::One {
        command.arg("-one");
    }
    if let Some(timeout) = timeout {
        command.args(["-timeout", &timeout.as_millis().to_string()]);
    }
    // What go-redis logs about servers that fail is no news here.
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::null());
    let child = command.spawn();
    let child = child.map_err(|error| format!("{}: {error}", program.display()))?;
    let mut ended = Ended(child);
    let (Some(mut tell), Some(said)) = (ended.0.stdin.take(), ended.0.stdout.take()) else {
        return Err("its standard input and output are gone".into());
    };
    let mut said = BufReader::new(said);
    let mut line = String::new();
    said.read_line(&mut line)?;
    if line.trim() != "ready" {
        return Err(format!("{}: {line:?} instead of ready", program.display()).into());
    }
    begin()?;
    tell.write_all(b"\n")?;
    let mut json = String::new();
    said.read_to_string(&mut json)?;
    Ok(Seen::new(serde_json::from_str(&json)?, crowd.window))
}
