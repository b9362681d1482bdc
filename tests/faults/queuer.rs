//! A client that stands in line on a bare socket, and the ways in which it dies.

use crate::history::{Stamp, Unit};
use crate::support::resp::command;
use crate::support::Client;
use crate::workers::owner;
use redis::Value;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a client dies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Its socket is closed in order (FIN).
    Closed,
    /// Its socket is gone (RST).
    Reset,
    /// It sent half of its request, and its socket is closed.
    HalfSent,
    /// It waits, sent half of another request behind, and its socket is closed.
    HalfBehind,
    /// It gives back what it may hold, and its socket is closed in that instant.
    GivesBack,
    /// CLIENT KILL
    Killed,
    /// CLIENT UNBLOCK TIMEOUT: it is told nil, if it was not told a token before.
    TimedOut,
    /// CLIENT UNBLOCK ERROR
    Unblocked,
}

impl Death {
    /// Any of them.
    pub fn any(dice: &mut fastrand::Rng) -> Self {
        const ALL: [Death; 8] = [
            Death::Closed,
            Death::Reset,
            Death::HalfSent,
            Death::HalfBehind,
            Death::GivesBack,
            Death::Killed,
            Death::TimedOut,
            Death::Unblocked,
        ];
        ALL[dice.usize(0..ALL.len())]
    }

    /// One that the server sees before it answers anything that came later. (Of bytes
    /// and an end behind them it sees the end only in its next turn.)
    pub fn seen_at_once(dice: &mut fastrand::Rng) -> Self {
        [Self::Closed, Self::Reset, Self::Killed][dice.usize(0..3)]
    }

    /// What it is called in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "waiter: socket closed",
            Self::Reset => "waiter: socket reset",
            Self::HalfSent => "waiter: half a request, closed",
            Self::HalfBehind => "waiter: half a request behind, closed",
            Self::GivesBack => "waiter: RELEASE and closed at once",
            Self::Killed => "waiter: CLIENT KILL",
            Self::TimedOut => "waiter: CLIENT UNBLOCK TIMEOUT",
            Self::Unblocked => "waiter: CLIENT UNBLOCK ERROR",
        }
    }
}

/// What came of a death.
pub enum Fate {
    Dead,
    /// It is told that it waits no longer.
    Told(Queuer),
    /// The server knows no way to tell it (Redis before 7.4), or it had been granted.
    Spared(Queuer),
}

/// What came of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Token(i64),
    /// Nil, an error, or the end of the connection.
    Nothing,
}

/// A client that asked for a lock.
pub struct Queuer {
    socket: TcpStream,
    /// The server's number for the connection.
    id: i64,
    read: Vec<u8>,
    is_closed: bool,
    /// Its unit of work.
    pub unit: Unit,
    /// In which batch it asked.
    pub batch: usize,
    /// When it asked.
    pub asked: Stamp,
    key: String,
}

impl Queuer {
    /// Connects and asks; of what it would ask it sends no more than so many bytes.
    pub fn asks(port: u16, unit: Unit, batch: usize, line: &str, sends: usize) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
        socket.set_nodelay(true).expect("a socket");
        socket.write_all(&sent("CLIENT ID")).expect("it listens");
        let id = number_of_connection(&mut socket);
        let ask = sent(line);
        let asked = Stamp::now();
        let part = &ask[..sends.min(ask.len())];
        socket.write_all(part).expect("it listens");
        socket.set_nonblocking(true).expect("a socket");
        let key = line.split(' ').nth(1).unwrap_or_default().to_owned();
        Self {
            socket,
            id,
            read: Vec::new(),
            is_closed: false,
            unit,
            batch,
            asked,
            key,
        }
    }

    /// Dies. Who is only told something, lives to read what it is.
    pub fn dies(mut self, death: Death, admin: &mut Client) -> Fate {
        match death {
            Death::Closed | Death::HalfSent => {}
            Death::Reset => {
                let linger = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
                linger.expect("a socket");
            }
            Death::HalfBehind => self.sends(&sent("LOCK.ACQUIRE other me 1000")[..20]),
            Death::GivesBack => {
                let line = format!("LOCK.RELEASE {} {}", self.key, owner(self.unit));
                self.sends(&sent(&line));
            }
            Death::Killed => drop(admin.try_call(&["CLIENT", "KILL", "ID", &self.id.to_string()])),
            Death::TimedOut | Death::Unblocked => {
                let how = if death == Death::TimedOut {
                    "TIMEOUT"
                } else {
                    "ERROR"
                };
                let id = self.id.to_string();
                let told = admin.call(&["CLIENT", "UNBLOCK", &id, how]);
                return match told {
                    Value::Int(1) => Fate::Told(self),
                    Value::Int(0) => Fate::Spared(self),
                    other => panic!("CLIENT UNBLOCK: {other:?}"),
                };
            }
        }
        Fate::Dead
    }

    /// It has its answer and gives the lock back; nobody reads whether it did. It may
    /// kill another in the same breath.
    pub fn gives_back(&mut self, key: &str, killed: Option<&Self>) {
        let mut bytes = sent(&format!("LOCK.RELEASE {key} {}", owner(self.unit)));
        if let Some(killed) = killed {
            bytes.extend(sent(&format!("CLIENT KILL ID {}", killed.id)));
        }
        self.sends(&bytes);
    }

    /// The socket takes so little at once, unless the other side is gone.
    fn sends(&mut self, bytes: &[u8]) {
        drop(self.socket.write_all(bytes));
    }

    /// Whether its request was answered.
    pub fn has_answer(&mut self) -> bool {
        let mut bytes = [0; 256];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.is_closed = true,
            Ok(length) => self.read.extend_from_slice(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
        self.is_closed || self.read.ends_with(b"\r\n")
    }

    /// What the answer was.
    pub fn answer(&mut self) -> Answer {
        let text = String::from_utf8_lossy(&self.read);
        let number = text.trim_end().strip_prefix(':');
        match number.and_then(|number| number.parse().ok()) {
            Some(token) => Answer::Token(token),
            None => Answer::Nothing,
        }
    }
}

fn sent(line: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    command(&words)
}

/// The answer to CLIENT ID.
fn number_of_connection(socket: &mut TcpStream) -> i64 {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("it answers");
        line.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&line);
    let number = text.trim_end().strip_prefix(':');
    number.and_then(|it| it.parse().ok()).expect("a number")
}
