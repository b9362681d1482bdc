//! Cluster slots: which slot a key is in, and a set of slots.
//!
//! Only a server in cluster mode has any. The hash is the one that the Redis
//! Cluster specification prescribes: CRC-16/XMODEM of the key, or of its first
//! non-empty `{tag}`, modulo 16,384. It is computed here because servers older
//! than 7.4 do not lend theirs to modules.

/// A cluster slot, 0 to 16,383.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u16);

/// How many slots a cluster has.
pub const SLOTS: u16 = 16_384;

impl Slot {
    /// `None` from 16,384 on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The slot that `key` belongs to.
    pub fn of_key(key: &[u8]) -> Self {
        Self(crc16(hashed_part(key)) % SLOTS)
    }

    /// A key of two bytes that belongs to the slot, to ask a server about it.
    ///
    /// The last byte of a CRC names the entry of the table that was used last,
    /// and so on backwards: two bytes reach every CRC exactly once.
    pub fn example_key(self) -> [u8; 2] {
        let [high, low] = self.0.to_be_bytes();
        let last = entry_that_ends_in(low);
        let [last_high, _] = CRC16_TABLE[usize::from(last)].to_be_bytes();
        let first = entry_that_ends_in(high ^ last_high);
        let [first_high, _] = CRC16_TABLE[usize::from(first)].to_be_bytes();
        [first, last ^ first_high]
    }

    /// All slots whose number is in the range.
    pub fn range(numbers: std::ops::Range<u16>) -> impl Iterator<Item = Self> {
        numbers.map_while(Self::new)
    }

    /// The slot's number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// What is between the first `{` and the first `}` behind it, unless that is
/// empty or missing; else the whole key.
fn hashed_part(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else {
        return key;
    };
    let inside = &key[open + 1..];
    match inside.iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => &inside[..length],
        _ => key,
    }
}

/// CRC-16/XMODEM: polynomial 0x1021, start 0, nothing reflected.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        let index = usize::from((crc >> 8) as u8 ^ byte);
        (crc << 8) ^ CRC16_TABLE[index]
    })
}

const CRC16_TABLE: [u16; 256] = crc16_table();

const fn crc16_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// The one entry of the table whose low byte is this.
fn entry_that_ends_in(low: u8) -> u8 {
    let ends_so = |&index: &u8| CRC16_TABLE[usize::from(index)].to_be_bytes()[1] == low;
    (0..=u8::MAX).find(ends_so).unwrap_or_default()
}

const WORDS: usize = SLOTS as usize / 64;

/// A set of slots: 2 KiB once it holds one, nothing before.
#[derive(Debug, Default)]
pub struct SlotSet(Option<Box<[u64; WORDS]>>);

impl SlotSet {
    /// Whether `slot` is in the set.
    pub fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = position(slot);
        self.0.as_ref().is_some_and(|words| words[word] & bit != 0)
    }

    /// Puts `slot` into the set.
    pub fn insert(&mut self, slot: Slot) {
        let (word, bit) = position(slot);
        self.0.get_or_insert_with(|| Box::new([0; WORDS]))[word] |= bit;
    }

    /// Takes `slot` out of the set.
    pub fn remove(&mut self, slot: Slot) {
        let (word, bit) = position(slot);
        let Some(words) = self.0.as_mut() else { return };
        words[word] &= !bit;
        if words.iter().all(|&word| word == 0) {
            self.0 = None;
        }
    }

    /// Whether there is no slot in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

fn position(slot: Slot) -> (usize, u64) {
    let number = usize::from(slot.0);
    (number / 64, 1 << (number % 64))
}
