//! Who waits for a key, for those who want to look.

use super::*;

/// A place in a line, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter<'a> {
    /// Who waits.
    pub owner: &'a [u8],
    /// Together with how many it would hold the lock.
    pub tolerates: Tolerance,
    /// Since when it waits.
    pub since: BootTime,
}

impl Lines {
    /// The places in line for a key, from the first.
    pub fn waiters(&self, db: u32, key: &[u8]) -> impl Iterator<Item = Waiter<'_>> {
        let line = self.find(db, key).and_then(|line| self.lines.get(line));
        let first = line.and_then(|line| line.places.first);
        let first = first.and_then(|place| self.places.get(place));
        let next = |place: &&PlaceInLine| self.places.get(place.neighbours.behind?);
        std::iter::successors(first, next).map(|place| Waiter {
            owner: &place.owner,
            tolerates: place.tolerates,
            since: place.since,
        })
    }
}
