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
//! A single hold is kept in place; `many.rs` keeps several.

use super::bytes::ShortBytes;
use super::journal::Noted;
use super::many::Many;
use super::table::ClientId;
use super::time::{BootTime, Delay, Ttl};
use super::token::Token;
use super::tolerance::Tolerance;

/// Who holds a lock, until when, with which token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold<Owner = ShortBytes> {
    /// The owner's name for itself.
    pub owner: Owner,
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
    /// Whether its end is in the journal, though it may still be here.
    pub noted: Noted,
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

/// A hold that is looked at where it is kept.
pub type HoldRef<'a> = Hold<&'a [u8]>;

impl Hold {
    /// A hold that is bound to no connection.
    pub fn unbound(
        owner: &[u8],
        (token, deadline): (Token, BootTime),
        tolerates: Tolerance,
        delay: Delay,
    ) -> Self {
        Self {
            delay,
            tolerates,
            ..Self::plain(owner.into(), token, deadline)
        }
    }

    /// To be looked at.
    pub fn view(&self) -> HoldRef<'_> {
        Hold {
            owner: &self.owner,
            token: self.token,
            deadline: self.deadline,
            delay: self.delay,
            session: self.session,
            tolerates: self.tolerates,
            cooling: self.cooling,
            noted: self.noted,
        }
    }
}

impl<Owner> Hold<Owner> {
    /// A hold of which nothing more is to be said.
    fn plain(owner: Owner, token: Token, deadline: BootTime) -> Self {
        Self {
            owner,
            token,
            deadline,
            delay: Delay::NONE,
            session: None,
            tolerates: Tolerance::ALONE,
            cooling: CoolingNews::Unsaid,
            noted: Noted::No,
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
    fn new(now: BootTime, hold: HoldRef<'a>) -> Self {
        let cools = hold.counts(now) && !hold.is_live(now);
        Self {
            owner: hold.owner,
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
    /// As most are: alone, without anything that is not said below.
    Plain(Plain),
    One(Box<Hold>),
    Many(Box<Many>),
}

/// A hold of which nothing more is to be said: a million of them are to be small.
#[derive(Debug)]
struct Plain {
    owner: ShortBytes,
    token: Token,
    deadline: BootTime,
}

impl Plain {
    fn view(&self) -> HoldRef<'_> {
        Hold::plain(&self.owner, self.token, self.deadline)
    }

    /// The hold; what is left here is to be thrown away.
    fn take(&mut self) -> Hold {
        let owner = std::mem::take(&mut self.owner);
        Hold::plain(owner, self.token, self.deadline)
    }
}

impl From<Hold> for Form {
    fn from(hold: Hold) -> Self {
        // That its end is noted is lost: who gives up a plain one sees to that itself.
        let is_plain = hold.delay == Delay::NONE
            && hold.session.is_none()
            && hold.tolerates == Tolerance::ALONE
            && hold.cooling == CoolingNews::Unsaid;
        if !is_plain {
            return Self::One(Box::new(hold));
        }
        Self::Plain(Plain {
            owner: hold.owner,
            token: hold.token,
            deadline: hold.deadline,
        })
    }
}

impl Holders {
    /// One holder.
    pub fn one(hold: Hold) -> Self {
        Self(hold.into())
    }

    /// The only hold, or all of them.
    fn parts(&self) -> Result<HoldRef<'_>, &Many> {
        match &self.0 {
            Form::Plain(plain) => Ok(plain.view()),
            Form::One(hold) => Ok(hold.view()),
            Form::Many(many) => Err(many),
        }
    }

    /// Whether there may be more than one, of which some may be over.
    pub(super) fn are_several(&self) -> bool {
        matches!(self.0, Form::Many(_))
    }

    fn many(&self) -> Option<&Many> {
        self.parts().err()
    }

    /// It is this late now: a portion of those whose time has come are moved; how
    /// many. Whatever is asked, those that were not are answered for as if they were.
    pub fn look(&mut self, now: BootTime) -> usize {
        match &mut self.0 {
            Form::Plain(_) | Form::One(_) => 0,
            Form::Many(many) => many.look(now),
        }
    }

    /// Whether [`Holders::look`] has more to move.
    pub fn is_behind(&self, now: BootTime) -> bool {
        self.many().is_some_and(|many| many.is_behind(now))
    }

    /// How many count as holders, live or cooling.
    pub fn count(&self, now: BootTime) -> usize {
        self.count_to(now, usize::MAX)
    }

    /// The same, but counted no further than `most`.
    pub fn count_to(&self, now: BootTime, most: usize) -> usize {
        match self.parts() {
            Ok(hold) => most.min(usize::from(hold.counts(now))),
            Err(many) => many.count_to(now, most),
        }
    }

    /// Whether one more may join them who tolerates so many.
    pub fn admit(&self, now: BootTime, newcomer: Tolerance) -> bool {
        let many = match self.parts() {
            Ok(hold) => return !hold.counts(now) || hold.tolerates.min(newcomer).allows(2),
            Err(many) => many,
        };
        let least = many.least_tolerance(now).unwrap_or(newcomer);
        match least.min(newcomer) {
            Tolerance::ANY => true,
            least => least.allows(many.count_to(now, least.most()) + 1),
        }
    }

    /// The live hold of an owner.
    pub fn live_of(&self, now: BootTime, owner: &[u8]) -> Option<HoldRef<'_>> {
        let hold = match self.parts() {
            Ok(hold) => Some(hold).filter(|it| *it.owner == *owner),
            Err(many) => many.of_owner(owner).map(Hold::view),
        };
        hold.filter(|it| it.is_live(now))
    }

    /// The tokens of an owner's holds that cool.
    pub fn cooling_of(&self, now: BootTime, owner: &[u8]) -> Vec<Token> {
        match self.parts() {
            Ok(hold) => {
                let cools = hold.counts(now) && !hold.is_live(now) && *hold.owner == *owner;
                cools.then_some(hold.token).into_iter().collect()
            }
            Err(many) => many.cooling_of(now, owner),
        }
    }

    /// The hold with this token, whatever has become of it.
    pub fn with_token(&self, token: Token) -> Option<HoldRef<'_>> {
        match self.parts() {
            Ok(hold) => Some(hold).filter(|it| it.token == token),
            Err(many) => many.with_token(token).map(Hold::view),
        }
    }

    /// The hold with this token, if it is live.
    pub fn live_with(&self, now: BootTime, token: Token) -> Option<HoldRef<'_>> {
        self.with_token(token).filter(|it| it.is_live(now))
    }

    /// The lowest live token.
    pub fn lowest_live(&self, now: BootTime) -> Option<Token> {
        match self.parts() {
            Ok(hold) => hold.is_live(now).then_some(hold.token),
            Err(many) => many.lowest_live(now),
        }
    }

    /// When the lock is to be looked at: at once if something changed by itself of
    /// which nobody has been told, else when something does.
    pub fn next_look(&self) -> Option<BootTime> {
        match self.parts() {
            Ok(hold) => Some(hold.next_look()),
            Err(many) => many.next_look(),
        }
    }

    /// When something changes by itself next; what is over already does not count.
    pub fn next_end(&self) -> Option<BootTime> {
        match self.parts() {
            Ok(hold) => Some(hold.over_at()),
            Err(many) => many.next_end(),
        }
    }

    /// All of them: the live ones by token, then those that cool, then those that
    /// are over and of which nobody has been told.
    pub fn iter(&self) -> impl Iterator<Item = HoldRef<'_>> {
        let (one, many) = match self.parts() {
            Ok(hold) => (Some(hold), None),
            Err(many) => (None, Some(many)),
        };
        let many = many.into_iter().flat_map(Many::iter);
        one.into_iter().chain(many.map(Hold::view))
    }

    /// Adds a hold, in the place of the one with this token if there is one, which
    /// is returned.
    pub fn put(&mut self, now: BootTime, hold: Hold) -> Option<Hold> {
        let replaced = match &mut self.0 {
            Form::Many(many) => many.take(hold.token),
            Form::Plain(there) if there.token == hold.token => {
                let replaced = there.take();
                self.0 = hold.into();
                return Some(replaced);
            }
            Form::One(there) if there.token == hold.token => {
                let replaced = (**there).clone();
                self.0 = hold.into();
                return Some(replaced);
            }
            Form::Plain(_) | Form::One(_) => None,
        };
        self.join(now, hold);
        replaced
    }

    /// Adds a hold with a token that none of the others has.
    pub fn join(&mut self, now: BootTime, hold: Hold) {
        let there = match &mut self.0 {
            Form::Plain(plain) => Some(plain.take()),
            Form::One(there) => Some((**there).clone()),
            Form::Many(_) => None,
        };
        if let Some(there) = there {
            let mut many = Box::<Many>::default();
            many.add(now, there);
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
            Form::Many(many) if many.len() > 1 => many.take(token),
            Form::Plain(_) | Form::One(_) | Form::Many(_) => None,
        }
    }

    /// Takes a portion of those that are over and of which nobody has been told;
    /// none, if there are no others: then the lock must go.
    pub fn take_over(&mut self) -> Vec<Hold> {
        match &mut self.0 {
            Form::Plain(_) | Form::One(_) => Vec::new(),
            Form::Many(many) => many.take_over(),
        }
    }

    /// Whether [`Holders::take_over`] has something to take.
    pub fn has_over(&self) -> bool {
        self.many().is_some_and(Many::has_over)
    }

    /// Whether something changed by itself of which nobody has been told.
    pub fn has_news(&self, now: BootTime) -> bool {
        match self.parts() {
            Ok(hold) => hold.cools_unsaid(now),
            Err(many) => many.has_news(),
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
            // A plain one does not cool.
            Form::Plain(_) | Form::One(_) => Vec::new(),
            Form::Many(many) => many.take_cooling(),
        }
    }

    /// Changes the hold with this token, whatever has become of it. Owner and
    /// tolerance stay; so does the token, where several may hold.
    pub fn change(&mut self, now: BootTime, token: Token, change: impl FnOnce(&mut Hold)) {
        match &mut self.0 {
            Form::Plain(plain) if plain.token == token => {
                let mut hold = plain.take();
                change(&mut hold);
                self.0 = hold.into();
            }
            Form::One(hold) if hold.token == token => change(hold),
            Form::Plain(_) | Form::One(_) => {}
            Form::Many(many) => many.change(now, token, change),
        }
    }

    /// Bytes on the heap, beyond the size of this.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Plain(plain) => plain.owner.heap_bytes(),
            Form::One(hold) => size_of::<Hold>() + hold.owner.heap_bytes(),
            Form::Many(many) => many.heap_bytes(),
        }
    }

    /// The name of an invariant that does not hold, if there is one; for tests.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        self.many().and_then(Many::broken_invariant)
    }
}
