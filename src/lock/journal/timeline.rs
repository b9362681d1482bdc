//! When which token was issued, roughly: tokens rise, so a mark now and then tells
//! since when each hold is there, and no hold has to keep a time of its own.
//!
//! A mark is set by the first grant of each second. With age they are thinned out, so
//! that what is told of a hold is right to a second or to a fiftieth of its age,
//! whichever is more, and a server that runs for years keeps a few thousand marks.

use super::super::time::BootTime;
use super::super::token::Token;

/// Between two marks there is at least so much time.
const APART_NS: u64 = 1_000_000_000;

/// From so many marks on they are thinned out.
const MARKS_MOST: usize = 8_192;

/// Two marks are at least this fraction of their age apart then.
const FRACTION: u64 = 128;

/// The marks, in the order of time, and so of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    marks: Vec<(BootTime, Token)>,
}

impl Timeline {
    /// The token was issued now, or came in from elsewhere.
    pub fn note(&mut self, now: BootTime, token: Token) {
        if let Some(&(at, last)) = self.marks.last() {
            if now.as_ns() < at.as_ns().saturating_add(APART_NS) || token <= last {
                return;
            }
        }
        if self.marks.len() >= MARKS_MOST {
            self.thin_out(now);
        }
        self.marks.push((now, token));
    }

    /// Since when there is a hold with this token, on this server. One that was there
    /// before the first mark is there since that at least.
    pub fn since(&self, token: Token) -> Option<BootTime> {
        let later = self.marks.partition_point(|&(_, mark)| mark <= token);
        let mark = self.marks.get(later.saturating_sub(1));
        mark.map(|&(at, _)| at)
    }

    /// How many marks there are.
    pub fn marks(&self) -> usize {
        self.marks.len()
    }

    fn thin_out(&mut self, now: BootTime) {
        let mut kept: Option<BootTime> = None;
        self.marks.retain(|&(at, _)| {
            let age = now.as_ns().saturating_sub(at.as_ns());
            let is_apart = |kept: BootTime| at.as_ns() - kept.as_ns() >= age / FRACTION;
            let is_kept = kept.is_none_or(is_apart);
            if is_kept {
                kept = Some(at);
            }
            is_kept
        });
    }
}
