//! What the fuzzer runs, run without it: on its seeds, on every input that was ever
//! found to break something, and on inputs made from both at random.
//!
//! `make fuzz SECONDS=60` is the fuzzer itself, which looks where an input leads.

use crate::dice::Dice;
use crate::mutation::mutated;
use crate::{records, sequences, words};

/// Runs the target on so many inputs; `name` is its folder in `fuzz/regressions`.
fn runs(name: &str, target: fn(&[u8]), mut seeds: Vec<Vec<u8>>, inputs: usize) {
    let found = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/regressions");
    let found = std::path::Path::new(found).join(name);
    for entry in std::fs::read_dir(&found)
        .expect("a folder of ours")
        .flatten()
    {
        seeds.push(std::fs::read(entry.path()).expect("a file of ours"));
    }
    let hits = |input: &[u8]| {
        // Shown if the test fails: the input can be kept, and replayed.
        let shown = Shown(name, input);
        target(input);
        std::mem::forget(shown);
    };
    seeds.iter().for_each(|seed| hits(seed));
    let mut dice = Dice::new();
    for _ in 0..inputs {
        hits(&mutated(&seeds, &mut dice));
    }
}

/// An input that is printed if the target panics over it.
struct Shown<'a>(&'a str, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        println!(
            "fuzz/regressions/{} fails with \"{}\"",
            self.0,
            self.1.escape_ascii()
        );
    }
}

#[test]
fn any_bytes_for_a_record_are_refused_or_sound() {
    runs("records", records::run, records::seeds(), 100_000);
}

#[test]
fn any_words_of_a_call_are_an_error_or_say_one_thing() {
    runs("words", words::run, words::seeds(), 100_000);
}

#[test]
fn any_bytes_read_as_a_history_go_as_the_model_says() {
    runs("sequences", sequences::run, sequences::seeds(), 3_000);
}
