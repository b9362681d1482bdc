//! The table: handles die with their lock and never come back, and locks that are
//! gone leave no memory behind.

use crate::lock::holders::Hold;
use crate::lock::table::{Lock, Table, PAGE};
use crate::lock::{BootTime, Delay, LockId, Tolerance};
use crate::replay;
use crate::values::{the_hold, token};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

fn insert(table: &mut Table, db: u32, number: u64) -> LockId {
    let lease = (token(number), BootTime::from_ns(number));
    let hold = Hold::unbound(b"ann", lease, Tolerance::ALONE, Delay::NONE);
    table.insert(db, b"lock", hold)
}

fn insert_many(table: &mut Table, count: u64) -> Vec<LockId> {
    (1..=count).map(|number| insert(table, 0, number)).collect()
}

fn token_of(lock: Option<&Lock>) -> Option<u64> {
    lock.map(|lock| the_hold(lock).token.get())
}

#[test]
fn a_handle_finds_its_lock_until_that_is_removed() {
    let mut table = Table::default();
    let [one, other] = [1, 2].map(|number| insert(&mut table, 0, number));
    assert_eq!(token_of(table.get(one)), Some(1));
    assert_eq!(token_of(table.get(other)), Some(2));
    assert_eq!(token_of(table.remove(one).as_ref()), Some(1));
    assert!(table.get(one).is_none());
    assert!(table.get_mut(one).is_none());
    assert_eq!(token_of(table.get(other)), Some(2));
    assert_eq!(table.taken(), 1);
}

#[test]
fn a_dead_handle_removes_nothing_not_even_the_next_lock_in_its_slot() {
    let mut table = Table::default();
    let dead = insert(&mut table, 0, 1);
    table.remove(dead);
    let next = insert(&mut table, 0, 2);
    assert!(table.remove(dead).is_none());
    assert!(table.get(dead).is_none());
    assert_eq!(token_of(table.get(next)), Some(2));
}

#[test]
fn a_slot_never_gives_out_the_same_handle_twice() {
    let mut table = Table::default();
    let mut seen = HashSet::new();
    for number in 1..=10_000 {
        let id = insert(&mut table, 0, number);
        assert!(seen.insert(id.to_bits()));
        table.remove(id);
    }
    assert_eq!(table.pages(), 1);
}

#[test]
fn no_handle_is_given_out_twice_though_pages_come_and_go() {
    let mut table = Table::default();
    let mut seen = HashSet::new();
    for round in 0..10 {
        let ids = insert_many(&mut table, 5_000);
        assert!(ids.iter().all(|id| seen.insert(id.to_bits())));
        // In another order each time, so that other pages are given back.
        for index in 0..ids.len() {
            let place = (index * (2 * round + 1)) % ids.len();
            table.remove(ids[place]);
        }
        for id in ids {
            table.remove(id);
        }
        assert_eq!(table.pages(), 1);
    }
}

#[test]
fn ten_thousand_released_locks_leave_one_page() {
    let orders: [fn(usize) -> usize; 3] = [
        |index| index,
        |index| 9_999 - index,
        |index| index * 7 % 10_000,
    ];
    for order in orders {
        let mut table = Table::default();
        let ids = insert_many(&mut table, 10_000);
        assert_eq!(table.pages(), 10);
        for index in 0..10_000 {
            assert!(table.remove(ids[order(index)]).is_some());
        }
        assert_eq!((table.taken(), table.pages()), (0, 1));
        assert!(ids.iter().all(|&id| table.get(id).is_none()));
        // What was given back is used again before anything new.
        insert_many(&mut table, 10_000);
        assert_eq!((table.pages(), table.slots()), (10, 10 * PAGE));
    }
}

#[test]
fn a_lone_lock_that_comes_and_goes_beside_full_pages_needs_one_more_page() {
    let mut table = Table::default();
    insert_many(&mut table, 2 * u64::from(PAGE));
    for number in 1..=100 {
        let id = insert(&mut table, 0, number);
        assert_eq!(table.pages(), 3);
        table.remove(id);
        assert_eq!(table.slots(), 3 * PAGE);
    }
}

#[test]
fn handles_that_no_table_gave_out_are_dead() {
    let mut table = Table::default();
    let live = insert(&mut table, 0, 1);
    for id in [
        LockId::DEAD,
        LockId::from_bits(0),
        LockId::from_bits(u64::MAX),
        LockId::from_bits(live.to_bits() + 1),
        LockId::from_bits(live.to_bits() + (1 << 32)),
        LockId::from_bits(live.to_bits() - (1 << 32)),
        LockId::from_bits(live.to_bits() + u64::from(PAGE)),
    ] {
        assert!(table.get(id).is_none(), "{id:?}");
        assert!(table.get_mut(id).is_none(), "{id:?}");
        assert!(table.remove(id).is_none(), "{id:?}");
    }
    assert_eq!(token_of(table.get(live)), Some(1));
    assert_ne!(LockId::DEAD.to_bits(), 0, "zero is no value for a pointer");
}

#[test]
fn a_database_ends_as_a_whole_and_no_other_does() {
    let mut table = Table::default();
    let [zero, one, two] = [0, 1, 2].map(|db| insert(&mut table, db, 1));
    table.end_all(Some(1));
    assert!(table.get(zero).is_some());
    assert!(table.get(one).is_none());
    assert!(table.get_mut(one).is_none());
    assert!(table.get(two).is_some());
    let later = insert(&mut table, 1, 2);
    assert!(table.get(later).is_some());
    assert!(table.get(one).is_none());
    table.end_all(None);
    assert!([zero, one, two, later]
        .iter()
        .all(|&id| table.get(id).is_none()));
    let last = insert(&mut table, 1, 3);
    assert!(table.get(last).is_some());
}

#[test]
fn what_ended_with_its_database_stays_in_the_table_until_it_is_removed() {
    let mut table = Table::default();
    let id = insert(&mut table, 0, 1);
    table.end_all(Some(0));
    assert_eq!(table.taken(), 1);
    let (found, lock) = table.at(0).expect("it is there");
    assert_eq!(found, id);
    assert!(table.is_ended(lock));
    assert!(table.remove(id).is_some());
    assert_eq!(table.taken(), 0);
    assert!(table.at(0).is_none());
}

#[test]
fn a_database_that_never_had_a_lock_can_be_ended() {
    let mut table = Table::default();
    table.end_all(None);
    table.end_all(Some(15));
    table.end_all(Some(u32::MAX));
    let id = insert(&mut table, 15, 1);
    assert!(table.get(id).is_some());
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Insert { db: u32 },
    Remove { index: usize },
    EndAll { db: Option<u32> },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..3u32).prop_map(|db| Change::Insert { db }),
        4 => any::<usize>().prop_map(|index| Change::Remove { index }),
        1 => prop::option::of(0..3u32).prop_map(|db| Change::EndAll { db }),
    ]
}

proptest! {
    #![proptest_config(replay::config())]

    #[test]
    fn any_bits_survive_packing_and_unpacking(bits in any::<u64>()) {
        prop_assert_eq!(LockId::from_bits(bits).to_bits(), bits);
    }

    #[test]
    fn random_bits_are_alive_only_if_they_are_a_live_handle(
        low in 0..3_000u32, high in 0..4u32, wild in any::<u64>(),
    ) {
        let mut table = Table::default();
        let ids = insert_many(&mut table, 1_500);
        for id in &ids[..700] {
            table.remove(*id);
        }
        insert_many(&mut table, 200);
        let live: HashSet<_> = table.locks().map(|(id, _)| id.to_bits()).collect();
        prop_assert_eq!(live.len(), 1_000);
        for bits in [u64::from(high) << 32 | u64::from(low), wild] {
            let is_alive = table.get(LockId::from_bits(bits)).is_some();
            prop_assert_eq!(is_alive, live.contains(&bits));
        }
    }

    #[test]
    fn the_table_agrees_with_a_map_of_every_handle_it_ever_gave_out(
        changes in prop::collection::vec(change(), 1..200),
    ) {
        let mut table = Table::default();
        let mut ids: Vec<(LockId, u32)> = Vec::new();
        let mut live: HashMap<LockId, u64> = HashMap::new();
        for (number, change) in (1..).zip(changes) {
            match change {
                Change::Insert { db } => {
                    let id = insert(&mut table, db, number);
                    ids.push((id, db));
                    prop_assert!(live.insert(id, number).is_none());
                }
                Change::Remove { index } if !ids.is_empty() => {
                    let (id, _) = ids[index % ids.len()];
                    table.remove(id);
                    live.remove(&id);
                }
                Change::Remove { .. } => {}
                Change::EndAll { db } => {
                    table.end_all(db);
                    for (id, _) in ids.iter().filter(|(_, of)| db.is_none_or(|db| db == *of)) {
                        live.remove(id);
                    }
                }
            }
            for (id, _) in &ids {
                prop_assert_eq!(token_of(table.get(*id)), live.get(id).copied());
            }
        }
    }
}
