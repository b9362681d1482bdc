//! What the server knows about the commands: COMMAND INFO, GETKEYS and DOCS. What it
//! makes of that for access lists is in `acl.rs`.

use crate::grammar::fields;
use crate::support::{Client, Server};
use redis::Value;

/// What clients may send.
pub const COMMANDS: [&str; 7] = [
    "lock.acquire",
    "lock.release",
    "lock.extend",
    "lock.fence",
    "lock.guard",
    "lock.info",
    "lock.help",
];

/// A row of COMMAND INFO: arity, flags, first key, last key, step.
#[derive(Debug, PartialEq)]
struct Description {
    arity: i64,
    flags: Vec<String>,
    keys: [i64; 3],
}

pub fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) | Value::Set(values) => values,
        other => panic!("{other:?}"),
    }
}

pub fn integer(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => panic!("{other:?}"),
    }
}

fn describe(client: &mut Client, command: &str) -> Description {
    let said = client.say(&format!("COMMAND INFO {command}"));
    let row = list(&list(&said)[0]);
    let mut flags: Vec<String> = list(&row[2]).iter().map(text).collect();
    flags.sort();
    assert_eq!(text(&row[0]), command);
    Description {
        arity: integer(&row[1]),
        flags,
        keys: [3, 4, 5].map(|column| integer(&row[column])),
    }
}

fn description(arity: i64, flags: &[&str], keys: [i64; 3]) -> Description {
    let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    Description { arity, flags, keys }
}

#[test]
fn command_info_says_arity_flags_and_where_the_key_is() {
    let server = Server::start();
    let mut client = server.client();
    let one_key = [1, 1, 1];
    for (command, expected) in [
        (
            "lock.acquire",
            description(
                -4,
                &["blocking", "denyoom", "fast", "module", "write"],
                one_key,
            ),
        ),
        (
            "lock.release",
            description(-3, &["fast", "module", "write"], one_key),
        ),
        (
            "lock.extend",
            description(-4, &["fast", "module", "write"], one_key),
        ),
        (
            "lock.fence",
            description(-2, &["fast", "module", "readonly"], one_key),
        ),
        (
            "lock.guard",
            description(-4, &["module", "movablekeys", "write"], one_key),
        ),
        (
            "lock.info",
            description(2, &["module", "readonly"], one_key),
        ),
        (
            "lock.help",
            description(1, &["fast", "loading", "module", "stale"], [0, 0, 0]),
        ),
    ] {
        assert_eq!(describe(&mut client, command), expected, "{command}");
    }
}

#[test]
fn effects_declare_their_key_and_how_many_words_they_have() {
    let server = Server::start();
    let mut client = server.client();
    for (command, arity, keys) in [
        ("lock._grant", -5, [1, 1, 1]),
        ("lock._end", 4, [1, 1, 1]),
        ("lock._ceiling", 4, [0, 0, 0]),
    ] {
        let said = client.say(&format!("COMMAND INFO {command}"));
        // Servers that know internal commands do not show them to clients.
        if list(&said)[0] == Value::Nil {
            continue;
        }
        let found = describe(&mut client, command);
        assert_eq!((found.arity, found.keys), (arity, keys), "{command}");
        let is_write = found.flags.contains(&"write".to_owned());
        let is_limited = found.flags.contains(&"denyoom".to_owned());
        assert!(is_write && !is_limited, "{command}: {:?}", found.flags);
    }
}

#[test]
fn command_getkeys_finds_the_key_and_only_the_key() {
    let server = Server::start();
    let mut client = server.client();
    for line in [
        "LOCK.ACQUIRE the-key me 1000",
        "LOCK.RELEASE the-key me",
        "LOCK.RELEASE the-key me TOKEN 5",
        "LOCK.EXTEND the-key me 1000 RAISE 5",
        "LOCK.FENCE the-key",
        "LOCK.FENCE the-key 5",
        "LOCK.INFO the-key",
        "LOCK.ACQUIRE the-key me 1000 BLOCK 5 LIMIT 3 DELAY 5",
        "LOCK.GUARD the-key 5 NOTHING x",
    ] {
        let keys = client.texts(&format!("COMMAND GETKEYS {line}"));
        assert_eq!(keys, ["the-key"], "{line}");
    }
}

#[test]
fn the_server_knows_who_changes_its_key_and_who_only_looks() {
    let server = Server::start();
    let mut client = server.client();
    for (line, expected) in [
        (
            "LOCK.ACQUIRE k me 1000",
            ["RW", "access", "update"].as_slice(),
        ),
        ("LOCK.RELEASE k me", &["RW", "delete"]),
        ("LOCK.EXTEND k me 1000", &["RW", "access", "update"]),
        ("LOCK.FENCE k", &["RO", "access"]),
        ("LOCK.INFO k", &["RO", "access"]),
        ("LOCK.GUARD k 5 SET other v", &["RO", "access"]),
    ] {
        let said = client.say(&format!("COMMAND GETKEYSANDFLAGS {line}"));
        let key = list(&list(&said)[0]);
        assert_eq!(text(&key[0]), "k");
        let mut flags: Vec<String> = list(&key[1]).iter().map(text).collect();
        flags.sort();
        assert_eq!(flags, expected, "{line}");
    }
}

/// What COMMAND INFO says of a command in this column.
fn column(client: &mut Client, command: &str, column: usize) -> Value {
    let said = client.say(&format!("COMMAND INFO {command}"));
    list(&list(&said)[0])[column].clone()
}

/// The flags of what is done to the key, by which ACL decides: ACCESS is to read, UPDATE
/// and DELETE are to write. `acl.rs` shows what follows.
#[test]
fn command_info_says_what_each_command_does_to_its_key() {
    let server = Server::start();
    let mut client = server.client();
    for (command, expected) in [
        ("lock.acquire", ["RW", "access", "update"].as_slice()),
        ("lock.release", &["RW", "delete"]),
        ("lock.extend", &["RW", "access", "update"]),
        ("lock.fence", &["RO", "access"]),
        ("lock.info", &["RO", "access"]),
        // It may have more keys, which are asked for.
        ("lock.guard", &["RO", "access", "incomplete"]),
    ] {
        let specs = column(&mut client, command, 8);
        let [spec] = list(&specs) else {
            panic!("{command}: {specs:?}");
        };
        let flags = fields(spec).into_iter().find(|(name, _)| name == "flags");
        let (_, flags) = flags.expect("it has flags");
        let mut flags: Vec<String> = list(flags).iter().map(text).collect();
        flags.sort();
        assert_eq!(flags, expected, "{command}");
    }
    assert_eq!(list(&column(&mut client, "lock.help", 8)), []);
}

/// A token and what is left of a lease differ from server to server, and a guarded
/// command may do anything. Each command has one key or none: clients and proxies need
/// not be told where it goes, or what to do with the replies of many servers.
#[test]
fn tips_say_whose_replies_are_not_the_same_everywhere() {
    let server = Server::start();
    let mut client = server.client();
    for command in COMMANDS {
        let tips: Vec<String> = list(&column(&mut client, command, 7))
            .iter()
            .map(text)
            .collect();
        let expected = match command {
            "lock.acquire" | "lock.guard" | "lock.info" => ["nondeterministic_output"].as_slice(),
            _ => &[],
        };
        assert_eq!(tips, expected, "{command}");
    }
}

/// The keys of a guarded command are in `tests/guard/keys.rs`.
#[test]
fn commands_without_keys_have_none_and_calls_without_a_key_are_no_calls() {
    let server = Server::start();
    let mut client = server.client();
    for line in [
        "LOCK.HELP",
        "LOCK.ACQUIRE",
        "LOCK.ACQUIRE k me",
        "LOCK.GUARD k 5",
        "LOCK.INFO k k",
    ] {
        for question in ["GETKEYS", "GETKEYSANDFLAGS"] {
            let error = client.error_of(&format!("COMMAND {question} {line}"));
            // Redis 7.0 takes no call of one word.
            let expected = ["no key arguments", "Invalid number", "wrong number"];
            let is_expected = expected.iter().any(|words| error.contains(words));
            assert!(is_expected, "{line}: {error}");
        }
    }
}
