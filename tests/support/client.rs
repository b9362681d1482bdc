//! A client: the well-kept `redis` crate, with one method for each command.

use redis::{Connection, ErrorKind, RedisError, Value};

/// One connection.
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects, or not.
    pub fn try_connect(port: u16) -> Option<Self> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).ok()?;
        let connection = client.get_connection_with_timeout(super::patience()).ok()?;
        connection.set_read_timeout(Some(super::patience())).ok()?;
        Some(Self { connection })
    }

    /// Sends a command; the answer may be an error.
    pub fn try_call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Value, RedisError> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word.as_ref());
        }
        command.query(&mut self.connection)
    }

    /// Sends a command that must not fail.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        self.try_call(words)
            .unwrap_or_else(|error| panic!("{}: {error}", shown(words)))
    }

    /// Sends a line of words; none may hold a space.
    pub fn say(&mut self, line: &str) -> Value {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// A reply that is a number.
    pub fn number(&mut self, line: &str) -> i64 {
        match self.say(line) {
            Value::Int(number) => number,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// A reply that is a number or nil.
    pub fn number_or_nil(&mut self, line: &str) -> Option<i64> {
        match self.say(line) {
            Value::Int(number) => Some(number),
            Value::Nil => None,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// A reply that is text.
    pub fn text(&mut self, line: &str) -> String {
        match self.say(line) {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::SimpleString(text) => text,
            Value::VerbatimString { text, .. } => text,
            Value::Okay => "OK".into(),
            other => panic!("{line}: {other:?}"),
        }
    }

    /// A reply that is bytes.
    pub fn bytes<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Vec<u8> {
        match self.call(words) {
            Value::BulkString(bytes) => bytes,
            other => panic!("{}: {other:?}", shown(words)),
        }
    }

    /// The error line that a command must get.
    pub fn error<W: AsRef<[u8]>>(&mut self, words: &[W]) -> String {
        match self.try_call(words) {
            Ok(value) => panic!("{}: no error but {value:?}", shown(words)),
            Err(error) => error_line(&error),
        }
    }

    /// The error line that a line of words must get.
    pub fn error_of(&mut self, line: &str) -> String {
        self.error(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// `LOCK.ACQUIRE`: the token, or nil.
    pub fn acquire(&mut self, key: &str, owner: &str, ttl_ms: u64) -> Option<i64> {
        self.number_or_nil(&format!("LOCK.ACQUIRE {key} {owner} {ttl_ms}"))
    }

    /// `LOCK.ACQUIRE` that must succeed.
    pub fn acquired(&mut self, key: &str, owner: &str, ttl_ms: u64) -> i64 {
        self.acquire(key, owner, ttl_ms)
            .unwrap_or_else(|| panic!("{key} is held by somebody else than {owner}"))
    }

    /// `LOCK.RELEASE`
    pub fn release(&mut self, key: &str, owner: &str) -> i64 {
        self.number(&format!("LOCK.RELEASE {key} {owner}"))
    }

    /// `LOCK.FENCE key`
    pub fn fence(&mut self, key: &str) -> Option<i64> {
        self.number_or_nil(&format!("LOCK.FENCE {key}"))
    }

    /// `LOCK.FENCE key token`
    pub fn is_live(&mut self, key: &str, token: i64) -> bool {
        self.number(&format!("LOCK.FENCE {key} {token}")) == 1
    }

    /// A reply that is a list of texts.
    pub fn texts(&mut self, line: &str) -> Vec<String> {
        let Value::Array(values) = self.say(line) else {
            panic!("{line}: no list");
        };
        let text = |value| match value {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            other => panic!("{line}: {other:?}"),
        };
        values.into_iter().map(text).collect()
    }

    /// The keys of a type, in the selected database.
    pub fn names_of_type(&mut self, name: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let words = ["SCAN", &cursor, "COUNT", "1000", "TYPE", name];
            let (next, found) = match self.call(&words) {
                Value::Array(reply) => match <[Value; 2]>::try_from(reply) {
                    Ok([Value::BulkString(next), Value::Array(found)]) => (next, found),
                    other => panic!("SCAN: {other:?}"),
                },
                other => panic!("SCAN: {other:?}"),
            };
            names.extend(found.into_iter().map(|key| match key {
                Value::BulkString(bytes) => bytes.escape_ascii().to_string(),
                other => panic!("SCAN: {other:?}"),
            }));
            cursor = String::from_utf8_lossy(&next).into_owned();
            if cursor == "0" {
                return names;
            }
        }
    }

    /// A field of INFO.
    pub fn info(&mut self, field: &str) -> String {
        let text = self.text("INFO everything");
        let prefix = format!("{field}:");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("INFO has no {field}"))
            .trim()
            .to_owned()
    }

    /// Whether the key exists.
    pub fn exists(&mut self, key: &str) -> bool {
        self.number(&format!("EXISTS {key}")) == 1
    }
}

fn shown<W: AsRef<[u8]>>(words: &[W]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.as_ref().escape_ascii().to_string())
        .collect();
    words.join(" ")
}

/// The line as the server sent it.
fn error_line(error: &RedisError) -> String {
    assert_ne!(error.kind(), ErrorKind::Io, "the connection broke: {error}");
    let code = error.code().unwrap_or("ERR");
    match error.detail() {
        Some(detail) => format!("{code} {detail}"),
        None => code.to_owned(),
    }
}
