//! What an operator sets, and how: CONFIG, redis.conf.

use crate::support::server::module;
use crate::support::{eventually, Server};
use redis::Value;
use std::fs;

const SETTING: &str = "redislock.max-ttl-ms";

fn setting(server: &Server) -> String {
    let mut client = server.client();
    let texts = client.texts(&format!("CONFIG GET {SETTING}"));
    let [name, value] = &texts[..] else {
        panic!("{texts:?}");
    };
    assert_eq!(name, SETTING);
    value.clone()
}

#[test]
fn the_longest_lease_is_a_day_unless_it_is_set() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(setting(&server), "86400000");
    client.acquired("day", "me", 86_400_000);
    let error = client.error_of("LOCK.ACQUIRE longer me 86400001");
    assert_eq!(
        error,
        "ERR ttl-ms must be from 1 to 86400000 (redislock.max-ttl-ms)"
    );
}

#[test]
fn config_set_changes_what_is_accepted_from_then_on() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 60_000);
    client.say(&format!("CONFIG SET {SETTING} 1000"));
    assert_eq!(setting(&server), "1000");
    for line in [
        "LOCK.ACQUIRE lock me 1001",
        "LOCK.ACQUIRE free me 1001",
        "LOCK.EXTEND lock me 1001",
        "LOCK.EXTEND lock me 1001 RAISE 1",
    ] {
        let error = client.error_of(line);
        assert_eq!(
            error, "ERR ttl-ms must be from 1 to 1000 (redislock.max-ttl-ms)",
            "{line}"
        );
    }
    assert!(!client.exists("free"));
    client.acquired("free", "me", 1_000);
    assert_eq!(client.number("LOCK.EXTEND lock me 1000"), 1);
    assert!(client.is_live("lock", token));
    client.say(&format!("CONFIG SET {SETTING} 315360000000"));
    client.acquired("years", "me", 315_360_000_000);
}

#[test]
fn a_lease_that_is_held_longer_than_allowed_now_stays() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 60_000);
    client.say(&format!("CONFIG SET {SETTING} 1"));
    crate::hourglass::run_out(&mut client, 1);
    crate::hourglass::run_out(&mut client, 1);
    assert!(client.is_live("lock", token));
    assert_eq!(client.release("lock", "me"), 1);
}

#[test]
fn a_bad_value_is_refused_and_changes_nothing() {
    let server = Server::start();
    let mut client = server.client();
    client.say(&format!("CONFIG SET {SETTING} 5000"));
    for value in [
        "0",
        "-1",
        "315360000001",
        "9223372036854775807",
        "long",
        "1e3",
        "5s",
    ] {
        let error = client.error_of(&format!("CONFIG SET {SETTING} {value}"));
        let reason = match value {
            "long" | "1e3" | "5s" => "argument couldn't be parsed into an integer",
            _ => "argument must be between 1 and 315360000000 inclusive",
        };
        assert!(error.contains(SETTING), "{value}: {error}");
        assert!(error.ends_with(reason), "{value}: {error}");
        assert_eq!(setting(&server), "5000", "{value}");
    }
    client.acquired("lock", "me", 5_000);
    client.error_of("LOCK.ACQUIRE lock me 5001");
}

#[test]
fn how_many_may_wait_is_set_and_refused_alike() {
    let server = Server::start();
    let mut client = server.client();
    client.say("CONFIG SET redislock.max-waiters 0");
    client.acquired("lock", "me", 60_000);
    let error = client.error_of("LOCK.ACQUIRE lock you 1000 BLOCK 1000");
    assert!(error.starts_with("QUEUEFULL"), "{error}");
    for value in ["-1", "10000001", "many"] {
        let error = client.error_of(&format!("CONFIG SET redislock.max-waiters {value}"));
        assert!(error.contains("redislock.max-waiters"), "{error}");
    }
    let texts = client.texts("CONFIG GET redislock.max-waiters");
    assert_eq!(texts, ["redislock.max-waiters", "0"]);
}

#[test]
fn config_get_lists_all_of_them() {
    let server = Server::start();
    let texts = server.client().texts("CONFIG GET redislock.*");
    let mut names: Vec<_> = texts.iter().step_by(2).collect();
    names.sort_unstable();
    let all = ["max-ttl-ms", "max-waiters", "quarantine"].map(|name| format!("redislock.{name}"));
    assert_eq!(names, all.iter().collect::<Vec<_>>());
}

#[test]
fn it_can_be_set_in_redis_conf_and_is_written_back_there() {
    let server = Server::with(&["redislock.max-ttl-ms 777"]);
    let mut client = server.client();
    assert_eq!(setting(&server), "777");
    client.acquired("lock", "me", 777);
    client.error_of("LOCK.ACQUIRE lock me 778");
    client.say(&format!("CONFIG SET {SETTING} 888"));
    client.say("CONFIG REWRITE");
    let conf = fs::read_to_string(server.directory().join("redis.conf")).expect("its file");
    assert!(conf.contains(&format!("{SETTING} 888")), "{conf}");
}

#[test]
fn a_bad_value_in_redis_conf_stops_the_start_with_a_reason() {
    for (line, range) in [
        ("redislock.max-ttl-ms 0", "1 and 315360000000"),
        ("redislock.max-waiters -1", "0 and 10000000"),
        ("redislock.quarantine maybe", "'yes' or 'no'"),
    ] {
        let mut server = Server::start();
        server.kill();
        server.configure(&[line]);
        let log = server.start_and_fail();
        let (setting, _) = line.split_once(' ').expect("a name and a value");
        let reason = log.lines().find(|line| line.contains(setting));
        let reason = reason.unwrap_or_else(|| panic!("{log}"));
        assert!(reason.contains(range), "{reason}");
    }
}

#[test]
fn the_module_can_neither_be_unloaded_nor_loaded_twice() {
    let mut server = Server::with(&["enable-module-command yes"]);
    let mut client = server.client();
    let token = client.acquired("lock", "me", 60_000);
    let error = client.error_of("MODULE UNLOAD redislock");
    assert!(error.contains("data types"), "{error}");
    let path = module().display().to_string();
    let error = client.error(&["MODULE", "LOAD", &path]);
    assert!(error.contains("loading the extension"), "{error}");
    assert!(client.is_live("lock", token));
    client.release("lock", "me");
    eventually("the key is gone", || {
        (client.say("DBSIZE") == Value::Int(0)).then_some(())
    });
    assert!(client.acquired("lock", "me", 1_000) > token);
    server.assert_healthy();
}

#[test]
fn module_list_shows_name_and_version() {
    let server = Server::start();
    let Value::Array(modules) = server.client().say("MODULE LIST") else {
        panic!("it is a list");
    };
    let shown = format!("{modules:?}");
    assert!(!modules.is_empty(), "{shown}");
    assert!(
        shown.contains("redislock") && shown.contains("int(100)"),
        "{shown}"
    );
}
