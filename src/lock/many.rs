//! Many holders of one lock.
//!
//! They are kept in ordered maps, so that with a hundred thousand of them each
//! question costs O(log n). Those whose time has come are moved from one map to the
//! next by [`Many::look`], a portion at a time: a hundred thousand leases that end at
//! once are not to stop the server. So a hold may lie where it belonged a moment ago,
//! and whoever asks is answered by the time, not by the map.

use super::bytes::ShortBytes;
use super::holders::{CoolingNews, Hold};
use super::time::BootTime;
use super::token::Token;
use super::tolerance::Tolerance;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Holds moved by one look, at most. One takes 0.5 to 1 µs.
pub const LOOK_MOST: usize = 128;

/// Holds reported as over by one step, at most. No fewer than `LIMIT` may say: who is
/// let in under a limit is told of after everybody whose end made room for it.
const OVER_MOST: usize = Tolerance::LIMIT_MOST as usize;

/// The holds.
#[derive(Debug, Default)]
pub(super) struct Many {
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
    /// How many of the live ones will cool.
    will_cool: usize,
    /// When they were looked at last.
    looked_at: BootTime,
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

impl Many {
    /// Moves on those whose time has come, [`LOOK_MOST`] of them; how many that were.
    pub(super) fn look(&mut self, now: BootTime) -> usize {
        self.looked_at = now;
        for moved in 0..LOOK_MOST {
            match self.ends.first() {
                Some(&(end, token)) if end <= now => self.move_on(now, token),
                _ => return moved,
            }
        }
        LOOK_MOST
    }

    fn move_on(&mut self, now: BootTime, token: Token) {
        if let Some(hold) = self.take(token) {
            self.add(now, hold);
        }
    }

    /// Whether there are more of those.
    pub(super) fn is_behind(&self, now: BootTime) -> bool {
        self.next_end().is_some_and(|end| end <= now)
    }

    /// How many count as holders, counted no further than `most`.
    pub(super) fn count_to(&self, now: BootTime, most: usize) -> usize {
        if !self.is_behind(now) {
            return most.min(self.live.len() + self.cooling.len());
        }
        // Those with time left are the last; before them, only who will cool counts.
        let left = self.ends.iter().rev();
        let left = left.take_while(|(end, _)| *end > now || self.will_cool > 0);
        let counts = |(end, token): &&(BootTime, Token)| {
            *end > now || self.live.get(token).is_some_and(|it| it.counts(now))
        };
        left.filter(counts).take(most).count()
    }

    /// The least that any of those who count tolerates.
    pub(super) fn least_tolerance(&self, now: BootTime) -> Option<Tolerance> {
        let least = self.tolerances.first_key_value().map(|(least, _)| *least);
        if least == Some(Tolerance::ANY) || !self.is_behind(now) {
            return least;
        }
        // With a limit there are not many.
        let counted = self.live.values().chain(self.cooling.values());
        let counted = counted.filter(|hold| hold.counts(now));
        counted.map(|hold| hold.tolerates).min()
    }

    /// The hold of an owner that was live when last looked at.
    pub(super) fn of_owner(&self, owner: &[u8]) -> Option<&Hold> {
        self.live.get(self.by_owner.get(&Named::new(owner))?)
    }

    /// The tokens of an owner's holds that cool.
    pub(super) fn cooling_of(&self, now: BootTime, owner: &[u8]) -> Vec<Token> {
        let from = (ShortBytes::from(owner), Token::FIRST);
        let noted = self.cooling_by_owner.range(from..);
        let noted = noted.take_while(|(name, _)| **name == *owner);
        let noted = noted.filter_map(|(_, token)| self.cooling.get(token));
        let unmoved = self.of_owner(owner).filter(|hold| !hold.is_live(now));
        let cooling = noted.chain(unmoved).filter(|hold| hold.counts(now));
        cooling.map(|hold| hold.token).collect()
    }

    /// The hold with this token, whatever has become of it.
    pub(super) fn with_token(&self, token: Token) -> Option<&Hold> {
        let counted = self.live.get(&token).or_else(|| self.cooling.get(&token));
        counted.or_else(|| self.over.get(&token))
    }

    /// The lowest live token.
    pub(super) fn lowest_live(&self, now: BootTime) -> Option<Token> {
        let live = self.live.values().find(|hold| hold.is_live(now));
        live.map(|hold| hold.token)
    }

    /// When they are to be looked at.
    pub(super) fn next_look(&self) -> Option<BootTime> {
        let over = self.over.values().map(Hold::over_at).next();
        let over = over.filter(|_| self.has_over());
        let unsaid = self.cooling_unsaid.first();
        let unsaid = unsaid.and_then(|token| self.cooling.get(token));
        let times = [over, unsaid.map(|hold| hold.deadline), self.next_end()];
        times.into_iter().flatten().min()
    }

    /// When the next of them goes a stage further.
    pub(super) fn next_end(&self) -> Option<BootTime> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Hold> {
        let counted = self.live.values().chain(self.cooling.values());
        counted.chain(self.over.values())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.live.len() + self.cooling.len() + self.over.len()
    }

    /// Takes those that are over, [`OVER_MOST`] of them; none if there are no others.
    pub(super) fn take_over(&mut self) -> Vec<Hold> {
        if !self.has_over() {
            return Vec::new();
        }
        let over = std::iter::from_fn(|| self.over.pop_first());
        over.map(|(_, hold)| hold).take(OVER_MOST).collect()
    }

    /// Whether there are any to take.
    pub(super) fn has_over(&self) -> bool {
        !self.ends.is_empty() && !self.over.is_empty()
    }

    /// Whether something changed by itself of which nobody has been told.
    pub(super) fn has_news(&self) -> bool {
        self.has_over() || !self.cooling_unsaid.is_empty()
    }

    /// Those that cool and of which nobody has been told so; they count as told.
    pub(super) fn take_cooling(&mut self) -> Vec<Token> {
        let tokens = std::mem::take(&mut self.cooling_unsaid);
        for token in &tokens {
            if let Some(hold) = self.cooling.get_mut(token) {
                hold.cooling = CoolingNews::Said;
            }
        }
        tokens.into_iter().collect()
    }

    /// Puts a hold where it belongs. What is not live stays away from `by_owner`, in
    /// which its owner may have another that is.
    pub(super) fn add(&mut self, now: BootTime, hold: Hold) {
        if !hold.counts(now) {
            self.over.insert(hold.token, hold);
            return;
        }
        *self.tolerances.entry(hold.tolerates).or_default() += 1;
        let token = hold.token;
        if hold.is_live(now) {
            self.ends.insert((hold.deadline, token));
            self.will_cool += usize::from(hold.will_cool());
            let before = self.by_owner.insert(Named::new(&hold.owner), token);
            self.live.insert(token, hold);
            // It lapsed, and was not moved yet: now nothing else leads to it.
            if let Some(before) = before.filter(|before| self.has_lapsed(now, *before)) {
                self.move_on(now, before);
            }
        } else {
            let of_owner = (hold.owner.clone(), token);
            self.cooling_by_owner.insert(of_owner);
            if hold.cooling == CoolingNews::Unsaid {
                self.cooling_unsaid.insert(token);
            }
            self.ends.insert((hold.over_at(), token));
            self.cooling.insert(token, hold);
        }
    }

    fn has_lapsed(&self, now: BootTime, token: Token) -> bool {
        self.live.get(&token).is_some_and(|hold| !hold.is_live(now))
    }

    /// Changes the hold with this token.
    pub(super) fn change(&mut self, now: BootTime, token: Token, change: impl FnOnce(&mut Hold)) {
        self.look(now);
        if let Some(hold) = self.live.get_mut(&token) {
            // As a rule it stays where it is.
            let mut changed = hold.clone();
            change(&mut changed);
            if !changed.is_live(now) {
                // First as it was, so that it is found wherever it is noted.
                self.take(token);
                return self.add(now, changed);
            }
            if hold.deadline != changed.deadline {
                self.ends.remove(&(hold.deadline, token));
                self.ends.insert((changed.deadline, token));
            }
            self.will_cool -= usize::from(hold.will_cool());
            self.will_cool += usize::from(changed.will_cool());
            *hold = changed;
        } else if let Some(mut hold) = self.take(token) {
            change(&mut hold);
            self.add(now, hold);
        }
    }

    /// Takes a hold away.
    pub(super) fn take(&mut self, token: Token) -> Option<Hold> {
        let hold = if let Some(hold) = self.live.remove(&token) {
            if let Entry::Occupied(of_owner) = self.by_owner.entry(Named::new(&hold.owner)) {
                if *of_owner.get() == token {
                    of_owner.remove();
                }
            }
            self.ends.remove(&(hold.deadline, token));
            self.will_cool -= usize::from(hold.will_cool());
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

    /// Bytes on the heap, its own included.
    pub(super) fn heap_bytes(&self) -> usize {
        let strings: usize = self.iter().map(|hold| hold.owner.heap_bytes()).sum();
        let holds = self.live.len() + self.cooling.len();
        let each = size_of::<Hold>() + 2 * size_of::<(BootTime, Token)>();
        let owners = self.by_owner.len() * size_of::<(Named, Token)>();
        let over = self.over.len() * size_of::<Hold>();
        size_of::<Self>() + holds * each + owners + over + 2 * strings
    }

    /// The name of an invariant that does not hold, if there is one; for tests.
    pub(super) fn broken_invariant(&self) -> Option<&'static str> {
        let counted = || self.live.values().chain(self.cooling.values());
        let is_listed = |hold: &Hold| match self.live.contains_key(&hold.token) {
            true => {
                self.by_owner.get(&Named::new(&hold.owner)) == Some(&hold.token)
                    && self.ends.contains(&(hold.deadline, hold.token))
            }
            false => {
                let owner = (hold.owner.clone(), hold.token);
                let is_unsaid = hold.cooling == CoolingNews::Unsaid;
                self.cooling_by_owner.contains(&owner)
                    && self.cooling_unsaid.contains(&hold.token) == is_unsaid
                    && self.ends.contains(&(hold.over_at(), hold.token))
            }
        };
        let tolerated =
            |tolerance: Tolerance| counted().filter(|hold| hold.tolerates == tolerance).count();
        let holds = counted().count();
        let agrees = counted().all(is_listed)
            && self.ends.len() == holds
            && self.by_owner.len() == self.live.len()
            && self.cooling_by_owner.len() == self.cooling.len()
            && self.cooling_unsaid.len() <= self.cooling.len()
            && self.live.values().filter(|hold| hold.will_cool()).count() == self.will_cool
            && self.tolerances.values().sum::<usize>() == holds
            && self
                .tolerances
                .iter()
                .all(|(of, count)| tolerated(*of) == *count);
        if !agrees {
            return Some("holders-agree");
        }
        let then = self.looked_at;
        let holds = counted().filter(|hold| hold.counts(then)).count();
        let mut holders = counted().filter(|hold| hold.counts(then));
        let is_kept = holders.all(|hold| hold.tolerates.allows(holds));
        (!is_kept).then_some("tolerances-kept")
    }
}
