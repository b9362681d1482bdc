//! The log: what it says, and what a server makes of it after a crash.

use super::holds::{digest, empties, raise_far, Hold, RESERVE};
use super::keeping::each_at_once;
use super::log_file::{lines, tail, tail_lines, tail_lines_without_times, ALWAYS};
use super::support::{eventually, Client, Server};

#[test]
fn holders_and_tokens_survive_a_crash() {
    each_at_once(|keeping| {
        let name = keeping.name;
        let mut server = keeping.server();
        let mut client = server.client();
        let kept = Hold::take(&mut client, 0, "kept", "alice");
        let elsewhere = Hold::take(&mut client, 9, "kept", "bob");
        let released = Hold::take(&mut client, 0, "released", "carol");
        client.release("released", "carol");
        let mut raised = Hold::take(&mut client, 0, "raised", "dora");
        raised.token += 1_000;
        let line = format!("LOCK.EXTEND raised dora 60000 RAISE {}", raised.token);
        client.say(&line);
        let again = Hold::take(&mut client, 0, "released", "eve");
        let sum = digest(&mut client);
        keeping.keep(&mut client);
        server.crash();
        let mut client = server.client();
        assert_eq!(digest(&mut client), sum, "{name}");
        for hold in [&kept, &elsewhere, &raised, &again] {
            hold.assert_live(&mut client);
        }
        released.assert_over(&mut client);
        let next = client.acquired("new", "fred", 60_000);
        assert!(next > again.token, "{name}: {next} after {again:?}");
        server.assert_healthy();
    });
}

#[test]
fn released_and_broken_locks_stay_free() {
    each_at_once(|keeping| {
        let mut server = keeping.server();
        let mut client = server.client();
        let holds =
            ["released", "deleted", "lapsed"].map(|key| Hold::take(&mut client, 0, key, "alice"));
        client.release("released", "alice");
        client.say("DEL deleted");
        client.say("PEXPIRE lapsed 1");
        client.acquired("short", "alice", 1);
        empties(&mut client, 0);
        // In another database, beside a lock of the same name in the first.
        client.say("SELECT 5");
        client.acquired("same", "alice", 1);
        empties(&mut client, 5);
        let same = Hold::take(&mut client, 0, "same", "alice");
        keeping.keep(&mut client);
        server.crash();
        let mut client = server.client();
        assert_eq!(client.number("DBSIZE"), 1, "{}", keeping.name);
        same.assert_live(&mut client);
        empties(&mut client, 5);
        for hold in &holds {
            hold.assert_over(&mut client);
        }
    });
}

/// The clock is of no help: the token was raised far ahead of it.
#[test]
fn the_next_token_is_above_the_ceiling_whatever_the_clock_says() {
    each_at_once(|keeping| {
        let mut server = keeping.server();
        let mut client = server.client();
        client.acquired("k", "alice", 60_000);
        let far = raise_far(&mut client, "k", "alice");
        client.release("k", "alice");
        keeping.keep(&mut client);
        server.crash();
        let mut client = server.client();
        assert_eq!(client.number("DBSIZE"), 0);
        let next = client.acquired("k", "bob", 60_000);
        let name = keeping.name;
        assert!(next > far + RESERVE, "{name}: {next} is within the ceiling");
    });
}

#[test]
fn a_raised_token_survives_and_all_later_ones_are_above() {
    each_at_once(|keeping| {
        let mut server = keeping.server();
        let mut client = server.client();
        let mut hold = Hold::take(&mut client, 0, "k", "alice");
        hold.token = raise_far(&mut client, "k", "alice");
        keeping.keep(&mut client);
        for _ in 0..3 {
            server.crash();
            let mut client = server.client();
            hold.assert_live(&mut client);
            let next = client.acquired("other", "bob", 60_000);
            assert!(next > hold.token, "{}: {next}", keeping.name);
            client.release("other", "bob");
        }
    });
}

#[test]
fn everything_that_was_answered_is_in_a_log_that_is_always_synced() {
    let mut server = Server::with(&ALWAYS);
    for round in 0..20 {
        let mut client = server.client();
        let key = format!("k{round}");
        let token = client.acquired(&key, "alice", 60_000);
        if round > 0 {
            client.release(&format!("k{}", round - 1), "alice");
        }
        server.crash();
        let mut client = server.client();
        assert_eq!(client.fence(&key), Some(token), "round {round}");
        assert_eq!(client.number("DBSIZE"), 1, "round {round}");
    }
}

/// Where the first line that starts with `command` is.
fn first(lines: &[String], command: &str) -> usize {
    let place = lines.iter().position(|line| line.starts_with(command));
    place.unwrap_or_else(|| panic!("no {command} in {lines:?}"))
}

fn number(line: &str, word: usize) -> i64 {
    let word = line.split(' ').nth(word).expect("a word");
    word.parse().expect("a number")
}

#[test]
fn the_log_has_the_ceiling_in_front_of_the_first_grant_in_one_transaction() {
    let mut server = Server::with(&ALWAYS);
    let mut client = server.client();
    let token = client.acquired("k", "alice", 30_000);
    let lines = tail_lines_without_times(&server);
    let ceiling = format!("LOCK._CEILING {} 30000", token + RESERVE);
    let grant = format!("LOCK._GRANT k alice {token} 30000");
    assert_eq!(lines, ["MULTI", &ceiling, &grant, "EXEC"]);
    // A restart opens a term above the ceiling, so the first grant needs one
    // again.
    server.crash();
    let mut client = server.client();
    let old = tail_lines(&server).len();
    let token = client.acquired("l", "bob", 30_000);
    let new = tail_lines_without_times(&server).split_off(old);
    let ceiling = format!("LOCK._CEILING {} 30000", token + RESERVE);
    let grant = format!("LOCK._GRANT l bob {token} 30000");
    assert_eq!(new, ["MULTI", &ceiling, &grant, "EXEC"]);
}

/// At every length of the log: each grant in it is covered by a ceiling that
/// stands before it, in the same transaction if it is new.
#[test]
fn no_grant_is_in_the_log_without_the_ceiling_that_covers_it() {
    let server = Server::with(&ALWAYS);
    let mut client = server.client();
    let script = "for i = 1, 300 do
        redis.call('LOCK.ACQUIRE', KEYS[1] .. i % 7, 'a', 1000 + i)
        redis.call('LOCK.RELEASE', KEYS[1] .. i % 7, 'a') end";
    client.call(&["EVAL", script, "1", "k"]);
    for step in 1..10 {
        let token = client.acquired("raised", "alice", 60_000);
        let far = token + step * (RESERVE / 3);
        client.say(&format!("LOCK.EXTEND raised alice 61000 RAISE {far}"));
        client.release("raised", "alice");
    }
    let (mut ceiling, mut depth, mut grants) = (0, 0, 0);
    for line in tail_lines(&server) {
        match line.split(' ').next() {
            Some("MULTI") => depth += 1,
            Some("EXEC") => depth -= 1,
            Some("LOCK._CEILING") => {
                assert_eq!(depth, 1, "{line} stands alone");
                assert!(number(&line, 1) >= ceiling, "{line} after {ceiling}");
                ceiling = number(&line, 1);
            }
            Some("LOCK._GRANT") => {
                assert!(number(&line, 3) <= ceiling, "{line} above {ceiling}");
                grants += 1;
            }
            _ => {}
        }
    }
    assert!(grants >= 318, "only {grants} grants");
    assert_eq!(depth, 0);
}

#[test]
fn a_log_holds_only_effects_and_the_servers_own_commands() {
    let server = Server::with(&ALWAYS);
    let mut client = server.client();
    client.acquired("k", "alice", 60_000);
    client.acquire("k", "bob", 60_000);
    client.say("LOCK.EXTEND k alice 70000");
    client.fence("k");
    client.release("k", "alice");
    let lines = tail_lines(&server);
    let grant = first(&lines, "LOCK._GRANT k alice");
    assert!(lines[..grant]
        .iter()
        .all(|line| line.starts_with("LOCK._C") || line == "MULTI"));
    let rest: Vec<&str> = lines[grant + 1..]
        .iter()
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    let expected = [
        "EXEC",
        "MULTI",
        "LOCK._CEILING",
        "LOCK._GRANT",
        "EXEC",
        "DEL",
    ];
    assert_eq!(rest, expected);
}

fn turn_on(client: &mut Client, preamble: &str) {
    client.say(&format!("CONFIG SET aof-use-rdb-preamble {preamble}"));
    client.say("CONFIG SET appendonly yes");
    super::log_file::wait_for_rewrite(client);
    eventually("the log is on", || {
        (client.info("aof_enabled") == "1").then_some(())
    });
}

#[test]
fn a_log_that_is_switched_on_while_the_server_runs_has_locks_and_ceiling() {
    for preamble in ["yes", "no"] {
        let mut server = Server::with(&["hz 100", "appendfsync always"]);
        let mut client = server.client();
        let held = Hold::take(&mut client, 0, "held", "alice");
        client.acquired("k", "bob", 60_000);
        let far = raise_far(&mut client, "k", "bob");
        client.release("k", "bob");
        turn_on(&mut client, preamble);
        server.kill();
        server.configure(&["appendonly yes"]);
        server.start_again();
        let mut client = server.client();
        held.assert_live(&mut client);
        let next = client.acquired("k", "carol", 60_000);
        assert!(next > far + RESERVE, "{preamble}: {next}");
        server.assert_healthy();
    }
}

#[test]
fn a_log_that_is_read_again_while_the_server_runs_changes_nothing() {
    let mut server = Server::with(&ALWAYS);
    let mut client = server.client();
    let held = Hold::take(&mut client, 0, "held", "alice");
    let released = Hold::take(&mut client, 0, "released", "bob");
    client.release("released", "bob");
    let sum = digest(&mut client);
    let before = tail(&server);
    for _ in 0..3 {
        client.say("DEBUG LOADAOF");
        assert_eq!(digest(&mut client), sum);
    }
    assert_eq!(lines(&tail(&server)), lines(&before));
    held.assert_live(&mut client);
    released.assert_over(&mut client);
    let next = client.acquired("new", "carol", 60_000);
    assert!(next > released.token);
    server.assert_healthy();
}
