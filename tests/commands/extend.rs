//! LOCK.EXTEND: moving a lease, with TOKEN for one hold, with RAISE for its token.

use crate::hourglass::{run_out, until_free};
use crate::support::{Client, Server, Stream};
use redis::Value;

const LONG_MS: u64 = 600_000;

/// Tokens to a millisecond: how far a token is ahead of another in time.
const TOKENS_PER_MS: i64 = 1 << 12;
const MINUTE: i64 = 60_000 * TOKENS_PER_MS;

fn raise(client: &mut Client, owner: &str, token: i64) -> Option<i64> {
    client.number_or_nil(&format!("LOCK.EXTEND lock {owner} 600000 RAISE {token}"))
}

#[test]
fn the_holder_extends_and_keeps_its_token() {
    let server = Server::start();
    let (mut one, mut another) = (server.client(), server.client());
    let token = one.acquired("lock", "me", LONG_MS);
    assert_eq!(one.number("LOCK.EXTEND lock me 600000"), 1);
    assert_eq!(another.number("LOCK.EXTEND lock me 86400000"), 1);
    assert_eq!(one.fence("lock"), Some(token));
}

#[test]
fn who_does_not_hold_it_extends_nothing() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.number("LOCK.EXTEND lock me 600000"), 0);
    assert!(!client.exists("lock"));
    let token = client.acquired("lock", "me", LONG_MS);
    for owner in ["you", "ME", "m", "mee"] {
        let line = format!("LOCK.EXTEND lock {owner} 600000");
        assert_eq!(client.number(&line), 0, "{owner}");
    }
    assert_eq!(client.fence("lock"), Some(token));
    assert_eq!(client.release("lock", "me"), 1);
    assert_eq!(client.number("LOCK.EXTEND lock me 600000"), 0);
    assert!(!client.exists("lock"));
}

#[test]
fn a_lapsed_lease_cannot_be_extended() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 1);
    until_free(&mut client, "lock");
    assert_eq!(client.number("LOCK.EXTEND lock me 600000"), 0);
    let narrowed = format!("LOCK.EXTEND lock me 600000 TOKEN {token}");
    assert_eq!(client.number(&narrowed), 0);
    assert_eq!(raise(&mut client, "me", token), None);
    assert_eq!(client.fence("lock"), None);
}

#[test]
fn no_way_of_extending_shortens_a_lease() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 10_000);
    assert_eq!(client.number("LOCK.EXTEND lock me 1"), 1);
    let narrowed = format!("LOCK.EXTEND lock me 1 TOKEN {token}");
    assert_eq!(client.number(&narrowed), 1);
    let raised = format!("LOCK.EXTEND lock me 1 RAISE {}", token + 5);
    assert_eq!(client.number(&raised), token + 5);
    run_out(&mut client, 30);
    assert!(client.is_live("lock", token + 5));
}

#[test]
fn every_way_of_extending_moves_the_end_of_the_lease_away() {
    let server = Server::start();
    let mut client = server.client();
    for (key, option) in [
        ("plain", ""),
        ("narrowed", "'TOKEN', token"),
        ("raised", "'RAISE', token + 1"),
        ("raised-to-less", "'RAISE', 1"),
    ] {
        let comma = if option.is_empty() { "" } else { "," };
        let script = format!(
            "local token = redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 300)
             return redis.call('LOCK.EXTEND', KEYS[1], 'me', 600000 {comma} {option})"
        );
        client.call(&["EVAL", &script, "1", key]);
    }
    client.acquired("left-alone", "me", 300);
    until_free(&mut client, "left-alone");
    for key in ["plain", "narrowed", "raised", "raised-to-less"] {
        assert!(client.fence(key).is_some(), "{key}");
    }
}

#[test]
fn a_token_narrows_the_extension_to_the_hold_that_has_it() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("lock", "me", LONG_MS);
    client.release("lock", "me");
    let token = client.acquired("lock", "me", LONG_MS);
    for option in ["TOKEN", "token", "ToKeN"] {
        for wrong in [old, token - 1, token + 1, 1, (1 << 53) - 1] {
            let line = format!("LOCK.EXTEND lock me 600000 {option} {wrong}");
            assert_eq!(client.number(&line), 0, "{line}");
        }
        let line = format!("LOCK.EXTEND lock me 600000 {option} {token}");
        assert_eq!(client.number(&line), 1, "{line}");
        let line = format!("LOCK.EXTEND lock you 600000 {option} {token}");
        assert_eq!(client.number(&line), 0, "{line}");
    }
    assert_eq!(client.fence("lock"), Some(token));
}

#[test]
fn an_extension_with_the_wrong_token_moves_no_lease() {
    let server = Server::start();
    let mut client = server.client();
    let script = "local token = redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 100)
                  return redis.call('LOCK.EXTEND', KEYS[1], 'me', 600000, 'TOKEN', token - 1)";
    assert_eq!(client.call(&["EVAL", script, "1", "lock"]), Value::Int(0));
    until_free(&mut client, "lock");
}

#[test]
fn raising_to_its_own_or_a_lower_token_changes_no_token() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    for target in [token, token - 1, 1] {
        assert_eq!(raise(&mut client, "me", target), Some(token), "{target}");
        assert_eq!(client.fence("lock"), Some(token));
    }
}

#[test]
fn raising_gives_the_hold_the_larger_token_and_the_old_one_dies() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    let mut last = token;
    for (option, step) in [("RAISE", 1), ("raise", 1_000), ("RaIsE", MINUTE)] {
        let target = last + step;
        let line = format!("LOCK.EXTEND lock me 600000 {option} {target}");
        assert_eq!(client.number(&line), target, "{option}");
        assert_eq!(client.fence("lock"), Some(target));
        assert!(client.is_live("lock", target) && !client.is_live("lock", last));
        last = target;
    }
    assert_eq!(client.acquire("lock", "me", LONG_MS), Some(last));
    let narrowed = format!("LOCK.RELEASE lock me TOKEN {token}");
    assert_eq!(client.number(&narrowed), 0);
}

#[test]
fn after_a_raise_every_grant_of_any_key_is_above_it() {
    let server = Server::start();
    let mut client = server.client();
    let raised = client.acquired("lock", "me", LONG_MS) + 30 * MINUTE;
    assert_eq!(raise(&mut client, "me", raised), Some(raised));
    let elsewhere = client.acquired("elsewhere", "me", LONG_MS);
    assert!(elsewhere > raised);
    client.release("lock", "me");
    assert!(client.acquired("lock", "me", LONG_MS) > elsewhere);
}

#[test]
fn who_does_not_hold_it_raises_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("elsewhere", "me", LONG_MS);
    assert_eq!(raise(&mut client, "me", token + 10), None);
    assert!(!client.exists("lock"));
    let token = client.acquired("lock", "me", LONG_MS);
    assert_eq!(raise(&mut client, "you", token + 1_000_000), None);
    assert_eq!(client.fence("lock"), Some(token));
    let next = client.acquired("third", "me", LONG_MS);
    assert_eq!(next, token + 1, "the counter did not move");
}

/// The largest token that the error line allows.
fn bound_in(line: &str) -> i64 {
    let rest = line.strip_prefix("ERR RAISE goes to at most ");
    let number = rest.and_then(|rest| rest.split(':').next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn raise_goes_to_an_hour_ahead_of_the_clock_and_no_further() {
    let server = Server::start();
    let mut client = server.client();
    // The server started just now, and its tokens start at its clock.
    let token = client.acquired("lock", "me", LONG_MS);
    let line = format!("LOCK.EXTEND lock me 600000 RAISE {}", token + 61 * MINUTE);
    let bound = bound_in(&client.error_of(&line));
    let lead = bound - token;
    assert!((60 * MINUTE - 1..61 * MINUTE).contains(&lead), "{lead}");
    assert_eq!(raise(&mut client, "me", bound), Some(bound));
    let line = format!("LOCK.EXTEND lock me 600000 RAISE {}", bound + MINUTE);
    assert!(bound_in(&client.error_of(&line)) >= bound);
    assert_eq!(client.fence("lock"), Some(bound));
}

#[test]
fn a_raise_too_far_changes_neither_token_nor_counter_and_tells_nobody() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    let mut stream = Stream::of(server.port());
    let before = client.text("DEBUG DIGEST");
    for target in [token + 61 * MINUTE, (1 << 53) - 2, (1 << 53) - 1] {
        for (key, owner) in [("lock", "me"), ("lock", "you"), ("free", "me")] {
            let line = format!("LOCK.EXTEND {key} {owner} 86400000 RAISE {target}");
            bound_in(&client.error_of(&line));
        }
    }
    assert_eq!(client.text("DEBUG DIGEST"), before);
    assert_eq!(stream.heard(&mut client), Vec::<String>::new());
    assert_eq!(client.fence("lock"), Some(token));
    assert_eq!(client.acquired("next", "me", LONG_MS), token + 1);
}

#[test]
fn a_raise_too_far_moves_no_lease() {
    let server = Server::start();
    let mut client = server.client();
    let script = "
        redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 100)
        local said = redis.pcall('LOCK.EXTEND', KEYS[1], 'me', 600000, 'RAISE', 9007199254740991)
        return said.err";
    let Value::BulkString(error) = client.call(&["EVAL", script, "1", "lock"]) else {
        panic!("it is refused");
    };
    bound_in(&String::from_utf8_lossy(&error));
    until_free(&mut client, "lock");
}
