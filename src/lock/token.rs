//! Fencing tokens: the one counter, its term and its ceiling.
//!
//! This file owns `last` (the largest token known) and `ceiling` (no token above
//! it is issued). Neither ever goes down while the process lives. Nothing else
//! in the project does arithmetic on tokens.
//!
//! Why two numbers: a server that lost the tail of its log does not know the
//! last token it gave out. It does know the last *ceiling*, because that was
//! written a reserve of [`RESERVE`] tokens ahead, in front of the first grant that
//! needed it. Starting above the ceiling is starting above every token issued.
//! (The scheme is the "hi/lo" reservation of database key generators.)
//!
//! A server that lost even the ceiling starts at the wall clock: 4,096 tokens
//! for each millisecond since 2024, which grants cannot outrun.
//!
//! The two meet where a server crashes twice and both times comes back with the
//! same ceiling, which is ahead of its clock. So a ceiling carries the time at
//! which its term began, and the new term starts above it by 2,048 tokens for each
//! millisecond that the clock went on since: more than a server grants, and half
//! of what the clock gives, so that the clock catches up in the end. What counts as
//! its beginning is when the counter last rose by more than grants of its own: else a
//! server that was up for a month and entered a slot today would come back two weeks
//! ahead of its clock, and outbid every server that its slots move to.

use super::slots::{Slot, SlotSet};
use super::time::{Ttl, WallTime};
use serde::{Deserialize, Serialize};

/// A fencing token: 1 to 2^53 - 1, so that Lua and JavaScript hold it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

impl Token {
    /// The largest token there is, 2^53 - 1.
    pub const MOST: Self = Self((1 << 53) - 1);

    /// In order, none is before this one.
    pub(super) const FIRST: Self = Self(1);

    /// `None` unless `number` is from 1 to 2^53 - 1.
    pub const fn new(number: u64) -> Option<Self> {
        if number >= 1 && number <= Self::MOST.0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The token as a number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// How far ahead of the last token a new ceiling is written: 2^18 tokens. It is
/// renewed when half of it is used.
pub const RESERVE: u64 = 1 << 18;

/// Tokens for each millisecond of wall clock, as a power of two: 2^12.
const TERM_SHIFT: u32 = 12;

/// Tokens for each millisecond since the term of a ceiling began, likewise: 2^11.
const CEILING_SHIFT: u32 = 11;

/// How far ahead of the clock RAISE may go: one hour. An honest lead is the
/// difference between two machines' clocks.
const RAISE_LEAD_MS: u64 = 3_600_000;

/// What must reach the log and the replicas in front of the next grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// No token above this one is issued before another cover is written.
    pub ceiling: Token,
    /// The longest lease granted so far, this one included.
    pub ttl_most: Ttl,
    /// When the term began, by the clock of who wrote this.
    pub since: WallTime,
}

/// The counter as it is stored, in an RDB file beside the locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCounter {
    /// The largest token issued or seen.
    pub last: u64,
    /// The ceiling that was in force.
    pub ceiling: u64,
    /// The longest lease ever granted, in milliseconds.
    pub ttl_most_ms: u64,
    /// When the term of the ceiling began, in milliseconds since 2024.
    pub since_ms: u64,
}

/// The counter.
#[derive(Debug, Default)]
pub struct Tokens {
    last: u64,
    ceiling: u64,
    /// When the term of the ceiling began, if that is known.
    ceiling_since: Option<WallTime>,
    ttl_most_ms: u64,
    /// When this server last became a source of tokens.
    term_start: Option<WallTime>,
    /// The latest reading of the wall clock that is known here.
    clock: Option<WallTime>,
    /// What that was when `last` rose by more than a grant.
    raised_at: Option<WallTime>,
    /// The log was begun anew: the cover must be written again.
    cover_lost: Announcement,
    /// The slots granted in under this term; empty unless in a cluster.
    slots: SlotSet,
    /// How often a hold was made or a lease moved.
    changes: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Announcement {
    #[default]
    Done,
    Due,
}

impl Tokens {
    /// Opens a term: from here on, every token is above everything this server
    /// has issued, has seen, or can have issued and forgotten. Writes nothing.
    ///
    /// A wrong clock saturates: it may use up the tokens, it never wraps.
    pub fn open_term(&mut self, wall: WallTime) {
        let wall_ms = wall.as_ms_since_2024();
        let went_on_ms = match self.ceiling_since {
            Some(since) if self.ceiling > 0 => wall_ms.saturating_sub(since.as_ms_since_2024()),
            _ => 0,
        };
        let by_ceiling = self.ceiling.saturating_add(went_on_ms << CEILING_SHIFT);
        self.last = self
            .last
            .max(by_ceiling.min(Token::MOST.get()))
            .max(saturating_tokens(wall_ms));
        self.term_start = Some(wall);
        self.clock = Some(wall);
        self.raised_at = Some(wall);
        self.slots = SlotSet::default();
    }

    /// Whether a grant in `slot` must be preceded by [`Tokens::enter_slot`]:
    /// another server may have issued tokens for the slot's keys since.
    pub fn is_new_slot(&self, slot: Slot) -> bool {
        !self.slots.contains(slot)
    }

    /// Opens a term for a slot that this server did not serve in this term. Its
    /// own tokens it knows, so the ceiling has no part in it: only the clock can
    /// tell of the tokens of another server.
    pub fn enter_slot(&mut self, slot: Slot, wall: WallTime) {
        self.see_clock(wall);
        self.rise_to(saturating_tokens(wall.as_ms_since_2024()));
        self.slots.insert(slot);
    }

    /// Notes the time: a token that is seen from here on was seen no earlier.
    pub fn see_clock(&mut self, wall: WallTime) {
        self.clock = Some(wall);
    }

    fn rise_to(&mut self, last: u64) {
        if last > self.last {
            self.last = last;
            self.raised_at = self.clock;
        }
    }

    /// Forgets a slot that went elsewhere.
    pub fn leave_slot(&mut self, slot: Slot) {
        self.slots.remove(slot);
    }

    /// Whether any slot was granted in under this term.
    pub fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The next token, and what must be written in front of it. `None`: there
    /// are no tokens left, or the clock was centuries ahead at the last start.
    pub fn issue(&mut self, ttl: Ttl) -> Option<(Token, Option<Cover>)> {
        let token = Token::new(self.last.checked_add(1)?)?;
        self.last = token.get();
        Some((token, self.cover(ttl)))
    }

    /// What must be written before a hold may live for `ttl`: nothing, unless
    /// the ceiling is near or nobody was ever granted so long a lease.
    pub fn cover(&mut self, ttl: Ttl) -> Option<Cover> {
        self.changes += 1;
        let ttl_most_ms = self.ttl_most_ms.max(ttl.as_ms());
        let room = self.ceiling.checked_sub(self.last);
        let renewed = self.last.saturating_add(RESERVE).min(Token::MOST.get());
        let is_near = room.is_none_or(|room| room < RESERVE / 2) && renewed > self.ceiling;
        let is_covered =
            !is_near && ttl_most_ms == self.ttl_most_ms && self.cover_lost == Announcement::Done;
        if is_covered {
            return None;
        }
        if is_near {
            self.ceiling = renewed;
            self.ceiling_since = Some(self.raised_at.unwrap_or_default());
        }
        self.ttl_most_ms = ttl_most_ms;
        self.cover_lost = Announcement::Done;
        self.written()
    }

    /// The log begins anew (an AOF rewrite forked), without the cover in it.
    pub fn lose_cover(&mut self) {
        if self.ceiling > 0 {
            self.cover_lost = Announcement::Due;
        }
    }

    /// Whether the cover must be written again although nobody was granted.
    pub fn has_lost_cover(&self) -> bool {
        self.cover_lost == Announcement::Due
    }

    /// The cover, if it must be written again although nobody was granted.
    pub fn take_lost_cover(&mut self) -> Option<Cover> {
        match std::mem::take(&mut self.cover_lost) {
            Announcement::Due => self.written(),
            Announcement::Done => None,
        }
    }

    fn written(&self) -> Option<Cover> {
        Some(Cover {
            ceiling: Token::new(self.ceiling)?,
            ttl_most: Ttl::from_ms(self.ttl_most_ms.max(1))?,
            since: self.ceiling_since.unwrap_or(WallTime::LAST),
        })
    }

    /// A token that came from a master, a file or a RAISE. The ceiling goes with
    /// it: what is stored of the counter must cover it.
    pub fn observe(&mut self, token: Token) {
        self.changes += 1;
        self.rise_to(token.get());
        self.raise_ceiling(token.get(), self.raised_at);
    }

    fn raise_ceiling(&mut self, ceiling: u64, since: Option<WallTime>) {
        if ceiling > self.ceiling {
            self.ceiling = ceiling;
            self.ceiling_since = since;
        }
    }

    /// A cover that came from a master or a file.
    pub fn observe_cover(&mut self, cover: Cover) {
        self.raise_ceiling(cover.ceiling.get(), Some(cover.since));
        self.ttl_most_ms = self.ttl_most_ms.max(cover.ttl_most.as_ms());
    }

    /// The largest token that RAISE, or RESTORE in a cluster, may bring: one
    /// hour ahead of the clock, or of the term if that began under a clock
    /// further ahead. What the counter has reached is never too far.
    pub fn raise_most(&self, wall: WallTime) -> Token {
        let start = self.term_start.unwrap_or_default();
        let start_ms = wall.max(start).as_ms_since_2024();
        let most = saturating_tokens(start_ms.saturating_add(RAISE_LEAD_MS));
        Token::new(most.max(self.last)).unwrap_or(Token::MOST)
    }

    /// The counter as it is stored; `None` while nothing was ever granted.
    pub fn stored(&self) -> Option<StoredCounter> {
        (self.ceiling > 0).then_some(StoredCounter {
            last: self.last,
            ceiling: self.ceiling,
            ttl_most_ms: self.ttl_most_ms,
            since_ms: self
                .ceiling_since
                .unwrap_or(WallTime::LAST)
                .as_ms_since_2024(),
        })
    }

    /// Takes in a stored counter. `Err` if it holds what no server ever stores;
    /// then nothing changed.
    pub fn load(&mut self, stored: StoredCounter) -> Result<(), CounterOutOfRange> {
        let is_sound = stored.last <= Token::MOST.get()
            && stored.ceiling <= Token::MOST.get()
            && stored.ttl_most_ms <= Ttl::MOST.as_ms();
        let since = WallTime::from_ms_since_2024(stored.since_ms);
        if since.is_none() || !is_sound {
            return Err(CounterOutOfRange);
        }
        self.last = self.last.max(stored.last);
        self.raise_ceiling(stored.ceiling, since);
        self.ttl_most_ms = self.ttl_most_ms.max(stored.ttl_most_ms);
        Ok(())
    }

    /// Another number than before if a hold was made or a lease moved since.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The longest lease ever granted, as far as is known; `None` before the first.
    pub fn ttl_most(&self) -> Option<Ttl> {
        Ttl::from_ms(self.ttl_most_ms)
    }

    /// The largest token issued or seen; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// When this server last became a source of tokens.
    pub fn term_start(&self) -> Option<WallTime> {
        self.term_start
    }

    /// The longest lease ever granted, in milliseconds; 0 before the first grant.
    pub fn ttl_most_ms(&self) -> u64 {
        self.ttl_most_ms
    }

    /// The ceiling in force; 0 before the first grant.
    pub fn ceiling(&self) -> u64 {
        self.ceiling
    }
}

/// A stored counter above 2^53 - 1, a lease above ten years, or a time without
/// tokens of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterOutOfRange;

/// The first token of the millisecond `ms_since_2024`, at most [`Token::MOST`].
fn saturating_tokens(ms_since_2024: u64) -> u64 {
    ms_since_2024
        .min(Token::MOST.get() >> TERM_SHIFT)
        .saturating_mul(1 << TERM_SHIFT)
}
