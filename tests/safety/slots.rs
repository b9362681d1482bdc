//! Cluster slots: the hash of the Redis Cluster specification, sets of slots, and
//! the first grant in a slot, which goes by the clock.

use crate::lock::slots::{Slot, SlotSet, SLOTS};
use crate::lock::{Answer, Event};
use crate::server::Server;
use crate::values::{token, wall};

fn slot(key: &[u8]) -> u16 {
    Slot::of_key(key).number()
}

#[test]
fn keys_are_in_the_slots_that_the_specification_says() {
    // The check value of CRC-16/XMODEM is 0x31C3.
    assert_eq!(slot(b"123456789"), 0x31C3);
    assert_eq!(slot(b"foo"), 12_182);
    assert_eq!(slot(b""), 0);
}

#[test]
fn keys_with_one_tag_are_in_one_slot() {
    assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
    assert_eq!(slot(b"{user1000}.followers"), slot(b"user1000"));
    assert_eq!(slot(b"a{foo}b"), slot(b"foo"));
}

#[test]
fn only_the_first_tag_counts() {
    assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
}

#[test]
fn an_empty_or_open_tag_is_no_tag() {
    // Each differs from the slots of its parts, so the whole key was hashed.
    for key in [&b"foo{}{bar}"[..], b"foo{bar", b"foo}bar{", b"{}foo"] {
        for part in [&b"foo"[..], b"bar", b"", b"}bar{", b"{bar}"] {
            assert_ne!(slot(key), slot(part), "{key:?} and {part:?}");
        }
    }
    assert_eq!(slot(b"foo{}{bar}"), 8_363);
}

#[test]
fn there_are_16384_slots() {
    assert_eq!(Slot::new(16_383).map(Slot::number), Some(16_383));
    assert_eq!(Slot::new(16_384), None);
    assert!((0..10_000u32).all(|key| slot(&key.to_be_bytes()) < 16_384));
}

#[test]
fn every_slot_has_a_key_of_its_own_to_ask_about() {
    let mut numbers = Vec::new();
    for slot in Slot::range(0..SLOTS) {
        assert_eq!(Slot::of_key(&slot.example_key()), slot);
        numbers.push(slot.number());
    }
    assert_eq!(numbers, Vec::from_iter(0..16_384));
}

#[test]
fn a_range_stops_where_slots_do() {
    let numbers = |range| Vec::from_iter(Slot::range(range).map(Slot::number));
    assert_eq!(numbers(16_382..u16::MAX), [16_382, 16_383]);
    assert_eq!(numbers(16_384..u16::MAX), []);
    assert_eq!(numbers(5..5), []);
}

#[test]
fn a_set_holds_what_was_put_in_until_it_is_taken_out() {
    let every = || Slot::range(0..SLOTS);
    let mut set = SlotSet::default();
    assert!(set.is_empty());
    every().for_each(|slot| set.remove(slot));
    for slot in every().filter(|slot| slot.number() % 3 == 0) {
        set.insert(slot);
    }
    for slot in every().filter(|slot| slot.number() % 2 == 0) {
        set.remove(slot);
    }
    for slot in every() {
        let is_in = slot.number() % 6 == 3;
        assert_eq!(set.contains(slot), is_in, "{slot:?}");
    }
    every().for_each(|slot| set.remove(slot));
    assert!(set.is_empty());
    assert!(every().all(|slot| !set.contains(slot)));
}

#[test]
fn a_slot_not_served_in_this_term_opens_one() {
    let mut server = Server::new();
    assert!(server.locks.is_new_slot(b"foo"));
    server.locks.enter_slot(b"foo", wall(5));
    assert!(!server.locks.is_new_slot(b"foo"));
    assert!(server.locks.is_new_slot(b"bar"));
    let first = 5 * 4_096 + 1;
    let granted = server.acquire(b"foo", b"ann", 30).0;
    assert_eq!(granted, Answer::Token(token(first)));
    // This server knows its own tokens: a slow clock costs none of them.
    server.locks.enter_slot(b"bar", wall(0));
    assert!(!server.locks.is_new_slot(b"foo"), "it is still served");
    let granted = server.acquire(b"bar", b"ann", 30).0;
    assert_eq!(granted, Answer::Token(token(first + 1)));
}

#[test]
fn a_slot_that_went_elsewhere_is_new_when_it_returns() {
    let mut server = Server::new();
    server.locks.enter_slot(b"foo", wall(0));
    server.locks.enter_slot(b"bar", wall(0));
    server.silently(Event::SlotLeft(Slot::of_key(b"foo")));
    assert!(server.locks.is_new_slot(b"foo"));
    assert!(!server.locks.is_new_slot(b"bar"));
    assert!(server.locks.tokens().has_slots());
    server.silently(Event::SlotLeft(Slot::of_key(b"bar")));
    assert!(server.locks.is_new_slot(b"bar"));
    assert!(!server.locks.tokens().has_slots());
}

#[test]
fn a_term_of_the_whole_server_makes_every_slot_new() {
    let mut server = Server::new();
    server.locks.enter_slot(b"foo", wall(0));
    server.open_term(wall(0));
    assert!(server.locks.is_new_slot(b"foo"));
}
