//! The stored form: what was written is read, what was not is refused, and no
//! bytes at all are a panic. What each version wrote is frozen here for good.

use crate::lock::holders::StoredHold;
use crate::lock::record::{decode, decode_counter, encode, encode_counter, Refusal, VERSION};
use crate::lock::token::StoredCounter;
use crate::lock::{Delay, Tolerance, Ttl};
use crate::replay;
use crate::server::Server;
use crate::values::{token, ttl, TOKEN_MOST};
use proptest::prelude::*;

/// A holder: `ann`, token 300, 30,000 ms left. Written by version 1; never edited.
const HOLDER_V1: [u8; 10] = [1, 3, b'a', b'n', b'n', 0xac, 0x02, 0xb0, 0xea, 0x01];
/// A dead handle. Written by version 1; never edited.
const NOTHING_V1: [u8; 1] = [0];
/// Last 300, ceiling 262,145, longest lease 30,000 ms, since 5. Written by version 1;
/// never edited.
const COUNTER_V1: [u8; 9] = [0xac, 0x02, 0x81, 0x80, 0x10, 0xb0, 0xea, 0x01, 0x05];

/// `ann` alone, token 300, 30,000 ms left. Written by version 2; never edited.
const HOLDER_V2: [u8; 12] = [
    1, 3, b'a', b'n', b'n', 0xac, 0x02, 0xb0, 0xea, 0x01, 0x01, 0x00,
];
/// A dead handle. Written by version 2; never edited.
const NOTHING_V2: [u8; 1] = [0];
/// `r`, shared, token 7, 1,000 ms left and 50 ms to cool then; `s`, one of 3, token
/// 6, cooling for another 300 ms. Written by version 2; never edited.
const HOLDERS_V2: [u8; 15] = [
    2, 1, b'r', 7, 0xe8, 0x07, 0, 50, 1, b's', 6, 0, 3, 0xac, 0x02,
];

const COUNTER: StoredCounter = StoredCounter {
    last: 300,
    ceiling: 262_145,
    ttl_most_ms: 30_000,
    since_ms: 5,
};

/// The record of a lock that `owner` holds.
fn record_of(owner: &[u8], number: u64, left_ms: u64) -> Vec<u8> {
    let mut server = Server::new();
    server.apply_grant(b"lock", owner, token(number), ttl(left_ms));
    encode(server.now, server.locks.lock(server.handle(b"lock")))
}

/// The form written out by hand: seven bits to a byte, the low ones first.
fn forged(owner: &[u8], number: u64, left_ms: u64) -> Vec<u8> {
    let mut bytes = vec![1];
    push_number(&mut bytes, owner.len() as u64);
    bytes.extend(owner);
    push_number(&mut bytes, number);
    push_number(&mut bytes, left_ms);
    bytes.extend([1, 0]);
    bytes
}

/// A hold as most are: alone, without a delay.
fn plain(owner: &[u8], number: u64, left_ms: u64) -> StoredHold<'_> {
    StoredHold {
        owner,
        token: token(number),
        lease: Some(ttl(left_ms)),
        tolerates: Tolerance::ALONE,
        delay: Delay::NONE,
    }
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads bytes that may be anything; whatever is read is within range.
fn read_anything(bytes: &[u8]) -> Result<Vec<StoredHold<'_>>, Refusal> {
    let read = decode(VERSION, bytes);
    for holder in read.iter().flatten() {
        assert!((1..=512).contains(&holder.owner.len()));
        assert!((1..=TOKEN_MOST).contains(&holder.token.get()));
        assert!(holder.lease.is_some() || holder.delay > Delay::NONE);
    }
    read
}

#[test]
fn what_version_1_wrote_is_still_read() {
    assert_eq!(decode(1, &HOLDER_V1), Ok(vec![plain(b"ann", 300, 30_000)]));
    assert_eq!(decode(1, &NOTHING_V1), Ok(vec![]));
    assert_eq!(decode_counter(1, &COUNTER_V1), Ok(COUNTER));
}

#[test]
fn version_2_is_what_is_written() {
    assert_eq!(VERSION, 2);
    assert_eq!(record_of(b"ann", 300, 30_000), HOLDER_V2);
    assert_eq!(encode(Server::new().now, None), NOTHING_V2);
    assert_eq!(encode_counter(COUNTER), COUNTER_V1);
}

#[test]
fn what_version_2_wrote_is_read() {
    assert_eq!(decode(2, &HOLDER_V2), Ok(vec![plain(b"ann", 300, 30_000)]));
    assert_eq!(decode(2, &NOTHING_V2), Ok(vec![]));
    let reader = StoredHold {
        tolerates: Tolerance::ANY,
        delay: Delay::from_ms(50).expect("short"),
        ..plain(b"r", 7, 1_000)
    };
    let cooling = StoredHold {
        lease: None,
        tolerates: Tolerance::limit(3).expect("few"),
        delay: Delay::from_ms(300).expect("short"),
        ..plain(b"s", 6, 1)
    };
    assert_eq!(decode(2, &HOLDERS_V2), Ok(vec![reader, cooling]));
    assert_eq!(decode_counter(2, &COUNTER_V1), Ok(COUNTER));
}

#[test]
fn the_longest_hold_is_written_and_read() {
    let owner = [0xff; 512];
    let bytes = record_of(&owner, TOKEN_MOST, Ttl::MOST.as_ms());
    let expected = plain(&owner, TOKEN_MOST, Ttl::MOST.as_ms());
    assert_eq!(decode(VERSION, &bytes), Ok(vec![expected]));
}

#[test]
fn two_holds_with_one_token_are_refused() {
    let mut bytes = HOLDERS_V2;
    bytes[10] = 7;
    assert_eq!(read_anything(&bytes), Err(Refusal::Range));
    for (third, is_read) in [(5, true), (6, false), (7, false)] {
        let mut bytes = HOLDERS_V2.to_vec();
        bytes[0] = 3;
        bytes.extend([1, b't', third, 1, 0, 0]);
        assert_eq!(read_anything(&bytes).is_ok(), is_read, "{third}");
    }
}

#[test]
fn a_hold_that_neither_runs_nor_cools_is_refused() {
    let bytes = [1, 1, b'r', 7, 0, 1, 0];
    assert_eq!(read_anything(&bytes), Err(Refusal::Range));
    let bytes = [1, 1, b'r', 7, 0, 1, 1];
    assert!(read_anything(&bytes).is_ok());
}

#[test]
fn more_together_than_any_limit_allows_are_refused() {
    for (tolerates, is_read) in [(0, true), (1, true), (1_024, true), (1_025, false)] {
        let mut bytes = vec![1, 1, b'r', 7, 1];
        push_number(&mut bytes, tolerates);
        bytes.push(0);
        assert_eq!(read_anything(&bytes).is_ok(), is_read, "{tolerates}");
    }
}

#[test]
fn more_holders_than_one_of_them_tolerates_are_refused() {
    for (tolerates, is_read) in [(0, true), (1, false), (2, true), (3, true)] {
        let bytes = [2, 1, b'r', 7, 1, 0, 0, 1, b's', 8, 1, tolerates, 0];
        assert_eq!(read_anything(&bytes).is_ok(), is_read, "{tolerates}");
        let cooling = [2, 1, b'r', 7, 1, 0, 0, 1, b's', 8, 0, tolerates, 9];
        assert_eq!(read_anything(&cooling).is_ok(), is_read, "{tolerates}");
    }
}

#[test]
fn what_is_left_of_a_lease_is_stored_rounded_up_and_at_least_one() {
    let mut server = Server::new();
    server.acquire(b"lock", b"ann", 30);
    let lock = server.handle(b"lock");
    for (ns, left_ms) in [(0, 30), (1, 30), (999_999, 29), (28_000_000, 1), (1, 1)] {
        server.advance_ns(ns);
        let bytes = encode(server.now, server.locks.lock(lock));
        assert_eq!(bytes, forged(b"ann", 1, left_ms));
    }
    server.advance_ms(100);
    let bytes = encode(server.now, server.locks.lock(lock));
    assert_eq!(bytes, forged(b"ann", 1, 1));
}

/// As long as the key is there it has a holder, also where it is read.
#[test]
fn of_several_leases_that_are_over_one_is_stored() {
    let mut server = Server::new();
    for (owner, number) in [(b"ann", 1), (b"bob", 2)] {
        let hold = StoredHold {
            tolerates: Tolerance::ANY,
            ..plain(owner, number, 30)
        };
        server.apply_hold(b"lock", hold);
    }
    server.advance_ms(30);
    let bytes = encode(server.now, server.locks.lock(server.handle(b"lock")));
    let holds = decode(VERSION, &bytes).expect("sound");
    let left: Vec<_> = holds.iter().map(|hold| hold.lease).collect();
    assert_eq!(left, [Ttl::from_ms(1)]);
}

#[test]
fn unknown_versions_are_refused() {
    for version in [0, 3, 4, u32::MAX] {
        assert_eq!(decode(version, &HOLDER_V1), Err(Refusal::Version));
        assert_eq!(decode(version, &NOTHING_V1), Err(Refusal::Version));
        assert_eq!(decode_counter(version, &COUNTER_V1), Err(Refusal::Version));
    }
}

#[test]
fn an_owner_no_client_can_have_is_refused() {
    assert_eq!(read_anything(&forged(b"", 1, 1)), Err(Refusal::Range));
    assert!(read_anything(&forged(&[b'x'; 512], 1, 1)).is_ok());
    let long = forged(&[b'x'; 513], 1, 1);
    assert_eq!(read_anything(&long), Err(Refusal::Range));
}

#[test]
fn a_token_no_server_issues_is_refused() {
    for number in [0, TOKEN_MOST + 1, u64::MAX] {
        let bytes = forged(b"ann", number, 1);
        assert_eq!(read_anything(&bytes), Err(Refusal::Range));
    }
    assert!(read_anything(&forged(b"ann", TOKEN_MOST, 1)).is_ok());
}

#[test]
fn a_lease_no_server_grants_is_refused() {
    for left_ms in [0, Ttl::MOST.as_ms() + 1, u64::MAX] {
        let bytes = forged(b"ann", 1, left_ms);
        assert_eq!(read_anything(&bytes), Err(Refusal::Range));
    }
    assert!(read_anything(&forged(b"ann", 1, Ttl::MOST.as_ms())).is_ok());
}

#[test]
fn an_owner_longer_than_the_record_is_refused_and_nothing_is_allocated_for_it() {
    for length in [4, 512, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = vec![1];
        push_number(&mut bytes, length);
        bytes.extend(b"ann");
        assert_eq!(read_anything(&bytes), Err(Refusal::Form));
    }
}

#[test]
fn more_holders_than_there_are_bytes_are_refused_and_nothing_is_allocated_for_them() {
    for count in [2, 1 << 20, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = Vec::new();
        push_number(&mut bytes, count);
        bytes.extend(&HOLDER_V2[1..]);
        assert_eq!(read_anything(&bytes), Err(Refusal::Form));
    }
}

#[test]
fn no_bytes_are_no_record() {
    assert_eq!(read_anything(&[]), Err(Refusal::Form));
    assert_eq!(decode_counter(VERSION, &[]), Err(Refusal::Form));
}

fn owner() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..=40),
        prop::collection::vec(any::<u8>(), 1..=512),
    ]
}

prop_compose! {
    fn record()(
        owner in owner(),
        number in 1..=TOKEN_MOST,
        left_ms in prop_oneof![1..100_000u64, 1..=Ttl::MOST.as_ms()],
    ) -> (Vec<u8>, u64, u64) {
        (owner, number, left_ms)
    }
}

proptest! {
    #![proptest_config(replay::config())]

    #[test]
    fn what_is_written_is_read((owner, number, left_ms) in record()) {
        let bytes = record_of(&owner, number, left_ms);
        prop_assert_eq!(&bytes, &forged(&owner, number, left_ms));
        let expected = plain(&owner, number, left_ms);
        prop_assert_eq!(decode(VERSION, &bytes), Ok(vec![expected]));
    }

    #[test]
    fn every_truncation_is_refused((owner, number, left_ms) in record()) {
        let bytes = record_of(&owner, number, left_ms);
        for length in 0..bytes.len() {
            prop_assert_eq!(read_anything(&bytes[..length]), Err(Refusal::Form));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused_or_read_within_range((owner, number, left_ms) in record()) {
        let sound = record_of(&owner, number, left_ms);
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(read_anything(&bytes), read_anything(&sound));
        }
    }

    #[test]
    fn every_trailing_byte_is_refused((owner, number, left_ms) in record()) {
        let mut bytes = record_of(&owner, number, left_ms);
        bytes.push(0);
        for last in 0..=u8::MAX {
            *bytes.last_mut().expect("pushed") = last;
            prop_assert_eq!(read_anything(&bytes), Err(Refusal::Form));
        }
    }

    #[test]
    fn random_bytes_are_never_a_panic(
        version in any::<u32>(),
        bytes in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let _ = decode(version, &bytes);
        let _ = read_anything(&bytes);
        let _ = decode_counter(version, &bytes);
        let _ = decode_counter(VERSION, &bytes);
    }

    #[test]
    fn a_counter_is_read_as_written_and_only_whole(
        (last, ceiling, ttl_most_ms, since_ms) in any::<(u64, u64, u64, u64)>(),
        more in any::<u8>(),
    ) {
        let counter = StoredCounter { last, ceiling, ttl_most_ms, since_ms };
        let mut bytes = encode_counter(counter);
        prop_assert_eq!(decode_counter(VERSION, &bytes), Ok(counter));
        for length in 0..bytes.len() {
            prop_assert_eq!(decode_counter(VERSION, &bytes[..length]), Err(Refusal::Form));
        }
        bytes.push(more);
        prop_assert_eq!(decode_counter(VERSION, &bytes), Err(Refusal::Form));
    }
}
