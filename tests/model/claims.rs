//! What must always be, and what must be reached for that to mean anything.

use crate::failover::Failover;
use crate::promise::{Fault, Means, Opening, Term};
use crate::world::World;
use stateright::Property;

/// Whether a world is one of those that are to be reached.
type Reached = fn(&Failover, &World) -> bool;

/// The lock is handed on with a larger token.
pub const RISES: &str = "a grant is above all that it is promised to be above";
/// The log knows of no token without a ceiling.
pub const COVERED: &str = "a grant is covered by what stands in front of it";
/// Whatever is loaded, flushed or received.
const NEVER_DOWN: &str = "neither counter nor ceiling of a server goes down";

/// The three promises, then what is to happen somewhere, short of what is out of reach.
pub fn properties(out_of_reach: &[&str]) -> Vec<Property<Failover>> {
    let mut properties = vec![
        Property::always(RISES, |_, it| is_without(it, Fault::Fell)),
        Property::always(COVERED, |_, it| is_without(it, Fault::Uncovered)),
        Property::always(NEVER_DOWN, |_, it| is_without(it, Fault::WentDown)),
    ];
    let reached: [(&'static str, Reached); 12] = [
        ("a promotion after a lost tail", |_, it| {
            has(it, |term| {
                term.opening == Opening::Promotion && term.has_lost
            })
        }),
        ("a promotion that lost nothing", |_, it| {
            has(it, |term| {
                term.opening == Opening::Promotion && !term.has_lost
            })
        }),
        ("a restart with a lost tail", |_, it| {
            has(it, |term| term.opening == Opening::Restart && term.has_lost)
        }),
        ("a restart with the whole log", |_, it| {
            has(it, |term| {
                term.opening == Opening::Restart && !term.has_lost
            })
        }),
        ("a term opened by the ceiling, above the clock", |_, it| {
            has(it, |term| {
                term.opening != Opening::First && is_above_clock(term)
            })
        }),
        ("a term opened by the clock, above the ceiling", |_, it| {
            has(it, |term| {
                term.told.ceiling > 0 && term.start > term.told.ceiling
            })
        }),
        ("two terms with grants", |_, it| {
            it.past.spans.iter().any(|span| span.term > 0) && it.past.spans[0].term == 0
        }),
        ("three terms, by restart and by promotion", |_, it| {
            let terms = &it.past.terms;
            terms.len() > 2 && terms[1].opening != terms[2].opening
        }),
        ("a RAISE above the ceiling that was lost", |_, it| {
            let lost = |told: u64| {
                it.past
                    .spans
                    .iter()
                    .any(|it| it.means == Means::Raise && it.token > told)
            };
            has(it, |term| term.has_lost && lost(term.told.ceiling))
        }),
        ("a token that is excused", |_, it| {
            has(it, |term| term.is_excused)
        }),
        ("two terms from one ceiling", |_, it| {
            has(it, |term| term.is_twice_from_one)
        }),
        (
            "a deposed master that became a replica and takes over",
            |_, it| {
                let openings = it.past.terms.iter().map(|term| term.opening);
                let promotions = openings.filter(|&it| it == Opening::Promotion).count();
                promotions > 1 && it.in_charge == 0
            },
        ),
    ];
    let within_reach = reached.into_iter();
    let within_reach = within_reach.filter(|(name, _)| !out_of_reach.contains(name));
    properties.extend(within_reach.map(|(name, is_it)| Property::sometimes(name, is_it)));
    properties
}

fn is_without(world: &World, fault: Fault) -> bool {
    world.past.fault != Some(fault)
}

fn has(world: &World, is_it: impl Fn(&Term) -> bool) -> bool {
    world.past.terms.iter().any(is_it)
}

/// 4,096 tokens belong to a millisecond.
fn is_above_clock(term: &Term) -> bool {
    term.start > term.wall_ms << 12
}
