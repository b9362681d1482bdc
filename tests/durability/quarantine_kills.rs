//! No lock is held twice across crashes that lose something, with quarantine: clients count
//! their leases from before they asked, on their own clock, and nobody else may be granted
//! within.

use super::log_file::tail_path;
use super::support::{now, Client, Server};
use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

const ROUNDS: usize = 10;
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const LONGEST_MS: u64 = 700;

/// A way to lose things.
struct Loss {
    name: &'static str,
    settings: &'static [&'static str],
    /// What a crash does to the files.
    lose: fn(&Server, &mut fastrand::Rng),
}

const LOSSES: [Loss; 4] = [
    Loss {
        name: "nothing is kept",
        settings: &[],
        lose: |_, _| {},
    },
    Loss {
        name: "an old snapshot",
        settings: &["save 1 1", "hz 100"],
        lose: |_, _| {},
    },
    Loss {
        name: "a log without its end",
        settings: &["appendonly yes", "appendfsync everysec"],
        lose: cut_log,
    },
    Loss {
        name: "a log that has everything",
        settings: &["appendonly yes", "appendfsync always"],
        lose: |_, _| {},
    },
];

/// A power cut takes what was not synced yet.
fn cut_log(server: &Server, random: &mut fastrand::Rng) {
    let log = File::options().write(true).open(tail_path(server));
    let log = log.expect("a file of the log");
    let length = log.metadata().expect("a file of the log").len();
    log.set_len(random.u64(0..=length)).expect("it is cut");
}

/// When the leases end of which somebody believes that they hold.
#[derive(Default)]
struct Believers {
    until: BTreeMap<&'static str, Instant>,
    overlaps: usize,
}

impl Believers {
    /// Waits for the lock. Who gets it while another still believes to hold it overlaps.
    fn acquire(&mut self, client: &mut Client, key: &'static str, owner: &str, ttl_ms: u64) {
        let asked = now();
        let line = format!("LOCK.ACQUIRE {key} {owner} {ttl_ms} BLOCK 60000");
        client.number(&line);
        let told = now();
        let until = asked + Duration::from_millis(ttl_ms);
        if self
            .until
            .insert(key, until)
            .is_some_and(|until| told < until)
        {
            self.overlaps += 1;
        }
    }

    fn release(&mut self, client: &mut Client, key: &'static str, owner: &str) {
        if client.release(key, owner) == 1 {
            self.until.remove(key);
        }
    }
}

/// How often somebody was granted what another still believed to hold.
fn overlaps(loss: &Loss, quarantine: &str) -> usize {
    let longest = format!("redislock.max-ttl-ms {LONGEST_MS}");
    let settings = [&[quarantine, &longest], loss.settings].concat();
    let mut server = Server::with(&settings);
    let mut random = fastrand::Rng::with_seed(7);
    let mut believers = Believers::default();
    for round in 0..ROUNDS {
        let mut client = server.client();
        // The first of a round wait for what they do not know; the others may hold
        // when the server dies.
        for turn in 0..2 {
            for key in KEYS {
                let owner = format!("{round}-{turn}");
                believers.acquire(&mut client, key, &owner, random.u64(1..=LONGEST_MS));
                if turn == 0 || random.u8(..) < 64 {
                    believers.release(&mut client, key, &owner);
                }
            }
        }
        server.kill();
        (loss.lose)(&server, &mut random);
        server.start_again();
    }
    server.assert_healthy();
    believers.overlaps
}

#[test]
fn no_lock_is_held_twice_across_crashes_that_lose_something() {
    std::thread::scope(|threads| {
        for loss in &LOSSES {
            threads.spawn(|| {
                let overlaps = overlaps(loss, "redislock.quarantine yes");
                assert_eq!(overlaps, 0, "{}", loss.name);
            });
        }
    });
}

/// Else the test above would be worth nothing.
#[test]
fn without_quarantine_locks_are_held_twice() {
    let (whole, lossy) = LOSSES.split_last().expect("there are some");
    std::thread::scope(|threads| {
        for loss in lossy {
            threads.spawn(|| {
                let overlaps = overlaps(loss, "redislock.quarantine no");
                assert!(overlaps > 0, "{}: no crash came in a lease", loss.name);
            });
        }
    });
    assert_eq!(overlaps(whole, "redislock.quarantine no"), 0);
}
