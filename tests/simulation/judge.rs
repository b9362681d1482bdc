//! What must be true of all grants together, whichever node made them: tokens rise,
//! and nobody holds a lock whom a client with a guarantee excludes.
//!
//! Where design and README say that tokens may fail to rise, the judge says which of
//! their reasons it was, and counts it. Where clocks agree, where there is only one
//! master and nobody raises a token there is no such reason.

use crate::lock::Tolerance;
use crate::plan::{Setting, Walls};
use std::collections::VecDeque;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) claim: &'static str,
    pub(crate) detail: String,
}

impl Broken {
    pub(crate) fn new(claim: &'static str, detail: String) -> Self {
        Self { claim, detail }
    }
}

pub(crate) type Verdict = Result<(), Broken>;

/// Why a token did not rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Excuse {
    /// RAISE says which token it wants; it is no later grant.
    Raised,
    /// RAISE brought it to a token of somebody else.
    RaisedToAnothers,
    /// It was granted by a master of whom others knew that it was deposed.
    DeposedMaster,
    /// A RAISE was lost.
    RaiseLost,
    /// The ceiling was lost, and two terms began in the same millisecond.
    SameMillisecond,
    /// The ceiling was lost, and the clock is behind the start of the earlier term.
    ClockBehind,
    /// The ceiling was lost, and the earlier term began at a ceiling of its own that
    /// was ahead of its clock.
    TermAheadOfClock,
}

/// How many grants had which excuse for their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excuses {
    pub(crate) raised_to_anothers: u64,
    pub(crate) deposed_master: u64,
    pub(crate) raise_lost: u64,
    pub(crate) same_millisecond: u64,
    pub(crate) clock_behind: u64,
    pub(crate) term_ahead_of_clock: u64,
    /// No token: a request that came late bound a hold to a connection that was about
    /// to close, though its client was told of it on another.
    pub(crate) session_of_a_late_request: u64,
}

impl Excuses {
    fn count(&mut self, excuse: Excuse) {
        let count = match excuse {
            Excuse::Raised => return,
            Excuse::RaisedToAnothers => &mut self.raised_to_anothers,
            Excuse::DeposedMaster => &mut self.deposed_master,
            Excuse::RaiseLost => &mut self.raise_lost,
            Excuse::SameMillisecond => &mut self.same_millisecond,
            Excuse::ClockBehind => &mut self.clock_behind,
            Excuse::TermAheadOfClock => &mut self.term_ahead_of_clock,
        };
        *count += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.raised_to_anothers += other.raised_to_anothers;
        self.deposed_master += other.deposed_master;
        self.raise_lost += other.raise_lost;
        self.same_millisecond += other.same_millisecond;
        self.clock_behind += other.clock_behind;
        self.term_ahead_of_clock += other.term_ahead_of_clock;
        self.session_of_a_late_request += other.session_of_a_late_request;
    }
}

/// A time in which a server is a source of tokens. They are numbered as they begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) node: usize,
    pub(crate) wall_ms: u64,
    /// All its tokens must be above this: what it knew, and its clock.
    pub(crate) above: u64,
    /// They are above this.
    pub(crate) began_at: u64,
    pub(crate) issued: u64,
    /// RAISE moved its counter on, and what is issued later is above that.
    pub(crate) has_raised: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Granted,
    Raised,
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "shown where a promise is broken")]
struct Issued {
    token: u64,
    owner: u64,
    term: usize,
    origin: Origin,
}

#[derive(Clone, Debug, Default)]
struct History {
    highest: u64,
    issued: Vec<Issued>,
    /// A token was given out twice, with an excuse.
    is_ambiguous: bool,
}

/// More answers than this are not under way.
const ENDED_MOST: usize = 32;

/// Until then a client may rely on its hold.
#[derive(Clone, Copy, Debug)]
struct Guarantee {
    key: usize,
    owner: u64,
    era: u64,
    tolerates: Tolerance,
    until: u64,
    session: Option<u64>,
}

/// A client that was told that it holds a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) key: usize,
    pub(crate) owner: u64,
    pub(crate) token: u64,
    #[allow(dead_code, reason = "shown where a promise is broken")]
    pub(crate) client: usize,
    pub(crate) tolerates: Tolerance,
    pub(crate) session: Option<u64>,
    /// For as long as the server has lost nothing.
    pub(crate) era: u64,
    pub(crate) until: u64,
}

#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) terms: Vec<Term>,
    keys: Vec<History>,
    guarantees: Vec<Guarantee>,
    /// Holds that ended with their sessions, the last few: an answer that tells of
    /// them may still be under way.
    ended: VecDeque<(u64, u64)>,
    pub(crate) excuses: Excuses,
    pub(crate) grants: u64,
    splits: bool,
    raises: bool,
    clocks_agree: bool,
}

impl Judge {
    pub(crate) fn new(setting: &Setting) -> Self {
        Self {
            terms: Vec::new(),
            keys: vec![History::default(); setting.keys],
            guarantees: Vec::new(),
            ended: VecDeque::new(),
            excuses: Excuses::default(),
            grants: 0,
            splits: setting.splits,
            raises: setting.raises,
            clocks_agree: setting.walls == Walls::Agree,
        }
    }

    /// A hold is new, or its token was raised.
    pub(crate) fn issued(
        &mut self,
        (key, owner, token): (usize, u64, u64),
        term: usize,
        origin: Origin,
    ) -> Verdict {
        self.grants += u64::from(origin == Origin::Granted);
        self.terms[term].issued += 1;
        self.terms[term].has_raised |= origin == Origin::Raised;
        let later = Issued {
            token,
            owner,
            term,
            origin,
        };
        let history = &mut self.keys[key];
        if token > history.highest {
            history.highest = token;
        } else {
            let (mut is_ambiguous, mut worst) = (false, Excuse::Raised);
            for earlier in history.issued.iter().filter(|it| it.token >= token) {
                is_ambiguous |= earlier.token == token;
                let settings = (self.splits, self.clocks_agree);
                worst = worst.max(excuse(&self.terms, (earlier, &later), settings)?);
            }
            self.excuses.count(worst);
            history.is_ambiguous |= is_ambiguous;
        }
        history.issued.push(later);
        if !self.raises && origin == Origin::Raised {
            return Err(Broken::new("nobody-raises", format!("{later:?}")));
        }
        Ok(())
    }

    /// Whether a key's tokens tell its holders apart.
    pub(crate) fn is_ambiguous(&self, key: usize) -> bool {
        self.keys[key].is_ambiguous
    }

    /// A client hears that it holds a lock.
    pub(crate) fn told(&mut self, now: u64, told: Told) -> Verdict {
        let mine = self.guarantees.iter_mut().find(|it| it.owner == told.owner);
        if let Some(mine) = mine.filter(|it| it.until > now && it.era == told.era) {
            mine.until = mine.until.max(told.until);
            mine.session = told.session;
            return Ok(());
        }
        self.guarantees
            .retain(|it| it.until > now && it.owner != told.owner);
        if told.until <= now || self.ended.contains(&(told.owner, told.token)) {
            return Ok(());
        }
        let beside = self.guarantees.iter();
        let beside = beside.filter(|it| it.key == told.key && it.era == told.era);
        let (count, least) = beside.fold((1_u64, told.tolerates), |(count, least), it| {
            (count + 1, least.min(it.tolerates))
        });
        if least != Tolerance::ANY && count > least.to_number() {
            let detail = format!("{told:?} beside {:?}", self.guarantees);
            return Err(Broken::new("one-holder (clients)", detail));
        }
        self.guarantees.push(Guarantee {
            key: told.key,
            owner: told.owner,
            era: told.era,
            tolerates: told.tolerates,
            until: told.until,
            session: told.session,
        });
        Ok(())
    }

    /// A client holds on: whether it had a guarantee until now.
    pub(crate) fn relies(&self, now: u64, owner: u64) -> bool {
        let mut guarantees = self.guarantees.iter();
        guarantees.any(|it| it.owner == owner && it.until > now)
    }

    /// The client gives it up, or knows that it lost it.
    pub(crate) fn given_up(&mut self, owner: u64) {
        self.guarantees.retain(|it| it.owner != owner);
    }

    /// A node ends a hold, as the connection is gone that it was bound to.
    pub(crate) fn session_ended(&mut self, now: u64, owner: u64, token: u64) {
        self.excuses.session_of_a_late_request += u64::from(self.relies(now, owner));
        self.given_up(owner);
        self.ended.push_back((owner, token));
        if self.ended.len() > ENDED_MOST {
            self.ended.pop_front();
        }
    }

    /// A connection is gone, and what was bound to it.
    pub(crate) fn connection_gone(&mut self, connection: u64) {
        self.guarantees.retain(|it| it.session != Some(connection));
    }
}

/// Why a later token may be no larger than an earlier one, if it may.
fn excuse(
    terms: &[Term],
    (earlier, later): (&Issued, &Issued),
    (splits, clocks_agree): (bool, bool),
) -> Result<Excuse, Broken> {
    if later.origin == Origin::Raised {
        return Ok(match earlier.token == later.token {
            true => Excuse::RaisedToAnothers,
            false => Excuse::Raised,
        });
    }
    let (before, after) = (&terms[earlier.term], &terms[later.term]);
    let broken = |claim| {
        let detail = format!("{later:?} of {after:?} comes after {earlier:?} of {before:?}");
        Err(Broken::new(claim, detail))
    };
    if earlier.term > later.term {
        return match splits && before.node != after.node {
            true => Ok(Excuse::DeposedMaster),
            false => broken("tokens-rise: there is one master"),
        };
    }
    if earlier.term == later.term {
        return broken("tokens-rise: within a term");
    }
    if earlier.token <= after.above {
        return broken("tokens-rise: above what was known");
    }
    // What a restart knows of a RAISE, the next term goes on from.
    let has_raised = terms[..earlier.term].iter().any(|it| it.has_raised);
    if before.has_raised || before.lead_ms() > 0 && has_raised {
        return Ok(Excuse::RaiseLost);
    }
    if after.wall_ms == before.wall_ms {
        return Ok(Excuse::SameMillisecond);
    }
    if after.wall_ms <= before.wall_ms + before.issued / 4_096 {
        return match clocks_agree {
            true => broken("tokens-rise: the clocks agree"),
            false => Ok(Excuse::ClockBehind),
        };
    }
    // Where clocks agree, only terms that follow each other faster than the reserve of
    // a ceiling lasts by the clock are ahead of it.
    let is_soon = |it: &&Term| it.wall_ms + 1_000 > before.wall_ms;
    let soon = terms[..earlier.term].iter().filter(is_soon).count() as u64;
    match clocks_agree && before.lead_ms() > soon * RESERVE_MS {
        true => broken("tokens-rise: the clocks agree"),
        false => Ok(Excuse::TermAheadOfClock),
    }
}

/// So long the reserve of a ceiling lasts, by the clock.
const RESERVE_MS: u64 = (crate::lock::token::RESERVE >> 12) + 1;

impl Term {
    /// How far its tokens are ahead of its clock.
    fn lead_ms(&self) -> u64 {
        (self.began_at >> 12).saturating_sub(self.wall_ms)
    }
}
