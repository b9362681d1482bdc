//! What stands behind the module's path: `loadmodule`, MODULE LOAD and LOADEX, and what
//! CONFIG REWRITE makes of it.

use crate::support::server::module;
use crate::support::{Client, Server};
use std::fs;

/// A server that does not run, whose redis.conf loads the module with these arguments.
fn prepared(arguments: &str, settings: &[&str]) -> Server {
    let mut server = Server::with(settings);
    server.kill();
    let conf = fs::read_to_string(server.conf_path()).expect("its file");
    let load = format!("loadmodule {}", module().display());
    assert!(conf.contains(&load), "{conf}");
    let conf = conf.replace(&load, &format!("{load} {arguments}"));
    fs::write(server.conf_path(), conf).expect("its file");
    server
}

fn started(arguments: &str, settings: &[&str]) -> Server {
    let mut server = prepared(arguments, settings);
    start(&mut server);
    server
}

fn start(server: &mut Server) {
    let ended = server.start_on_file_or_end();
    assert!(ended.is_none(), "{}", server.log());
}

/// A server that runs without the module.
fn without_module() -> Server {
    let mut server = Server::with(&["enable-module-command yes"]);
    server.kill();
    let ended = server.start_without_module_or_end();
    assert!(ended.is_none(), "{}", server.log());
    server
}

fn settings(client: &mut Client) -> [String; 2] {
    ["max-ttl-ms", "max-waiters"].map(|name| {
        let texts = client.texts(&format!("CONFIG GET redislock.{name}"));
        texts.last().expect("a value").clone()
    })
}

/// Whether a line with these words is in redis.conf.
fn has_line(server: &Server, words: &str) -> bool {
    let conf = fs::read_to_string(server.conf_path()).expect("its file");
    conf.lines().any(|line| line == words)
}

#[test]
fn arguments_of_loadmodule_are_what_the_settings_are() {
    let server = started("max-ttl-ms 60000 MAX-WAITERS 0", &[]);
    let mut client = server.client();
    assert_eq!(settings(&mut client), ["60000", "0"]);
    client.acquired("lock", "me", 60_000);
    let error = client.error_of("LOCK.ACQUIRE lock me 60001");
    assert_eq!(
        error,
        "ERR ttl-ms must be from 1 to 60000 (redislock.max-ttl-ms)"
    );
    let error = client.error_of("LOCK.ACQUIRE lock you 1000 BLOCK 1000");
    assert!(error.starts_with("QUEUEFULL"), "{error}");
}

#[test]
fn a_line_of_redis_conf_beats_an_argument() {
    let server = started(
        "max-ttl-ms 60000 max-waiters 500",
        &["redislock.max-ttl-ms 70000"],
    );
    assert_eq!(settings(&mut server.client()), ["70000", "500"]);
}

#[test]
fn module_load_takes_the_same_arguments() {
    let server = without_module();
    let mut client = server.client();
    let path = module().display().to_string();
    let arguments = ["max-waiters", "7", "quarantine", "YES"];
    client.call(&[&["MODULE", "LOAD", &path], &arguments[..]].concat());
    assert_eq!(settings(&mut client), ["86400000", "7"]);
    let texts = client.texts("CONFIG GET redislock.quarantine");
    assert_eq!(texts, ["redislock.quarantine", "yes"]);
    client.say("CONFIG SET redislock.quarantine no");
    client.acquired("lock", "me", 1_000);
}

#[test]
fn config_of_loadex_beats_its_arguments() {
    let server = without_module();
    let mut client = server.client();
    let path = module().display().to_string();
    client.call(&[
        "MODULE",
        "LOADEX",
        &path,
        "CONFIG",
        "redislock.max-ttl-ms",
        "5000",
        "ARGS",
        "max-ttl-ms",
        "60000",
        "max-waiters",
        "7",
    ]);
    assert_eq!(settings(&mut client), ["5000", "7"]);
}

/// Rewrites redis.conf and starts again on it.
fn rewritten(server: &mut Server) -> Client {
    server.client().say("CONFIG REWRITE");
    server.kill();
    start(server);
    server.client()
}

#[test]
fn what_is_rewritten_starts_with_the_same_settings() {
    let mut server = started("max-ttl-ms 60000 max-waiters 500", &[]);
    let mut client = rewritten(&mut server);
    assert_eq!(settings(&mut client), ["60000", "500"]);
    assert!(!has_line(&server, "redislock.max-ttl-ms 60000"));
    assert!(!has_line(&server, "redislock.quarantine yes"));
    client.say("CONFIG SET redislock.quarantine yes");
    let mut client = rewritten(&mut server);
    assert!(has_line(&server, "redislock.quarantine yes"));
    let texts = client.texts("CONFIG GET redislock.quarantine");
    assert_eq!(texts, ["redislock.quarantine", "yes"]);
    // What was set beats the argument, which stays.
    client.say("CONFIG SET redislock.max-ttl-ms 70000");
    let mut client = rewritten(&mut server);
    assert_eq!(settings(&mut client), ["70000", "500"]);
    assert!(has_line(&server, "redislock.max-ttl-ms 70000"));
    // Back to the argument.
    client.say("CONFIG SET redislock.max-ttl-ms 60000");
    let mut client = rewritten(&mut server);
    assert_eq!(settings(&mut client), ["60000", "500"]);
    // To what would be the default without it.
    client.say("CONFIG SET redislock.max-ttl-ms 86400000");
    let mut client = rewritten(&mut server);
    assert_eq!(settings(&mut client), ["86400000", "500"]);
    server.assert_healthy();
}

#[test]
fn settings_of_redis_conf_survive_a_rewrite_at_the_default_too() {
    let mut server = Server::with(&["redislock.max-ttl-ms 777"]);
    let mut client = rewritten(&mut server);
    assert_eq!(settings(&mut client), ["777", "10000"]);
    client.say("CONFIG SET redislock.max-ttl-ms 86400000");
    let mut client = rewritten(&mut server);
    assert_eq!(settings(&mut client), ["86400000", "10000"]);
}

#[test]
fn a_module_loaded_at_run_time_is_rewritten_with_its_arguments() {
    let mut server = without_module();
    let mut client = server.client();
    let path = module().display().to_string();
    client.call(&["MODULE", "LOAD", &path, "max-ttl-ms", "60000"]);
    client.say("CONFIG SET redislock.max-waiters 5");
    let mut client = rewritten(&mut server);
    assert_eq!(settings(&mut client), ["60000", "5"]);
}

/// Arguments, and what the one line in the log must say of them.
const BAD: [(&str, &str); 13] = [
    (
        "someargument",
        "there is no argument 'someargument': there are max-ttl-ms, max-waiters, quarantine, \
         each with a value behind it",
    ),
    (
        "max-ttl-ms 60000 max-wafers 5",
        "there is no argument 'max-wafers'",
    ),
    ("max-ttl-ms", "the argument max-ttl-ms needs a value"),
    (
        "max-ttl-ms 60000 max-waiters",
        "the argument max-waiters needs a value",
    ),
    (
        "max-ttl-ms 60000 max-ttl-ms 60000",
        "the argument max-ttl-ms is given twice",
    ),
    (
        "max-ttl-ms 0",
        "the argument max-ttl-ms must be a number from 1 to 315360000000, not '0'",
    ),
    ("max-ttl-ms 315360000001", "from 1 to 315360000000"),
    ("max-ttl-ms 99999999999999999999", "from 1 to 315360000000"),
    ("max-ttl-ms +5", "not '+5'"),
    ("max-ttl-ms 5s", "not '5s'"),
    ("max-waiters -1", "from 0 to 10000000, not '-1'"),
    ("max-waiters 10000001", "from 0 to 10000000"),
    (
        "quarantine 1",
        "the argument quarantine must be yes or no, not '1'",
    ),
];

/// The reason, which must be one line.
fn reason(log: &str) -> &str {
    let ours = |line: &&str| line.contains("<redislock>");
    let reasons: Vec<&str> = log.lines().filter(ours).collect();
    let [reason] = reasons[..] else {
        panic!("{log}");
    };
    assert!(reason.contains("cannot be loaded: "), "{reason}");
    reason
}

#[test]
fn bad_arguments_stop_the_start_with_one_line_that_says_what_is_wrong() {
    for (arguments, text) in BAD {
        let mut server = prepared(arguments, &[]);
        fs::write(server.directory().join("log"), "").expect("its file");
        let ended = server.start_on_file_or_end();
        assert!(ended.is_some_and(|status| !status.success()), "{arguments}");
        let log = server.log();
        assert!(reason(&log).contains(text), "{arguments}: {log}");
    }
}

#[test]
fn bad_arguments_at_run_time_leave_the_server_as_it_was() {
    let mut server = without_module();
    let mut client = server.client();
    let path = module().display().to_string();
    for (arguments, text) in BAD {
        let before = server.log().len();
        let words: Vec<&str> = ["MODULE", "LOAD", &path]
            .into_iter()
            .chain(arguments.split(' '))
            .collect();
        let error = client.error(&words);
        assert!(error.contains("loading the extension"), "{error}");
        let log = server.log().split_off(before);
        assert!(reason(&log).contains(text), "{arguments}: {log}");
    }
    client.call(&["MODULE", "LOAD", &path, "max-ttl-ms", "60000"]);
    assert_eq!(settings(&mut client), ["60000", "10000"]);
    server.assert_healthy();
}
