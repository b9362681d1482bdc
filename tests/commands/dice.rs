//! Random input that can be repeated: `LOCK_SEED` is where it begins, and it is
//! shown when a test fails.

/// Numbers that nobody can guess, but everybody can repeat (xorshift64*).
pub struct Dice {
    state: u64,
}

impl Dice {
    /// From `LOCK_SEED`, or as always.
    pub fn new() -> Self {
        let seed = std::env::var("LOCK_SEED").ok();
        let seed = seed.map_or(20_240_101, |text| text.parse().expect("a number"));
        println!("replay with LOCK_SEED={seed}");
        Self::from_seed(seed)
    }

    /// From this number.
    pub fn from_seed(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(2) | 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to one less than `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        (self.next() >> 16) % sides
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.roll(list.len() as u64) as usize]
    }

    /// Random bytes, so many.
    pub fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.roll(256) as u8).collect()
    }
}
