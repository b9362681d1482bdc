//! What an operator sets: the longest lease, and nothing else.

use crate::support::server::module;
use crate::support::{eventually, Server};
use redis::Value;
use std::fs;
use std::process::{Command, Stdio};

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
        assert!(error.starts_with("ERR "), "{value}: {error}");
        assert_eq!(setting(&server), "5000", "{value}");
    }
    client.acquired("lock", "me", 5_000);
    client.error_of("LOCK.ACQUIRE lock me 5001");
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
    let reasons = start_with(&[], &["redislock.max-ttl-ms 0"]);
    assert!(reasons.contains("redislock.max-ttl-ms"), "{reasons}");
}

#[test]
fn a_module_argument_stops_the_start_with_a_reason() {
    let log = start_with(&["someargument"], &[]);
    let reasons: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("<redislock>"))
        .collect();
    let [reason] = reasons[..] else {
        panic!("{log}");
    };
    assert!(
        reason.contains("cannot be loaded: it takes no arguments"),
        "{reason}"
    );
    assert!(
        reason.contains(SETTING),
        "it says what to do instead: {reason}"
    );
}

/// The log of a server that is to give up because of how it loads the module.
/// It has a socket instead of a port: nobody is to come.
fn start_with(arguments: &[&str], settings: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let conf = directory.path().join("redis.conf");
    let module = module().display().to_string();
    let load = [&["loadmodule", &module], arguments].concat().join(" ");
    let lines = [
        &["port 0", "unixsocket ./socket", "save \"\"", &load],
        settings,
    ]
    .concat();
    fs::write(&conf, lines.join("\n")).expect("a file of our own");
    let binary = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
    let log = fs::File::create(directory.path().join("log")).expect("a file of our own");
    let mut server = Command::new(binary)
        .arg(&conf)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("there is a server");
    let ended = crate::support::eventually::within(crate::support::patience(), || {
        server.try_wait().expect("a child")
    });
    server.kill().ok();
    server.wait().expect("a child");
    let log = fs::read_to_string(directory.path().join("log")).expect("its log");
    let status = ended.unwrap_or_else(|| panic!("it runs:\n{log}"));
    assert!(!status.success(), "{log}");
    log
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
