//! What is under way between clients and nodes.

use crate::lock::{TicketId, Tolerance};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Acquire,
    Extend,
    Raise(u64),
    Release,
    /// RELEASE or EXTEND of the hold with this token only.
    ReleaseOnly(u64),
    ExtendOnly(u64),
    Fence(u64),
}

/// What a client asks a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) op: Op,
    pub(crate) key: usize,
    pub(crate) owner: u64,
    pub(crate) ttl_ms: u64,
    pub(crate) tolerates: Tolerance,
    pub(crate) delay_ms: u64,
    /// None: no BLOCK; zero: for as long as it takes.
    pub(crate) block_ms: Option<u64>,
    pub(crate) is_session: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Token(u64),
    Nil,
    Yes,
    No,
    Error,
}

/// One end of a connection, as the other knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) node: usize,
    /// Which of the node's processes.
    pub(crate) life: u64,
    pub(crate) client: usize,
    pub(crate) connection: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Letter {
    Asked(Line, Ask),
    /// The client is gone.
    Closed(Line),
    /// The loop comes to answering a blocked connection.
    Unblocked(Line, TicketId),
    /// As of the node's era.
    Answered(Line, Reply, u64),
}

#[derive(Debug, Default)]
pub(crate) struct Post {
    letters: Vec<(u64, u64, Letter)>,
    sent: u64,
    next_due: Option<u64>,
}

impl Post {
    pub(crate) fn send(&mut self, due: u64, letter: Letter) {
        self.sent += 1;
        self.letters.push((due, self.sent, letter));
        self.next_due = Some(self.next_due().min(due));
    }

    pub(crate) fn next_due(&self) -> u64 {
        self.next_due.unwrap_or(u64::MAX)
    }

    /// What a node put off is not done if the connection closes.
    pub(crate) fn forget(&mut self, connection: u64) {
        let is_of = |letter: &Letter| match letter {
            Letter::Asked(line, _) => line.connection == connection,
            _ => false,
        };
        self.letters.retain(|(_, _, letter)| !is_of(letter));
        self.next_due = self.letters.iter().map(|it| it.0).min();
    }

    /// The first that is due, and of those at once the one that was sent first.
    pub(crate) fn take(&mut self, now: u64) -> Option<Letter> {
        if self.next_due() > now {
            return None;
        }
        let letters = self.letters.iter().enumerate();
        let (place, _) = letters.min_by_key(|(_, (due, sent, _))| (*due, *sent))?;
        let (_, _, letter) = self.letters.swap_remove(place);
        self.next_due = self.letters.iter().map(|it| it.0).min();
        Some(letter)
    }
}
