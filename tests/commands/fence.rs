//! LOCK.FENCE: which tokens are live. It looks at the lease, not at the sweep.

use crate::hourglass::until_free;
use crate::support::{eventually, Server};
use redis::Value;

const LONG_MS: u64 = 600_000;

#[test]
fn nothing_is_live_where_nobody_holds() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.fence("lock"), None);
    assert!(!client.is_live("lock", 1));
    assert!(!client.is_live("lock", (1 << 53) - 1));
    assert!(!client.exists("lock"));
}

#[test]
fn exactly_the_token_of_the_holder_is_live() {
    let server = Server::start();
    let (mut holder, mut resource) = (server.client(), server.client());
    let token = holder.acquired("lock", "me", LONG_MS);
    assert_eq!(resource.fence("lock"), Some(token));
    assert!(resource.is_live("lock", token));
    for other in [1, token - 1, token + 1, (1 << 53) - 1] {
        assert!(!resource.is_live("lock", other), "{other}");
    }
    assert!(!resource.is_live("elsewhere", token));
}

#[test]
fn a_released_token_is_dead_and_stays_dead() {
    let server = Server::start();
    let mut client = server.client();
    let old = client.acquired("lock", "me", LONG_MS);
    client.release("lock", "me");
    assert_eq!(client.fence("lock"), None);
    assert!(!client.is_live("lock", old));
    let new = client.acquired("lock", "me", LONG_MS);
    assert_eq!(client.fence("lock"), Some(new));
    assert!(!client.is_live("lock", old));
}

#[test]
fn a_lapsed_token_is_dead() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 1);
    until_free(&mut client, "lock");
    assert!(!client.is_live("lock", token));
    eventually("the key is swept", || {
        (client.say("DBSIZE") == Value::Int(0)).then_some(())
    });
}

/// Nothing is swept while a script runs, so the answers come from the deadline.
/// The loop is bounded: some seconds, if the lease does not lapse.
const LAPSE_IN_A_SCRIPT: &str = "
local token = redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 20)
local was_live = redis.call('LOCK.FENCE', KEYS[1], token)
for _ = 1, 3000000 do
  if not redis.call('LOCK.FENCE', KEYS[1]) then
    return {
      was_live,
      redis.call('EXISTS', KEYS[1]),
      redis.call('LOCK.FENCE', KEYS[1], token),
      redis.call('LOCK.EXTEND', KEYS[1], 'me', 1000),
      redis.call('LOCK.EXTEND', KEYS[1], 'me', 1000, 'RAISE', token) or 'nil',
      redis.call('LOCK.RELEASE', KEYS[1], 'me'),
      redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 600000) > token and 1 or 0,
      redis.call('LOCK.FENCE', KEYS[1], token),
    }
  end
end
return 'it never lapsed'";

#[test]
fn from_the_deadline_on_every_command_treats_the_hold_as_over_swept_or_not() {
    let server = Server::start();
    let mut client = server.client();
    let said = client.call(&["EVAL", LAPSE_IN_A_SCRIPT, "1", "lock"]);
    let nil = Value::BulkString(b"nil".to_vec());
    let numbers = [1, 1, 0, 0].map(Value::Int).into_iter();
    let rest = [0, 1, 0].map(Value::Int);
    let expected = numbers.chain([nil]).chain(rest).collect();
    assert_eq!(said, Value::Array(expected));
    assert!(client.fence("lock").is_some());
}

#[test]
fn asking_makes_no_key_and_changes_none() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("held", "me", LONG_MS);
    let before = client.text("DEBUG DIGEST");
    let writes = client.info("rdb_changes_since_last_save");
    for line in ["held", "held 1", "free", "free 1"] {
        client.say(&format!("LOCK.FENCE {line}"));
    }
    assert_eq!(client.text("DEBUG DIGEST"), before);
    assert_eq!(client.info("rdb_changes_since_last_save"), writes);
    assert_eq!(client.say("DBSIZE"), Value::Int(1));
}
