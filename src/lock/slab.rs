//! A list with holes: entries keep their place until they are taken out, and a
//! place that is used again gets another generation.

/// Entries by slot.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    taken: u32,
    /// Where the generations of new slots begin.
    generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Free { next: Option<u32> },
    Taken(T),
}

/// Up to so many free slots are kept when nothing is left.
const SPARE: usize = 64;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: None,
            taken: 0,
            generation: 1,
        }
    }
}

impl<T> Slab<T> {
    /// Adds an entry; its slot and generation.
    pub fn insert(&mut self, entry: T) -> (u32, u32) {
        self.taken += 1;
        let content = Content::Taken(entry);
        let Some(number) = self.free else {
            let generation = self.generation;
            self.slots.push(Slot {
                generation,
                content,
            });
            return (self.slots.len() as u32 - 1, generation);
        };
        let slot = &mut self.slots[number as usize];
        if let Content::Free { next } = slot.content {
            self.free = next;
        }
        slot.content = content;
        (number, slot.generation)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let slot = self.slots.get_mut(number as usize)?;
        if let Content::Free { .. } = slot.content {
            return None;
        }
        // A generation comes round after four billion uses of one slot. Until
        // then whoever remembers the old entry has long been told.
        slot.generation = slot.generation.wrapping_add(1).max(1);
        let next = self.free.replace(number);
        let content = std::mem::replace(&mut slot.content, Content::Free { next });
        self.taken -= 1;
        if self.taken == 0 && self.slots.len() > SPARE {
            self.give_back();
        }
        match content {
            Content::Taken(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    fn give_back(&mut self) {
        let generations = self.slots.iter().map(|slot| slot.generation);
        self.generation = generations.max().unwrap_or(1);
        self.slots = Vec::new();
        self.free = None;
    }

    /// The entry in a slot.
    pub fn get(&self, number: u32) -> Option<&T> {
        match &self.slots.get(number as usize)?.content {
            Content::Taken(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    /// The entry in a slot, to be changed.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        match &mut self.slots.get_mut(number as usize)?.content {
            Content::Taken(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    /// The generation of the entry in a slot.
    pub fn generation(&self, number: u32) -> Option<u32> {
        let slot = self.slots.get(number as usize)?;
        matches!(slot.content, Content::Taken(_)).then_some(slot.generation)
    }

    /// How many entries there are.
    pub fn taken(&self) -> usize {
        self.taken as usize
    }

    /// All entries with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(number, slot)| match &slot.content {
            Content::Taken(entry) => Some((number as u32, entry)),
            Content::Free { .. } => None,
        })
    }
}
