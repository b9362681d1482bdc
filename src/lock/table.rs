//! The table of locks, behind handles.
//!
//! The keyspace of the server holds only a [`LockId`]: a slot of this table and
//! the slot's generation. When a lock ends, its slot's generation moves on, and
//! every copy of its handle - under an old name, in another database, in a value
//! that comes back - is dead for good. That is what makes RENAME there and back,
//! MOVE and SWAPDB harmless.
//!
//! FLUSHALL and SWAPDB end all locks of a database at once by moving on the
//! database's *epoch*; their slots are reclaimed later, in slices.
//!
//! Slots live in pages of [`PAGE`]; a page without locks is given back, so no
//! growth copies the table and a million released locks leave nothing behind.

use super::bytes::ShortBytes;
use super::deadlines::Places;
use super::holders::{Hold, Holders};
use std::num::NonZeroU64;

/// A handle: which slot, in which generation. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockId {
    slot: u32,
    generation: u32,
}

impl LockId {
    /// The handle as the 64 bits that the keyspace keeps.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The handle that [`LockId::to_bits`] packed. Any bits are safe to ask
    /// about; bits that no table packed are a dead handle.
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            slot: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }

    /// A handle that never was and never will be alive: generations start at 1.
    pub const DEAD: Self = Self {
        slot: u32::MAX,
        generation: 0,
    };

    /// In order, none is before this one.
    pub(super) const FIRST: Self = Self {
        slot: 0,
        generation: 0,
    };

    /// The slot in the table, under which the deadline is queued.
    pub(super) const fn slot(self) -> u32 {
        self.slot
    }
}

/// One lock: a key that somebody holds.
#[derive(Debug)]
pub struct Lock {
    /// The key's name.
    pub key: ShortBytes,
    /// The key's database.
    pub db: u32,
    /// The epoch of the database in which the lock was made.
    pub(super) epoch: u32,
    /// Who holds it.
    pub holders: Holders,
}

/// A connection, by the number that the server gave it. Not used again before
/// the server restarts, and a session does not outlive that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(NonZeroU64);

impl ClientId {
    /// No connection has the number zero.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Slots in a page.
pub const PAGE: u32 = 1_024;

/// The locks.
#[derive(Debug, Default)]
pub struct Table {
    pages: Vec<PageState>,
    /// Pages that have a free slot; the last is filled first.
    open: Vec<u32>,
    /// Pages that were given back, to be used again first.
    vacant: Vec<u32>,
    /// Per database: how often all its locks were ended at once.
    epochs: Vec<u32>,
    taken: u32,
}

#[derive(Debug)]
enum PageState {
    Present(Page),
    /// Given back. New slots start at this generation.
    Vacant {
        generation: u32,
    },
}

#[derive(Debug)]
struct Page {
    /// Those that were used; room for all is there.
    slots: Vec<Slot>,
    /// The first of those that are free again.
    free_first: Option<u32>,
    taken: u32,
    /// Where the generations of new slots begin.
    generation_first: u32,
    /// No slot of the page ever had a larger generation.
    generation_most: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    /// Where the lock stands in the deadline queue, or [`NOWHERE`].
    place: u32,
    content: Content,
}

/// No queue is so long.
const NOWHERE: u32 = u32::MAX;

#[derive(Debug)]
enum Content {
    Free {
        next: Option<u32>,
    },
    Taken(Lock),
    /// Its generations are used up.
    Retired,
}

impl Table {
    /// What one lock occupies here.
    pub const BYTES_PER_SLOT: usize = size_of::<Slot>();

    /// Adds a lock; its deadline is not queued yet.
    pub fn insert(&mut self, db: u32, key: &[u8], hold: Hold) -> LockId {
        if self.epochs.len() <= db as usize {
            self.epochs.resize(db as usize + 1, 0);
        }
        let lock = Lock {
            key: key.into(),
            db,
            epoch: epoch(&self.epochs, db),
            holders: Holders::one(hold),
        };
        let number = self.open_page();
        let PageState::Present(page) = &mut self.pages[number as usize] else {
            unreachable!("an open page is present");
        };
        let (index, generation) = page.take(lock);
        if page.is_full() {
            self.open.pop();
        }
        self.taken += 1;
        LockId {
            slot: number * PAGE + index,
            generation,
        }
    }

    /// The number of a page with a free slot, on top of `open`.
    fn open_page(&mut self) -> u32 {
        if let Some(&number) = self.open.last() {
            return number;
        }
        let number = match self.vacant.pop() {
            Some(number) => {
                let state = &mut self.pages[number as usize];
                if let PageState::Vacant { generation } = *state {
                    *state = PageState::Present(Page::new(generation));
                }
                number
            }
            None => {
                self.pages.push(PageState::Present(Page::new(1)));
                self.pages.len() as u32 - 1
            }
        };
        self.open.push(number);
        number
    }

    /// The lock behind `id`, ended by an epoch or not.
    fn slot(&self, id: LockId) -> Option<&Lock> {
        let slot = self.page(id.slot)?.slots.get((id.slot % PAGE) as usize)?;
        match &slot.content {
            Content::Taken(lock) if slot.generation == id.generation => Some(lock),
            _ => None,
        }
    }

    fn page(&self, slot: u32) -> Option<&Page> {
        match self.pages.get((slot / PAGE) as usize)? {
            PageState::Present(page) => Some(page),
            PageState::Vacant { .. } => None,
        }
    }

    /// The lock behind `id`, unless the handle is dead.
    pub fn get(&self, id: LockId) -> Option<&Lock> {
        self.slot(id).filter(|lock| !self.is_ended(lock))
    }

    /// As [`Table::get`], to be changed.
    pub fn get_mut(&mut self, id: LockId) -> Option<&mut Lock> {
        let page = self.pages.get_mut((id.slot / PAGE) as usize)?;
        let PageState::Present(page) = page else {
            return None;
        };
        let slot = page.slots.get_mut((id.slot % PAGE) as usize)?;
        match &mut slot.content {
            Content::Taken(lock) if slot.generation == id.generation => {
                (lock.epoch == epoch(&self.epochs, lock.db)).then_some(lock)
            }
            _ => None,
        }
    }

    /// Whether the lock ended with all others of its database.
    pub fn is_ended(&self, lock: &Lock) -> bool {
        lock.epoch != epoch(&self.epochs, lock.db)
    }

    /// Ends the lock and every handle to it. `None` if it is not in the table.
    pub fn remove(&mut self, id: LockId) -> Option<Lock> {
        self.slot(id)?;
        let number = id.slot / PAGE;
        let PageState::Present(page) = self.pages.get_mut(number as usize)? else {
            return None;
        };
        let was_full = page.is_full();
        let lock = page.give_back(id.slot % PAGE)?;
        self.taken -= 1;
        if was_full && !page.is_full() {
            self.open.push(number);
        }
        // One empty page is kept, so that a lone lock that comes and goes does
        // not build and drop a page each time.
        if self.open.len() > 1 {
            self.drop_if_empty(number);
        }
        Some(lock)
    }

    fn drop_if_empty(&mut self, number: u32) {
        let state = &mut self.pages[number as usize];
        let PageState::Present(page) = state else {
            return;
        };
        if page.taken > 0 {
            return;
        }
        // A page with a retired slot stays: its generations are used up.
        let Some(generation) = page.generation_most.checked_add(1) else {
            return;
        };
        // The page is near the top of the stack where it matters: a page that
        // empties was used last or is being drained.
        if let Some(position) = self.open.iter().rposition(|&open| open == number) {
            self.open.swap_remove(position);
            *state = PageState::Vacant { generation };
            self.vacant.push(number);
        }
    }

    /// Ends all locks of `db`, or of all databases, at once.
    pub fn end_all(&mut self, db: Option<u32>) {
        let (from, to) = match db {
            Some(db) => (db as usize, db as usize + 1),
            None => (0, self.epochs.len()),
        };
        // A database without an entry never had a lock.
        for epoch in self.epochs.iter_mut().take(to).skip(from) {
            *epoch = epoch.wrapping_add(1);
        }
    }

    /// How many slots there are to look at; see [`Table::at`].
    pub fn slots(&self) -> u32 {
        self.pages.len() as u32 * PAGE
    }

    /// The handle and lock in a slot, ended by an epoch or not.
    pub fn at(&self, slot: u32) -> Option<(LockId, &Lock)> {
        let found = self.page(slot)?.slots.get((slot % PAGE) as usize)?;
        match &found.content {
            Content::Taken(lock) => Some((
                LockId {
                    slot,
                    generation: found.generation,
                },
                lock,
            )),
            _ => None,
        }
    }

    /// All locks in the table, ended by an epoch or not.
    pub fn locks(&self) -> impl Iterator<Item = (LockId, &Lock)> {
        let locks = (0..self.slots()).filter_map(|slot| self.at(slot));
        locks.take(self.taken())
    }

    /// How many slots are taken.
    pub fn taken(&self) -> usize {
        self.taken as usize
    }

    /// How many pages are in memory.
    pub fn pages(&self) -> usize {
        self.pages.len() - self.vacant.len()
    }
}

/// A database without an entry never had a lock.
fn epoch(epochs: &[u32], db: u32) -> u32 {
    epochs.get(db as usize).copied().unwrap_or(0)
}

impl Page {
    fn new(generation: u32) -> Self {
        Self {
            slots: Vec::with_capacity(PAGE as usize),
            free_first: None,
            taken: 0,
            generation_first: generation,
            generation_most: generation,
        }
    }

    fn is_full(&self) -> bool {
        self.free_first.is_none() && self.slots.len() == PAGE as usize
    }

    /// Puts `lock` into a slot that is free again, or into a new one.
    fn take(&mut self, lock: Lock) -> (u32, u32) {
        self.taken += 1;
        let content = Content::Taken(lock);
        let Some(index) = self.free_first else {
            let generation = self.generation_first;
            self.slots.push(Slot {
                generation,
                place: NOWHERE,
                content,
            });
            return (self.slots.len() as u32 - 1, generation);
        };
        let slot = &mut self.slots[index as usize];
        let Content::Free { next } = slot.content else {
            unreachable!("the list of free slots holds free slots");
        };
        slot.content = content;
        self.free_first = next;
        (index, slot.generation)
    }

    fn give_back(&mut self, index: u32) -> Option<Lock> {
        let slot = &mut self.slots[index as usize];
        let content = match slot.generation.checked_add(1) {
            Some(generation) => {
                slot.generation = generation;
                self.generation_most = self.generation_most.max(generation);
                let next = self.free_first.replace(index);
                Content::Free { next }
            }
            None => {
                self.generation_most = u32::MAX;
                Content::Retired
            }
        };
        self.taken -= 1;
        match std::mem::replace(&mut slot.content, content) {
            Content::Taken(lock) => Some(lock),
            _ => unreachable!("only a taken slot is given back"),
        }
    }
}

impl Places for Table {
    fn place(&self, slot: u32) -> Option<u32> {
        let slot = self.page(slot)?.slots.get((slot % PAGE) as usize)?;
        (slot.place != NOWHERE).then_some(slot.place)
    }

    fn set_place(&mut self, slot: u32, place: Option<u32>) {
        let page = self.pages.get_mut((slot / PAGE) as usize);
        if let Some(PageState::Present(page)) = page {
            page.slots[(slot % PAGE) as usize].place = place.unwrap_or(NOWHERE);
        }
    }
}
