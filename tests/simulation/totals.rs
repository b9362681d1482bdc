//! What happened, counted over seeds: so that it can be seen that anything did.

use crate::judge::Excuses;
use crate::plan::KINDS;
use std::fmt;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    pub(crate) steps: u64,
    /// Letters, turns and batches that nodes dealt with.
    pub(crate) events: u64,
    pub(crate) simulated_ms: u64,
    pub(crate) asked: u64,
    pub(crate) grants: u64,
    pub(crate) waited_grants: u64,
    pub(crate) terms: u64,
    pub(crate) replayed_batches: u64,
    pub(crate) agreements: u64,
    pub(crate) written: u64,
    pub(crate) refused: u64,
    pub(crate) unfenced_lost: u64,
    pub(crate) strict_seeds: u64,
    pub(crate) excuses: Excuses,
    /// Those in strict seeds.
    pub(crate) strict: Excuses,
    /// By kind: how many, and how many of them hit somebody who holds or waits.
    pub(crate) steps_of: [(u64, u64); KINDS.len()],
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.events += other.events;
        self.simulated_ms += other.simulated_ms;
        self.asked += other.asked;
        self.grants += other.grants;
        self.waited_grants += other.waited_grants;
        self.terms += other.terms;
        self.replayed_batches += other.replayed_batches;
        self.agreements += other.agreements;
        self.written += other.written;
        self.refused += other.refused;
        self.unfenced_lost += other.unfenced_lost;
        self.strict_seeds += other.strict_seeds;
        self.excuses.add(&other.excuses);
        self.strict.add(&other.strict);
        for (mine, theirs) in self.steps_of.iter_mut().zip(&other.steps_of) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let years = self.simulated_ms as f64 / 31_557_600_000.0;
        writeln!(
            to,
            "{} seeds, {} steps, {} events at nodes, {years:.2} simulated years",
            self.seeds, self.steps, self.events
        )?;
        writeln!(
            to,
            "{} requests, {} grants ({} in line), {} terms, {} batches replicated, \
             replica and master compared {} times",
            self.asked,
            self.grants,
            self.waited_grants,
            self.terms,
            self.replayed_batches,
            self.agreements,
        )?;
        writeln!(
            to,
            "resources: {} writes taken, {} accesses refused, 0 lost; without a fence {} lost",
            self.written, self.refused, self.unfenced_lost
        )?;
        let excuses = &self.excuses;
        writeln!(
            to,
            "grants whose token did not rise, as written under limits: ceiling lost and clock \
             behind {}, begun in the same millisecond {}, earlier term ahead of its clock {}, \
             RAISE lost {}, by a deposed master {}; raised to another's token {}",
            excuses.clock_behind,
            excuses.same_millisecond,
            excuses.term_ahead_of_clock,
            excuses.raise_lost,
            excuses.deposed_master,
            excuses.raised_to_anothers,
        )?;
        writeln!(
            to,
            "of them in the {} seeds with one master at a time, clocks that agree and no RAISE: \
             begun in the same millisecond {}, earlier term ahead of its clock {}, others 0",
            self.strict_seeds, self.strict.same_millisecond, self.strict.term_ahead_of_clock,
        )?;
        writeln!(
            to,
            "holds bound to a closing connection by a late request: {}",
            excuses.session_of_a_late_request
        )?;
        writeln!(
            to,
            "{:>24} {:>12} {:>28}",
            "step", "taken", "hit a held or queued lock"
        )?;
        for (kind, (count, hits)) in KINDS.iter().zip(&self.steps_of) {
            writeln!(to, "{kind:>24} {count:>12} {hits:>28}")?;
        }
        Ok(())
    }
}
