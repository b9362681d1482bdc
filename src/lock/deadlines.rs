//! Which lease ends next.
//!
//! A heap with eight children to a node, in which every entry's place is noted
//! beside the lock it stands for ([`Places`]), so that a lease that is moved or
//! released early leaves the queue at once, in O(log n), and leaves nothing
//! behind. Eight children instead of two make it a third as deep, and for each level
//! a place is noted somewhere in memory; siblings are neighbours and quickly compared
//! (D. B. Johnson, "Priority queues with update and finding minimum spanning trees",
//! 1975). With four children RELEASE was 5 to 10 % slower at 300,000 leases, with
//! sixteen about as fast as with four.
//!
//! Entries live in pages, so that growing never copies the queue. The first place is
//! put where the children of each entry are neighbours within one page.

use super::time::BootTime;

/// Where each lock's entry stands in the queue; kept with the locks.
pub trait Places {
    /// The place of `slot`'s entry, if it has one.
    fn place(&self, slot: u32) -> Option<u32>;
    /// Notes that `slot`'s entry is now at `place`, or nowhere.
    fn set_place(&mut self, slot: u32, place: Option<u32>);
}

/// Packed: a million of them are to be small.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct Entry {
    deadline: BootTime,
    slot: u32,
}

impl Entry {
    /// A copy: what is packed cannot be borrowed.
    fn ends(&self) -> BootTime {
        self.deadline
    }
}

const CHILDREN: u32 = 8;
const PAGE: usize = 4_096;
/// The children of place `p` are at `8p + 1` to `8p + 8`. With the first place so far
/// from the start of its page, they begin at a multiple of eight.
const START: usize = CHILDREN as usize - 1;

/// The page of a place, and where in the page it is.
fn index(place: u32) -> (usize, usize) {
    let index = place as usize + START;
    (index / PAGE, index % PAGE)
}

/// The queue.
#[derive(Debug, Default)]
pub struct DeadlineQueue {
    pages: Vec<Vec<Entry>>,
    length: u32,
}

impl DeadlineQueue {
    /// What one lease occupies here.
    pub const BYTES_PER_ENTRY: usize = size_of::<Entry>();

    /// How many leases are queued.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether no lease is queued.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The lease that ends first: when, and which slot of the table.
    pub fn first(&self) -> Option<(BootTime, u32)> {
        (self.length > 0).then(|| {
            let entry = self.entry(0);
            (entry.deadline, entry.slot)
        })
    }

    /// When `slot`'s entry is due, if it has one.
    pub fn deadline(&self, slot: u32, places: &impl Places) -> Option<BootTime> {
        let place = places.place(slot).filter(|&place| place < self.length)?;
        let entry = self.entry(place);
        (entry.slot == slot).then_some(entry.deadline)
    }

    /// Queues `slot` at `deadline`, or moves it there.
    pub fn set(&mut self, slot: u32, deadline: BootTime, places: &mut impl Places) {
        let entry = Entry { deadline, slot };
        match places.place(slot) {
            Some(place) => self.settle(place, entry, places),
            None => self.add(slot, deadline, places),
        }
    }

    /// Queues `slot`, which has no entry, at `deadline`.
    pub fn add(&mut self, slot: u32, deadline: BootTime, places: &mut impl Places) {
        let entry = Entry { deadline, slot };
        // It comes last, where nothing is below it.
        let place = self.push(entry);
        let place = self.raise(place, entry, places);
        self.write(place, entry, places);
    }

    /// Takes `slot` out of the queue, if it is in.
    pub fn remove(&mut self, slot: u32, places: &mut impl Places) {
        let Some(place) = places.place(slot) else {
            return;
        };
        places.set_place(slot, None);
        let Some(last) = self.pop() else { return };
        if last.slot != slot {
            self.settle(place, last, places);
        }
    }

    /// Puts `entry` where it belongs, given that everything but `place` is in
    /// order.
    fn settle(&mut self, place: u32, entry: Entry, places: &mut impl Places) {
        let mut place = self.raise(place, entry, places);
        while let Some((child, least)) = self.least_child(place) {
            if entry.ends() <= least.ends() {
                break;
            }
            self.write(place, least, places);
            place = child;
        }
        self.write(place, entry, places);
    }

    /// Moves parents that end later than `entry` down, from `place` upwards.
    fn raise(&mut self, mut place: u32, entry: Entry, places: &mut impl Places) -> u32 {
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            let above = self.entry(parent);
            if above.ends() <= entry.ends() {
                break;
            }
            self.write(place, above, places);
            place = parent;
        }
        place
    }

    fn least_child(&self, place: u32) -> Option<(u32, Entry)> {
        let first = place.checked_mul(CHILDREN)?.checked_add(1)?;
        let (page, from) = index(first);
        let page = self.pages.get(page)?;
        let to = page.len().min(from + CHILDREN as usize);
        let mut children = (first..).zip(page.get(from..to)?);
        let (mut child, mut least) = children.next()?;
        for (place, entry) in children {
            if entry.ends() < least.ends() {
                (child, least) = (place, entry);
            }
        }
        Some((child, *least))
    }

    fn entry(&self, place: u32) -> Entry {
        let (page, at) = index(place);
        self.pages[page][at]
    }

    fn write(&mut self, place: u32, entry: Entry, places: &mut impl Places) {
        let (page, at) = index(place);
        self.pages[page][at] = entry;
        places.set_place(entry.slot, Some(place));
    }

    /// Adds `entry` at the end; returns its place there.
    fn push(&mut self, entry: Entry) -> u32 {
        let place = self.length;
        let (page, at) = index(place);
        if page == self.pages.len() {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        // In front of the first place there is nothing, again and again.
        let page = &mut self.pages[page];
        while page.len() < at {
            page.push(entry);
        }
        page.push(entry);
        self.length += 1;
        place
    }

    /// Takes the entry at the end away. One spare page is kept.
    fn pop(&mut self) -> Option<Entry> {
        let last = self.length.checked_sub(1)?;
        let (page, _) = index(last);
        let entry = self.pages[page].pop();
        self.length = last;
        self.pages.truncate(page + 2);
        entry
    }

    /// Whether every entry ends no earlier than its parent and knows its place.
    pub fn is_in_order(&self, places: &impl Places) -> bool {
        (0..self.length).all(|place| {
            let entry = self.entry(place);
            let parent = self.entry(place.saturating_sub(1) / CHILDREN);
            parent.ends() <= entry.ends() && places.place(entry.slot) == Some(place)
        })
    }
}
