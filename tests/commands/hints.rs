//! redis-cli gives hints while somebody types, of what the server says of its commands.

use crate::support::{eventually, Server};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A terminal with redis-cli in it.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    /// `None`: there is no `script`, which makes terminals.
    fn open(server: &Server) -> Option<Self> {
        let inside = format!("stty cols 200; exec redis-cli -p {}", server.port());
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &inside, "/dev/null"])
            .env("TERM", "xterm")
            .env("HOME", server.directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let shown = Arc::new(Mutex::new(String::new()));
        let mut output = child.stdout.take().expect("it is piped");
        let screen = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                screen.lock().expect("nobody panics").push_str(&text);
            }
        });
        Some(Self { child, shown })
    }

    fn type_in(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(text.as_bytes()).expect("it reads");
        input.flush().expect("it reads");
    }

    /// The line in which somebody types, without colours.
    fn line(&self) -> String {
        let shown = self.shown.lock().expect("nobody panics");
        let mut lines = shown.split('\r').rev().filter(|line| line.contains('>'));
        let line = lines.next().unwrap_or_default();
        let mut plain = String::new();
        let mut parts = line.split('\u{1b}');
        plain.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let end = part.find(|it: char| it.is_ascii_alphabetic());
            plain.push_str(end.map_or("", |end| &part[end + 1..]));
        }
        plain
    }

    fn shows(&self, words: &str) {
        eventually(words, || self.line().contains(words).then_some(()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn redis_cli_says_what_comes_next_while_somebody_types() {
    let server = Server::start();
    let Some(mut terminal) = Terminal::open(&server) else {
        eprintln!("there is no `script` here: no terminal to type in");
        return;
    };
    terminal.shows("> ");
    terminal.type_in("LOCK.RELEASE ");
    terminal.shows("LOCK.RELEASE key owner [TOKEN token]");
    terminal.type_in("seat:42 ");
    terminal.shows("LOCK.RELEASE seat:42 owner [TOKEN token]");
    // Ctrl-U: from the start.
    terminal.type_in("\u{15}LOCK.INFO ");
    terminal.shows("LOCK.INFO key");
    terminal.type_in("\u{15}LOCK.ACQUIRE seat:42 alice ");
    terminal.shows("LOCK.ACQUIRE seat:42 alice ttl-ms [BLOCK timeout-ms] [SESSION] [SHARED|LIMIT ");
}
