//! Many seeds, on all cores; and one, told in full.
//!
//! `SEEDS`, `STEPS`, `FROM` say how many seeds, how long each, and which is the first.
//! `SEED` runs a single one.

use crate::deployment::{Deployment, Telling};
use crate::judge::Broken;
use crate::plan::{Plan, Setting, Step};
use crate::shrinking::Failure;
use crate::totals::Totals;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;

/// So many seeds are taken at once by a thread.
const SLICE: u64 = 16;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Campaign {
    from: u64,
    seeds: u64,
    steps: usize,
    told: Telling,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) if text.is_empty() => None,
        Err(_) => panic!("{name}={text} is no number"),
    }
}

impl Campaign {
    pub(crate) fn from_environment() -> Self {
        let single = number("SEED");
        Self {
            from: single.or(number("FROM")).unwrap_or(0),
            seeds: match single {
                Some(_) => 1,
                None => number("SEEDS").unwrap_or(10_000),
            },
            steps: number("STEPS").unwrap_or(1_000) as usize,
            told: match single {
                Some(_) => Telling::Everything,
                None => Telling::Nothing,
            },
        }
    }

    /// Runs all of them, or until one fails.
    pub(crate) fn run(&self) -> Result<Totals, Box<Failure>> {
        std::panic::set_hook(Box::new(|_| {}));
        let outcome = self.run_quietly();
        drop(std::panic::take_hook());
        outcome
    }

    fn run_quietly(&self) -> Result<Totals, Box<Failure>> {
        let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let all = Mutex::new((Totals::default(), None));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let (totals, failure) = self.work(&next, &is_over);
                    let mut all = all.lock().expect("nobody panics with it");
                    all.0.add(&totals);
                    all.1 = all.1.take().or(failure);
                });
            }
        });
        let (totals, failure) = all.into_inner().expect("nobody panics with it");
        failure.map_or(Ok(totals), Err)
    }

    fn work(&self, next: &AtomicU64, is_over: &AtomicBool) -> (Totals, Option<Box<Failure>>) {
        let mut totals = Totals::default();
        loop {
            let first = next.fetch_add(SLICE, Ordering::Relaxed);
            if first >= self.seeds || is_over.load(Ordering::Relaxed) {
                return (totals, None);
            }
            for place in first..(first + SLICE).min(self.seeds) {
                let seed = self.from + place;
                match run_seed(seed, self.steps, self.told) {
                    Ok(of_seed) => totals.add(&of_seed),
                    Err(broken) => {
                        is_over.store(true, Ordering::Relaxed);
                        let failure = Box::new(Failure::of(seed, self.steps, broken));
                        return (totals, Some(failure));
                    }
                }
            }
        }
    }
}

fn run_seed(seed: u64, steps: usize, told: Telling) -> Result<Totals, Broken> {
    let plan = Plan::new(seed);
    let setting = plan.setting.clone();
    if told == Telling::Everything {
        println!("{setting:#?}");
    }
    run(&setting, plan.take(steps), told)
}

/// Takes a deployment through steps. A panic of the rules is a broken promise, too.
pub(crate) fn run(
    setting: &Setting,
    steps: impl Iterator<Item = Step>,
    told: Telling,
) -> Result<Totals, Broken> {
    let run = || {
        let mut deployment = Deployment::new(setting, told);
        let mut outcome = deployment.start();
        for step in steps {
            if outcome.is_err() {
                break;
            }
            outcome = deployment.take(step);
        }
        if let Err(broken) = outcome {
            // It would look at its invariants when it goes.
            std::mem::forget(deployment);
            return Err(broken);
        }
        Ok(deployment.finish())
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            let detail = text.unwrap_or_default().to_owned();
            Err(Broken::new("no-crash", detail))
        }
    }
}
