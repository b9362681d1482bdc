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

    /// Takes out every slot for which `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(Slot) -> bool) {
        let Some(words) = self.0.as_mut() else { return };
        for number in 0..SLOTS {
            let slot = Slot(number);
            let (word, bit) = position(slot);
            if words[word] & bit != 0 && !keep(slot) {
                words[word] &= !bit;
            }
        }
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
