//! Access lists: nobody reaches a key or a command through LOCK.GUARD that they
//! could not reach without it.

use super::support::{Client, Server};

/// Calls of many kinds, each with the keys `{r}`, `{w}` and `{o}` put in.
const CALLS: [&str; 34] = [
    "GET {1}",
    "SET {1} v",
    "SET {1} v GET",
    "GETDEL {1}",
    "DEL {1}",
    "DEL {1} {2}",
    "EXISTS {1}",
    "TYPE {1}",
    "STRLEN {1}",
    "EXPIRE {1} 1000",
    "COPY {1} {2}",
    "RENAME {1} {2}",
    "MGET {1} {2}",
    "MSET {1} a {2} b",
    "LPUSH {1} a",
    "LMPOP 2 {1} {2} LEFT",
    "LMOVE {1} {2} LEFT LEFT",
    "SINTERCARD 2 {1} {2}",
    "SUNIONSTORE {1} {2}",
    "ZUNIONSTORE {1} 1 {2}",
    "ZRANGESTORE {1} {2} 0 -1",
    "SORT {1}",
    "SORT {1} STORE {2}",
    "SORT_RO {1}",
    "BITFIELD {1} GET u8 0",
    "BITFIELD {1} SET u8 0 1",
    "BITOP AND {1} {2}",
    "GEOSEARCHSTORE {1} {2} FROMLONLAT 1 1 BYRADIUS 1 km",
    "GEORADIUS {1} 1 1 1 km STORE {2}",
    "PFCOUNT {1} {2}",
    "PFMERGE {1} {2}",
    "XADD {1} * f v",
    "OBJECT ENCODING {1}",
    "DUMP {1}",
];

/// Whether a call is let through by the access list.
fn is_let_in(client: &mut Client, line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    match client.try_call(&words) {
        Ok(_) => true,
        Err(error) => error.code() != Some("NOPERM") && !is_denied(&error.to_string()),
    }
}

/// Redis 7.0 has other words for a command that a module calls.
fn is_denied(error: &str) -> bool {
    error.starts_with("NOPERM ") || error.contains("acl verification failed")
}

/// Each call on each pair of keys: what is let in with the guard is let in without
/// it, and the other way round. How many were let in, and how many not.
fn agrees(server: &Server, client: &mut Client, lock: &str, keys: &[&str]) -> (usize, usize) {
    let mut admin = server.client();
    let token = admin.acquired(lock, "me", 600_000);
    let (mut inside, mut outside) = (0, 0);
    for call in CALLS {
        for one in keys {
            for other in keys {
                let bare = call.replace("{1}", one).replace("{2}", other);
                let is_allowed = is_let_in(client, &bare);
                let before = admin.text("DEBUG DIGEST");
                let guarded = is_let_in(client, &format!("LOCK.GUARD {lock} {token} {bare}"));
                assert_eq!(guarded, is_allowed, "{bare}");
                if guarded {
                    inside += 1;
                } else {
                    assert_eq!(admin.text("DEBUG DIGEST"), before, "{bare}");
                    outside += 1;
                }
                admin.say(&format!("DEL {one} {other}"));
            }
        }
    }
    (inside, outside)
}

#[test]
fn a_user_with_keys_of_its_own_reaches_no_others() {
    let server = Server::start();
    let mut client = server.user("~a:* +@all");
    let (inside, outside) = agrees(&server, &mut client, "a:lock", &["a:1", "b:1", "a:2"]);
    assert!(inside > 50 && outside > 50, "{inside}, {outside}");
}

#[test]
fn a_user_who_may_not_reach_the_lock_guards_nothing_with_it() {
    let server = Server::start();
    let mut client = server.user("~a:* +@all");
    let mut admin = server.client();
    let token = admin.acquired("b:lock", "me", 600_000);
    for inner in ["SET a:1 v", "GET a:1", "NOTHING", "DEL b:lock", "LOCK.HELP"] {
        let error = client.error_of(&format!("LOCK.GUARD b:lock {token} {inner}"));
        assert!(error.starts_with("NOPERM "), "{inner}: {error}");
    }
    assert!(!admin.exists("a:1"));
}

#[test]
fn a_user_who_may_guard_runs_no_command_that_it_may_not_run() {
    let server = Server::start();
    let mut admin = server.client();
    let token = admin.acquired("lock", "me", 600_000);
    let mut client = server.user("~* +lock.guard +get +object|encoding");
    admin.say("SET k v");
    assert_eq!(client.text(&format!("LOCK.GUARD lock {token} GET k")), "v");
    client.say(&format!("LOCK.GUARD lock {token} OBJECT ENCODING k"));
    for inner in [
        "SET k w",
        "DEL k",
        "OBJECT FREQ k",
        "GETSET k w",
        "MGET k",
        "FLUSHALL x y",
    ] {
        let error = client.error_of(&format!("LOCK.GUARD lock {token} {inner}"));
        assert!(
            is_denied(&error) || inner.starts_with("FLUSH"),
            "{inner}: {error}"
        );
    }
    assert_eq!(admin.text("GET k"), "v");
    let keys = ["k", "l"];
    let (inside, outside) = agrees(&server, &mut client, "other", &keys);
    assert!(inside > 0 && outside > inside, "{inside}, {outside}");
    let mut client = server.user("~* +@all -lock.guard");
    let error = client.error_of(&format!("LOCK.GUARD lock {token} GET k"));
    assert!(error.starts_with("NOPERM "), "{error}");
}

#[test]
fn a_user_who_may_read_some_keys_and_write_others_does_no_more_through_the_guard() {
    let server = Server::start();
    let mut client = server.user("%R~r:* %W~w:* +@all");
    let keys = ["r:1", "w:1", "o:1", "r:2"];
    let (inside, outside) = agrees(&server, &mut client, "r:lock", &keys);
    assert!(inside > 30 && outside > 100, "{inside}, {outside}");
    // To look at the lock is to read it.
    let mut admin = server.client();
    let token = admin.acquired("w:lock", "me", 600_000);
    let error = client.error_of(&format!("LOCK.GUARD w:lock {token} SET w:1 v"));
    assert!(error.starts_with("NOPERM "), "{error}");
}

#[test]
fn selectors_are_kept_too() {
    let server = Server::start();
    let mut client = server.user("+lock.guard ~lock (+get ~a:*) (+set ~b:*)");
    let mut admin = server.client();
    let token = admin.acquired("lock", "me", 600_000);
    for call in ["GET a:1", "SET b:1 v", "GET b:1", "SET a:1 v", "GET c:1"] {
        assert!(
            !is_let_in(&mut client, &format!("LOCK.GUARD lock {token} {call}")),
            "{call}"
        );
    }
    assert_eq!(admin.number("DBSIZE"), 1);
}

#[test]
fn scripts_and_transactions_are_no_way_around() {
    let server = Server::start();
    let mut client = server.user("~a:* +@all -set");
    let mut admin = server.client();
    let token = admin.acquired("a:lock", "me", 600_000).to_string();
    let script = "return redis.call('LOCK.GUARD', KEYS[1], ARGV[1], 'APPEND', ARGV[2], 'x')";
    let mut eval = |key: &str| {
        client
            .try_call(&["EVAL", script, "1", "a:lock", &token, key])
            .is_ok()
    };
    assert!(eval("a:1"));
    assert!(!eval("b:1"));
    let script = "return redis.call('LOCK.GUARD', KEYS[1], ARGV[1], 'SET', 'a:2', 'x')";
    assert!(client
        .try_call(&["EVAL", script, "1", "a:lock", &token])
        .is_err());
    client.say("MULTI");
    let line = format!("LOCK.GUARD a:lock {token} APPEND b:1 x");
    assert!(client.error_of(&line).starts_with("NOPERM "));
    assert!(client.error_of("EXEC").starts_with("EXECABORT "));
    for key in ["b:1", "a:2"] {
        assert!(!admin.exists(key));
    }
}
