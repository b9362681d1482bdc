//! The commands in EVAL and in functions.

use crate::support::{Client, Server};
use redis::Value;

const LONG_MS: u64 = 600_000;

fn eval(client: &mut Client, script: &str) -> Value {
    client.call(&["EVAL", script, "1", "lock"])
}

fn text(bytes: &str) -> Value {
    Value::BulkString(bytes.into())
}

#[test]
fn a_script_has_the_token_exactly() {
    let server = Server::start();
    let mut client = server.client();
    for key in 0..50 {
        let script = "local token = redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 600000)
                      return string.format('%.0f', token)";
        let said = client.call(&["EVAL", script, "1", &key.to_string()]);
        let token = client.fence(&key.to_string()).expect("it is held");
        assert_eq!(said, text(&token.to_string()));
    }
}

#[test]
fn a_script_can_hand_its_token_back() {
    let server = Server::start();
    let mut client = server.client();
    let said = eval(
        &mut client,
        "local token = redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 600000)
         return {
           redis.call('LOCK.FENCE', KEYS[1], token),
           redis.call('LOCK.FENCE', KEYS[1], token - 1),
           redis.call('LOCK.FENCE', KEYS[1], token + 1),
           redis.call('LOCK.EXTEND', KEYS[1], 'me', 600000, 'TOKEN', token),
           redis.call('LOCK.EXTEND', KEYS[1], 'me', 600000, 'RAISE', token + 7) - token,
           redis.call('LOCK.RELEASE', KEYS[1], 'me', 'TOKEN', token),
           redis.call('LOCK.RELEASE', KEYS[1], 'me', 'TOKEN', token + 7),
         }",
    );
    assert_eq!(
        said,
        Value::Array([1, 0, 0, 1, 7, 0, 1].map(Value::Int).to_vec())
    );
    assert!(!client.exists("lock"));
}

#[test]
fn nil_is_false_in_a_script() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("lock", "me", LONG_MS);
    let said = eval(
        &mut client,
        "return {
           redis.call('LOCK.ACQUIRE', KEYS[1], 'you', 1000) == false and 'held' or 'granted',
           redis.call('LOCK.RELEASE', KEYS[1], 'me'),
           redis.call('LOCK.FENCE', KEYS[1]) == false and 'free' or 'live',
         }",
    );
    let expected = vec![text("held"), Value::Int(1), text("free")];
    assert_eq!(said, Value::Array(expected));
}

#[test]
fn an_error_in_a_script_is_a_value_that_it_can_look_at() {
    let server = Server::start();
    let mut client = server.client();
    let said = eval(
        &mut client,
        "redis.call('SET', KEYS[1], 'x')
         local said = redis.pcall('LOCK.ACQUIRE', KEYS[1], 'me', 1000)
         return string.sub(said.err, 1, 9)",
    );
    assert_eq!(said, text("WRONGTYPE"));
}

#[test]
fn a_read_only_script_may_look_and_nothing_else() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    let look = "return redis.call('LOCK.FENCE', KEYS[1])";
    assert_eq!(
        client.call(&["EVAL_RO", look, "1", "lock"]),
        Value::Int(token)
    );
    for call in [
        "'LOCK.ACQUIRE', KEYS[1], 'me', 600000",
        "'LOCK.EXTEND', KEYS[1], 'me', 600000",
        "'LOCK.RELEASE', KEYS[1], 'me'",
    ] {
        let script = format!("return redis.call({call})");
        let error = client.error(&["EVAL_RO", &script, "1", "lock"]);
        assert!(error.contains("read-only script"), "{error}");
    }
    assert_eq!(client.fence("lock"), Some(token));
}

const FUNCTIONS: &str = "#!lua name=locks
redis.register_function('take', function(keys, args)
  local token = redis.call('LOCK.ACQUIRE', keys[1], args[1], args[2])
  return token and string.format('%.0f', token) or 'held'
end)
redis.register_function{
  function_name = 'look',
  callback = function(keys) return redis.call('LOCK.FENCE', keys[1]) end,
  flags = { 'no-writes' },
}
redis.register_function{
  function_name = 'look_and_take',
  callback = function(keys) return redis.call('LOCK.ACQUIRE', keys[1], 'me', 1000) end,
  flags = { 'no-writes' },
}";

#[test]
fn functions_take_and_look_at_locks() {
    let server = Server::start();
    let mut client = server.client();
    client.call(&["FUNCTION", "LOAD", FUNCTIONS]);
    let said = client.say("FCALL take 1 lock me 600000");
    let token = client.fence("lock").expect("it is held");
    assert_eq!(said, text(&token.to_string()));
    assert_eq!(client.say("FCALL take 1 lock you 600000"), text("held"));
    assert_eq!(client.say("FCALL look 1 lock"), Value::Int(token));
    assert_eq!(client.say("FCALL_RO look 1 lock"), Value::Int(token));
    let error = client.error_of("FCALL look_and_take 1 free");
    assert!(error.contains("read-only script"), "{error}");
    assert!(!client.exists("free"));
}

#[test]
fn a_transaction_may_hold_a_script() {
    let server = Server::start();
    let mut client = server.client();
    client.say("MULTI");
    client.say("LOCK.ACQUIRE lock me 600000");
    client.call(&[
        "EVAL",
        "return redis.call('LOCK.RELEASE', KEYS[1], 'me')",
        "1",
        "lock",
    ]);
    client.say("LOCK.FENCE lock");
    let Value::Array(said) = client.say("EXEC") else {
        panic!("it was executed");
    };
    assert_eq!(said[1..], [Value::Int(1), Value::Nil]);
}
