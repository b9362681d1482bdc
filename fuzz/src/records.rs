//! Stored records and counters that may be anything: refused, or sound in every way.
//!
//! The first byte is the version; its highest bit says that a counter follows.

use crate::lock::holders::StoredHold;
use crate::lock::record::{decode, decode_counter, encode, encode_counter, VERSION};
use crate::lock::token::StoredCounter;
use crate::lock::{Answer, Delay, Event, Tolerance, Ttl};
use crate::server::Server;
use crate::values::{token, ttl, wall, TOKEN_MOST};

const KEY: &[u8] = b"lock";
const COUNTER: u8 = 0x80;

/// Reads the bytes, and does with what was read what a server does.
pub fn run(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let version = u32::from(first & !COUNTER);
    if first & COUNTER == 0 {
        record(version, bytes);
    } else {
        counter(version, bytes);
    }
}

fn record(version: u32, bytes: &[u8]) {
    let Ok(holds) = decode(version, bytes) else {
        return;
    };
    for hold in &holds {
        assert!((1..=512).contains(&hold.owner.len()));
        assert!((1..=TOKEN_MOST).contains(&hold.token.get()));
        assert!(hold.lease.is_some() || hold.delay > Delay::NONE);
    }
    let mut server = loaded(&holds);
    let saved = saved(&server);
    let again = decode(VERSION, &saved).expect("what is written is read");
    for hold in &again {
        let is_it = |from: &&StoredHold<'_>| {
            (from.owner, from.token, from.tolerates) == (hold.owner, hold.token, hold.tolerates)
        };
        let from = holds.iter().find(is_it).expect("nothing is made up");
        assert!(hold.lease.is_none() || hold.lease == from.lease);
        assert!(hold.delay <= from.delay);
    }
    assert_eq!(
        self::saved(&loaded(&again)),
        saved,
        "it is a form that stays"
    );
    is_used(&mut server, &holds);
}

/// A server with the record under a key.
fn loaded(holds: &[StoredHold<'_>]) -> Server {
    let mut server = Server::new();
    for hold in holds {
        server.apply_hold(KEY, *hold);
        assert_eq!(server.locks.broken_invariant(), None, "after {hold:?}");
        assert!(server.locks.tokens().last() >= hold.token.get());
    }
    server
}

fn saved(server: &Server) -> Vec<u8> {
    let lock = server.found(0, KEY);
    encode(server.now, lock.and_then(|lock| server.locks.lock(lock)))
}

/// Commands on what was loaded; and in the end nothing is left.
fn is_used(server: &mut Server, holds: &[StoredHold<'_>]) {
    server.open_term(wall(0));
    for hold in holds.iter().take(4) {
        server.fence(KEY, Some(hold.token));
        server.extend(KEY, hold.owner, 30);
        assert_eq!(server.locks.broken_invariant(), None);
    }
    server.acquire(KEY, b"somebody else", 30);
    assert_eq!(server.locks.broken_invariant(), None);
    for hold in holds.iter().take(4) {
        server.release(KEY, hold.owner, None);
        assert_eq!(server.locks.broken_invariant(), None);
    }
    server.advance_ms(Ttl::MOST.as_ms());
    server.advance_ms(Delay::MOST.as_ms());
    server.turn();
    assert_eq!(server.locks.broken_invariant(), None);
    assert_eq!((server.locks.len(), server.keys().count()), (0, 0));
}

fn counter(version: u32, bytes: &[u8]) {
    let Ok(counter) = decode_counter(version, bytes) else {
        return;
    };
    let mut server = Server::new();
    if server.silently(Event::LoadCounter(counter)) == Answer::OutOfRange {
        assert_eq!(server.locks.tokens().stored(), None, "nothing changed");
        assert_eq!(server.locks.tokens().last(), 0, "nothing changed");
        return;
    }
    let stored = server.locks.tokens().stored();
    if let Some(stored) = stored {
        assert_eq!(decode_counter(VERSION, &encode_counter(stored)), Ok(stored));
        let mut again = Server::new();
        assert_eq!(again.silently(Event::LoadCounter(stored)), Answer::Yes);
        assert_eq!(again.locks.tokens().stored(), Some(stored));
    }
    server.open_term(wall(0));
    match server.acquire(KEY, b"me", 30).0 {
        Answer::Token(token) => assert!(token.get() > counter.last.max(counter.ceiling)),
        answer => assert_eq!(answer, Answer::TokensExhausted),
    }
    assert!(server.locks.tokens().last() <= TOKEN_MOST);
    assert_eq!(server.locks.broken_invariant(), None);
}

/// Records as servers write them, and one of each form that was frozen.
pub fn seeds() -> Vec<Vec<u8>> {
    let of = |owner, number, lease_ms, tolerates, delay_ms| StoredHold {
        owner,
        token: token(number),
        lease: Ttl::from_ms(lease_ms),
        tolerates,
        delay: Delay::from_ms(delay_ms).expect("short"),
    };
    let three = Tolerance::limit(3).expect("few");
    let long = [0xff; 512];
    let kinds: [Vec<StoredHold<'_>>; 6] = [
        vec![],
        vec![of(b"ann", 300, 30_000, Tolerance::ALONE, 0)],
        vec![of(
            &long,
            TOKEN_MOST,
            Ttl::MOST.as_ms(),
            Tolerance::ALONE,
            9,
        )],
        vec![of(b"ann", 7, 0, Tolerance::ALONE, 500)],
        vec![
            of(b"r", 7, 1_000, Tolerance::ANY, 50),
            of(b"s", 6, 0, Tolerance::ANY, 300),
            of(b"r", 5, 0, Tolerance::ANY, 300),
        ],
        vec![
            of(b"one", 1, 10, three, 0),
            of(b"two", 2, 20, three, 5),
            of(b"three", 3, 0, three, 1),
        ],
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for holds in kinds {
        let bytes = saved(&loaded(&holds));
        seeds.push([vec![2], bytes].concat());
    }
    seeds.push(vec![
        1, 1, 3, b'a', b'n', b'n', 0xac, 0x02, 0xb0, 0xea, 0x01,
    ]);
    for (last, ceiling) in [(300, 262_145), (0, 0), (TOKEN_MOST, TOKEN_MOST)] {
        let counter = StoredCounter {
            last,
            ceiling,
            ttl_most_ms: ttl(30_000).as_ms(),
            since_ms: 5,
        };
        seeds.push([vec![COUNTER | 2], encode_counter(counter)].concat());
    }
    seeds
}
