//! Commands as templates: a word may hold a number that differs from one to the
//! next, written and filled in as redis-benchmark does it.

/// What redis-benchmark replaces by a number of twelve digits.
pub const NUMBER: &str = "__rand_int__";

/// As long as a UUID in binary, and what a client would choose at random.
pub const OWNER: &str = "abcdefghijklmnop";

/// A lease that no measurement outlives.
pub const LEASE_MS: u32 = 3_600_000;

/// What a command must answer, or else it was not measured but something else was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this line, as it is on the wire.
    Line(&'static str),
    /// An integer above zero: a token, or that it was done.
    Positive,
    /// A bulk string.
    Value,
    /// Nothing at all: nil in RESP2.
    Nil,
    /// Anything but an error.
    NoError,
}

impl Expected {
    /// Whether that is the first line of such a reply.
    pub fn meets(self, line: &str) -> bool {
        match self {
            Self::Line(expected) => line == expected,
            Self::Positive => {
                let number = line.strip_prefix(':').map(str::parse::<i64>);
                matches!(number, Some(Ok(1..)))
            }
            Self::Value => line.starts_with('$') && !line.starts_with("$-"),
            Self::Nil => line == "$-1" || line == "*-1" || line == "_",
            Self::NoError => !line.starts_with(['-', '!']),
        }
    }
}

/// A command and what it must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The command and its arguments.
    pub words: Vec<String>,
    /// What it must answer.
    pub expected: Expected,
}

impl Template {
    /// The words of a line, which are separated by single spaces.
    pub fn new(line: &str, expected: Expected) -> Self {
        let words = line.split(' ').map(str::to_owned).collect();
        Self { words, expected }
    }

    /// The same words, and one more which may hold spaces.
    pub fn and(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// Adds the command with that number in it, as it is on the wire.
    pub fn pack(&self, number: u64, into: &mut Vec<u8>) {
        let number = format!("{number:012}");
        into.extend_from_slice(format!("*{}\r\n", self.words.len()).as_bytes());
        for word in &self.words {
            let word = word.replace(NUMBER, &number);
            into.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_packed_with_a_number_of_twelve_digits() {
        let template = Template::new("GET key:__rand_int__", Expected::Value);
        let mut packed = Vec::new();
        template.pack(42, &mut packed);
        assert_eq!(
            packed,
            b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n".to_vec()
        );
    }

    #[test]
    fn a_reply_that_is_not_the_expected_one_is_told_from_it() {
        assert!(Expected::Positive.meets(":373215169253377"));
        assert!(!Expected::Positive.meets(":0"));
        assert!(!Expected::Positive.meets("$-1"));
        assert!(Expected::Nil.meets("$-1"));
        assert!(!Expected::Nil.meets("+OK"));
        assert!(Expected::Value.meets("$5"));
        assert!(!Expected::Value.meets("$-1"));
        assert!(Expected::Line("+OK").meets("+OK"));
        assert!(!Expected::Line("+OK").meets("-ERR no"));
        assert!(!Expected::NoError.meets("-ERR no"));
    }
}
