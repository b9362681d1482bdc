//! Writes the seeds of each target into a folder of its own, where the fuzzer begins.

use redis_lock_fuzz::{records, sequences, words};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    for (target, seeds) in [
        ("records", records::seeds()),
        ("words", words::seeds()),
        ("sequences", sequences::seeds()),
    ] {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}
