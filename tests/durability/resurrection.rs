//! What must not come back: a hold that is over stays over, whatever brings its
//! key or its value back and whatever the server is put through after that.
//!
//! Every [`Step`] is tried with every [`Recovery`].

use super::holds::{empties, Hold};
use super::keeping::each_at_once;
use super::support::{eventually, Client, Server};

/// Something that happens to a lock that alice holds.
struct Step {
    name: &'static str,
    /// The lines that do it. `PAYLOAD` stands for what DUMP gave for alice's lock.
    lines: &'static [&'static str],
    then: Alice,
}

/// What becomes of alice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alice {
    Stays,
    IsGone,
}

/// The name is what it does, and a failed test says it.
const fn ends(name: &'static str, lines: &'static [&'static str]) -> Step {
    Step {
        name,
        lines,
        then: Alice::IsGone,
    }
}

const fn keeps(name: &'static str, lines: &'static [&'static str]) -> Step {
    Step {
        name,
        lines,
        then: Alice::Stays,
    }
}

const STEPS: &[Step] = &[
    keeps("nothing", &[]),
    keeps("a reload", &["DEBUG RELOAD"]),
    keeps("a rename to itself", &["RENAME k k"]),
    keeps("a refused copy", &["COPY k x"]),
    ends("a release", &["LOCK.RELEASE k alice"]),
    ends("DEL", &["DEL k"]),
    ends("UNLINK", &["UNLINK k"]),
    ends("FLUSHALL", &["FLUSHALL SYNC"]),
    ends("FLUSHALL ASYNC", &["FLUSHALL ASYNC"]),
    ends("FLUSHDB", &["FLUSHDB SYNC"]),
    ends("FLUSHDB ASYNC", &["FLUSHDB ASYNC"]),
    ends("an expired key", &["PEXPIRE k 0"]),
    ends("an overwrite by SET", &["SET k x", "DEL k"]),
    ends(
        "an overwrite by RENAME",
        &["SET s x", "RENAME s k", "DEL k"],
    ),
    ends("a swap", &["SWAPDB 0 1"]),
    ends("RENAME", &["RENAME k x"]),
    ends(
        "RENAME there and back",
        &["MULTI", "RENAME k x", "RENAME x k", "EXEC"],
    ),
    ends("MOVE", &["MOVE k 1"]),
    ends(
        "MOVE there and back",
        &[
            "MULTI", "MOVE k 1", "SELECT 1", "MOVE k 0", "SELECT 0", "EXEC",
        ],
    ),
    ends(
        "SWAPDB twice",
        &["MULTI", "SWAPDB 0 1", "SWAPDB 0 1", "EXEC"],
    ),
    ends(
        "the value of a released lock",
        &["LOCK.RELEASE k alice", "RESTORE k 0 PAYLOAD"],
    ),
    ends(
        "the value of a deleted lock",
        &["DEL k", "RESTORE k 0 PAYLOAD"],
    ),
    ends("its own value", &["RESTORE k 0 PAYLOAD REPLACE"]),
    ends(
        "an older value in place of another holder's",
        &[
            "LOCK.RELEASE k alice",
            "LOCK.ACQUIRE k bob 60000",
            "RESTORE k 0 PAYLOAD REPLACE",
        ],
    ),
    ends(
        "its value under another name",
        &["LOCK.RELEASE k alice", "RESTORE x 0 PAYLOAD"],
    ),
    ends(
        "an eviction",
        &[
            "CONFIG SET maxmemory-policy allkeys-random",
            "CONFIG SET maxmemory 1",
            "GET nothing",
        ],
    ),
    // While writes are paused the key that holds a dead handle stays.
    ends(
        "RENAME, unswept",
        &["MULTI", "RENAME k x", "CLIENT PAUSE 600000 WRITE", "EXEC"],
    ),
    ends(
        "RENAME there and back, unswept",
        &[
            "MULTI",
            "RENAME k x",
            "RENAME x k",
            "CLIENT PAUSE 600000 WRITE",
            "EXEC",
        ],
    ),
    ends(
        "MOVE, unswept",
        &["MULTI", "MOVE k 1", "CLIENT PAUSE 600000 WRITE", "EXEC"],
    ),
    ends(
        "SWAPDB, unswept",
        &["MULTI", "SWAPDB 0 1", "CLIENT PAUSE 600000 WRITE", "EXEC"],
    ),
    ends(
        "SWAPDB twice, unswept",
        &[
            "MULTI",
            "SWAPDB 0 1",
            "SWAPDB 0 1",
            "CLIENT PAUSE 600000 WRITE",
            "EXEC",
        ],
    ),
];

/// As if the power failed between the two lines that bring a value back and
/// delete its key again: only the first is in the log.
const RESTORED_UNSWEPT: Step = ends(
    "the value of a released lock, unswept",
    &[
        "LOCK.RELEASE k alice",
        "MULTI",
        "RESTORE k 0 PAYLOAD",
        "CLIENT PAUSE 600000 WRITE",
        "EXEC",
    ],
);

/// What the server goes through after a step.
#[derive(Clone, Copy)]
enum Recovery {
    Nothing,
    Reload,
    LoadLog,
    Crash,
}

fn recover(server: &mut Server, recovery: Recovery) {
    match recovery {
        Recovery::Nothing => {}
        Recovery::Reload => drop(server.client().say("DEBUG RELOAD")),
        Recovery::LoadLog => drop(server.client().say("DEBUG LOADAOF")),
        Recovery::Crash => server.crash(),
    }
}

/// Does what a step says; an error ends nothing.
fn take(client: &mut Client, step: &Step, payload: &[u8]) {
    for line in step.lines {
        let words: Vec<&[u8]> = line
            .split(' ')
            .map(|word| {
                if word == "PAYLOAD" {
                    payload
                } else {
                    word.as_bytes()
                }
            })
            .collect();
        let reply = client.try_call(&words);
        let is_refused = line.starts_with("COPY") || *line == "GET nothing";
        assert!(reply.is_ok() || is_refused, "{line}: {reply:?}");
    }
    if step.name == "an eviction" {
        eventually("the key is evicted", || {
            (client.number("DBSIZE") == 0).then_some(())
        });
        client.say("CONFIG SET maxmemory 0");
    }
}

/// The largest token that is live under the names the steps use.
fn largest_live(client: &mut Client) -> i64 {
    client.fence("k").max(client.fence("x")).unwrap_or_default()
}

/// Nothing of a hold that is over is left, in any place it may have come to.
fn assert_gone(client: &mut Client, alice: &Hold) {
    for db in [0, 1] {
        for key in ["k", "x"] {
            Hold {
                db,
                key,
                ..alice.clone()
            }
            .assert_over(client);
        }
        empties(client, db);
    }
}

/// One step and one recovery, on a server of its own.
fn try_out(mut server: Server, step: &Step, recovery: Recovery, keep: impl FnOnce(&mut Client)) {
    let mut client = server.client();
    let alice = Hold::take(&mut client, 0, "k", "alice");
    let payload = client.bytes(&["DUMP", "k"]);
    take(&mut client, step, &payload);
    let seen = largest_live(&mut client).max(alice.token);
    keep(&mut client);
    recover(&mut server, recovery);
    let mut client = server.client();
    client.say("CLIENT UNPAUSE");
    match step.then {
        Alice::Stays => {
            alice.assert_live(&mut client);
            assert_eq!(client.acquire("k", "bob", 60_000), None);
            assert_eq!(client.release("k", "alice"), 1);
        }
        Alice::IsGone => assert_gone(&mut client, &alice),
    }
    let mut last = seen;
    for (db, key) in [(0, "k"), (0, "x"), (1, "k")] {
        let next = Hold::take(&mut client, db, key, "carol").token;
        assert!(next > last, "{next} is not above {last}");
        last = next;
    }
    assert!(!client.is_live("k", alice.token));
    server.assert_healthy();
}

/// Says what was tried if it fails.
struct Tried<'a>(&'a str, &'a str);

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}, then {}", self.0, self.1);
        }
    }
}

fn each_step(name: &str, try_it: impl Fn(&Step)) {
    for step in STEPS {
        let _tried = Tried(step.name, name);
        try_it(step);
    }
}

const LOG: [&str; 2] = ["appendonly yes", "appendfsync always"];

#[test]
fn no_dead_hold_comes_back_by_itself() {
    each_step("nothing", |step| {
        try_out(Server::with(&LOG), step, Recovery::Nothing, |_| {});
    });
}

#[test]
fn no_dead_hold_comes_back_with_a_reload() {
    each_step("a reload", |step| {
        try_out(Server::start(), step, Recovery::Reload, |_| {});
    });
}

#[test]
fn no_dead_hold_comes_back_when_the_log_is_read_again() {
    each_step("the log read again", |step| {
        try_out(Server::with(&LOG), step, Recovery::LoadLog, |_| {});
    });
}

#[test]
fn no_dead_hold_comes_back_with_a_crash() {
    each_at_once(|keeping| {
        each_step(keeping.name, |step| {
            try_out(keeping.server(), step, Recovery::Crash, |client| {
                keeping.keep(client);
            });
        });
    });
}

#[test]
fn a_restored_value_stays_dead_when_the_line_that_deletes_it_is_lost() {
    each_at_once(|keeping| {
        let step = &RESTORED_UNSWEPT;
        let _tried = Tried(step.name, keeping.name);
        try_out(keeping.server(), step, Recovery::Crash, |client| {
            keeping.keep(client);
        });
    });
}

#[test]
fn a_restored_value_stays_dead_when_the_log_is_read_again() {
    let server = Server::with(&LOG);
    try_out(server, &RESTORED_UNSWEPT, Recovery::LoadLog, |_| {});
}
