//! Masters that another one has replaced and that do not know it: what they grant
//! is not of the lineage that survives.
//!
//! Which grants are theirs is decided by what a client knows: the port of who
//! answered, and when. A spell begins at the first instant at which a deposed
//! server can say anything (it is let run again, or the way to it heals) and ends
//! when the same server is a master again by right. So:
//!
//! - What a master acknowledged before it died, was stopped or was cut off counts
//!   in full: the promoted one must outbid it.
//! - What a deposed master answered in its spell is left out of `rising`: there are
//!   two masters at that time. It is not left out of everything: its tokens must be
//!   nobody else's and below all of those that the promoted one gives (unless it
//!   was started again in its spell; then only the token's owner tells).

use crate::history::{Grant, Stamp};
use std::collections::{HashMap, HashSet};

/// The spells of all servers.
#[derive(Default)]
pub struct Zombies {
    spells: Vec<Spell>,
}

/// How it came to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It ran on: its tokens are below those of the one that was promoted.
    RanOn,
    /// It started again: its term may be above.
    StartedAgain,
}

struct Spell {
    server: u16,
    way: Way,
    from: Stamp,
    to: Option<Stamp>,
}

impl Zombies {
    /// From now on what this server says is a zombie's word.
    pub fn rises(&mut self, server: u16, way: Way) {
        self.was_one(server, way, Stamp::now());
    }

    /// What it said since then was a zombie's word, or may have been.
    pub fn was_one(&mut self, server: u16, way: Way, from: Stamp) {
        self.spells.push(Spell {
            server,
            way,
            from,
            to: None,
        });
    }

    /// It becomes a master by right: called just before.
    pub fn lives(&mut self, server: u16) {
        let of_it = |spell: &Spell| spell.server == server && spell.to.is_none();
        for spell in self.spells.iter_mut().filter(|spell| of_it(spell)) {
            spell.to = Some(Stamp::now());
        }
    }

    fn said(&self, grant: &Grant) -> bool {
        self.spells.iter().any(|spell| {
            let is_over = spell.to.is_some_and(|to| grant.answered >= to);
            spell.server == grant.server && grant.answered >= spell.from && !is_over
        })
    }

    /// Takes their grants out of the history, and says what is wrong with them.
    pub fn part(&self, grants: &mut Vec<Grant>) -> (usize, Vec<String>) {
        let (theirs, survivors): (Vec<Grant>, Vec<Grant>) = std::mem::take(grants)
            .into_iter()
            .partition(|it| self.said(it));
        *grants = survivors;
        let mut broken = Vec::new();
        let known: HashMap<(u32, i64), &Grant> =
            grants.iter().map(|it| ((it.key, it.token), it)).collect();
        let mut given: HashSet<(u32, i64)> = HashSet::new();
        for grant in &theirs {
            let at = (grant.key, grant.token);
            if known.get(&at).is_some_and(|it| it.unit != grant.unit) || !given.insert(at) {
                broken.push(format!("zombie: that token is another's, too: {grant:?}"));
            }
        }
        broken.extend(self.outbid(&theirs, grants));
        (theirs.len(), broken)
    }

    /// Zombies' tokens that are not below what others granted in their spell.
    fn outbid(&self, theirs: &[Grant], others: &[Grant]) -> Vec<String> {
        let mut broken = Vec::new();
        let ran_on = self.spells.iter().filter(|spell| spell.way == Way::RanOn);
        for spell in ran_on {
            let end = spell.to.unwrap_or(Stamp(u64::MAX));
            let is_in = |it: &Grant| it.answered >= spell.from && it.answered < end;
            let mut most: HashMap<u32, &Grant> = HashMap::new();
            for grant in theirs
                .iter()
                .filter(|it| it.server == spell.server && is_in(it))
            {
                let highest = most.entry(grant.key).or_insert(grant);
                if grant.token > highest.token {
                    *highest = grant;
                }
            }
            let later = others.iter().filter(|it| it.server != spell.server);
            for grant in later.filter(|it| it.asked >= spell.from && it.asked < end) {
                if let Some(zombie) = most.get(&grant.key).filter(|it| it.token >= grant.token) {
                    broken.push(format!("zombie: {zombie:?} is above {grant:?}"));
                }
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Unit;

    fn grant(server: u16, unit: u64, token: i64) -> Grant {
        let asked = Stamp::now();
        let answered = Stamp(asked.0 + 1);
        Grant {
            key: 1,
            unit: Unit(unit),
            token,
            asked,
            answered,
            until: answered,
            lost: None,
            server,
        }
    }

    #[test]
    fn only_what_a_deposed_master_says_in_its_spell_is_left_out() {
        let mut zombies = Zombies::default();
        let mut grants = vec![grant(1, 1, 5)];
        zombies.rises(1, Way::RanOn);
        grants.extend([grant(1, 2, 6), grant(2, 3, 9)]);
        zombies.lives(1);
        grants.push(grant(1, 4, 12));
        assert_eq!(zombies.part(&mut grants), (1, Vec::new()));
        let tokens: Vec<i64> = grants.iter().map(|it| it.token).collect();
        assert_eq!(tokens, [5, 9, 12]);
    }

    #[test]
    fn a_zombie_with_anothers_token_or_a_larger_one_is_seen() {
        let mut zombies = Zombies::default();
        zombies.rises(1, Way::RanOn);
        let mut same = vec![grant(1, 2, 9), grant(2, 3, 9)];
        let (count, broken) = zombies.part(&mut same);
        assert_eq!((count, broken.len()), (1, 2), "{broken:?}");
        let mut above = vec![grant(1, 2, 10), grant(2, 3, 9)];
        assert_eq!(zombies.part(&mut above).1.len(), 1);
        // Who started again may be above, but has nobody's token.
        let mut zombies = Zombies::default();
        zombies.rises(1, Way::StartedAgain);
        let mut above = vec![grant(1, 2, 10), grant(2, 3, 9)];
        assert_eq!(zombies.part(&mut above), (1, Vec::new()));
    }
}
