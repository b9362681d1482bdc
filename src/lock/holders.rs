//! The holders of one lock: one, as a rule, or many.
//!
//! Every hold says how many holders it tolerates, itself included
//! ([`Tolerance`]). Somebody more is let in if nobody's tolerance is exceeded by
//! it: that one rule makes exclusive locks, semaphores, readers and writers, and
//! their mixtures.
//!
//! ```text
//!           deadline             delay later
//!   live ──────────────▶ cooling ──────────────▶ over
//! ```
//!
//! A hold that *cools* is not live any more, but it still counts as a holder: the
//! one who lost it may not have noticed yet. Without a delay it is over at its
//! deadline. Which of these a hold is depends on the time alone; nobody has to
//! come by for it to change.
//!
//! A single hold is kept in place; [`Many`] keeps several.

use super::bytes::ShortBytes;
use super::many::Many;
use super::table::ClientId;
use super::time::{BootTime, Delay, Ttl};
use super::token::Token;
use super::tolerance::Tolerance;

/// Who holds a lock, until when, with which token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The owner's name for itself.
    pub owner: ShortBytes,
    /// The fencing token.
    pub token: Token,
    /// From this moment on the hold is not live.
    pub deadline: BootTime,
    /// How long it cools then.
    pub delay: Delay,
    /// The hold is over when this connection is, too.
    pub session: Option<ClientId>,
    /// How many may hold the lock together with it.
    pub tolerates: Tolerance,
    /// Whether anybody was told that it cools.
    pub cooling: CoolingNews,
}

/// Whether log, replicas and watchers were told that a hold cools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CoolingNews {
    /// Not yet, or it does not cool.
    #[default]
    Unsaid,
    /// They were.
    Said,
}

impl Hold {
    /// A hold that is bound to no connection.
    pub fn unbound(
        owner: &[u8],
        (token, deadline): (Token, BootTime),
        tolerates: Tolerance,
        delay: Delay,
    ) -> Self {
        Self {
            owner: owner.into(),
            token,
            deadline,
            delay,
            session: None,
            tolerates,
            cooling: CoolingNews::Unsaid,
        }
    }

    /// Whether it cools, and nobody was told so.
    fn cools_unsaid(&self, now: BootTime) -> bool {
        self.cooling == CoolingNews::Unsaid && self.counts(now) && !self.is_live(now)
    }

    /// Whether it cools when its lease runs out.
    pub(super) fn will_cool(&self) -> bool {
        self.delay != Delay::NONE
    }

    /// Whether the lease still runs.
    pub fn is_live(&self, now: BootTime) -> bool {
        now < self.deadline
    }

    /// Whether it counts as a holder: it is live or cools.
    pub fn counts(&self, now: BootTime) -> bool {
        now < self.over_at()
    }

    /// When a lock with this hold alone is to be looked at.
    pub(super) fn next_look(&self) -> BootTime {
        match self.cooling {
            CoolingNews::Unsaid => self.deadline,
            CoolingNews::Said => self.over_at(),
        }
    }

    /// From this moment on it does not count as a holder.
    pub fn over_at(&self) -> BootTime {
        self.deadline.after_delay(self.delay)
    }
}

/// A hold as log, replicas and files are told of it: with what is left of it, never
/// a moment in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredHold<'a> {
    /// Who holds the lock.
    pub owner: &'a [u8],
    /// With which token.
    pub token: Token,
    /// What is left of the lease; `None`: the hold cools.
    pub lease: Option<Ttl>,
    /// How many may hold the lock together with it.
    pub tolerates: Tolerance,
    /// How long it cools after its lease, or from now on.
    pub delay: Delay,
}

impl<'a> StoredHold<'a> {
    fn new(now: BootTime, hold: &'a Hold) -> Self {
        let cools = hold.counts(now) && !hold.is_live(now);
        Self {
            owner: &hold.owner,
            token: hold.token,
            // A lease that is over is stored as one that is about to be.
            lease: (!cools).then(|| now.left_until(hold.deadline)),
            tolerates: hold.tolerates,
            delay: if cools {
                now.left_until(hold.over_at()).into()
            } else if hold.is_live(now) {
                hold.delay
            } else {
                Delay::NONE
            },
        }
    }
}

/// All holds of one lock; there is always one, though it may be over.
#[derive(Debug)]
pub struct Holders(Form);

#[derive(Debug)]
enum Form {
    One(Hold),
    Many(Box<Many>),
}

impl Holders {
    /// One holder.
    pub fn one(hold: Hold) -> Self {
        Self(Form::One(hold))
    }

    /// It is this late now: a portion of those whose time has come are moved; how
    /// many. Whatever is asked, those that were not are answered for as if they were.
    pub fn look(&mut self, now: BootTime) -> usize {
        match &mut self.0 {
            Form::One(_) => 0,
            Form::Many(many) => many.look(now),
        }
    }

    /// Whether [`Holders::look`] has more to move.
    pub fn is_behind(&self, now: BootTime) -> bool {
        matches!(&self.0, Form::Many(many) if many.is_behind(now))
    }

    /// How many count as holders, live or cooling.
    pub fn count(&self, now: BootTime) -> usize {
        self.count_to(now, usize::MAX)
    }

    /// The same, but counted no further than `most`.
    pub fn count_to(&self, now: BootTime, most: usize) -> usize {
        match &self.0 {
            Form::One(hold) => most.min(usize::from(hold.counts(now))),
            Form::Many(many) => many.count_to(now, most),
        }
    }

    /// Whether one more may join them who tolerates so many.
    pub fn admit(&self, now: BootTime, newcomer: Tolerance) -> bool {
        let least = match &self.0 {
            Form::One(hold) if hold.counts(now) => hold.tolerates,
            Form::One(_) => newcomer,
            Form::Many(many) => many.least_tolerance(now).unwrap_or(newcomer),
        };
        match least.min(newcomer) {
            Tolerance::ANY => true,
            least => least.allows(self.count_to(now, least.most()) + 1),
        }
    }

    /// The live hold of an owner.
    pub fn live_of(&self, now: BootTime, owner: &[u8]) -> Option<&Hold> {
        match &self.0 {
            Form::One(hold) => Some(hold).filter(|it| it.is_live(now) && *it.owner == *owner),
            Form::Many(many) => many.of_owner(owner).filter(|hold| hold.is_live(now)),
        }
    }

    /// The tokens of an owner's holds that cool.
    pub fn cooling_of(&self, now: BootTime, owner: &[u8]) -> Vec<Token> {
        match &self.0 {
            Form::One(hold) => {
                let cools = hold.counts(now) && !hold.is_live(now) && *hold.owner == *owner;
                cools.then_some(hold.token).into_iter().collect()
            }
            Form::Many(many) => many.cooling_of(now, owner),
        }
    }

    /// The hold with this token, whatever has become of it.
    pub fn with_token(&self, token: Token) -> Option<&Hold> {
        match &self.0 {
            Form::One(hold) => Some(hold).filter(|it| it.token == token),
            Form::Many(many) => many.with_token(token),
        }
    }

    /// The hold with this token, if it is live.
    pub fn live_with(&self, now: BootTime, token: Token) -> Option<&Hold> {
        match &self.0 {
            Form::One(hold) => Some(hold).filter(|it| it.is_live(now) && it.token == token),
            Form::Many(many) => many.with_token(token).filter(|it| it.is_live(now)),
        }
    }

    /// The lowest live token.
    pub fn lowest_live(&self, now: BootTime) -> Option<Token> {
        match &self.0 {
            Form::One(hold) => hold.is_live(now).then_some(hold.token),
            Form::Many(many) => many.lowest_live(now),
        }
    }

    /// When the lock is to be looked at: at once if something changed by itself of
    /// which nobody has been told, else when something does.
    pub fn next_look(&self) -> Option<BootTime> {
        match &self.0 {
            Form::One(hold) => Some(hold.next_look()),
            Form::Many(many) => many.next_look(),
        }
    }

    /// When something changes by itself next; what is over already does not count.
    pub fn next_end(&self) -> Option<BootTime> {
        match &self.0 {
            Form::One(hold) => Some(hold.over_at()),
            Form::Many(many) => many.next_end(),
        }
    }

    /// All of them: the live ones by token, then those that cool, then those that
    /// are over and of which nobody has been told.
    pub fn iter(&self) -> impl Iterator<Item = &Hold> {
        let (one, many) = match &self.0 {
            Form::One(hold) => (Some(hold), None),
            Form::Many(many) => (None, Some(many)),
        };
        one.into_iter()
            .chain(many.into_iter().flat_map(|many| many.iter()))
    }

    /// Adds a hold, in the place of the one with this token if there is one, which
    /// is returned.
    pub fn put(&mut self, now: BootTime, hold: Hold) -> Option<Hold> {
        let replaced = match &mut self.0 {
            Form::One(there) if there.token == hold.token => {
                return Some(std::mem::replace(there, hold));
            }
            Form::One(_) => None,
            Form::Many(many) => many.take(hold.token),
        };
        self.join(now, hold);
        replaced
    }

    /// Adds a hold with a token that none of the others has.
    pub fn join(&mut self, now: BootTime, hold: Hold) {
        if let Form::One(there) = &self.0 {
            let mut many = Box::<Many>::default();
            many.add(now, there.clone());
            self.0 = Form::Many(many);
        }
        if let Form::Many(many) = &mut self.0 {
            many.look(now);
            many.add(now, hold);
        }
    }

    /// What a file is told: those that count, or the first if none does, as a key
    /// has a holder.
    pub fn stored(&self, now: BootTime) -> impl Iterator<Item = StoredHold<'_>> {
        // Asked of each: nobody may have looked since their time came.
        let none_counts = !self.iter().any(|hold| hold.counts(now));
        let holds = self
            .iter()
            .filter(move |hold| none_counts || hold.counts(now));
        let most = if none_counts { 1 } else { usize::MAX };
        holds.take(most).map(move |hold| StoredHold::new(now, hold))
    }

    /// Takes a hold away; `None` if there is none with this token, or if it is the
    /// only one: then the lock must go.
    pub fn take(&mut self, token: Token) -> Option<Hold> {
        match &mut self.0 {
            Form::One(_) => None,
            Form::Many(many) if many.len() == 1 => None,
            Form::Many(many) => many.take(token),
        }
    }

    /// Takes a portion of those that are over and of which nobody has been told;
    /// none, if there are no others: then the lock must go.
    pub fn take_over(&mut self) -> Vec<Hold> {
        match &mut self.0 {
            Form::One(_) => Vec::new(),
            Form::Many(many) => many.take_over(),
        }
    }

    /// Whether [`Holders::take_over`] has something to take.
    pub fn has_over(&self) -> bool {
        matches!(&self.0, Form::Many(many) if many.has_over())
    }

    /// Whether something changed by itself of which nobody has been told.
    pub fn has_news(&self, now: BootTime) -> bool {
        match &self.0 {
            Form::One(hold) => hold.cools_unsaid(now),
            Form::Many(many) => many.has_news(),
        }
    }

    /// The holds that cool and of which nobody has been told so. They count as told
    /// from now on.
    pub fn take_cooling(&mut self, now: BootTime) -> Vec<Token> {
        match &mut self.0 {
            Form::One(hold) if hold.cools_unsaid(now) => {
                hold.cooling = CoolingNews::Said;
                vec![hold.token]
            }
            Form::One(_) => Vec::new(),
            Form::Many(many) => many.take_cooling(),
        }
    }

    /// Changes the hold with this token, whatever has become of it. Owner and
    /// tolerance stay; so does the token, where several may hold.
    pub fn change(&mut self, now: BootTime, token: Token, change: impl FnOnce(&mut Hold)) {
        match &mut self.0 {
            Form::One(hold) if hold.token == token => change(hold),
            Form::One(_) => {}
            Form::Many(many) => many.change(now, token, change),
        }
    }

    /// Bytes on the heap, beyond the size of this.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::One(hold) => hold.owner.heap_bytes(),
            Form::Many(many) => many.heap_bytes(),
        }
    }

    /// The name of an invariant that does not hold, if there is one; for tests.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        match &self.0 {
            Form::One(_) => None,
            Form::Many(many) => many.broken_invariant(),
        }
    }
}
