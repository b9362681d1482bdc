//! Quarantine on real servers: who comes back from which crash with what, and waits for
//! how long. Leases are short here and `redislock.max-ttl-ms` is long, so that a wait for
//! the one is told from a wait for the other.

use super::support::waiter::Waiter;
use super::support::{eventually, stretched_ms, Client, Server};
use std::fs;
use std::path::PathBuf;

const ON: &str = "redislock.quarantine yes";
/// A server that knows nothing waits for so long.
const MOST: &str = "redislock.max-ttl-ms 600000";
const MOST_MS: u64 = 600_000;
/// The longest lease that is granted.
const LONGEST_MS: u64 = 20_000;
/// The most that this is rounded up by.
const ROUNDING_MS: u64 = LONGEST_MS / 8;

const NO_FILES: [&str; 2] = [ON, MOST];
const FILE: [&str; 3] = [ON, MOST, "save 3600 100000"];
const SECOND: [&str; 4] = [ON, MOST, "appendonly yes", "appendfsync everysec"];
const ALWAYS: [&str; 4] = [ON, MOST, "appendonly yes", "appendfsync always"];

/// For how long the server says that it grants nothing.
fn left_ms(client: &mut Client) -> Option<u64> {
    let reply = client.try_call(&["LOCK.ACQUIRE", "probe", "probe", "1"]);
    if reply.is_ok() {
        client.release("probe", "probe");
        return None;
    }
    let error = client.error_of("LOCK.ACQUIRE probe probe 1");
    let words: Vec<&str> = error.split(' ').collect();
    assert_eq!(words[0], "QUARANTINE", "{error}");
    let [.., ms, "ms"] = words[..] else {
        panic!("{error}");
    };
    Some(ms.parse().expect("a number"))
}

/// Ends the quarantine of a first start, which knows nothing, by waiting for it: with a
/// `max-ttl-ms` that makes this short.
fn settled(settings: &[&str]) -> Server {
    let mut server = Server::with(settings);
    server.kill();
    server.start_once_with(&["redislock.max-ttl-ms 1"]);
    let mut client = server.client();
    eventually("what is granted is written down", || {
        says(&server).contains("longest-ms").then_some(())
    });
    assert_eq!(left_ms(&mut client), None);
    client.say(&format!("CONFIG SET {MOST}"));
    server
}

fn path(server: &Server) -> PathBuf {
    server.directory().join("redislock.quarantine")
}

/// What the server would leave behind if it ended now.
fn says(server: &Server) -> String {
    fs::read_to_string(path(server)).unwrap_or_default()
}

/// Ends as an operator ends it.
fn shut_down(server: &mut Server, how: &str) {
    let pid = server.pid();
    let mut client = server.client();
    let words: Vec<&str> = how.split(' ').collect();
    // Nobody is left to answer.
    client.try_call(&words).ok();
    eventually("the server has ended", || {
        let is_there = fs::read_to_string(format!("/proc/{pid}/stat"));
        let has_ended = is_there.map_or(true, |stat| stat.contains(") Z "));
        has_ended.then_some(())
    });
    server.kill();
}

fn assert_waits_for_longest(server: &Server) {
    let left = left_ms(&mut server.client()).expect("it grants nothing");
    let most = LONGEST_MS + ROUNDING_MS;
    assert!(left <= most, "{left} ms");
    // How long the start took is not known.
    assert!(says(server).contains("proof none"), "{}", says(server));
}

fn assert_knows_nothing(server: &Server) {
    let left = left_ms(&mut server.client()).expect("it grants nothing");
    assert!(left > MOST_MS / 2 && left <= MOST_MS, "{left} ms");
}

fn assert_grants(server: &Server) {
    assert_eq!(left_ms(&mut server.client()), None, "{}", server.log());
}

/// Milliseconds since the machine was started, to a hundredth of a second.
fn uptime_ms() -> u64 {
    let text = fs::read_to_string("/proc/uptime").expect("the kernel counts");
    let seconds: String = text.chars().take_while(|it| *it != ' ').collect();
    let hundredths: u64 = seconds.replace('.', "").parse().expect("a number");
    hundredths * 10
}

/// Takes a lock for as long as is ever granted; its token.
fn take(server: &Server, key: &str) -> i64 {
    server.client().acquired(key, "alice", LONGEST_MS)
}

#[test]
fn by_default_nothing_is_different() {
    for settings in [&[][..], &["appendonly yes"]] {
        let mut server = Server::with(settings);
        take(&server, "k");
        server.crash();
        assert_grants(&server);
        shut_down(&mut server, "SHUTDOWN");
        assert!(!path(&server).exists(), "there is a file of ours");
    }
}

#[test]
fn a_server_without_any_past_grants_nothing_for_as_long_as_it_might_have() {
    for settings in [&NO_FILES[..], &FILE, &SECOND, &ALWAYS] {
        let server = Server::with(settings);
        assert_knows_nothing(&server);
        let error = server.client().error_of("LOCK.ACQUIRE k bob 100");
        assert!(
            error.starts_with("QUARANTINE this server started"),
            "{error}"
        );
    }
}

#[test]
fn a_crash_before_that_is_over_makes_nobody_wiser() {
    for settings in [&NO_FILES[..], &FILE, &SECOND, &ALWAYS] {
        let mut server = Server::with(settings);
        server.crash();
        assert_knows_nothing(&server);
        shut_down(&mut server, "SHUTDOWN");
        server.start_again();
        assert_knows_nothing(&server);
    }
}

#[test]
fn after_a_crash_it_waits_for_the_longest_lease_that_it_granted() {
    for settings in [&NO_FILES[..], &FILE, &SECOND] {
        let mut server = settled(settings);
        server.client().acquired("short", "alice", 100);
        take(&server, "k");
        server.crash();
        assert_waits_for_longest(&server);
        // And again, though that server granted nothing.
        server.crash();
        assert_waits_for_longest(&server);
    }
}

#[test]
fn nobody_is_granted_before_the_lost_lease_is_over_and_who_waits_is_then() {
    let lease_ms = stretched_ms(5_000);
    let mut server = settled(&NO_FILES);
    let taken = uptime_ms();
    server.client().acquired("k", "alice", lease_ms);
    server.crash();
    let mut client = server.client();
    assert!(left_ms(&mut client).is_some());
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 5000 BLOCK 0");
    let mut next = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k eve 5000 BLOCK 0");
    let error = client.error_of("LOCK.ACQUIRE k fred 5000");
    assert!(error.starts_with("QUARANTINE"), "{error}");
    let token = waiter.token();
    let waited = uptime_ms() - taken;
    assert!(waited >= lease_ms, "granted after {waited} ms");
    assert!(client.is_live("k", token));
    client.release("k", "bob");
    assert!(next.token() > token);
    server.assert_healthy();
}

#[test]
fn what_was_extended_counts_too() {
    let mut server = settled(&NO_FILES);
    server.client().acquired("k", "alice", 100);
    let mut client = server.client();
    client.acquired("l", "alice", 60_000);
    let line = format!("LOCK.EXTEND l alice {}", MOST_MS / 2);
    assert_eq!(client.number(&line), 1);
    server.crash();
    let left = left_ms(&mut server.client()).expect("it grants nothing");
    assert!(left > MOST_MS / 4, "{left} ms");
}

#[test]
fn a_lease_granted_after_a_wait_counts_too() {
    let mut server = settled(&NO_FILES);
    let mut client = server.client();
    client.acquired("k", "alice", 1_000);
    let line = format!("LOCK.ACQUIRE k bob {} BLOCK 0", MOST_MS / 2);
    let mut waiter = Waiter::joins(&server, &mut client, &line);
    client.release("k", "alice");
    waiter.token();
    server.crash();
    let left = left_ms(&mut server.client()).expect("it grants nothing");
    assert!(left > MOST_MS / 4, "{left} ms");
}

#[test]
fn with_a_log_that_syncs_every_answer_there_is_no_quarantine_after_a_crash() {
    let mut server = settled(&ALWAYS);
    assert!(says(&server).contains("proof always"), "{}", says(&server));
    for round in 0..3 {
        let key = format!("k{round}");
        let token = server.client().acquired(&key, "alice", 60_000);
        server.crash();
        assert_grants(&server);
        assert!(server.client().is_live(&key, token));
    }
}

/// The log of the second run has all that it granted, but not what the first did.
#[test]
fn such_a_log_proves_nothing_of_a_run_before_it() {
    let mut server = settled(&NO_FILES);
    take(&server, "k");
    server.kill();
    server.configure(&ALWAYS);
    server.start_again();
    assert_waits_for_longest(&server);
    server.crash();
    assert_waits_for_longest(&server);
}

#[test]
fn a_server_that_ended_by_itself_with_a_log_grants_at_once() {
    for how in ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN NOW"] {
        let mut server = settled(&SECOND);
        assert!(says(&server).contains("proof none"), "{}", says(&server));
        let token = server.client().acquired("k", "alice", 60_000);
        shut_down(&mut server, how);
        assert!(says(&server).contains("proof closed-log"), "{how}");
        server.start_again();
        assert_grants(&server);
        assert!(server.client().is_live("k", token), "{how}");
        // What it granted since is not proved by that any more.
        take(&server, "l");
        server.crash();
        assert!(left_ms(&mut server.client()).is_some(), "{how}");
    }
}

#[test]
fn a_server_that_ended_by_a_signal_did_so_by_itself() {
    let mut server = settled(&SECOND);
    let token = server.client().acquired("k", "alice", 60_000);
    server.signal("TERM");
    eventually("the server has ended", || {
        says(&server).contains("proof closed-log").then_some(())
    });
    eventually("the server is gone", || {
        server.log().contains("bye bye").then_some(())
    });
    server.kill();
    server.start_again();
    assert_grants(&server);
    assert!(server.client().is_live("k", token));
}

/// With snapshots alone a clean end proves as much, and only once: the same snapshot is
/// still there after the next crash.
#[test]
fn a_snapshot_proves_something_once_and_only_if_the_server_ended_with_it() {
    let mut server = settled(&FILE);
    let token = server.client().acquired("k", "alice", 60_000);
    shut_down(&mut server, "SHUTDOWN SAVE");
    assert!(says(&server).contains("proof closed-file"));
    server.start_again();
    assert_grants(&server);
    assert!(server.client().is_live("k", token));
    server.crash();
    assert!(
        left_ms(&mut server.client()).is_some(),
        "the same snapshot again"
    );
}

#[test]
fn an_end_without_a_snapshot_of_the_last_grant_proves_nothing() {
    let mut server = settled(&FILE);
    take(&server, "k");
    server.client().say("SAVE");
    take(&server, "l");
    shut_down(&mut server, "SHUTDOWN NOSAVE");
    server.start_again();
    assert_waits_for_longest(&server);
    // A server without any files has none of the last grant either.
    let mut server = settled(&NO_FILES);
    take(&server, "k");
    shut_down(&mut server, "SHUTDOWN");
    server.start_again();
    assert_waits_for_longest(&server);
}

#[test]
fn files_that_are_gone_or_older_prove_nothing() {
    for (settings, is_old) in [(&ALWAYS[..], false), (&SECOND, false), (&SECOND, true)] {
        let mut server = settled(settings);
        let log = server.directory().join("appendonlydir");
        let old = server.directory().join("old");
        if is_old {
            shut_down(&mut server, "SHUTDOWN");
            fs::rename(&log, &old).expect("it is there");
            server.start_again();
            // Without its log it waits for what it granted, which was next to nothing.
            eventually("it grants", || {
                left_ms(&mut server.client()).is_none().then_some(())
            });
        }
        take(&server, "k");
        shut_down(&mut server, "SHUTDOWN");
        fs::remove_dir_all(&log).expect("it is there");
        if is_old {
            fs::rename(&old, &log).expect("it is there");
        }
        server.start_again();
        assert_waits_for_longest(&server);
    }
}

#[test]
fn a_setting_that_changes_what_the_log_gets_takes_the_proof_back_at_once() {
    for line in [
        "appendfsync everysec",
        "appendonly no",
        "no-appendfsync-on-rewrite yes",
    ] {
        let mut server = settled(&ALWAYS);
        let mut client = server.client();
        client.say(&format!("CONFIG SET {line}"));
        assert!(says(&server).contains("proof none"), "{line}");
        take(&server, "k");
        server.crash();
        assert_waits_for_longest(&server);
    }
    let server = settled(&ALWAYS);
    server.client().say("CONFIG SET maxmemory 100mb");
    assert!(says(&server).contains("proof always"), "{}", says(&server));
}

#[test]
fn a_log_that_is_not_synced_during_a_rewrite_is_no_proof() {
    let settings = [&ALWAYS[..], &["no-appendfsync-on-rewrite yes"]].concat();
    let server = settled(&settings);
    assert!(says(&server).contains("proof none"), "{}", says(&server));
}

#[test]
fn holds_that_were_loaded_go_on_in_quarantine() {
    let mut server = settled(&SECOND);
    let mut client = server.client();
    let token = client.acquired("k", "alice", 60_000);
    super::keeping::wait_for_log(&mut client);
    server.crash();
    let mut client = server.client();
    assert!(left_ms(&mut client).is_some());
    assert!(client.is_live("k", token));
    assert_eq!(client.acquire("k", "alice", 60_000), Some(token));
    assert_eq!(client.acquire("k", "bob", 60_000), None, "it is held");
    assert_eq!(client.number("LOCK.EXTEND k alice 60000"), 1);
    let raised = client.number(&format!("LOCK.EXTEND k alice 60000 RAISE {}", token + 5));
    assert_eq!(raised, token + 5);
    assert_eq!(client.release("k", "alice"), 1);
    let error = client.error_of("LOCK.ACQUIRE k bob 60000");
    assert!(error.starts_with("QUARANTINE"), "{error}");
    server.assert_healthy();
}

#[test]
fn config_set_no_ends_it_at_once_and_yes_is_for_the_next_start() {
    let mut server = Server::with(&ALWAYS);
    assert_knows_nothing(&server);
    let mut client = server.client();
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k bob 5000 BLOCK 0");
    client.say("CONFIG SET redislock.quarantine no");
    waiter.token();
    assert_grants(&server);
    assert_eq!(says(&server), "");
    client.say("CONFIG SET redislock.quarantine yes");
    assert_grants(&server);
    let texts = client.texts("CONFIG GET redislock.quarantine");
    assert_eq!(texts, ["redislock.quarantine", "yes"]);
    server.crash();
    assert_knows_nothing(&server);
}

#[test]
fn a_server_that_runs_without_it_leaves_nothing_behind_that_is_out_of_date() {
    let mut server = settled(&NO_FILES);
    take(&server, "k");
    server.kill();
    server.start_once_with(&["redislock.quarantine no"]);
    assert_grants(&server);
    assert_eq!(says(&server), "");
    server.crash();
    assert_knows_nothing(&server);
}

#[test]
fn reloading_in_the_middle_of_a_run_begins_it_anew() {
    let mut server = settled(&ALWAYS);
    let mut client = server.client();
    take(&server, "k");
    client.say("SAVE");
    client.say("DEBUG RELOAD NOSAVE");
    assert_waits_for_longest(&server);
    server.crash();
    assert_waits_for_longest(&server);
}

#[test]
fn a_module_loaded_at_run_time_knows_nothing_of_the_past() {
    let mut server = Server::with(&["enable-module-command yes"]);
    server.kill();
    assert!(server.start_without_module_or_end().is_none());
    let mut client = server.client();
    let module = super::support::server::module();
    let path = module.display().to_string();
    let words = ["MODULE", "LOAD", &path, "max-ttl-ms", "600000"];
    client.call(&[&words[..], &["quarantine", "yes"]].concat());
    assert_knows_nothing(&server);
    server.assert_healthy();
}

#[test]
fn a_promoted_replica_grants_nothing_for_as_long_as_its_master_might_have() {
    let master = Server::start();
    let mut client = master.client();
    client.acquired("k", "alice", 60_000);
    let follow = format!("replicaof 127.0.0.1 {}", master.port());
    let replica = Server::with(&[ON, MOST, &follow]);
    let mut follower = replica.client();
    eventually("it follows", || follower.exists("k").then_some(()));
    assert_eq!(says(&replica), "");
    follower.say("REPLICAOF NO ONE");
    assert_knows_nothing(&replica);
    assert_eq!(follower.number("LOCK.EXTEND k alice 60000"), 1);
    follower.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("it follows again", || {
        let error = follower.error_of("LOCK.ACQUIRE k bob 1");
        error.starts_with("READONLY").then_some(())
    });
}

#[test]
fn two_servers_in_one_directory_are_refused() {
    let mut server = settled(&NO_FILES);
    let directory = server.directory().display().to_string();
    let mut other = Server::start();
    other.kill();
    other.configure(&[ON, &format!("dir {directory}")]);
    let log = other.start_and_fail();
    let reasons: Vec<&str> = log
        .lines()
        .filter(|it| it.contains("<redislock>"))
        .collect();
    let last = reasons.last().expect("a reason");
    assert!(last.contains("give each server a dir of its own"), "{last}");
    server.assert_healthy();
    assert_grants(&server);
}

#[test]
fn a_file_that_was_tampered_with_says_nothing() {
    let mut server = settled(&ALWAYS);
    server.kill();
    let line = says(&server).replace("longest-ms 0", "longest-ms 1");
    fs::write(path(&server), line).expect("its file");
    server.start_again();
    assert_knows_nothing(&server);
}

/// What the files themselves know of the longest lease: the server ran without quarantine,
/// so nothing else says it, and little is allowed now.
#[test]
fn every_kind_of_file_tells_of_the_longest_lease_granted_or_extended() {
    super::keeping::each_at_once(|keeping| {
        for is_extended in [false, true] {
            let mut server = keeping.server();
            let mut client = server.client();
            client.acquired("k", "alice", if is_extended { 10 } else { LONGEST_MS });
            let line = format!("LOCK.EXTEND k alice {LONGEST_MS}");
            if is_extended && client.number(&line) == 0 {
                // A slow machine: the short lease was over.
                client.acquired("k", "alice", 5_000);
                assert_eq!(client.number(&line), 1);
            }
            client.release("k", "alice");
            client.acquired("l", "alice", 10);
            keeping.keep(&mut client);
            server.kill();
            server.start_once_with(&[ON, "redislock.max-ttl-ms 1"]);
            let left = left_ms(&mut server.client());
            let name = keeping.name;
            assert!(left.is_some_and(|ms| ms <= LONGEST_MS), "{name}: {left:?}");
        }
    });
}

#[test]
fn a_replica_is_told_of_the_longest_lease() {
    let master = Server::start();
    let follow = format!("replicaof 127.0.0.1 {}", master.port());
    let replica = Server::with(&[ON, "redislock.max-ttl-ms 1", &follow]);
    let mut follower = replica.client();
    eventually("it follows", || {
        (follower.info("master_link_status") == "up").then_some(())
    });
    take(&master, "k");
    master.client().release("k", "alice");
    master.client().acquired("last", "alice", 6_000);
    eventually("it follows", || follower.exists("last").then_some(()));
    follower.say("REPLICAOF NO ONE");
    let left = left_ms(&mut follower).expect("it grants nothing");
    assert!(left > 6_000 && left <= LONGEST_MS, "{left} ms");
}
