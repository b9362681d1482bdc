//! What is promised about tokens, and who was granted which: the judge.
//!
//! The judge looks at what was sent and written, never into the rules. Of the tokens
//! that the servers in charge gave out so far, a new term must start above each one
//! that the written limit (README, "Limits") promises it to:
//!
//! 1. *by the ceiling*: the server was told the ceiling that covered the token, or a
//!    higher one; told means that it stands in its log or came from its master;
//! 2. *by the clock*: its clock is ahead of the earlier term's start by more than that
//!    issued or raised, which is to say past the millisecond that the token belongs to;
//! 3. *twice from one ceiling*: both terms began with the same ceiling, the clock had
//!    not gone back behind the ceiling's own term, and it went on since by more than
//!    the earlier term issued, at 2,048 a millisecond.
//!
//! What none of these promises is excused. That no more could be promised is shown
//! with a [`Reading`] that promises more.

/// 4,096 tokens belong to a millisecond; a term that starts from a ceiling goes on by
/// 2,048 for each. Written here a second time on purpose.
const CLOCK_SHIFT: u32 = 12;
const CEILING_SHIFT: u32 = 11;

/// What a server was told, by its log or its master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// The highest ceiling.
    pub ceiling: u64,
    /// When the term of that ceiling began.
    pub since_ms: u64,
    /// The largest token.
    pub token: u64,
}

impl Told {
    /// Told a ceiling.
    pub fn hears(&mut self, ceiling: u64, since_ms: u64) {
        if ceiling > self.ceiling {
            (self.ceiling, self.since_ms) = (ceiling, since_ms);
        }
    }

    /// Told all that another one was.
    pub fn merge(&mut self, other: Self) {
        self.hears(other.ceiling, other.since_ms);
        self.token = self.token.max(other.token);
    }
}

/// How the written limit is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As above.
    Exact,
    /// A term that began above its clock is taken to have begun at its clock.
    FromTheClock,
    /// Two terms from one ceiling are apart wherever the clock stood.
    ClockMayLag,
}

/// How a server came to be in charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opening {
    /// It was the first.
    First,
    /// It came back with what was left of its log.
    Restart,
    /// It was a replica.
    Promotion,
}

/// A term of a server in charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    pub opening: Opening,
    /// What its clock said.
    pub wall_ms: u64,
    /// The counter when it began.
    pub start: u64,
    /// What it had been told.
    pub told: Told,
    /// Whether it had not been told of the last token granted.
    pub has_lost: bool,
    /// Whether a token that is out there was excused, and is not below the start.
    pub is_excused: bool,
    /// Whether the third promise was the only one for some token.
    pub is_twice_from_one: bool,
}

/// Tokens granted in one term under one ceiling; the largest stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub token: u64,
    pub cover: u64,
    pub term: u8,
    /// How the largest came about.
    pub means: Means,
}

/// How somebody came by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    Grant,
    Raise,
}

impl Term {
    /// A term that begins, before it is judged.
    pub fn new(opening: Opening, wall_ms: u64, told: Told, start: u64) -> Self {
        Self {
            opening,
            wall_ms,
            start,
            told,
            has_lost: false,
            is_excused: false,
            is_twice_from_one: false,
        }
    }
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A grant with a token that is not above one that it was promised to be above.
    Fell,
    /// A grant that nothing in front of it covers.
    Uncovered,
    /// The counter or the ceiling of a living server went down.
    WentDown,
}

/// What happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    pub terms: Vec<Term>,
    pub spans: Vec<Span>,
    /// The next grant must be above this.
    floor: u64,
    pub fault: Option<Fault>,
}

impl Past {
    /// A server comes to be in charge, with its counter at `start`.
    pub fn open(&mut self, mut term: Term, reading: Reading) {
        let told = term.told;
        term.has_lost = self.spans.iter().any(|span| span.token > told.token);
        self.floor = 0;
        for span in &self.spans {
            let by_one = told.ceiling >= span.cover || self.is_past(span, &term, reading);
            let by_third = self.is_twice_from_one(span, &term, reading);
            if by_one || by_third {
                self.floor = self.floor.max(span.token);
            } else {
                term.is_excused |= span.token > term.start;
            }
            term.is_twice_from_one |= by_third && !by_one;
        }
        self.terms.push(term);
    }

    fn is_past(&self, span: &Span, now: &Term, reading: Reading) -> bool {
        let earlier = &self.terms[usize::from(span.term)];
        let began = match reading {
            Reading::FromTheClock => earlier.start,
            // Also what it began above its own clock, from a ceiling, counts.
            _ => earlier.wall_ms << CLOCK_SHIFT,
        };
        let issued = span.token.saturating_sub(began);
        let ahead_ms = now.wall_ms.checked_sub(earlier.wall_ms);
        ahead_ms.is_some_and(|ms| ms << CLOCK_SHIFT >= issued)
    }

    fn is_twice_from_one(&self, span: &Span, now: &Term, reading: Reading) -> bool {
        let earlier = &self.terms[usize::from(span.term)];
        let from = |term: &Term| (term.told.ceiling, term.told.since_ms);
        let is_one =
            from(earlier) == from(now) && now.told.ceiling > 0 && span.means == Means::Grant;
        let is_after = earlier.wall_ms >= now.told.since_ms || reading == Reading::ClockMayLag;
        let went_on_ms = now.wall_ms.checked_sub(earlier.wall_ms);
        let issued = span.token.saturating_sub(earlier.start);
        is_one && is_after && went_on_ms.is_some_and(|ms| ms << CEILING_SHIFT >= issued)
    }

    /// The server in charge grants; it wrote this ceiling in front, or earlier.
    pub fn granted(&mut self, token: u64, cover: u64) {
        if token <= self.floor {
            self.fault = Some(Fault::Fell);
        }
        self.floor = self.floor.max(token);
        self.note(token, cover, Means::Grant);
    }

    /// A holder has a larger token now.
    pub fn raised(&mut self, token: u64, cover: u64) {
        self.floor = self.floor.max(token);
        self.note(token, cover, Means::Raise);
    }

    fn note(&mut self, token: u64, cover: u64, means: Means) {
        let span = Span {
            token,
            cover,
            term: self.terms.len() as u8 - 1,
            means,
        };
        match self.spans.last_mut() {
            Some(last) if (last.term, last.cover) == (span.term, cover) => *last = span,
            _ => self.spans.push(span),
        }
    }
}
