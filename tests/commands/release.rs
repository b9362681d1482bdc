//! LOCK.RELEASE: what it ends, and what it leaves alone.

use crate::hourglass::until_free;
use crate::support::Server;

const LONG_MS: u64 = 600_000;

#[test]
fn the_holder_releases_once_and_the_key_is_gone() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    assert_eq!(client.release("lock", "me"), 1);
    assert!(!client.exists("lock"));
    assert_eq!(client.fence("lock"), None);
    assert!(!client.is_live("lock", token));
    assert_eq!(client.release("lock", "me"), 0);
}

#[test]
fn a_released_lock_goes_to_the_next_with_a_larger_token() {
    let server = Server::start();
    let (mut mine, mut other) = (server.client(), server.client());
    let old = mine.acquired("lock", "me", LONG_MS);
    assert_eq!(other.acquire("lock", "you", LONG_MS), None);
    assert_eq!(mine.release("lock", "me"), 1);
    let new = other.acquired("lock", "you", LONG_MS);
    assert!(new > old);
    assert_eq!(mine.release("lock", "me"), 0);
    assert!(other.is_live("lock", new));
}

#[test]
fn releasing_from_another_connection_is_the_same() {
    let server = Server::start();
    let (mut one, mut another) = (server.client(), server.client());
    one.acquired("lock", "me", LONG_MS);
    assert_eq!(another.release("lock", "me"), 1);
    assert_eq!(one.fence("lock"), None);
}

#[test]
fn who_does_not_hold_it_releases_nothing() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.release("lock", "me"), 0);
    assert!(!client.exists("lock"));
    let token = client.acquired("lock", "me", LONG_MS);
    for owner in ["you", "ME", "m", "mee"] {
        assert_eq!(client.release("lock", owner), 0, "{owner}");
    }
    assert_eq!(client.fence("lock"), Some(token));
}

#[test]
fn a_token_narrows_the_release_to_the_hold_that_has_it() {
    let server = Server::start();
    let mut client = server.client();
    for option in ["TOKEN", "token", "tOkEn"] {
        let old = client.acquired("lock", "me", LONG_MS);
        assert_eq!(client.release("lock", "me"), 1);
        let new = client.acquired("lock", "me", LONG_MS);
        for wrong in [old, new - 1, new + 1, 1, (1 << 53) - 1] {
            let line = format!("LOCK.RELEASE lock me {option} {wrong}");
            assert_eq!(client.number(&line), 0, "{line}");
        }
        assert!(client.is_live("lock", new), "{option}");
        let other = format!("LOCK.RELEASE lock you {option} {new}");
        assert_eq!(client.number(&other), 0, "{other}");
        let right = format!("LOCK.RELEASE lock me {option} {new}");
        assert_eq!(client.number(&right), 1, "{right}");
        assert!(!client.exists("lock"));
        assert_eq!(client.number(&right), 0, "{right}");
    }
}

#[test]
fn a_lapsed_hold_cannot_be_released() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 1);
    until_free(&mut client, "lock");
    assert_eq!(client.release("lock", "me"), 0);
    let line = format!("LOCK.RELEASE lock me TOKEN {token}");
    assert_eq!(client.number(&line), 0);
}

#[test]
fn a_late_duplicate_with_its_token_does_not_end_the_next_hold() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("lock", "me", 1);
    until_free(&mut client, "lock");
    let new = client.acquired("lock", "me", LONG_MS);
    let late = format!("LOCK.RELEASE lock me TOKEN {old}");
    assert_eq!(client.number(&late), 0);
    assert!(client.is_live("lock", new));
}

#[test]
fn a_token_of_another_key_ends_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let one = client.acquired("one", "me", LONG_MS);
    let two = client.acquired("two", "me", LONG_MS);
    let crossed = format!("LOCK.RELEASE one me TOKEN {two}");
    assert_eq!(client.number(&crossed), 0);
    assert!(client.is_live("one", one) && client.is_live("two", two));
}
