//! What a line costs does not depend on how long it is.
//!
//! Measured is the time that the server's main thread spent on a processor, as
//! the kernel counts it: that of other programs is not in it. A short and a long
//! line stand on one server and are used in turn, so that whatever the server
//! does besides weighs on both alike; compared are medians of many rounds.

use super::support::process::cpu_ns;
use super::support::resp::Wire;
use super::support::{blocked_clients, connections_most, eventually, Client, Server};
use std::collections::VecDeque;

const SHORT: usize = 10;
const LONG: usize = 10_000;
const ROUNDS: usize = 31;
/// Steps of one kind in a round: enough for the kernel to count well.
const STEPS: usize = 8;
/// How many times as much the long line may cost. Were every place looked at in a
/// step, it would be 2.5 to 4.5 times.
const RATIO_MOST: f64 = 2.0;

/// A connection, and the server's number for it.
struct Caller {
    wire: Wire,
    id: String,
}

fn connect(port: u16) -> Caller {
    let mut wire = Wire::small(port);
    wire.send_command(&[b"CLIENT", b"ID"]).expect("it listens");
    let id = wire.line().expect("a number");
    let id = String::from_utf8_lossy(&id[1..]).into_owned();
    Caller { wire, id }
}

struct Waiting {
    caller: Caller,
    owner: String,
}

impl Waiting {
    fn told(&mut self) -> Vec<u8> {
        self.caller.wire.line().expect("an answer")
    }
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
                caller: connect(server.port()),
                owner: "holder".to_owned(),
            },
            waiters: VecDeque::new(),
            came: 0,
            costs: Vec::new(),
        };
        client.acquired(key, "holder", 3_600_000);
        for _ in 0..length {
            line.join(connect(server.port()), client);
        }
        line
    }

    /// Somebody joins at the end, and is there when this returns.
    fn join(&mut self, caller: Caller, client: &mut Client) {
        let blocks = format!("CLIENT LIST ID {}", caller.id);
        self.ask(caller, "0");
        // What is sent on two connections may arrive in another order.
        eventually("it is in line", || {
            client.text(&blocks).contains(" flags=b ").then_some(())
        });
    }

    fn ask(&mut self, mut caller: Caller, timeout: &str) {
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
        let sent = caller.wire.send_command(&words.map(str::as_bytes));
        sent.expect("it listens");
        self.waiters.push_back(Waiting { caller, owner });
    }

    /// The holder releases, the head is told, and the one who held joins again.
    fn hand_over(&mut self, client: &mut Client) {
        assert_eq!(client.release(self.key, &self.holder.owner), 1);
        let mut next = self.waiters.pop_front().expect("a head");
        let told = next.told();
        assert!(told.starts_with(b":"), "{}", told.escape_ascii());
        let last = std::mem::replace(&mut self.holder, next);
        self.join(last.caller, client);
    }

    /// Somebody in the middle leaves the line, is told so, and joins at its end.
    fn leave(&mut self, client: &mut Client) {
        let middle = self.waiters.len() / 2;
        let mut gone = self.waiters.remove(middle).expect("one in the middle");
        assert_eq!(client.release(self.key, &gone.owner), 0);
        assert_eq!(gone.told(), b"$-1");
        self.join(gone.caller, client);
    }

    /// Somebody joins for a moment, until its wait runs out.
    fn run_out(&mut self, _client: &mut Client) {
        self.ask(connect(self.port), "1");
        let mut last = self.waiters.pop_back().expect("the last");
        assert_eq!(last.told(), b"$-1");
    }

    /// The connection of somebody in the middle dies, and another joins.
    fn die(&mut self, client: &mut Client) {
        let middle = self.waiters.len() / 2;
        let gone = self.waiters.remove(middle).expect("one in the middle");
        let id = format!("CLIENT LIST ID {}", gone.caller.id);
        drop(gone);
        // On a busy machine the server may hear of it late.
        eventually("it is gone", || {
            client.text(&id).trim().is_empty().then_some(())
        });
        self.join(connect(self.port), client);
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
    let long = LONG.min(connections_most(500));
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
