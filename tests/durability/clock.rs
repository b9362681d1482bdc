//! Files from a server whose clock was ahead, and files that say what no server
//! says. A file with numbers far ahead is what a clock set back looks like.

use super::holds::{token_by_clock, RESERVE, TOKEN_MOST};
use super::keeping::each_at_once;
use super::leases::pass;
use super::log_file::{append, ALWAYS};
use super::snapshot_file::{counter_since, record, SnapshotFile};
use super::support::{now, Client, Server, Version};
use std::time::Duration;

/// A server that was started on a log with `lines` behind it.
fn started_on_log(lines: &[String]) -> Server {
    let mut server = Server::with(&ALWAYS);
    server.kill();
    append(&server, lines);
    server.start_again();
    server
}

fn line(text: &str) -> String {
    text.to_owned()
}

/// A token some years ahead of the clock.
const FAR: i64 = 1 << 51;
/// The tokens of a minute.
const A_MINUTE: i64 = 60_000 << 12;
/// The last moment that has tokens: no clock has gone on since.
const SINCE: i64 = (1 << 41) - 1;

#[test]
fn tokens_start_above_a_ceiling_in_the_log_that_the_clock_is_behind() {
    for ceiling in [FAR, TOKEN_MOST / 2, TOKEN_MOST - 3 * RESERVE] {
        let lines = [format!("LOCK._CEILING {ceiling} 60000 {SINCE}")];
        let mut server = started_on_log(&lines);
        let mut client = server.client();
        assert!(token_by_clock(&mut client) < ceiling);
        assert_eq!(client.acquired("k", "alice", 1_000), ceiling + 1);
        // And once more, without anything done by hand.
        server.crash();
        let next = server.client().acquired("l", "bob", 1_000);
        assert!(next > ceiling + 1, "{next}");
        server.assert_healthy();
    }
}

#[test]
fn tokens_start_above_a_grant_in_the_log_whose_ceiling_is_missing() {
    let lines = [format!("LOCK._GRANT k alice {FAR} 60000 1 0")];
    let mut server = started_on_log(&lines);
    let mut client = server.client();
    assert_eq!(client.fence("k"), Some(FAR));
    let next = client.acquired("l", "bob", 60_000);
    assert!((FAR + 1..FAR + A_MINUTE).contains(&next), "{next}");
    server.assert_healthy();
}

#[test]
fn tokens_start_above_a_grant_in_the_log_that_is_over() {
    for end in [format!("LOCK._END k alice {FAR}"), line("DEL k")] {
        let grant = format!("LOCK._GRANT k alice {FAR} 60000 1 0");
        let server = started_on_log(&[grant, end]);
        let mut client = server.client();
        assert!(!client.exists("k"));
        let next = client.acquired("k", "bob", 60_000);
        assert!((FAR + 1..FAR + A_MINUTE).contains(&next), "{next}");
    }
}

/// A server that was started on a saved file, after `change` was made to it. The
/// file has one lock: `k`, held by `the-owner`.
fn started_on_file(change: impl FnOnce(&mut SnapshotFile)) -> Server {
    let mut server = Server::with(&["rdbcompression no"]);
    let mut client = server.client();
    client.acquired("k", "the-owner", 60_000);
    client.say("SAVE");
    server.kill();
    let mut file = SnapshotFile::of(&server);
    change(&mut file);
    file.write();
    server.start_again();
    server
}

#[test]
fn tokens_start_above_the_ceiling_of_a_file_that_the_clock_is_behind() {
    let far = FAR as u64;
    let mut server =
        started_on_file(|file| file.set_counter(&counter_since(1, far, 60_000, SINCE as u64)));
    assert_eq!(server.client().acquired("l", "bob", 1_000), FAR + 1);
    server.assert_healthy();
}

#[test]
fn tokens_start_above_the_last_token_of_a_file_that_the_clock_is_behind() {
    let far = FAR as u64;
    let server = started_on_file(|file| file.set_counter(&counter_since(far, 1, 60_000, 5)));
    assert_eq!(server.client().acquired("l", "bob", 1_000), FAR + 1);
}

#[test]
fn tokens_start_above_the_token_of_every_lock_in_a_file() {
    let lock = record(b"the-owner", FAR as u64, 60_000);
    let server = started_on_file(|file| file.set_record("the-owner", &lock));
    let mut client = server.client();
    assert_eq!(client.fence("k"), Some(FAR));
    let next = client.acquired("l", "bob", 1_000);
    assert!((FAR + 1..FAR + A_MINUTE).contains(&next), "{next}");
}

#[test]
fn a_clock_that_is_ahead_of_the_ceiling_wins() {
    let mut server = started_on_log(&[format!("LOCK._CEILING 1000 60000 {SINCE}")]);
    let mut client = server.client();
    let after = token_by_clock(&mut client) + (1 << 12);
    let token = client.acquired("k", "alice", 1_000);
    assert!(token > 1 << 40 && token <= after, "{token}");
    server.assert_healthy();
}

#[test]
fn the_last_tokens_are_issued_and_then_none() {
    let most = TOKEN_MOST;
    let mut server = started_on_log(&[format!("LOCK._CEILING {} 1000 {SINCE}", most - 2)]);
    let mut client = server.client();
    assert_eq!(client.acquired("a", "alice", 60_000), most - 1);
    assert_eq!(client.acquired("b", "alice", 60_000), most);
    let refused = |client: &mut Client| client.error_of("LOCK.ACQUIRE c alice 60000");
    let expected = "ERR no fencing tokens are left";
    assert!(refused(&mut client).starts_with(expected));
    server.crash();
    let mut client = server.client();
    assert_eq!(client.fence("b"), Some(most));
    assert!(refused(&mut client).starts_with(expected));
    assert_eq!(client.release("b", "alice"), 1);
    assert!(!client.exists("c"));
    server.assert_healthy();
}

/// Each of the lines is refused, with a line in the log, and leaves nothing behind.
fn are_refused(lines: &[String]) {
    let mut server = started_on_log(lines);
    let mut client = server.client();
    assert_eq!(client.number("DBSIZE"), 0);
    let after = token_by_clock(&mut client) + (1 << 12);
    let token = client.acquired("k", "bob", 1_000);
    assert!(token <= after, "{token} was counted from a refused line");
    let log = server.log();
    let complaints = log.lines().filter(|line| line.contains("CRITICAL")).count();
    assert_eq!(complaints, lines.len());
    server.assert_healthy();
}

#[test]
fn lines_that_no_server_writes_are_refused_one_by_one_with_a_line_in_the_log() {
    let above = TOKEN_MOST + 1;
    are_refused(&[
        format!("LOCK._CEILING {above} 1000 5"),
        line("LOCK._CEILING 9223372036854775807 1000 5"),
        line("LOCK._CEILING 99999999999999999999999 1000 5"),
        line("LOCK._CEILING 0 1000 5"),
        line("LOCK._CEILING -1 1000 5"),
        line("LOCK._CEILING x 1000 5"),
        format!("LOCK._CEILING {FAR} 0 5"),
        format!("LOCK._CEILING {FAR} 315360000001 5"),
        format!("LOCK._CEILING {FAR} 1000 -1"),
        format!("LOCK._CEILING {FAR} 1000 {}", SINCE + 1),
        format!("LOCK._GRANT k alice {above} 1000 1 0"),
        line("LOCK._GRANT k alice 0 1000 1 0"),
        format!("LOCK._GRANT k alice {FAR} 0 1 0"),
        format!("LOCK._GRANT k alice {FAR} 315360000001 1 0"),
        format!("LOCK._GRANT k alice {FAR} 1e3 1 0"),
        format!("LOCK._GRANT k {} {FAR} 1000 1 0", "x".repeat(513)),
        format!("LOCK._GRANT k alice {FAR} 1000 1025 0"),
        format!("LOCK._GRANT k alice {FAR} 1000 -1 0"),
        format!("LOCK._GRANT k alice {FAR} 1000 x 0"),
        format!("LOCK._GRANT k alice {FAR} 1000 1 -1"),
        format!("LOCK._GRANT k alice {FAR} 1000 1 0 0"),
        format!("LOCK._GRANT k alice {FAR} 1000 1 315360000001"),
        line("LOCK._END k alice x"),
    ]);
}

#[test]
fn lines_of_too_few_or_too_many_words_are_refused_or_keep_the_server_from_starting() {
    let lines = [
        format!("LOCK._CEILING {FAR}"),
        format!("LOCK._CEILING {FAR} 1000"),
        format!("LOCK._CEILING {FAR} 1000 5 5"),
        format!("LOCK._GRANT k alice {FAR}"),
        line("LOCK._END k"),
    ];
    if Version::of(&mut Server::start().client()).loads_lines_of_other_arity() {
        return are_refused(&lines);
    }
    for line in lines {
        let mut server = Server::with(&ALWAYS);
        server.kill();
        append(&server, std::slice::from_ref(&line));
        let said = server.start_and_fail();
        assert!(said.contains("wrong number of arguments"), "{line}: {said}");
    }
}

#[test]
fn holds_of_every_kind_in_the_log_are_kept() {
    let [second, third] = [FAR + 1, FAR + 2];
    let lines = [
        format!("LOCK._GRANT k alice {FAR} 60000 3 0"),
        format!("LOCK._GRANT k bob {second} 60000 0 0"),
        format!("LOCK._GRANT cooling carol {third} 0 1 60000"),
    ];
    let mut server = started_on_log(&lines);
    let mut client = server.client();
    assert_eq!(client.fence("k"), Some(FAR));
    assert!(client.is_live("k", second));
    assert_eq!(client.fence("cooling"), None);
    assert_eq!(client.acquire("cooling", "dave", 1_000), None);
    assert_eq!(client.acquire("k", "dave", 1_000), None);
    let shared = "LOCK.ACQUIRE k dave 1000 SHARED";
    assert!(client.number_or_nil(shared).is_some(), "the third of three");
    assert_eq!(
        client.number_or_nil("LOCK.ACQUIRE k erin 1000 SHARED"),
        None
    );
    server.assert_healthy();
}

#[test]
fn a_lease_longer_than_this_server_allows_is_kept() {
    each_at_once(|keeping| {
        let mut server = keeping.server();
        let mut client = server.client();
        let token = client.acquired("k", "alice", 3_600_000);
        keeping.keep(&mut client);
        server.kill();
        server.configure(&["redislock.max-ttl-ms 1000"]);
        server.start_again();
        let mut client = server.client();
        assert_eq!(client.fence("k"), Some(token), "{}", keeping.name);
        let error = client.error_of("LOCK.EXTEND k alice 3600000");
        assert!(error.starts_with("ERR ttl-ms"), "{error}");
        // Nothing shortens it, either.
        assert_eq!(client.number("LOCK.EXTEND k alice 1"), 1);
        pass(now() + Duration::from_millis(20));
        assert_eq!(client.fence("k"), Some(token), "{}", keeping.name);
        server.assert_healthy();
    });
}

#[test]
fn a_ceiling_that_tells_of_a_lease_longer_than_this_server_allows_is_kept() {
    let mut server = Server::with(&ALWAYS);
    server.kill();
    append(&server, &[format!("LOCK._CEILING {FAR} 3600000 {SINCE}")]);
    server.configure(&["redislock.max-ttl-ms 1000"]);
    server.start_again();
    let mut client = server.client();
    assert_eq!(client.acquired("k", "alice", 1_000), FAR + 1);
    server.assert_healthy();
}

#[test]
fn an_end_of_another_hold_in_the_log_ends_nothing() {
    let lines = [
        format!("LOCK._GRANT k alice {FAR} 60000 1 0"),
        format!("LOCK._END k bob {FAR}"),
        format!("LOCK._END k alice {}", FAR - 1),
        format!("LOCK._END nothing alice {FAR}"),
    ];
    let server = started_on_log(&lines);
    assert_eq!(server.client().fence("k"), Some(FAR));
}
