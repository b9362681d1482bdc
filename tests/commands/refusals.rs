//! A call that must change nothing, watched from all sides.
//!
//! A call is written as its words with `|` between them, so that a word may be
//! empty or hold a space. Answers are lines as they are on the wire.

use crate::support::resp::Wire;
use crate::support::{Client, Server, Stream};

/// A server with a lock, one key of each other kind, and somebody who listens.
pub struct Refusals {
    pub server: Server,
    pub client: Client,
    wire: Wire,
    stream: Stream,
}

impl Refusals {
    /// The lock is `held` by `me`; nothing is called `free`.
    pub fn new() -> Self {
        let server = Server::start();
        let mut client = server.client();
        client.acquired("held", "me", 600_000);
        client.say("SET string 9");
        client.say("RPUSH list 9");
        client.say("HSET hash field 9");
        client.say("SADD set 9");
        client.say("ZADD sorted 9 nine");
        client.say("XADD stream 1-1 field 9");
        Self {
            client,
            wire: Wire::connect(server.port()),
            stream: Stream::of(server.port()),
            server,
        }
    }

    /// The first line of the answer.
    pub fn line_of(&mut self, call: &str) -> String {
        let words: Vec<&[u8]> = call.split('|').map(str::as_bytes).collect();
        self.wire.send_command(&words).expect("it listens");
        self.line()
    }

    /// The next line of the answer.
    pub fn line(&mut self) -> String {
        let line = self.wire.line().expect("an answer");
        String::from_utf8(line).expect("our errors are ASCII")
    }

    /// The one line that the call gets, after which the connection is in step.
    pub fn answer(&mut self, call: &str) -> String {
        let line = self.line_of(call);
        let pong = self.line_of("PING");
        assert_eq!(pong, "+PONG", "{call}: more than one line");
        line
    }

    /// That the call gets this error line, and that was all.
    pub fn assert_refused(&mut self, call: &str, error: &str) {
        assert!(error.starts_with('-'), "{error}");
        self.assert_only_answers(call, error);
    }

    /// That the call gets this line, and that was all.
    pub fn assert_only_answers(&mut self, call: &str, line: &str) {
        self.assert_changes_nothing(call, |this| {
            assert_eq!(this.answer(call), line, "{call}");
        });
    }

    /// That no data changed, and that no replica heard of anything.
    pub fn assert_changes_nothing(&mut self, call: &str, act: impl FnOnce(&mut Self)) {
        let before = self.client.text("DEBUG DIGEST");
        let writes = self.client.info("rdb_changes_since_last_save");
        act(self);
        assert_eq!(self.client.text("DEBUG DIGEST"), before, "{call}");
        let heard = self.stream.heard(&mut self.client);
        assert_eq!(heard, Vec::<String>::new(), "{call}");
        let writes_now = self.client.info("rdb_changes_since_last_save");
        assert_eq!(writes_now, writes, "{call}");
    }
}
