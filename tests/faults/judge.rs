//! What must be true of a history of grants. It looks at what clients were told,
//! and at nothing else.
//!
//! | name | says |
//! |---|---|
//! | `unique`  | no two units of work got the same token for the same key |
//! | `rising`  | a grant that was asked for after another was known has the larger token |
//! | `apart`   | what two clients could count on at the same time was not the same key |
//! | `kept`    | nobody was told that a hold is over while it could be counted on |

use crate::history::{Grant, Stamp, Unit};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

/// What the servers of a campaign promise under its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Tokens are unique and rise: always.
    Tokens,
    /// Also, no two holders at a time: as long as no data is lost.
    OneHolder,
}

/// How many broken promises are told in words.
const TOLD_MOST: usize = 20;

/// All that is not as it must be, in words.
pub fn judge(grants: &[Grant], promise: Promise) -> Vec<String> {
    let mut keys: BTreeMap<u32, Vec<&Grant>> = BTreeMap::new();
    for grant in grants {
        keys.entry(grant.key).or_default().push(grant);
    }
    let mut broken = Vec::new();
    for grants in keys.values_mut() {
        unique(grants, &mut broken);
        rising(grants, &mut broken);
        if promise == Promise::OneHolder {
            apart(grants, &mut broken);
            kept(grants, &mut broken);
        }
    }
    broken.truncate(TOLD_MOST);
    broken
}

/// How often two could count on a lock at once, where that is not promised.
pub fn overlaps(grants: &[Grant]) -> usize {
    let mut keys: BTreeMap<u32, Vec<&Grant>> = BTreeMap::new();
    for grant in grants {
        keys.entry(grant.key).or_default().push(grant);
    }
    let mut found = Vec::new();
    for grants in keys.values_mut() {
        apart(grants, &mut found);
    }
    found.len()
}

fn unique(grants: &[&Grant], broken: &mut Vec<String>) {
    let mut units: HashMap<i64, Unit> = HashMap::new();
    for grant in grants {
        let first = *units.entry(grant.token).or_insert(grant.unit);
        if first != grant.unit {
            broken.push(format!("unique: {first:?} has that token, too: {grant:?}"));
        }
    }
}

fn rising(grants: &mut [&Grant], broken: &mut Vec<String>) {
    grants.sort_by_key(|grant| grant.asked);
    // Those that began before the one that is looked at, but were known later.
    let mut unknown: BinaryHeap<Reverse<(Stamp, i64, usize)>> = BinaryHeap::new();
    let mut highest: Option<(i64, usize)> = None;
    for (at, grant) in grants.iter().enumerate() {
        while let Some(&Reverse((answered, token, which))) = unknown.peek() {
            if answered >= grant.asked {
                break;
            }
            unknown.pop();
            highest = highest.max(Some((token, which)));
        }
        if let Some((token, which)) = highest {
            let same = grants[which].unit == grant.unit && token == grant.token;
            if grant.token <= token && !same {
                broken.push(format!("rising: {:?} before {grant:?}", grants[which]));
            }
        }
        unknown.push(Reverse((grant.answered, grant.token, at)));
    }
}

fn apart(grants: &mut [&Grant], broken: &mut Vec<String>) {
    grants.sort_by_key(|grant| grant.answered);
    let mut latest: Option<&Grant> = None;
    for grant in grants.iter() {
        if let Some(other) = latest {
            let together = grant.answered < other.until && grant.answered < grant.until;
            if together && other.unit != grant.unit {
                broken.push(format!("apart: {other:?} and {grant:?}"));
            }
        }
        if latest.is_none_or(|other| grant.until > other.until) {
            latest = Some(grant);
        }
    }
}

fn kept(grants: &[&Grant], broken: &mut Vec<String>) {
    for grant in grants {
        if grant.lost.is_some_and(|lost| lost < grant.until) {
            broken.push(format!("kept: {grant:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(unit: u64, token: i64, from: u64, to: u64) -> Grant {
        Grant {
            key: 1,
            unit: Unit(unit),
            token,
            asked: Stamp(from),
            answered: Stamp(from + 1),
            until: Stamp(to),
            lost: None,
            server: 1,
        }
    }

    fn names(grants: &[Grant], promise: Promise) -> Vec<String> {
        let told = judge(grants, promise);
        let name = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
        told.iter().map(name).collect()
    }

    #[test]
    fn what_is_right_is_not_objected_to() {
        let grants = [grant(1, 5, 0, 10), grant(2, 6, 10, 20), grant(3, 9, 20, 25)];
        assert_eq!(names(&grants, Promise::OneHolder), [""; 0]);
    }

    #[test]
    fn the_same_token_for_two_is_seen() {
        let grants = [grant(1, 5, 0, 10), grant(2, 5, 0, 10)];
        assert_eq!(names(&grants, Promise::Tokens), ["unique"]);
    }

    #[test]
    fn a_lower_token_is_seen_when_one_was_known_before_the_other_was_asked_for() {
        let after = [grant(1, 6, 0, 1), grant(2, 5, 2, 3)];
        assert_eq!(names(&after, Promise::Tokens), ["rising"]);
        let at_once = [grant(1, 6, 0, 1), grant(2, 5, 1, 3)];
        assert_eq!(names(&at_once, Promise::Tokens), [""; 0]);
        // Also behind one that took long, and whatever order they are told in.
        let mut long = grant(3, 7, 0, 1);
        long.answered = Stamp(90);
        let hidden = [grant(2, 5, 2, 3), long, grant(1, 6, 0, 1)];
        assert_eq!(names(&hidden, Promise::Tokens), ["rising"]);
    }

    #[test]
    fn two_at_a_time_are_seen_where_that_is_promised() {
        let grants = [grant(1, 5, 0, 10), grant(2, 6, 5, 20)];
        assert_eq!(names(&grants, Promise::OneHolder), ["apart"]);
        assert_eq!(names(&grants, Promise::Tokens), [""; 0]);
        // Also behind a short one.
        let grants = [grant(1, 5, 0, 99), grant(2, 6, 5, 7), grant(3, 7, 20, 25)];
        assert_eq!(names(&grants, Promise::OneHolder), ["apart", "apart"]);
        assert_eq!(overlaps(&grants), 2);
    }

    #[test]
    fn a_hold_that_ended_early_is_seen() {
        let mut early = grant(1, 5, 0, 10);
        early.lost = Some(Stamp(9));
        assert_eq!(names(&[early.clone()], Promise::OneHolder), ["kept"]);
        early.lost = Some(Stamp(10));
        assert_eq!(names(&[early], Promise::OneHolder), [""; 0]);
    }
}
