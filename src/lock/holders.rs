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
//! A single hold is kept in place. Many are kept in ordered maps, so that with a
//! thousand of them each question costs O(log n); [`Holders::look`] moves those
//! whose time has come, before anything is asked.

use super::bytes::ShortBytes;
use super::table::ClientId;
use super::time::{BootTime, Delay, Ttl};
use super::token::Token;
use super::tolerance::Tolerance;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

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

#[derive(Debug, Default)]
struct Many {
    live: BTreeMap<Token, Hold>,
    cooling: BTreeMap<Token, Hold>,
    /// Nobody has been told yet that these cool.
    cooling_unsaid: BTreeSet<Token>,
    /// Nobody has been told yet that these are over.
    over: BTreeMap<Token, Hold>,
    /// The live hold of each owner.
    by_owner: BTreeMap<Named, Token>,
    /// The same for those that cool, of which an owner may have several.
    cooling_by_owner: BTreeSet<(ShortBytes, Token)>,
    /// When each that is live or cooling goes a stage further.
    ends: BTreeSet<(BootTime, Token)>,
    /// How many that are live or cooling tolerate how many.
    tolerances: BTreeMap<Tolerance, usize>,
}

/// An owner's name behind a digest of it, which mostly decides a comparison. That
/// names may be found that have the same is no harm: then they are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named(u64, ShortBytes);

impl Named {
    fn new(owner: &[u8]) -> Self {
        let mut digest = owner.len() as u64;
        for chunk in owner.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            digest = (digest.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        Self(digest, owner.into())
    }
}

impl Holders {
    /// One holder.
    pub fn one(hold: Hold) -> Self {
        Self(Form::One(hold))
    }

    /// It is this late now. Asked before everything else that depends on time.
    pub fn look(&mut self, now: BootTime) {
        if let Form::Many(many) = &mut self.0 {
            many.look(now);
        }
    }

    /// How many count as holders, live or cooling.
    pub fn count(&self, now: BootTime) -> usize {
        match &self.0 {
            Form::One(hold) => usize::from(hold.counts(now)),
            Form::Many(many) => many.live.len() + many.cooling.len(),
        }
    }

    /// Whether one more may join them who tolerates so many.
    pub fn admit(&self, now: BootTime, newcomer: Tolerance) -> bool {
        let with_it = self.count(now) + 1;
        let least = match &self.0 {
            Form::One(hold) if hold.counts(now) => hold.tolerates,
            Form::One(_) => newcomer,
            Form::Many(many) => {
                let least = many.tolerances.first_key_value();
                least.map_or(newcomer, |(tolerance, _)| *tolerance)
            }
        };
        least.min(newcomer).allows(with_it)
    }

    /// The live hold of an owner.
    pub fn live_of(&self, now: BootTime, owner: &[u8]) -> Option<&Hold> {
        match &self.0 {
            Form::One(hold) => Some(hold).filter(|it| it.is_live(now) && *it.owner == *owner),
            Form::Many(many) => many.live.get(many.by_owner.get(&Named::new(owner))?),
        }
    }

    /// The tokens of an owner's holds that cool.
    pub fn cooling_of(&self, now: BootTime, owner: &[u8]) -> Vec<Token> {
        match &self.0 {
            Form::One(hold) => {
                let cools = hold.counts(now) && !hold.is_live(now) && *hold.owner == *owner;
                cools.then_some(hold.token).into_iter().collect()
            }
            Form::Many(many) => {
                let from = (ShortBytes::from(owner), Token::FIRST);
                let of_owner = many.cooling_by_owner.range(from..);
                let of_owner = of_owner.take_while(|(name, _)| **name == *owner);
                of_owner.map(|(_, token)| *token).collect()
            }
        }
    }

    /// The hold with this token, whatever has become of it.
    pub fn with_token(&self, token: Token) -> Option<&Hold> {
        match &self.0 {
            Form::One(hold) => Some(hold).filter(|it| it.token == token),
            Form::Many(many) => {
                let counted = many.live.get(&token).or_else(|| many.cooling.get(&token));
                counted.or_else(|| many.over.get(&token))
            }
        }
    }

    /// The hold with this token, if it is live.
    pub fn live_with(&self, now: BootTime, token: Token) -> Option<&Hold> {
        match &self.0 {
            Form::One(hold) => Some(hold).filter(|it| it.is_live(now) && it.token == token),
            Form::Many(many) => many.live.get(&token),
        }
    }

    /// The lowest live token.
    pub fn lowest_live(&self, now: BootTime) -> Option<Token> {
        match &self.0 {
            Form::One(hold) => hold.is_live(now).then_some(hold.token),
            Form::Many(many) => many.live.keys().next().copied(),
        }
    }

    /// When the lock is to be looked at: at once if something changed by itself of
    /// which nobody has been told, else when something does.
    pub fn next_look(&self) -> Option<BootTime> {
        match &self.0 {
            Form::One(hold) => Some(hold.next_look()),
            Form::Many(many) => {
                let over = many.over.values().map(Hold::over_at).next();
                let over = over.filter(|_| self.has_over());
                let unsaid = many.cooling_unsaid.first();
                let unsaid = unsaid.and_then(|token| many.cooling.get(token));
                let times = [over, unsaid.map(|hold| hold.deadline), self.next_end()];
                times.into_iter().flatten().min()
            }
        }
    }

    /// When something changes by itself next; what is over already does not count.
    pub fn next_end(&self) -> Option<BootTime> {
        match &self.0 {
            Form::One(hold) => Some(hold.over_at()),
            Form::Many(many) => many.ends.first().map(|(end, _)| *end),
        }
    }

    /// All of them: the live ones by token, then those that cool, then those that
    /// are over and of which nobody has been told.
    pub fn iter(&self) -> impl Iterator<Item = &Hold> {
        let (one, many) = match &self.0 {
            Form::One(hold) => (Some(hold), None),
            Form::Many(many) => (None, Some(many)),
        };
        let many = many.into_iter().flat_map(|many| {
            let counted = many.live.values().chain(many.cooling.values());
            counted.chain(many.over.values())
        });
        one.into_iter().chain(many)
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
            Form::Many(many) => {
                let is_last = many.live.len() + many.cooling.len() + many.over.len() == 1;
                (!is_last).then(|| many.take(token)).flatten()
            }
        }
    }

    /// Takes those that are over and of which nobody has been told; none, if there
    /// are no others: then the lock must go.
    pub fn take_over(&mut self) -> Vec<Hold> {
        match &mut self.0 {
            Form::Many(many) if !many.ends.is_empty() => {
                std::mem::take(&mut many.over).into_values().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether [`Holders::take_over`] has something to take.
    pub fn has_over(&self) -> bool {
        matches!(&self.0, Form::Many(many) if !many.ends.is_empty() && !many.over.is_empty())
    }

    /// Whether something changed by itself of which nobody has been told.
    pub fn has_news(&self, now: BootTime) -> bool {
        match &self.0 {
            Form::One(hold) => hold.cools_unsaid(now),
            Form::Many(many) => self.has_over() || !many.cooling_unsaid.is_empty(),
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
            Form::Many(many) => {
                let tokens = std::mem::take(&mut many.cooling_unsaid);
                for token in &tokens {
                    if let Some(hold) = many.cooling.get_mut(token) {
                        hold.cooling = CoolingNews::Said;
                    }
                }
                tokens.into_iter().collect()
            }
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
        let strings = self
            .iter()
            .map(|hold| hold.owner.heap_bytes())
            .sum::<usize>();
        match &self.0 {
            Form::One(_) => strings,
            Form::Many(many) => {
                let holds = many.live.len() + many.cooling.len();
                let each = size_of::<Hold>() + 2 * size_of::<(BootTime, Token)>();
                let owners = many.by_owner.len() * size_of::<(Named, Token)>();
                let over = many.over.len() * size_of::<Hold>();
                size_of::<Many>() + holds * each + owners + over + 2 * strings
            }
        }
    }
}

impl Holders {
    /// The name of an invariant that does not hold, if there is one; for tests.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        let Form::Many(many) = &self.0 else {
            return None;
        };
        let counted = || many.live.values().chain(many.cooling.values());
        let is_listed = |hold: &Hold| match many.live.contains_key(&hold.token) {
            true => {
                many.by_owner.get(&Named::new(&hold.owner)) == Some(&hold.token)
                    && many.ends.contains(&(hold.deadline, hold.token))
            }
            false => {
                let owner = (hold.owner.clone(), hold.token);
                let is_unsaid = hold.cooling == CoolingNews::Unsaid;
                many.cooling_by_owner.contains(&owner)
                    && many.cooling_unsaid.contains(&hold.token) == is_unsaid
                    && many.ends.contains(&(hold.over_at(), hold.token))
            }
        };
        let tolerated =
            |tolerance: Tolerance| counted().filter(|hold| hold.tolerates == tolerance).count();
        let holds = counted().count();
        let agrees = counted().all(is_listed)
            && many.ends.len() == holds
            && many.by_owner.len() == many.live.len()
            && many.cooling_by_owner.len() == many.cooling.len()
            && many.cooling_unsaid.len() <= many.cooling.len()
            && many.tolerances.values().sum::<usize>() == holds
            && many
                .tolerances
                .iter()
                .all(|(of, count)| tolerated(*of) == *count);
        if !agrees {
            return Some("holders-agree");
        }
        let is_kept = counted().all(|hold| hold.tolerates.allows(holds));
        (!is_kept).then_some("tolerances-kept")
    }
}

impl Many {
    /// Moves on those whose time has come.
    fn look(&mut self, now: BootTime) {
        while let Some(&(end, token)) = self.ends.first() {
            if end > now {
                break;
            }
            if let Some(hold) = self.take(token) {
                self.add(now, hold);
            }
        }
    }

    /// Puts a hold where it belongs. What is not live stays away from `by_owner`, in
    /// which its owner may have another that is.
    fn add(&mut self, now: BootTime, hold: Hold) {
        if !hold.counts(now) {
            self.over.insert(hold.token, hold);
            return;
        }
        *self.tolerances.entry(hold.tolerates).or_default() += 1;
        if hold.is_live(now) {
            self.by_owner.insert(Named::new(&hold.owner), hold.token);
            self.ends.insert((hold.deadline, hold.token));
            self.live.insert(hold.token, hold);
        } else {
            let of_owner = (hold.owner.clone(), hold.token);
            self.cooling_by_owner.insert(of_owner);
            if hold.cooling == CoolingNews::Unsaid {
                self.cooling_unsaid.insert(hold.token);
            }
            self.ends.insert((hold.over_at(), hold.token));
            self.cooling.insert(hold.token, hold);
        }
    }

    fn change(&mut self, now: BootTime, token: Token, change: impl FnOnce(&mut Hold)) {
        self.look(now);
        if let Some(hold) = self.live.get_mut(&token) {
            // As a rule it stays where it is.
            let mut changed = hold.clone();
            change(&mut changed);
            if !changed.is_live(now) {
                self.take(token);
                return self.add(now, changed);
            }
            if hold.deadline != changed.deadline {
                self.ends.remove(&(hold.deadline, token));
                self.ends.insert((changed.deadline, token));
            }
            *hold = changed;
        } else if let Some(mut hold) = self.take(token) {
            change(&mut hold);
            self.add(now, hold);
        }
    }

    fn take(&mut self, token: Token) -> Option<Hold> {
        let hold = if let Some(hold) = self.live.remove(&token) {
            if let Entry::Occupied(of_owner) = self.by_owner.entry(Named::new(&hold.owner)) {
                if *of_owner.get() == token {
                    of_owner.remove();
                }
            }
            self.ends.remove(&(hold.deadline, token));
            hold
        } else if let Some(hold) = self.cooling.remove(&token) {
            self.cooling_by_owner.remove(&(hold.owner.clone(), token));
            self.cooling_unsaid.remove(&token);
            self.ends.remove(&(hold.over_at(), token));
            hold
        } else {
            return self.over.remove(&token);
        };
        if let Some(count) = self.tolerances.get_mut(&hold.tolerates) {
            *count -= 1;
            if *count == 0 {
                self.tolerances.remove(&hold.tolerates);
            }
        }
        Some(hold)
    }
}
