//! LOCK.ACQUIRE: who is granted, and what asking again means.

use crate::hourglass::{run_out, until_free};
use crate::support::{Client, Server};
use redis::Value;

const TOKEN_MOST: i64 = (1 << 53) - 1;
const LONG_MS: u64 = 600_000;

fn acquire_bytes(client: &mut Client, key: &[u8], owner: &[u8]) -> Option<i64> {
    match client.call(&[b"LOCK.ACQUIRE", key, owner, b"600000"]) {
        Value::Int(token) => Some(token),
        Value::Nil => None,
        other => panic!("{other:?}"),
    }
}

fn release_bytes(client: &mut Client, key: &[u8], owner: &[u8]) -> Value {
    client.call(&[b"LOCK.RELEASE", key, owner])
}

#[test]
fn a_free_lock_is_granted_with_a_token_that_is_live() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    assert!((1..=TOKEN_MOST).contains(&token), "{token}");
    assert_eq!(client.fence("lock"), Some(token));
    assert!(client.is_live("lock", token));
    assert_eq!(client.say("DBSIZE"), Value::Int(1));
}

#[test]
fn a_held_lock_is_nil_to_everybody_else_and_stays_as_it_is() {
    let server = Server::start();
    let (mut mine, mut other) = (server.client(), server.client());
    let token = mine.acquired("lock", "me", LONG_MS);
    for owner in ["you", "ME", "m", "me2"] {
        assert_eq!(other.acquire("lock", owner, LONG_MS), None, "{owner}");
        assert_eq!(mine.acquire("lock", owner, 1), None, "{owner}");
    }
    assert_eq!(mine.fence("lock"), Some(token));
    assert_eq!(mine.release("lock", "me"), 1);
}

#[test]
fn the_holder_that_asks_again_from_anywhere_gets_the_same_token() {
    let server = Server::start();
    let (mut one, mut another) = (server.client(), server.client());
    let token = one.acquired("lock", "me", LONG_MS);
    assert_eq!(one.acquire("lock", "me", LONG_MS), Some(token));
    assert_eq!(another.acquire("lock", "me", 1), Some(token));
    assert_eq!(one.fence("lock"), Some(token));
}

#[test]
fn one_release_ends_a_hold_that_was_asked_for_often() {
    let server = Server::start();
    let mut client = server.client();
    for _ in 0..5 {
        client.acquired("lock", "me", LONG_MS);
    }
    assert_eq!(client.release("lock", "me"), 1);
    assert!(!client.exists("lock"));
    assert_eq!(client.release("lock", "me"), 0);
}

#[test]
fn every_grant_has_a_larger_token_than_all_before() {
    let server = Server::start();
    let (mut one, mut another) = (server.client(), server.client());
    let mut last = 0;
    for round in 0..200 {
        let client = if round % 2 == 0 {
            &mut one
        } else {
            &mut another
        };
        let key = format!("lock:{}", round % 3);
        let token = client.acquired(&key, &format!("owner:{round}"), LONG_MS);
        assert!(token > last, "{token} after {last}");
        last = token;
        assert_eq!(client.release(&key, &format!("owner:{round}")), 1);
    }
    assert!(last <= TOKEN_MOST);
}

#[test]
fn keys_are_locks_of_their_own() {
    let server = Server::start();
    let mut client = server.client();
    let first = client.acquired("one", "me", LONG_MS);
    let second = client.acquired("two", "you", LONG_MS);
    assert!(second > first);
    assert_eq!(client.acquire("one", "you", LONG_MS), None);
    assert_eq!(client.acquire("two", "me", LONG_MS), None);
    assert_eq!(client.release("one", "me"), 1);
    assert!(client.is_live("two", second));
}

#[test]
fn asking_again_never_shortens_a_lease() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    assert_eq!(client.acquire("lock", "me", 1), Some(token));
    run_out(&mut client, 30);
    assert!(client.is_live("lock", token));
}

#[test]
fn asking_again_moves_the_end_of_the_lease_away() {
    let server = Server::start();
    let mut client = server.client();
    client.say("MULTI");
    client.say("LOCK.ACQUIRE lock me 300");
    client.say("LOCK.ACQUIRE lock me 600000");
    client.say("EXEC");
    run_out(&mut client, 320);
    assert!(client.fence("lock").is_some());
}

#[test]
fn a_lapsed_lease_belongs_to_nobody() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("lock", "me", 1);
    until_free(&mut client, "lock");
    assert!(!client.is_live("lock", old));
    assert_eq!(client.release("lock", "me"), 0);
    assert_eq!(client.number("LOCK.EXTEND lock me 1000"), 0);
    let new = client.acquired("lock", "you", LONG_MS);
    assert!(new > old);
    assert_eq!(client.acquire("lock", "me", LONG_MS), None);
    assert!(!client.is_live("lock", old));
}

#[test]
fn who_comes_back_after_a_lapse_gets_a_larger_token() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("lock", "me", 1);
    until_free(&mut client, "lock");
    let new = client.acquired("lock", "me", LONG_MS);
    assert!(new > old);
    assert!(!client.is_live("lock", old));
}

#[test]
fn the_shortest_and_the_longest_lease_are_granted() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("short", "me", 1);
    client.acquired("long", "me", 86_400_000);
    until_free(&mut client, "short");
    assert!(client.fence("long").is_some());
}

/// Keys that text would get wrong, and one of every size that matters.
fn strange_keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = vec![
        vec![],
        b"\0".to_vec(),
        b"\0\0".to_vec(),
        b"a\0b".to_vec(),
        b"a".to_vec(),
        b"\r\n".to_vec(),
        b"$-1\r\n:1\r\n".to_vec(),
        vec![0xff],
        vec![0xff, 0xfe, 0x80],
        b"\xc3\x28".to_vec(),
        b" key with spaces ".to_vec(),
        b"%s%n%.*s".to_vec(),
    ];
    keys.extend([21, 22, 23, 24, 255, 256, 512, 70_000].map(|length| vec![b'k'; length]));
    keys
}

#[test]
fn any_bytes_are_a_key() {
    let server = Server::start();
    let mut client = server.client();
    let keys = strange_keys();
    let mut tokens = Vec::new();
    for key in &keys {
        let token = acquire_bytes(&mut client, key, b"me").expect("it is free");
        tokens.push(token);
    }
    assert_eq!(client.say("DBSIZE"), Value::Int(keys.len() as i64));
    for (key, token) in keys.iter().zip(tokens) {
        let name = key.escape_ascii().to_string();
        let said = client.call(&[&b"LOCK.FENCE"[..], key, token.to_string().as_bytes()]);
        assert_eq!(said, Value::Int(1), "{name}");
        assert_eq!(acquire_bytes(&mut client, key, b"you"), None, "{name}");
        let said = release_bytes(&mut client, key, b"me");
        assert_eq!(said, Value::Int(1), "{name}");
    }
    assert_eq!(client.say("DBSIZE"), Value::Int(0));
}

/// Owners that differ in as little as possible, of 1 to 512 bytes.
fn strange_owners() -> Vec<Vec<u8>> {
    let mut owners: Vec<Vec<u8>> = vec![
        b"a".to_vec(),
        b"A".to_vec(),
        b"a\0".to_vec(),
        b"\0a".to_vec(),
        b"\0".to_vec(),
        b"\0\0".to_vec(),
        b" ".to_vec(),
        b"\r\n".to_vec(),
        vec![0xff],
        vec![0xfe],
        b"%s%n%.*s".to_vec(),
    ];
    for length in [21, 22, 23, 24, 511, 512] {
        owners.push(vec![b'o'; length]);
        let mut zeros = vec![b'o'; length];
        zeros[length - 1] = 0;
        owners.push(zeros);
    }
    owners
}

#[test]
fn any_1_to_512_bytes_are_an_owner_and_only_the_same_bytes_are_the_same() {
    let server = Server::start();
    let mut client = server.client();
    let owners = strange_owners();
    for owner in &owners {
        let name = owner.escape_ascii().to_string();
        let token = acquire_bytes(&mut client, b"lock", owner).expect("it is free");
        for other in owners.iter().filter(|&other| other != owner) {
            assert_eq!(acquire_bytes(&mut client, b"lock", other), None, "{name}");
            let said = release_bytes(&mut client, b"lock", other);
            assert_eq!(said, Value::Int(0), "{name}");
            let said = client.call(&[b"LOCK.EXTEND", &b"lock"[..], other, b"600000"]);
            assert_eq!(said, Value::Int(0), "{name}");
        }
        let again = acquire_bytes(&mut client, b"lock", owner);
        assert_eq!(again, Some(token), "{name}");
        let said = release_bytes(&mut client, b"lock", owner);
        assert_eq!(said, Value::Int(1), "{name}");
    }
}

#[test]
fn a_command_may_be_written_in_any_case() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.number("lock.acquire lock me 600000");
    assert_eq!(client.number("Lock.Fence lock"), token);
    assert_eq!(client.number("lOCK.eXTEND lock me 600000"), 1);
    assert_eq!(client.number("lock.release lock me"), 1);
}
