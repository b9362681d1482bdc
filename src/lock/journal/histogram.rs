//! How often which length of time was seen, in little memory.
//!
//! Each power of two is cut into [`PARTS`] equal parts, so a length is known to
//! within a sixteenth of itself: the idea of the HDR histogram, with fixed bounds.

/// Parts of each power of two.
const PARTS: u64 = 1 << PARTS_BITS;
const PARTS_BITS: u32 = 4;

/// Lengths from this one on count as the longest: 2^47 µs, four years.
const BITS_MOST: u32 = 47;

const BUCKETS: usize = ((BITS_MOST - PARTS_BITS + 1) as usize) << PARTS_BITS;

/// Lengths of time in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Empty until the first one comes.
    buckets: Vec<u64>,
    count: u64,
    sum: u64,
    most: u64,
}

impl Histogram {
    /// Adds one.
    pub fn add(&mut self, length_us: u64) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        self.buckets[bucket(length_us)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(length_us);
        self.most = self.most.max(length_us);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The longest.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// The length that so many of a thousand do not exceed, rounded up by a
    /// sixteenth at most; 0 if there were none.
    pub fn per_mille(&self, per_mille: u64) -> u64 {
        let wanted = u128::from(self.count) * u128::from(per_mille.min(1_000));
        let wanted = u64::try_from(wanted.div_ceil(1_000)).unwrap_or(self.count);
        let mut seen = 0;
        for (number, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return longest_of(number).min(self.most);
            }
        }
        0
    }
}

fn bucket(length: u64) -> usize {
    let length = length.min((1 << BITS_MOST) - 1);
    if length < PARTS {
        return length as usize;
    }
    let octave = u64::BITS - 1 - length.leading_zeros() - PARTS_BITS;
    let part = (length >> octave) & (PARTS - 1);
    ((u64::from(octave) + 1) * PARTS + part) as usize
}

/// The longest length that falls into a bucket.
fn longest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PARTS {
        return bucket;
    }
    let octave = bucket / PARTS - 1;
    ((PARTS + bucket % PARTS + 1) << octave) - 1
}
