//! A storm: thousands of waiters, a third of which die at random.

use super::support::eventually::within;
use super::support::resp::Wire;
use super::support::{blocked_clients, connections_most, eventually, Client, Server};
use std::time::Duration;

/// As many as a test process may open connections for, beside everything else.
const WAITERS: usize = 10_000;

/// A repeatable stream of numbers (xorshift64*, G. Marsaglia and S. Vigna).
struct Numbers(u64);

impl Numbers {
    fn of_this_run() -> Self {
        let seed = std::env::var("LOCK_SEED").ok();
        let seed = seed.and_then(|it| it.parse().ok()).unwrap_or(20_261_120);
        println!("replay with LOCK_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn used(client: &mut Client) -> i64 {
    client.info("used_memory").parse().expect("bytes")
}

/// Waits until the next in line is told. A busy machine may lose the packet that
/// closes a connection, and send it again 200 ms later. Until then the server cannot
/// know who is dead, and grants to it: that hold is released. Returns how many were.
fn next_is_told(wire: &Wire, client: &mut Client, dead: &[usize]) -> usize {
    let mut late = 0;
    eventually("the next is told", || {
        let told = within(Duration::from_secs(1), || (!wire.is_silent()).then_some(()));
        if told.is_none() {
            let holds = |number: &&usize| client.release("k", &format!("w{number}")) == 1;
            late += dead.iter().filter(holds).count();
        }
        told
    });
    late
}

#[test]
fn in_a_storm_the_order_is_exact_and_nothing_is_left() {
    let mut numbers = Numbers::of_this_run();
    let mut server = Server::with(&["maxclients 20000", "hz 100"]);
    let mut client = server.client();
    let waiters = WAITERS.min(connections_most(200));
    client.acquired("k", "holder", 600_000);
    let before = used(&mut client);

    let mut line: Vec<Option<Wire>> = Vec::new();
    for number in 0..waiters {
        let mut wire = Wire::small(server.port());
        let owner = format!("w{number}");
        let words = ["LOCK.ACQUIRE", "k", &owner, "600000", "BLOCK", "0"];
        wire.send_command(&words.map(str::as_bytes))
            .expect("it listens");
        line.push(Some(wire));
        // A round trip behind each: the server sees them in this order.
        client.text("PING");
        if number % 64 == 0 || number + 1 == waiters {
            let many = number as i64 + 1;
            eventually("they are in line", || {
                (blocked_clients(&mut client) == many).then_some(())
            });
        }
    }
    assert_eq!(blocked_clients(&mut client), waiters as i64);

    let mut owner = "holder".to_owned();
    let mut last = 0;
    let (mut granted, mut late, mut dead) = (0, 0, Vec::new());
    for number in 0..waiters {
        // Somebody further back dies now and then, and sometimes the next.
        if numbers.next().is_multiple_of(3) {
            let span = (waiters - number) as u64;
            let victim = number + (numbers.next() % span) as usize;
            line[victim] = None;
            dead.push(victim);
        }
        let Some(mut wire) = line[number].take() else {
            continue;
        };
        assert_eq!(client.release("k", &owner), 1, "{owner} holds it");
        late += next_is_told(&wire, &mut client, &dead);
        let told = wire.line().expect("a token");
        let token = String::from_utf8_lossy(&told[1..]).parse::<i64>();
        let token = token.unwrap_or_else(|_| panic!("{}", told.escape_ascii()));
        assert!(token > last, "{token} is not above {last}");
        last = token;
        owner = format!("w{number}");
        granted += 1;
    }
    assert!(granted > waiters / 2);
    assert!(late * 100 < waiters, "{late} were granted to the dead");
    assert_eq!(client.release("k", &owner), 1);
    drop(line);
    eventually("nobody waits", || {
        (blocked_clients(&mut client) == 0).then_some(())
    });
    assert_eq!(client.number("DBSIZE"), 0);
    eventually("the connections are gone", || {
        (client.info("connected_clients") == "1").then_some(())
    });
    // The server gives its helper clients back slowly: 500 a second.
    let patience = Duration::from_secs(120);
    let is_back = within(patience, || {
        (used(&mut client) - before < 4_000_000).then_some(())
    });
    assert!(
        is_back.is_some(),
        "the memory is not back after {patience:?}"
    );
    server.assert_healthy();
}
