//! Whole replies as the bytes that the server sent.

use super::support::resp::Wire;
use super::support::Server;

/// A connection whose replies are read as they are.
pub struct Raw {
    wire: Wire,
}

impl Raw {
    /// A connection that speaks RESP2, or RESP3.
    pub fn connect(server: &Server, protocol: u8) -> Self {
        let mut raw = Self {
            wire: Wire::connect(server.port()),
        };
        if protocol == 3 {
            let told = raw.say("HELLO 3");
            assert!(told.starts_with(b"%"), "{}", told.escape_ascii());
        }
        raw
    }

    /// Sends words; the reply.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Vec<u8> {
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        self.wire.send_command(&words).expect("it listens");
        let mut reply = Vec::new();
        self.read(&mut reply);
        reply
    }

    /// Sends a line of words; the reply.
    pub fn say(&mut self, line: &str) -> Vec<u8> {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// As [`Raw::say`], for replies that can be shown.
    pub fn text(&mut self, line: &str) -> String {
        self.say(line).escape_ascii().to_string()
    }

    fn read(&mut self, into: &mut Vec<u8>) {
        let line = self.wire.line().expect("an answer");
        into.extend_from_slice(&line);
        into.extend_from_slice(b"\r\n");
        let (mark, rest) = line.split_first().expect("a mark");
        let count = std::str::from_utf8(rest)
            .ok()
            .and_then(|it| it.parse::<usize>().ok());
        match (mark, count) {
            (b'$' | b'=' | b'!', Some(count)) => {
                into.extend(self.wire.bytes(count + 2).expect("the rest"));
            }
            (b'*' | b'~' | b'>', Some(count)) => (0..count).for_each(|_| self.read(into)),
            (b'%', Some(count)) => (0..2 * count).for_each(|_| self.read(into)),
            _ => {}
        }
    }
}
