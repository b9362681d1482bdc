//! Small worlds with a line: three owners, one key, and every sequence of things
//! that can happen to it, judged by the model of the lines.
//!
//! `SMALL_WORLDS_DEPTH` makes the sequences longer than six, of which the shorter
//! ones here are a part.

use crate::line_steps::{Binding, Step, Together, Wait, Whose};
use crate::lines::Run;
use crate::random_steps::{Force, Spot};
use crate::server::Slices;

const OWNERS: [&str; 3] = ["ann", "bob", "eve"];
const AT: Spot = Spot { db: 0, key: "a" };
const TTL_MS: u64 = 10;

/// What can happen; the number is the owner's, and its connection's.
#[derive(Clone, Copy, Debug)]
enum Small {
    Wait(usize),
    Release(usize),
    Die(usize),
    Try,
    Read,
    Turn,
    Pass,
    Del,
}

const STEPS: [Small; 13] = [
    Small::Wait(0),
    Small::Wait(1),
    Small::Wait(2),
    Small::Release(0),
    Small::Release(1),
    Small::Release(2),
    Small::Die(0),
    Small::Die(1),
    Small::Try,
    Small::Read,
    Small::Turn,
    Small::Pass,
    Small::Del,
];

impl Small {
    fn step(self) -> Step {
        match self {
            // One is bound to its connection and waits for as long as a lease runs;
            // one has neither; one waits for a lease and a half.
            Self::Wait(owner) => Step::Acquire {
                at: AT,
                owner: OWNERS[owner],
                ttl_ms: TTL_MS,
                together: Together::Alone,
                delay_ms: 0,
                from: owner,
                binding: [Binding::Session, Binding::None, Binding::None][owner],
                wait: Wait::Block {
                    ms: [Some(TTL_MS), None, Some(TTL_MS / 2 * 3)][owner],
                    waiters_most: usize::MAX,
                },
            },
            Self::Release(owner) => Step::Release {
                at: AT,
                owner: Whose::Name(OWNERS[owner]),
                back: None,
            },
            Self::Die(owner) => Step::Die { from: owner },
            Self::Try => Step::Acquire {
                at: AT,
                owner: "somebody else",
                ttl_ms: TTL_MS,
                together: Together::Alone,
                delay_ms: 0,
                from: OWNERS.len(),
                binding: Binding::None,
                wait: Wait::Try,
            },
            Self::Read => Step::Read { from: 0 },
            Self::Turn => Step::Turn(Slices::WHOLE),
            Self::Pass => Step::Pass {
                ns: TTL_MS * 1_000_000,
            },
            Self::Del => Step::Force(Force::Del { at: AT }),
        }
    }
}

/// Runs every sequence of `depth` steps that begins with `first`.
fn run_every_sequence(first: &[Small], depth: u32) -> Run {
    let mut run = Run::new();
    for number in 0..STEPS.len().pow(depth) {
        let mut rest = number;
        let sequence = (0..depth).map(|_| {
            let step = STEPS[rest % STEPS.len()];
            rest /= STEPS.len();
            step
        });
        for small in first.iter().copied().chain(sequence) {
            run.take(small.step());
            run.check();
        }
        assert_eq!(run.server.locks.broken_invariant(), None);
        run.wind_up();
        run.begin_anew();
    }
    run
}

fn depth() -> u32 {
    let from_environment = std::env::var("SMALL_WORLDS_DEPTH");
    from_environment
        .ok()
        .and_then(|depth| depth.parse().ok())
        .unwrap_or(6)
}

#[test]
fn in_every_small_world_with_a_line_nobody_overtakes_and_nobody_is_forgotten() {
    run_every_sequence(&[], depth() - 2);
}

#[test]
fn in_every_small_world_that_begins_with_a_waiter_the_same_is_true() {
    let run = run_every_sequence(&[Small::Wait(0), Small::Wait(1)], depth() - 1);
    for what in [
        "a grant that nobody read",
        "a session that ended with its hold",
    ] {
        assert!(run.model.seen.contains_key(what), "{what}");
    }
}
