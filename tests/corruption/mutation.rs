//! Bytes made worse: what a disk, a network or somebody with ill intent makes of them.

use crate::dice::Dice;
use crate::varint;

/// Lengths and numbers at which readers go wrong.
const EDGES: [u64; 10] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    1 << 31,
    (1 << 53) - 1,
    1 << 53,
    1 << 63,
    u64::MAX,
];

/// One of the seeds with one to four changes; now and then bytes of no origin.
pub fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    if seeds.is_empty() || dice.roll(16) == 0 {
        let length = dice.roll(200);
        return dice.bytes(length);
    }
    let mut bytes = dice.pick(seeds).clone();
    let changes = 1 + dice.roll(2) * dice.roll(4);
    for _ in 0..changes {
        change(&mut bytes, seeds, dice);
    }
    bytes
}

/// One change.
pub fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Dice) {
    let at = place(bytes, dice);
    match dice.roll(10) {
        0..=3 => flip(bytes, at, dice),
        4 => bytes.truncate(at),
        5 => {
            let end = at + dice.roll(9) as usize;
            bytes.drain(at..end.min(bytes.len()));
        }
        6 => {
            let count = 1 + dice.roll(8);
            let more = dice.bytes(count);
            bytes.splice(at..at, more);
        }
        7 => number(bytes, at, dice),
        8 => {
            // The end of another.
            let other = dice.pick(seeds);
            let from = place(other, dice);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            // A part of it twice.
            let end = (at + 1 + dice.roll(32) as usize).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

/// From the first byte to behind the last.
fn place(bytes: &[u8], dice: &mut Dice) -> usize {
    dice.roll(bytes.len() as u64 + 1) as usize
}

fn flip(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << dice.roll(8);
    }
}

/// Another number, or another length, in one of the forms that are used for them.
fn number(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let number = *dice.pick(&EDGES);
    let coded = match dice.roll(3) {
        0 => vec![number as u8],
        1 => varint(number),
        _ => [&[0x81][..], &number.to_be_bytes()].concat(),
    };
    let end = (at + 1).min(bytes.len());
    bytes.splice(at..end, coded);
}
