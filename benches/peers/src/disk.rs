//! What the disk does by itself: all who write every change down wait for it.

use crate::{process, Failure};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const WATCHED: Duration = Duration::from_millis(500);
/// About what one change of a lock takes in a log.
const BYTES: [u8; 200] = [b'x'; 200];

/// Appends that reach the disk, one after the other, in a second.
pub fn writes(data: &Path) -> Result<f64, Failure> {
    let directory = process::directory(data)?;
    let mut file = std::fs::File::create(directory.path().join("appended"))?;
    let (since, mut count) = (Instant::now(), 0);
    while since.elapsed() < WATCHED {
        file.write_all(&BYTES)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / since.elapsed().as_secs_f64())
}
