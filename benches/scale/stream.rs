//! A connection for many requests at once: they are written, then all replies read.
//!
//! It does as little as it can for each, so that the server is what is measured.

use crate::Failure;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Requests, written out.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    count: usize,
}

/// A reply, as far as anybody here wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `:`
    Number(i64),
    /// `+`
    Word,
    /// `$`
    Text,
    /// No value.
    Nil,
}

impl Requests {
    /// Adds one.
    pub fn add(&mut self, words: &[&[u8]]) {
        // Writing to a vector does not fail.
        let _ = write!(self.bytes, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(self.bytes, "${}\r\n", word.len());
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.count += 1;
    }

    /// None any more.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

/// The connection.
pub struct Stream {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Stream {
    /// Connects to a port of this machine.
    pub fn open(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: BufReader::with_capacity(64 * 1024, stream),
            line: Vec::new(),
        })
    }

    /// Sends all and reads all replies. They are few enough for the socket's buffers
    /// to hold what comes back while the rest is written.
    pub fn exchange(
        &mut self,
        requests: &Requests,
        mut each: impl FnMut(Reply),
    ) -> Result<(), Failure> {
        self.reader.get_mut().write_all(&requests.bytes)?;
        for _ in 0..requests.count {
            let reply = self.reply()?;
            each(reply);
        }
        Ok(())
    }

    /// Sends one request and waits for its reply.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Reply, Failure> {
        let mut requests = Requests::default();
        requests.add(words);
        self.reader.get_mut().write_all(&requests.bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line)?;
        let text = std::str::from_utf8(&self.line)?.trim_end();
        let Some(rest) = text.get(1..) else {
            return Err("the server closed the connection".into());
        };
        match self.line[0] {
            b':' => Ok(Reply::Number(rest.parse()?)),
            b'+' => Ok(Reply::Word),
            b'_' => Ok(Reply::Nil),
            b'$' if rest == "-1" => Ok(Reply::Nil),
            b'$' => {
                let length: u64 = rest.parse()?;
                let mut text = (&mut self.reader).take(length + 2);
                std::io::copy(&mut text, &mut std::io::sink())?;
                Ok(Reply::Text)
            }
            _ => Err(format!("the server says: {text}").into()),
        }
    }
}
