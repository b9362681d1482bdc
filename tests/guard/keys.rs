//! What COMMAND GETKEYS and GETKEYSANDFLAGS say of a guarded call: the lock, to look
//! at it, and then what they say of the command alone.

use super::support::{Client, Server, Version};
use redis::Value;

const LOOKED_AT: [&str; 2] = ["RO", "access"];

/// Words that may stand behind a command's name: one of them is right for nearly
/// every command there is.
fn fillings(least: usize) -> Vec<Vec<&'static str>> {
    let mut all = Vec::new();
    let plain = ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"];
    for count in least.saturating_sub(1)..=plain.len() {
        all.push(plain[..count].to_vec());
    }
    for line in [
        "2 k1 k2",
        "2 k1 k2 LEFT",
        "2 k1 v1 k2 v2",
        "dst 2 k1 k2",
        "0 2 k1 k2 LEFT",
        "script 2 k1 k2 argument",
        "k1 k2 LEFT RIGHT 0",
        "STREAMS k1 k2 0 0",
        "COUNT 5 STREAMS k1 k2 0 0",
        "GROUP g c STREAMS k1 k2 > >",
        "k1 0 -1 BY n* STORE dst",
        "k1 BY n* GET m* STORE dst",
        "k1 13 38 200 km STORE dst",
        "k1 member 200 km STOREDIST dst",
        "k1 v GET",
        "k1 GET u8 0",
        "k1 SET u8 0 1",
        "AND dst k1 k2",
        "127.0.0.1 1 k1 0 5000",
        "127.0.0.1 1 k1 0 5000 COPY REPLACE",
    ] {
        all.push(line.split(' ').collect());
    }
    all
}

/// Every command of the server but ours, subcommands as two words.
fn names(client: &mut Client) -> Vec<Vec<String>> {
    let names = client.texts("COMMAND LIST");
    let names = names.into_iter().filter(|name| !name.starts_with("lock."));
    names
        .map(|name| name.split('|').map(str::to_owned).collect())
        .collect()
}

/// What a question for keys gets; `None` is an error.
fn ask(client: &mut Client, question: &str, words: &[&str]) -> Option<Vec<Value>> {
    let words = [&["COMMAND", question], words].concat();
    match client.try_call(&words) {
        Ok(Value::Array(keys)) => Some(keys),
        Ok(other) => panic!("{words:?}: {other:?}"),
        Err(_) => None,
    }
}

/// The server has two ways to find keys, which list them in another order.
fn in_order(keys: Vec<Value>) -> Vec<String> {
    let mut keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    keys.sort();
    keys
}

fn key_and_flags(value: &Value) -> (String, Vec<String>) {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let Value::Array(parts) = value else {
        panic!("{value:?}");
    };
    let flags = match &parts[1] {
        Value::Array(flags) | Value::Set(flags) => flags,
        other => panic!("{other:?}"),
    };
    let mut flags: Vec<String> = flags.iter().map(text).collect();
    flags.sort();
    (text(&parts[0]), flags)
}

#[test]
fn of_every_command_the_keys_are_those_of_the_command_alone_and_the_lock() {
    let mut server = Server::start();
    let mut client = server.client();
    let hides_keys_of_msetex = Version::of(&mut client).hides_keys_of_msetex();
    let (mut seen, mut compared) = (0, 0);
    let mut wrong = Vec::new();
    for name in names(&mut client) {
        let mut is_seen = false;
        for filling in fillings(0) {
            // What is a call of a command that is like it, and none of this one.
            let is_no_call = match name[0].as_str() {
                "georadius" => filling.get(1) == Some(&"member"),
                "xreadgroup" => filling.first() != Some(&"GROUP"),
                "msetex" => hides_keys_of_msetex,
                _ => false,
            };
            if is_no_call {
                continue;
            }
            let bare: Vec<&str> = name.iter().map(String::as_str).chain(filling).collect();
            let guarded = [&["LOCK.GUARD", "the-lock", "5"], &bare[..]].concat();
            let Some(keys) = ask(&mut client, "GETKEYS", &bare) else {
                // No call, or one whose keys the server finds in one of its two ways.
                let keys = ask(&mut client, "GETKEYS", &guarded).expect("the lock");
                assert_eq!(keys[0], Value::BulkString("the-lock".into()), "{guarded:?}");
                continue;
            };
            is_seen = true;
            compared += 1;
            let lock = Value::BulkString("the-lock".into());
            let expected = [&[lock], &keys[..]].concat();
            let told = ask(&mut client, "GETKEYS", &guarded).expect("keys");
            assert_eq!(told[0], expected[0], "the lock comes first");
            assert_eq!(in_order(told), in_order(expected), "{guarded:?}");
            let flags = |client: &mut Client, words: &[&str]| -> Vec<_> {
                let told = ask(client, "GETKEYSANDFLAGS", words).expect("it has keys");
                let mut told: Vec<_> = told.iter().map(key_and_flags).collect();
                told.sort();
                told
            };
            let mut expected = vec![("the-lock".to_owned(), LOOKED_AT.map(String::from).to_vec())];
            expected.extend(flags(&mut client, &bare));
            expected.sort();
            let told = flags(&mut client, &guarded);
            if told != expected {
                wrong.push(format!("{bare:?}: {told:?} is not {expected:?}"));
            }
        }
        seen += usize::from(is_seen);
    }
    println!("{compared} calls of {seen} commands");
    assert!(seen > 150, "{seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.assert_healthy();
}

#[test]
fn msetex_is_guarded_where_the_server_has_it_and_says_which_its_keys_are() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 60_000);
    let is_there = names(&mut client).contains(&vec!["msetex".to_owned()]);
    let hides_keys = Version::of(&mut client).hides_keys_of_msetex();
    let line = format!("LOCK.GUARD lock {token} MSETEX 1 k v");
    match (is_there, hides_keys) {
        (true, false) => assert_eq!(client.number(&line), 1),
        (true, true) => {
            let error = client.error_of(&line);
            assert!(error.contains("commands without keys"), "{error}");
        }
        (false, false) => {
            let error = client.error_of(&line);
            assert!(error.to_lowercase().contains("unknown"), "{error}");
        }
        (false, true) => panic!("it hides the keys of what it does not have"),
    }
    assert_eq!(client.exists("k"), is_there && !hides_keys);
}

#[test]
fn keys_of_any_bytes_are_found() {
    let server = Server::start();
    let mut client = server.client();
    let words: [&[u8]; 9] = [
        b"COMMAND",
        b"GETKEYS",
        b"LOCK.GUARD",
        b"\0lock",
        b"5",
        b"mset",
        b"\xff\0",
        b"1",
        b"",
    ];
    let all = [&words[..], &[b"2"]].concat();
    let keys = [&b"\0lock"[..], b"\xff\0", b""].map(|key| Value::BulkString(key.to_vec()));
    assert_eq!(client.call(&all), Value::Array(keys.to_vec()));
}
