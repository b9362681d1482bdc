//! What a line costs does not depend on how long it is.
//!
//! Measured is the time that the server's main thread spent on a processor, as
//! the kernel counts it: that of other programs is not in it. A short and a long
//! line stand on one server and are used in turn, so that whatever the server
//! does besides weighs on both alike; compared are medians of many rounds.

use super::support::process::cpu_ns;
use super::support::resp::Wire;
use super::support::{blocked_clients, eventually, Client, Server};
use std::collections::VecDeque;

const SHORT: usize = 10;
const LONG: usize = 10_000;
const ROUNDS: usize = 31;
/// Steps of one kind in a round: enough for the kernel to count well.
const STEPS: usize = 8;
/// How many times as much the long line may cost. If a step looked at each place
/// it would be hundreds of times.
const RATIO_MOST: f64 = 3.0;

/// How many connections this process may open, with some to spare.
fn connections_most() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    soft.map_or(1_000, |files: usize| files.saturating_sub(500))
}

/// A connection that the server has accepted: what is sent on two such, one behind
/// the other, is read in that order.
fn connect(port: u16) -> Wire {
    let mut wire = Wire::small(port);
    wire.send_command(&[b"PING"]).expect("it listens");
    assert_eq!(wire.line().expect("an answer"), b"+PONG");
    wire
}

struct Waiting {
    wire: Wire,
    owner: String,
}

/// A held lock and its line.
struct Line {
    port: u16,
    key: &'static str,
    holder: Waiting,
    waiters: VecDeque<Waiting>,
    came: usize,
    costs: Vec<(&'static str, u64)>,
}

impl Line {
    fn form(server: &Server, client: &mut Client, key: &'static str, length: usize) -> Self {
        let mut line = Self {
            port: server.port(),
            key,
            holder: Waiting {
                wire: connect(server.port()),
                owner: "holder".to_owned(),
            },
            waiters: VecDeque::new(),
            came: 0,
            costs: Vec::new(),
        };
        client.acquired(key, "holder", 3_600_000);
        for _ in 0..length {
            line.join(connect(server.port()), client, "0");
        }
        line
    }

    /// Somebody joins at the end; the server has seen it when this returns.
    fn join(&mut self, mut wire: Wire, client: &mut Client, timeout: &str) {
        let owner = format!("w{}", self.came);
        self.came += 1;
        let words = [
            "LOCK.ACQUIRE",
            self.key,
            &owner,
            "3600000",
            "BLOCK",
            timeout,
        ];
        wire.send_command(&words.map(str::as_bytes))
            .expect("it listens");
        client.text("PING");
        self.waiters.push_back(Waiting { wire, owner });
    }

    /// The holder releases, the head is told, and the one who held joins again.
    fn hand_over(&mut self, client: &mut Client) {
        assert_eq!(client.release(self.key, &self.holder.owner), 1);
        let mut next = self.waiters.pop_front().expect("a head");
        let told = next.wire.line().expect("a token");
        assert!(told.starts_with(b":"), "{}", told.escape_ascii());
        let last = std::mem::replace(&mut self.holder, next);
        self.join(last.wire, client, "0");
    }

    /// Somebody in the middle leaves the line, is told so, and joins at its end.
    fn leave(&mut self, client: &mut Client) {
        let middle = self.waiters.len() / 2;
        let mut gone = self.waiters.remove(middle).expect("one in the middle");
        assert_eq!(client.release(self.key, &gone.owner), 0);
        assert_eq!(gone.wire.line().expect("an answer"), b"$-1");
        self.join(gone.wire, client, "0");
    }

    /// Somebody joins for a moment, until its wait runs out.
    fn run_out(&mut self, client: &mut Client) {
        self.join(connect(self.port), client, "1");
        let mut last = self.waiters.pop_back().expect("the last");
        assert_eq!(last.wire.line().expect("an answer"), b"$-1");
    }

    /// The connection of somebody in the middle dies, and another joins.
    fn die(&mut self, client: &mut Client) {
        let middle = self.waiters.len() / 2;
        drop(self.waiters.remove(middle));
        client.text("PING");
        self.join(connect(self.port), client, "0");
    }

    fn median(&self, kind: &str) -> f64 {
        let of_kind = self.costs.iter().filter(|(name, _)| *name == kind);
        let mut costs: Vec<u64> = of_kind.map(|&(_, cost)| cost).collect();
        costs.sort_unstable();
        costs[costs.len() / 2] as f64 / STEPS as f64
    }
}

type Step = fn(&mut Line, &mut Client);

#[test]
fn what_happens_in_a_line_costs_the_same_with_ten_and_with_ten_thousand_in_it() {
    let mut server = Server::with(&["maxclients 20000", "redislock.max-waiters 20000"]);
    let mut client = server.client();
    let long = LONG.min(connections_most());
    let mut lines = [("short", SHORT), ("long", long)]
        .map(|(key, length)| Line::form(&server, &mut client, key, length));
    eventually("all are in line", || {
        (blocked_clients(&mut client) == (SHORT + long) as i64).then_some(())
    });
    let steps: [(&str, Step); 4] = [
        ("a hand-off", Line::hand_over),
        ("leaving the line", Line::leave),
        ("a wait that runs out", Line::run_out),
        ("a death in the line", Line::die),
    ];
    let pid = server.pid();
    for _ in 0..ROUNDS {
        for (name, step) in steps {
            for line in &mut lines {
                let before = cpu_ns(pid);
                for _ in 0..STEPS {
                    step(line, &mut client);
                }
                let cost = cpu_ns(pid) - before;
                line.costs.push((name, cost));
            }
        }
    }
    for (name, _) in steps {
        let [short, long] = lines.each_ref().map(|line| line.median(name));
        let ratio = long / short;
        println!("{name}: {short:.0} ns with {SHORT}, {long:.0} ns with many: {ratio:.2}");
        assert!(ratio < RATIO_MOST, "{name}: {ratio:.2} times as much");
    }
    server.assert_healthy();
}
