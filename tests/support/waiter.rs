//! A connection that stands in line.

use super::resp::Wire;
use super::{eventually, Client, Server};

/// One blocked connection, or one that was told.
pub struct Waiter {
    wire: Wire,
    /// The server's number for the connection.
    pub id: i64,
}

impl Waiter {
    /// Sends a line of words that blocks; returns when the server says that one
    /// more client is blocked.
    pub fn joins(server: &Server, watcher: &mut Client, line: &str) -> Self {
        let blocked = blocked_clients(watcher);
        let waiter = Self::asks(server, line);
        eventually("one more client is blocked", || {
            (blocked_clients(watcher) > blocked).then_some(())
        });
        waiter
    }

    /// Sends a line of words, whatever comes of it.
    pub fn asks(server: &Server, line: &str) -> Self {
        let mut wire = Wire::connect(server.port());
        wire.send_command(&[b"CLIENT", b"ID"]).expect("it listens");
        let id = wire.line().expect("a number");
        let id = String::from_utf8_lossy(&id[1..]).parse();
        let mut waiter = Self {
            wire,
            id: id.expect("a number"),
        };
        waiter.say(line);
        waiter
    }

    /// A connection that speaks RESP3.
    pub fn in_resp3(server: &Server) -> Self {
        let mut waiter = Self::asks(server, "HELLO 3");
        waiter.say("PING");
        while waiter.answer() != "+PONG" {}
        waiter
    }

    /// Sends a line of words that blocks, and waits as [`Waiter::joins`] does.
    pub fn waits(&mut self, watcher: &mut Client, line: &str) {
        let blocked = blocked_clients(watcher);
        self.say(line);
        eventually("one more client is blocked", || {
            (blocked_clients(watcher) > blocked).then_some(())
        });
    }

    /// Sends another line of words behind.
    pub fn say(&mut self, line: &str) {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.wire.send_command(&words).expect("it listens");
    }

    /// The next line that the server sends, or why there is none.
    pub fn answer(&mut self) -> String {
        match self.wire.line() {
            Ok(line) => String::from_utf8_lossy(&line).into_owned(),
            Err(error) => format!("closed: {}", error.kind()),
        }
    }

    /// The token it is told.
    pub fn token(&mut self) -> i64 {
        let answer = self.answer();
        let number = answer.strip_prefix(':').and_then(|it| it.parse().ok());
        number.unwrap_or_else(|| panic!("no token but {answer}"))
    }

    /// That it is told nil.
    pub fn is_told_nil(&mut self) {
        assert_eq!(self.answer(), "$-1");
    }

    /// Whether nothing has come for it so far.
    pub fn is_silent(&self) -> bool {
        self.wire.is_silent()
    }
}

/// How many clients the server says are blocked.
pub fn blocked_clients(client: &mut Client) -> i64 {
    client.info("blocked_clients").parse().expect("a number")
}
