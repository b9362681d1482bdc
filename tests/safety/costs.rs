//! What many holders cost: each operation about as much as with few.
//!
//! Rounds with few and with many take turns, so that whatever else the machine does
//! meets both; the fastest of each is what the rules themselves need.

use crate::lock::deadlines::DeadlineQueue;
use crate::lock::table::Table;
use crate::server::{Request, Server};
use crate::together::{ANY, KEY};
use crate::values::token;
use std::hint::black_box;
use std::time::{Duration, Instant};

const OPERATIONS: u32 = 400;
const ROUNDS: usize = 60;

/// A key with so many readers, and how its operations are timed.
struct Crowd {
    server: Server,
    readers: u32,
    fastest: Duration,
}

impl Crowd {
    fn new(readers: u32) -> Self {
        let mut server = Server::new();
        for number in 0..readers {
            server.ask(KEY, reader(&number.to_be_bytes(), 1_000_000));
        }
        Self {
            server,
            readers,
            fastest: Duration::MAX,
        }
    }

    /// A reader comes, another extends, tokens are asked after, and the reader goes.
    #[allow(
        clippy::disallowed_methods,
        reason = "no lease: what is measured is the machine"
    )]
    fn round(&mut self) {
        self.server.sent = Vec::with_capacity(OPERATIONS as usize * 8);
        let begun = Instant::now();
        for number in 0..OPERATIONS {
            self.server.advance_ns(1_000_000);
            let stays = (number * 7 % self.readers).to_be_bytes();
            self.server.ask(KEY, reader(b"comes", 1_000_000));
            self.server.extend(KEY, &stays, 1_000_000);
            black_box(self.server.fence(KEY, Some(token(1))));
            black_box(self.server.fence(KEY, None));
            self.server.release(KEY, b"comes", None);
        }
        self.fastest = self.fastest.min(begun.elapsed());
    }
}

fn reader(owner: &[u8], ttl_ms: u64) -> Request<'_> {
    Request {
        tolerates: ANY,
        ..Request::plain(owner, ttl_ms)
    }
}

#[test]
fn an_operation_costs_with_a_thousand_readers_at_most_twice_what_it_costs_with_ten() {
    let (mut few, mut many) = (Crowd::new(10), Crowd::new(1_000));
    for _ in 0..ROUNDS {
        few.round();
        many.round();
    }
    let ratio = many.fastest.as_secs_f64() / few.fastest.as_secs_f64();
    println!("{:?} / {:?} = {ratio}", many.fastest, few.fastest);
    assert!(ratio <= 2.0, "{ratio}");
}

/// Most locks have one holder, and there are many locks.
#[test]
fn what_a_single_hold_occupies_does_not_grow() {
    assert_eq!(Table::BYTES_PER_SLOT, 80);
    assert_eq!(DeadlineQueue::BYTES_PER_ENTRY, 12);
}
