//! Which clock the server really waits on. No test can set the machine's time of day,
//! but the kernel says what a timer runs on.

use super::support::{eventually, Server};
use std::fs;

/// `CLOCK_BOOTTIME`, as the kernel numbers it: never set, and counts through suspend.
const BOOT_CLOCK: &str = "7";

/// The timers of the server, as the kernel describes them: lines of `name: value`.
fn timers(server: &Server) -> Vec<String> {
    let descriptors = fs::read_dir(format!("/proc/{}/fdinfo", server.pid()));
    let descriptors = descriptors.expect("the kernel tells").flatten();
    let texts = descriptors.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.filter(|text| text.contains("clockid:")).collect()
}

fn field<'a>(timer: &'a str, name: &str) -> &'a str {
    let mut lines = timer.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.expect("a timer has this").trim()
}

/// How many seconds are left until it rings.
fn rings_in_s(timer: &str) -> u64 {
    let value = field(timer, "it_value").trim_start_matches('(');
    let seconds = value.split(',').next().expect("two numbers");
    seconds.parse().expect("a number")
}

#[test]
fn the_alarm_runs_on_a_clock_that_nobody_can_set() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "alice", 3_600_000);
    // It is set before the loop sleeps, which may be behind the reply.
    let timer = eventually("the alarm is set for the lease", || {
        let timers = timers(&server);
        assert_eq!(timers.len(), 1, "{timers:?}");
        timers.into_iter().find(|timer| rings_in_s(timer) > 0)
    });
    assert_eq!(field(&timer, "clockid"), BOOT_CLOCK);
    // A lease that is measured on another clock would end at another time.
    assert!((3_590..=3_600).contains(&rings_in_s(&timer)), "{timer}");
}
