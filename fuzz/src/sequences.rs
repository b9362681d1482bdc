//! Histories that may be anything: bytes are read as steps, and the rules do after
//! each of them what the model of `tests/safety` says.

use crate::dice::Dice;
use crate::line_steps::{Binding, By, Step, Together, Wait, Whose, CONNECTIONS, KEYS, OWNERS};
use crate::lines;
use crate::random_steps::{Force, Spot, DBS_USED};
use crate::server::{Leave, Slices};
use arbitrary::{Result, Unstructured};

/// Longer histories find nothing that these do not, and take long.
const STEPS_MOST: usize = 200;

/// Takes the steps, on a server or, as the first byte says, on one with a replica.
pub fn run(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else {
        return;
    };
    let steps = steps(data);
    match first % 2 {
        0 => drop(lines::run(steps)),
        _ => lines::run_with_replica(&steps),
    }
}

fn steps(data: &[u8]) -> Vec<Step> {
    let mut input = Unstructured::new(data);
    let mut steps = Vec::new();
    while !input.is_empty() && steps.len() < STEPS_MOST {
        match step(&mut input) {
            Ok(step) => steps.push(step),
            Err(_) => break,
        }
    }
    steps
}

fn step(input: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match input.int_in_range(0..=15u8)? {
        0..=4 => acquire(input)?,
        5 => Step::Release {
            at: spot(input)?,
            owner: whose(input)?,
            back: maybe(input, 2)?,
        },
        6 => Step::Extend {
            at: spot(input)?,
            owner: whose(input)?,
            ttl_ms: input.int_in_range(1..=50)?,
            by: match input.int_in_range(0..=2u8)? {
                0 => By::Owner,
                1 => By::Token(input.int_in_range(0..=2)?),
                _ => By::Raise(input.int_in_range(0..=600_000)?),
            },
        },
        7 => Step::Read { from: from(input)? },
        8 => Step::Die { from: from(input)? },
        9 => Step::Unblock { from: from(input)? },
        10 => match input.int_in_range(0..=3u8)? {
            0 => Step::UnblockAll,
            1 => Step::SlotLeft { key: key(input)? },
            _ => Step::Set { at: spot(input)? },
        },
        11 => Step::Force(force(input)?),
        12 | 13 => Step::Turn(slices(input)?),
        // Whole milliseconds, or one nanosecond beside them.
        _ => {
            let ns = input.int_in_range(0..=30u64)? * 1_000_000;
            let ns = ns + input.int_in_range(0..=2u64)?;
            Step::Pass {
                ns: ns.saturating_sub(1),
            }
        }
    })
}

fn acquire(input: &mut Unstructured<'_>) -> Result<Step> {
    Ok(Step::Acquire {
        at: spot(input)?,
        owner: owner(input)?,
        ttl_ms: input.int_in_range(1..=50)?,
        together: match input.int_in_range(0..=4u8)? {
            0 => Together::Limit(2),
            1 => Together::Limit(3),
            2 => Together::Shared,
            _ => Together::Alone,
        },
        delay_ms: maybe(input, 39)?.map_or(0, |ms| ms + 1),
        from: from(input)?,
        binding: match input.ratio(1, 3)? {
            true => Binding::Session,
            false => Binding::None,
        },
        wait: match input.ratio(1, 3)? {
            true => Wait::Try,
            false => Wait::Block {
                ms: maybe(input, 59)?.map(|ms| ms + 1),
                waiters_most: maybe(input, 3)?.map_or(usize::MAX, |most| most as usize),
            },
        },
    })
}

fn force(input: &mut Unstructured<'_>) -> Result<Force> {
    let at = spot(input)?;
    let db = input.int_in_range(0..=DBS_USED - 1)?;
    Ok(match input.int_in_range(0..=4u8)? {
        0 => Force::Rename {
            at,
            to: key(input)?,
        },
        // MOVE goes elsewhere.
        1 if at.db != db => Force::Move { at, to: db },
        2 => Force::Swap {
            one: at.db,
            other: db,
        },
        3 => Force::Flush {
            db: input.ratio(1, 2)?.then_some(db),
        },
        _ => Force::Del { at },
    })
}

fn slices(input: &mut Unstructured<'_>) -> Result<Slices> {
    if input.ratio(1, 2)? {
        return Ok(Slices::WHOLE);
    }
    Ok(Slices {
        reclaim: input.int_in_range(0..=5)?,
        waits: input.int_in_range(0..=2)?,
        leases: input.int_in_range(0..=2)?,
        lines: input.int_in_range(0..=2)?,
        leave: *input.choose(&[Leave::Write, Leave::EndOnly, Leave::Wait])?,
    })
}

/// Half of the time none, else from 0 to `most`.
fn maybe(input: &mut Unstructured<'_>, most: u64) -> Result<Option<u64>> {
    let number = input.int_in_range(0..=most * 2 + 1)?;
    Ok(number.checked_sub(most + 1))
}

fn from(input: &mut Unstructured<'_>) -> Result<usize> {
    input.int_in_range(0..=CONNECTIONS - 1)
}

fn key(input: &mut Unstructured<'_>) -> Result<&'static str> {
    input.choose(&KEYS).copied()
}

fn owner(input: &mut Unstructured<'_>) -> Result<&'static str> {
    input.choose(&OWNERS).copied()
}

fn whose(input: &mut Unstructured<'_>) -> Result<Whose> {
    let name = owner(input)?;
    Ok(match input.ratio(1, 3)? {
        true => Whose::Name(name),
        false => Whose::Holder(name),
    })
}

fn spot(input: &mut Unstructured<'_>) -> Result<Spot> {
    let number = input.int_in_range(0..=7u8)?;
    Ok(Spot {
        db: u32::from(number == 7) * (DBS_USED - 1),
        key: KEYS[usize::from(number == 6)],
    })
}

/// Any bytes are a history: random ones, short and long.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut dice = Dice::from_seed(1);
    [20, 40, 80, 160, 320, 640, 1_280]
        .into_iter()
        .flat_map(|length| [dice.bytes(length), dice.bytes(length)])
        .collect()
}
