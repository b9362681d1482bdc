//! What the locks protect: counters that are read, thought about and written back.
//!
//! Each is kept thrice. One looks at the fencing token: it refuses whoever comes
//! with a lower one than it has seen, or with the same one in another's hand. The
//! other takes what it is given, as most things do that people protect with locks.
//! With a lock that has two holders for a moment the second loses updates. It is
//! the control: a campaign in which it loses none has proved little. A third is kept
//! by clients that look at the clock before they write: as long as there is one holder
//! at a time that is enough, however late an answer comes.

use crate::history::{Stamp, Unit};
use std::sync::Mutex;

/// The counters of all keys.
pub struct Resource {
    counters: Vec<Mutex<Counter>>,
}

#[derive(Default)]
struct Counter {
    seen: Option<(i64, Unit)>,
    fenced: Tally,
    bare: Tally,
    timely: Tally,
}

#[derive(Default)]
struct Tally {
    value: u64,
    accepted: u64,
}

/// What was read, to be written back with one more.
pub struct Reading {
    /// From the counter with a fence, if it let the reader in.
    pub fenced: Option<u64>,
    /// From the one without.
    pub bare: u64,
    /// From the one without that is written only while the lease can be counted on.
    pub timely: u64,
}

/// How many updates were accepted and are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// From the counters with a fence: must be none.
    pub fenced: u64,
    /// From those without.
    pub bare: u64,
    /// From those that are written only while the lease can be counted on: must be
    /// none where one holder at a time is promised.
    pub timely: u64,
}

impl Counter {
    /// Whether the token may be used; from now on no lower one may.
    fn lets_in(&mut self, token: i64, unit: Unit) -> bool {
        match self.seen {
            Some((seen, by)) if token < seen || (token == seen && by != unit) => false,
            _ => {
                self.seen = Some((token, unit));
                true
            }
        }
    }
}

impl Resource {
    /// Counters for so many keys.
    pub fn new(keys: u32) -> Self {
        let counters = (0..keys).map(|_| Mutex::default()).collect();
        Self { counters }
    }

    /// Reads. The token is shown here already: a write that was on its way when
    /// this was read must not come in later.
    pub fn read(&self, key: u32, token: i64, unit: Unit) -> Reading {
        let mut counter = self.counters[key as usize].lock().expect("no panic");
        let is_let_in = counter.lets_in(token, unit);
        Reading {
            fenced: is_let_in.then_some(counter.fenced.value),
            bare: counter.bare.value,
            timely: counter.timely.value,
        }
    }

    /// Writes back one more than was read, if the lease can still be counted on.
    pub fn write_in_time(&self, key: u32, reading: &Reading, until: Stamp) {
        let mut counter = self.counters[key as usize].lock().expect("no panic");
        if Stamp::now() < until {
            counter.timely.value = reading.timely + 1;
            counter.timely.accepted += 1;
        }
    }

    /// Writes back one more than was read; whether the fence let it pass.
    pub fn write(&self, key: u32, token: i64, unit: Unit, reading: &Reading) -> bool {
        let mut counter = self.counters[key as usize].lock().expect("no panic");
        counter.bare.value = reading.bare + 1;
        counter.bare.accepted += 1;
        let Some(value) = reading.fenced else {
            return false;
        };
        if !counter.lets_in(token, unit) {
            return false;
        }
        counter.fenced.value = value + 1;
        counter.fenced.accepted += 1;
        true
    }

    /// The largest token it was shown: what it tells whom it refuses.
    pub fn seen(&self, key: u32) -> Option<i64> {
        let counter = self.counters[key as usize].lock().expect("no panic");
        counter.seen.map(|(token, _)| token)
    }

    /// What was lost, in all counters.
    pub fn lost(&self) -> Lost {
        let mut lost = Lost::default();
        for counter in &self.counters {
            let counter = counter.lock().expect("no panic");
            lost.fenced += counter.fenced.accepted - counter.fenced.value;
            lost.bare += counter.bare.accepted - counter.bare.value;
            lost.timely += counter.timely.accepted - counter.timely.value;
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_writer_is_stopped_by_the_fence_and_only_by_it() {
        let resource = Resource::new(1);
        let late = resource.read(0, 5, Unit(1));
        let true_one = resource.read(0, 6, Unit(2));
        assert!(resource.write(0, 6, Unit(2), &true_one));
        assert!(!resource.write(0, 5, Unit(1), &late));
        let lost = resource.lost();
        assert_eq!((lost.fenced, lost.bare), (0, 1));
    }

    #[test]
    fn two_holders_at_a_time_are_seen_and_a_late_one_is_not_counted() {
        let resource = Resource::new(1);
        let ages = Stamp(u64::MAX);
        let [one, two, late] = [5, 6, 4].map(|token| resource.read(0, token, Unit(token as u64)));
        resource.write_in_time(0, &late, Stamp(0));
        resource.write_in_time(0, &one, ages);
        assert_eq!(resource.lost().timely, 0);
        resource.write_in_time(0, &two, ages);
        assert_eq!(resource.lost().timely, 1);
    }

    #[test]
    fn a_fence_cannot_help_against_tokens_that_do_not_rise() {
        let resource = Resource::new(1);
        let one = resource.read(0, 5, Unit(1));
        let two = resource.read(0, 5, Unit(2));
        assert!(resource.write(0, 5, Unit(1), &one));
        assert!(!resource.write(0, 5, Unit(2), &two), "in another's hand");
        let raised = resource.read(0, 6, Unit(2));
        assert!(resource.write(0, 6, Unit(2), &raised));
    }
}
