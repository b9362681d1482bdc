//! A client as simple as can be: it sends commands in pipelines on one connection,
//! reads as many replies, and fails at the first that is not the expected one.

use crate::commands::Template;
use crate::Failure;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

/// Longer than any pipeline takes, also under valgrind.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Client {
    replies: BufReader<TcpStream>,
    /// The first line of the latest reply.
    line: String,
}

impl Client {
    /// Connects to a server on this machine.
    pub fn connect(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let replies = BufReader::with_capacity(1 << 16, stream);
        let line = String::new();
        Ok(Self { replies, line })
    }

    /// Sends each of the templates for each of the numbers, `pipeline` numbers at a
    /// time, and looks at each reply.
    pub fn send_each(
        &mut self,
        templates: &[Template],
        numbers: Range<u64>,
        pipeline: u64,
    ) -> Result<(), Failure> {
        let mut packed = Vec::new();
        let mut next = numbers.start;
        while next < numbers.end {
            let end = numbers.end.min(next + pipeline.max(1));
            packed.clear();
            for number in next..end {
                for template in templates {
                    template.pack(number, &mut packed);
                }
            }
            self.send(&packed)?;
            self.receive(templates, end - next)?;
            next = end;
        }
        Ok(())
    }

    /// Sends what was packed.
    pub fn send(&mut self, packed: &[u8]) -> Result<(), Failure> {
        Ok(self.replies.get_mut().write_all(packed)?)
    }

    /// Reads the replies to `times` the templates, and looks at each.
    pub fn receive(&mut self, templates: &[Template], times: u64) -> Result<(), Failure> {
        for _ in 0..times {
            for template in templates {
                self.reply()?;
                if !template.expected.meets(&self.line) {
                    let words = template.words.join(" ");
                    let (line, expected) = (&self.line, template.expected);
                    return Err(format!("{words}: {line}, expected {expected:?}").into());
                }
            }
        }
        Ok(())
    }

    /// One command, and its reply as text: of a bulk string what it holds, else the
    /// line without its sign. An error of the server is a failure.
    pub fn ask(&mut self, words: &[&str]) -> Result<String, Failure> {
        let mut packed = format!("*{}\r\n", words.len());
        for word in words {
            packed += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.send(packed.as_bytes())?;
        let text = self.reply()?;
        if self.line.starts_with(['-', '!']) {
            return Err(format!("{}: {}", words.join(" "), self.line).into());
        }
        Ok(text.unwrap_or_else(|| self.line.get(1..).unwrap_or_default().to_owned()))
    }

    /// Whether the server knows a command of that name.
    pub fn has_command(&mut self, name: &str) -> Result<bool, Failure> {
        self.ask(&["COMMAND", "LIST", "FILTERBY", "PATTERN", name])
            .map(|elements| elements != "0")
    }

    /// Reads the next reply to its end; what it holds, if it is a bulk string.
    fn reply(&mut self) -> Result<Option<String>, Failure> {
        self.read_line()?;
        let counted = |sign| self.line.strip_prefix(sign).map(str::parse::<i64>);
        if let Some(length) = counted('$') {
            // -1 is nil.
            let Ok(length) = usize::try_from(length?) else {
                return Ok(None);
            };
            let mut text = vec![0; length + 2];
            self.replies.read_exact(&mut text)?;
            text.truncate(length);
            return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
        }
        if let Some(elements) = counted('*') {
            let (elements, line) = (elements?, self.line.clone());
            for _ in 0..elements {
                self.reply()?;
            }
            self.line = line;
        }
        Ok(None)
    }

    fn read_line(&mut self) -> Result<(), Failure> {
        self.line.clear();
        if self.replies.read_line(&mut self.line)? == 0 {
            return Err("the server closed the connection".into());
        }
        self.line.truncate(self.line.trim_end().len());
        Ok(())
    }
}
