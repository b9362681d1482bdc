//! redis-benchmark: started, and what it says read.

use stand::commands::{Template, NUMBER};
use stand::Failure;
use std::process::{Command, Stdio};

/// Numbers are drawn from so many that hardly any is drawn twice.
pub const NUMBERS: u64 = 1_000_000_000;

/// How it loads a server.
pub struct Load<'a> {
    /// Where the server listens.
    pub port: u16,
    /// How many connections.
    pub connections: u64,
    /// How many commands are on their way at once on each of them.
    pub pipeline: u64,
    /// How many commands in all.
    pub requests: u64,
    /// Numbers in keys are below this.
    pub numbers: u64,
    /// What it sends.
    pub command: &'a Template,
}

impl Load<'_> {
    /// Commands a second.
    pub fn run(&self) -> Result<f64, Failure> {
        let mut command = Command::new("redis-benchmark");
        command
            .args(["--csv", "-p", &self.port.to_string()])
            .args(["-c", &self.connections.to_string()])
            .args(["-P", &self.pipeline.to_string()])
            .args(["-n", &self.requests.to_string()]);
        if self.command.words.iter().any(|word| word.contains(NUMBER)) {
            command.args(["-r", &self.numbers.to_string()]);
        }
        let output = command
            .args(&self.command.words)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("redis-benchmark: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        match per_second(&said) {
            Some(number) if output.status.success() => Ok(number),
            _ => {
                let errors = String::from_utf8_lossy(&output.stderr);
                let said = format!("{said}{errors}");
                Err(format!("redis-benchmark, {}: {}", output.status, said.trim()).into())
            }
        }
    }
}

/// The second field of the last line of figures: each field is quoted, and the first,
/// the command itself, may hold anything.
fn per_second(said: &str) -> Option<f64> {
    let figures = said.lines().rfind(|line| line.starts_with('"'))?;
    let fields = figures.trim_end().trim_end_matches('"').rsplit("\",\"");
    let fields: Vec<&str> = fields.collect();
    // Requests per second, then six latencies (none before Redis 6.2).
    let at = match fields.len() {
        8.. => 6,
        2 => 0,
        _ => return None,
    };
    let number: f64 = fields.get(at)?.parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\
        \"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"\n";

    #[test]
    fn commands_per_second_are_read_from_the_last_line() {
        let latencies = "\",\"0.1".repeat(6);
        let said = format!("{HEADER}\"SET a \"b\",\"c\",\"1234567.50{latencies}\"\n");
        assert_eq!(per_second(&said), Some(1_234_567.5));
    }

    #[test]
    fn what_is_no_figure_is_not_taken_for_one() {
        assert_eq!(per_second(""), None);
        assert_eq!(per_second(HEADER), None);
        assert_eq!(per_second("WARNING: Could not fetch server CONFIG\n"), None);
        let refused = format!("{HEADER}Error from server: NOAUTH Authentication required.\n");
        assert_eq!(per_second(&refused), None);
        let zero = format!("{HEADER}\"PING\",\"0.00\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\"\n");
        assert_eq!(per_second(&zero), None);
        let none = format!("{HEADER}\"PING\",\"inf\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\"\n");
        assert_eq!(per_second(&none), None);
    }
}
