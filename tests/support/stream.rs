//! A listener to the replication stream: a replica that keeps nothing.
//!
//! It asks for a full synchronisation, throws the file away and hears every
//! command after that. To know that nothing was sent, a marker is sent behind.

use super::resp::{length, Wire};
use super::{Client, Server};

/// The stream of one server.
pub struct Stream {
    wire: Wire,
    markers: usize,
}

/// Commands as lines of words.
pub type Lines = Vec<String>;

impl Stream {
    /// Begins to listen to the server on `port`; returns when it is in step.
    pub fn of(port: u16) -> Self {
        let mut wire = Wire::connect(port);
        wire.send(b"SYNC\r\n").expect("the server listens");
        let head = loop {
            // The server sends empty lines while it prepares the file.
            let line = wire.line().expect("a file");
            if !line.is_empty() {
                break line;
            }
        };
        let count = length(&head, b'$').expect("the length of the file");
        wire.bytes(count).expect("the file");
        Self { wire, markers: 0 }
    }

    /// What was sent since the last time, without PING and SELECT.
    pub fn heard(&mut self, client: &mut Client) -> Lines {
        let mut lines = self.heard_with_databases(client);
        lines.retain(|line| !line.to_lowercase().starts_with("select "));
        lines
    }

    /// What was sent since the last time, without PING.
    pub fn heard_with_databases(&mut self, client: &mut Client) -> Lines {
        self.markers += 1;
        let marker = format!("marker:{}", self.markers);
        client.say(&format!("PUBLISH {marker} x"));
        let mut lines = Lines::new();
        loop {
            let words = self.wire.command().expect("a command");
            let line = words
                .iter()
                .map(|word| word.escape_ascii().to_string())
                .collect::<Vec<_>>()
                .join(" ");
            if line.to_lowercase() == format!("publish {marker} x") {
                return lines;
            }
            let verb = words.first().map(|word| word.to_ascii_lowercase());
            if verb.as_deref() != Some(b"ping") {
                lines.push(line);
            }
        }
    }
}

/// A server and a listener to it.
pub struct Listening {
    pub server: Server,
    pub client: Client,
    pub stream: Stream,
}

impl Listening {
    /// To a server whose first token is issued, for so long a lease, so that the
    /// ceiling is written.
    pub fn start(ttl_ms: u64) -> Self {
        let server = Server::start();
        let mut client = server.client();
        client.acquired("warm-up", "x", ttl_ms);
        client.release("warm-up", "x");
        let stream = Stream::of(server.port());
        Self {
            server,
            client,
            stream,
        }
    }

    /// What was sent since the last time.
    pub fn heard(&mut self) -> Lines {
        self.stream.heard(&mut self.client)
    }
}
