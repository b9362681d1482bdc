//! How many connections a test may open.

/// As many as this process may have files, short of `spare`.
pub fn connections_most(spare: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    soft.map_or(1_000, |files: usize| files.saturating_sub(spare))
}
