//! The stored form: what was written is read, what was not is refused, and no
//! bytes at all are a panic. What version 1 wrote is frozen here for good.

use crate::lock::record::{
    decode, decode_counter, encode, encode_counter, LoadedHolder, Refusal, BYTES_MOST, VERSION,
};
use crate::lock::token::StoredCounter;
use crate::lock::Ttl;
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
    bytes
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads bytes that may be anything; whatever is read is within range.
fn read_anything(bytes: &[u8]) -> Result<Option<LoadedHolder<'_>>, Refusal> {
    let read = decode(VERSION, bytes);
    if let Ok(Some(holder)) = read {
        assert!((1..=512).contains(&holder.owner.len()));
        assert!((1..=TOKEN_MOST).contains(&holder.token.get()));
        assert!((1..=Ttl::MOST.as_ms()).contains(&holder.left.as_ms()));
    }
    read
}

#[test]
fn what_version_1_wrote_is_still_read() {
    let holder = LoadedHolder {
        owner: b"ann",
        token: token(300),
        left: ttl(30_000),
    };
    assert_eq!(decode(1, &HOLDER_V1), Ok(Some(holder)));
    assert_eq!(decode(1, &NOTHING_V1), Ok(None));
    assert_eq!(decode_counter(1, &COUNTER_V1), Ok(COUNTER));
}

#[test]
fn version_1_is_what_is_written() {
    assert_eq!(VERSION, 1);
    assert_eq!(record_of(b"ann", 300, 30_000), HOLDER_V1);
    assert_eq!(encode(Server::new().now, None), NOTHING_V1);
    assert_eq!(encode_counter(COUNTER), COUNTER_V1);
}

#[test]
fn the_largest_record_is_written_and_read() {
    let owner = [0xff; 512];
    let bytes = record_of(&owner, TOKEN_MOST, Ttl::MOST.as_ms());
    assert!(bytes.len() <= BYTES_MOST);
    let holder = decode(VERSION, &bytes).expect("sound").expect("held");
    assert_eq!(holder.owner, owner);
    assert_eq!((holder.token.get(), holder.left), (TOKEN_MOST, Ttl::MOST));
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

#[test]
fn unknown_versions_are_refused() {
    for version in [0, 2, 3, u32::MAX] {
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
fn a_record_longer_than_any_is_refused() {
    assert_eq!(read_anything(&[0; BYTES_MOST + 1]), Err(Refusal::Form));
    assert_eq!(read_anything(&vec![1; 1 << 20]), Err(Refusal::Form));
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
        let holder = LoadedHolder {
            owner: &owner,
            token: token(number),
            left: ttl(left_ms),
        };
        prop_assert_eq!(decode(VERSION, &bytes), Ok(Some(holder)));
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
