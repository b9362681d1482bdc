//! How long the longest line is, without a look at all of them.

/// How many lines are how long. A line grows and shrinks by one place at a time.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// By the length less one; the last entry is not zero.
    lines: Vec<u32>,
}

impl Lengths {
    /// A line has one place more, `length` in all.
    pub(super) fn grew_to(&mut self, length: u32) {
        let length = length as usize;
        if self.lines.len() < length {
            self.lines.push(0);
        }
        self.lines[length - 1] += 1;
        if length > 1 {
            self.lines[length - 2] -= 1;
        }
    }

    /// A line has one place less than `length`.
    pub(super) fn shrank_from(&mut self, length: u32) {
        let length = length as usize;
        self.lines[length - 1] -= 1;
        if length > 1 {
            self.lines[length - 2] += 1;
        }
        if self.lines.last() == Some(&0) {
            self.lines.pop();
        }
    }

    /// The length of the longest; 0 if there is none.
    pub(super) fn longest(&self) -> u32 {
        self.lines.len() as u32
    }
}
