//! The wire protocol, as far as the tests must see single bytes of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection that sends and receives bytes as they are.
pub struct Wire {
    reader: BufReader<TcpStream>,
}

impl Wire {
    /// Connects to a server on this machine.
    pub fn connect(port: u16) -> Self {
        Self::with_buffer(port, 1 << 20)
    }

    /// As [`Wire::connect`], for thousands at a time.
    pub fn small(port: u16) -> Self {
        Self::with_buffer(port, 256)
    }

    fn with_buffer(port: u16, bytes: usize) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        let patience = Some(super::patience());
        stream.set_read_timeout(patience).expect("a socket");
        stream.set_write_timeout(patience).expect("a socket");
        Self {
            reader: BufReader::with_capacity(bytes, stream),
        }
    }

    /// Changes how long a read may take.
    pub fn set_read_timeout(&self, patience: Duration) {
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(patience)).expect("a socket");
    }

    /// Whether nothing has arrived that was not read.
    pub fn is_silent(&self) -> bool {
        let stream = self.reader.get_ref();
        stream.set_nonblocking(true).expect("a socket");
        let waits = matches!(stream.peek(&mut [0]), Err(error)
            if error.kind() == io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).expect("a socket");
        self.reader.buffer().is_empty() && waits
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Sends a command.
    pub fn send_command(&mut self, words: &[&[u8]]) -> io::Result<()> {
        self.send(&command(words))
    }

    /// One line, without its end.
    pub fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A command that the other side sent: an array of strings.
    pub fn command(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let head = self.line()?;
        let count = length(&head, b'*')?;
        let mut words = Vec::new();
        for _ in 0..count {
            let head = self.line()?;
            let count = length(&head, b'$')?;
            let mut word = self.bytes(count + 2)?;
            word.truncate(count);
            words.push(word);
        }
        Ok(words)
    }
}

/// A command as it is sent.
pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The number behind the mark at the start of a line.
pub fn length(line: &[u8], mark: u8) -> io::Result<usize> {
    let number = match line.split_first() {
        Some((&first, rest)) if first == mark => std::str::from_utf8(rest).ok(),
        _ => None,
    };
    number
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| io::Error::other(format!("unexpected {}", line.escape_ascii())))
}
