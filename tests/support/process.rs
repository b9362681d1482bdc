//! Other processes: signals to them, and the time they spent on a processor.

use std::process::Command;

/// Sends a process of ours a signal.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
    assert!(sent.expect("kill").success(), "SIG{name} to {pid}");
}

/// For how many nanoseconds the main thread of a process was on a processor. What
/// else the machine does is not in it.
pub fn cpu_ns(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat"));
    let text = text.expect("the kernel counts");
    let first = text.split_whitespace().next().expect("a number");
    first.parse().expect("a number")
}
