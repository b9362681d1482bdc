//! A failing seed, made short: steps that do not matter are taken out, and waits that
//! do not matter are made none, as long as the same promise is broken.

use crate::deployment::Telling;
use crate::judge::Broken;
use crate::plan::{Action, Plan, Setting, Step};
use crate::seeds::run;
use std::fmt;

/// So many runs are spent on it, at most.
const RUNS_MOST: u32 = 4_000;

#[derive(Debug)]
pub(crate) struct Failure {
    seed: u64,
    steps_most: usize,
    broken: Broken,
    setting: Setting,
    shortest: Vec<Step>,
    taken: usize,
}

struct Shrinking<'a> {
    setting: &'a Setting,
    claim: &'static str,
    runs_left: u32,
}

impl Shrinking<'_> {
    fn breaks(&mut self, steps: &[Step]) -> Option<Broken> {
        self.runs_left = self.runs_left.checked_sub(1)?;
        let broken = run(self.setting, steps.iter().copied(), Telling::Nothing).err()?;
        (broken.claim == self.claim).then_some(broken)
    }

    /// Leaves out ever smaller pieces.
    fn drop_steps(&mut self, steps: &mut Vec<Step>, broken: &mut Broken) {
        let mut piece = (steps.len() / 2).max(1);
        while self.runs_left > 0 {
            let before = steps.len();
            let mut start = 0;
            while start < steps.len() {
                let end = (start + piece).min(steps.len());
                // Without their waits; or with them, in front of what follows.
                let waits_ns: u64 = steps[start..end].iter().map(|it| it.after_ns).sum();
                let mut without = steps.clone();
                without.drain(start..end);
                let mut later = without.clone();
                if let Some(next) = later.get_mut(start) {
                    next.after_ns += waits_ns;
                }
                if let Some(still) = self.breaks(&without) {
                    (*steps, *broken) = (without, still);
                } else if let Some(still) = self.breaks(&later) {
                    (*steps, *broken) = (later, still);
                } else {
                    start += piece;
                }
            }
            if piece == 1 && steps.len() == before {
                return;
            }
            piece = (piece / 2).max(1);
        }
    }

    /// Rounds waits off, and keeps the wait where the step does not matter.
    fn shorten_waits(&mut self, steps: &mut [Step], broken: &mut Broken) {
        for place in 0..steps.len() {
            let step = steps[place];
            let round = |ns: u64| ns / 1_000_000 * 1_000_000;
            for after_ns in [0, 1_000_000, round(step.after_ns)] {
                if after_ns >= step.after_ns {
                    continue;
                }
                steps[place].after_ns = after_ns;
                match self.breaks(steps) {
                    Some(still) => {
                        *broken = still;
                        break;
                    }
                    None => steps[place] = step,
                }
            }
            if steps[place].action != Action::Nothing {
                let step = steps[place];
                steps[place].action = Action::Nothing;
                match self.breaks(steps) {
                    Some(still) => *broken = still,
                    None => steps[place] = step,
                }
            }
        }
    }
}

impl Failure {
    pub(crate) fn of(seed: u64, steps_most: usize, broken: Broken) -> Self {
        let plan = Plan::new(seed);
        let setting = plan.setting.clone();
        let mut steps: Vec<Step> = plan.take(steps_most).collect();
        let mut broken = broken;
        let mut shrinking = Shrinking {
            setting: &setting,
            claim: broken.claim,
            runs_left: RUNS_MOST,
        };
        // The first steps that are enough.
        let (mut enough, mut too_few) = (steps.len(), 0);
        while too_few + 1 < enough {
            let middle = (too_few + enough) / 2;
            match shrinking.breaks(&steps[..middle]) {
                Some(still) => (enough, broken) = (middle, still),
                None => too_few = middle,
            }
        }
        steps.truncate(enough);
        shrinking.drop_steps(&mut steps, &mut broken);
        shrinking.shorten_waits(&mut steps, &mut broken);
        shrinking.drop_steps(&mut steps, &mut broken);
        println!("What happens in the shortest run that breaks it:");
        drop(run(&setting, steps.iter().copied(), Telling::Everything));
        Self {
            seed,
            steps_most,
            broken,
            setting,
            shortest: steps,
            taken: enough,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "broken: {}", self.broken.claim)?;
        writeln!(to, "{}", self.broken.detail)?;
        writeln!(
            to,
            "\nREPLAY WITH: make simulate SEED={} STEPS={}",
            self.seed, self.steps_most
        )?;
        writeln!(
            to,
            "\nIt happens at step {}; these {} are enough, in\n{:?}\n",
            self.taken,
            self.shortest.len(),
            self.setting
        )?;
        for step in &self.shortest {
            writeln!(to, "  {:>14} ns later  {:?}", step.after_ns, step.action)?;
        }
        Ok(())
    }
}
