//! The deadline queue, against a sorted set that cannot be wrong.

use crate::lock::deadlines::{DeadlineQueue, Places};
use crate::lock::BootTime;
use crate::replay;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Places in a list, and how often one was written.
#[derive(Default)]
struct CountedPlaces {
    places: Vec<Option<u32>>,
    writes: u64,
}

impl Places for CountedPlaces {
    fn place(&self, slot: u32) -> Option<u32> {
        self.places.get(slot as usize).copied().flatten()
    }

    fn set_place(&mut self, slot: u32, place: Option<u32>) {
        let index = slot as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        self.places[index] = place;
        self.writes += 1;
    }
}

/// The queue and, beside it, the sorted set that says what it must hold.
#[derive(Default)]
struct Pair {
    queue: DeadlineQueue,
    places: CountedPlaces,
    model: BTreeSet<(u64, u32)>,
    deadlines: Vec<Option<u64>>,
}

impl Pair {
    fn set(&mut self, slot: u32, deadline: u64) {
        self.forget(slot);
        self.model.insert((deadline, slot));
        self.deadlines[slot as usize] = Some(deadline);
        let deadline = BootTime::from_ns(deadline);
        self.queue.set(slot, deadline, &mut self.places);
    }

    fn remove(&mut self, slot: u32) {
        self.forget(slot);
        self.queue.remove(slot, &mut self.places);
    }

    fn forget(&mut self, slot: u32) {
        let index = slot as usize;
        if self.deadlines.len() <= index {
            self.deadlines.resize(index + 1, None);
        }
        if let Some(old) = self.deadlines[index].take() {
            self.model.remove(&(old, slot));
        }
    }

    /// The queue has the same number of entries, and one of those that end first
    /// in front.
    fn check(&self) {
        assert_eq!(self.queue.len(), self.model.len());
        assert_eq!(self.queue.is_empty(), self.model.is_empty());
        match (self.queue.first(), self.model.first()) {
            (None, None) => {}
            (Some((deadline, slot)), Some(&(least, _))) => {
                assert_eq!(deadline.as_ns(), least);
                assert!(self.model.contains(&(least, slot)));
            }
            (first, least) => panic!("{first:?} is not {least:?}"),
        }
    }

    /// How many places were written by `change`.
    fn writes_of(&mut self, change: impl FnOnce(&mut Self)) -> u64 {
        let before = self.places.writes;
        change(self);
        self.places.writes - before
    }
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Set { slot: u32, deadline: u64 },
    Remove { slot: u32 },
    RemoveFirst,
}

fn change() -> impl Strategy<Value = Change> {
    let slot = 0..60u32;
    // Few different deadlines, so that many are equal.
    let deadline = prop_oneof![0..20u64, any::<u64>()];
    prop_oneof![
        4 => (slot.clone(), deadline).prop_map(|(slot, deadline)| Change::Set { slot, deadline }),
        2 => slot.prop_map(|slot| Change::Remove { slot }),
        1 => Just(Change::RemoveFirst),
    ]
}

proptest! {
    #![proptest_config(replay::config())]

    #[test]
    fn the_queue_agrees_with_a_sorted_set_after_every_change(
        changes in prop::collection::vec(change(), 1..300),
    ) {
        let mut pair = Pair::default();
        for change in changes {
            match change {
                Change::Set { slot, deadline } => pair.set(slot, deadline),
                Change::Remove { slot } => pair.remove(slot),
                Change::RemoveFirst => {
                    if let Some((_, slot)) = pair.queue.first() {
                        pair.remove(slot);
                    }
                }
            }
            pair.check();
            prop_assert!(pair.queue.is_in_order(&pair.places));
        }
    }
}

/// Deadlines in no order at all: `index` times a prime, modulo another.
fn scattered(index: u32) -> u64 {
    u64::from(index) * 7_368_787 % 1_299_709
}

fn with_entries(count: u32) -> Pair {
    let mut pair = Pair::default();
    for slot in 0..count {
        pair.set(slot, scattered(slot));
    }
    pair
}

#[test]
fn a_hundred_thousand_entries_leave_in_order() {
    let mut pair = with_entries(100_000);
    assert!(pair.queue.is_in_order(&pair.places));
    let mut last = 0;
    while let Some((deadline, slot)) = pair.queue.first() {
        assert!(deadline.as_ns() >= last);
        last = deadline.as_ns();
        pair.check();
        pair.remove(slot);
    }
    pair.check();
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let mut pair = with_entries(100_000);
    for step in 0..100_000u32 {
        pair.remove(step * 7 % 100_000);
    }
    assert!(pair.queue.is_empty());
    assert_eq!(pair.queue.first(), None);
    assert!(pair.places.places.iter().all(Option::is_none));
}

#[test]
fn removing_what_is_not_queued_changes_nothing() {
    let mut pair = with_entries(10);
    assert_eq!(pair.writes_of(|pair| pair.remove(10)), 0);
    pair.remove(3);
    assert_eq!(pair.writes_of(|pair| pair.remove(3)), 0);
    assert_eq!(pair.queue.len(), 9);
    pair.check();
}

/// Four children to a node: 100,000 entries are nine levels deep.
#[test]
fn a_change_touches_a_few_of_a_hundred_thousand_entries() {
    const WRITES_MOST: u64 = 9 + 2;
    let mut pair = with_entries(100_000);
    for step in 0..20_000u32 {
        let slot = step * 5 % 100_000;
        let writes = pair.writes_of(|pair| match step % 4 {
            0 => pair.set(slot, 0),
            1 => pair.set(slot, u64::MAX),
            2 => pair.set(slot, scattered(step)),
            _ => pair.remove(slot),
        });
        assert!(writes <= WRITES_MOST, "{writes} entries touched");
        pair.check();
    }
    assert!(pair.queue.is_in_order(&pair.places));
}

#[test]
fn a_lease_that_is_moved_has_one_entry() {
    let mut pair = Pair::default();
    for deadline in [50, 10, 90, 10, 50] {
        pair.set(7, deadline);
        assert_eq!(pair.queue.len(), 1);
        pair.check();
    }
}
