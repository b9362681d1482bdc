//! Forced breaks: whatever takes the key away, or puts something else in its
//! place, ends the hold for good. What is left of it is in `dead_keys.rs`.

use crate::hourglass::run_out;
use crate::support::{eventually, Client, Server};
use redis::Value;

const LONG_MS: u64 = 600_000;

/// The keys of all databases, and those among them that are locks.
fn census(client: &mut Client) -> (i64, usize) {
    let (mut keys, mut locks) = (0, 0);
    for db in [1, 2, 0] {
        client.say(&format!("SELECT {db}"));
        keys += client.number("DBSIZE");
        locks += client.names_of_type("redislock").len();
    }
    (keys, locks)
}

/// Waits until there are so many keys, and no lock among them.
pub fn until_left(client: &mut Client, keys: i64, shown: &str) {
    eventually(&format!("{keys} keys are left after {shown}"), || {
        (census(client) == (keys, 0)).then_some(())
    });
}

/// A lock with an hour to go, held by `me`, and keys of other kinds.
pub fn prepare(client: &mut Client) -> i64 {
    client.say("FLUSHALL");
    client.say("SET string x");
    client.say("RPUSH list 3 1 2");
    client.say("SADD set 1 2");
    client.acquired("lock", "me", 3_600_000)
}

/// The keys that [`prepare`] makes, without the lock.
pub const OTHERS: i64 = 3;

/// Does the acts and asks, all in one transaction, so that nothing is tidied up
/// between them.
pub fn in_one_go(client: &mut Client, acts: &[&str], questions: &[String]) -> Vec<Value> {
    client.say("MULTI");
    for act in acts {
        client.say(act);
    }
    for question in questions {
        client.say(question);
    }
    match client.say("EXEC") {
        Value::Array(said) => said[acts.len()..].to_vec(),
        other => panic!("{other:?}"),
    }
}

fn assert_dead(client: &mut Client, key: &str, token: i64, shown: &str) {
    assert_eq!(client.fence(key), None, "{shown}");
    assert!(!client.is_live(key, token), "{shown}");
    let extend = format!("LOCK.EXTEND {key} me 600000");
    assert_eq!(client.number(&extend), 0, "{shown}");
    assert_eq!(client.release(key, "me"), 0, "{shown}");
}

/// What ends the hold and leaves no key behind but so many others.
const TAKEN_AWAY: [(&[&str], i64); 17] = [
    (&["DEL lock"], OTHERS),
    (&["UNLINK lock"], OTHERS),
    (&["FLUSHDB"], 0),
    (&["FLUSHDB ASYNC"], 0),
    (&["FLUSHALL"], 0),
    (&["FLUSHALL ASYNC"], 0),
    (&["FLUSHALL SYNC"], 0),
    (&["SWAPDB 0 1"], OTHERS),
    (&["SWAPDB 1 0"], OTHERS),
    (&["RENAME lock elsewhere"], OTHERS),
    (&["RENAMENX lock elsewhere"], OTHERS),
    (&["MOVE lock 1"], OTHERS),
    (&["EXPIRE lock 0"], OTHERS),
    (&["EXPIRE lock -1"], OTHERS),
    (&["EXPIREAT lock 1"], OTHERS),
    (&["PEXPIREAT lock 1"], OTHERS),
    (
        &["LOCK.ACQUIRE other you 600000", "RENAME lock other"],
        OTHERS,
    ),
];

#[test]
fn a_hold_ends_with_its_key() {
    let server = Server::start();
    let mut client = server.client();
    for (acts, left) in TAKEN_AWAY {
        let shown = acts.join(", ");
        let token = prepare(&mut client);
        for act in acts {
            client.say(act);
        }
        for key in ["lock", "elsewhere", "other"] {
            assert_dead(&mut client, key, token, &shown);
        }
        client.say("SELECT 1");
        assert_dead(&mut client, "lock", token, &shown);
        until_left(&mut client, left, &shown);
        let next = client.acquired("lock", "me", LONG_MS);
        assert!(next > token, "{shown}");
        assert!(!client.is_live("lock", token), "{shown}");
    }
}

/// What puts another value in place of the lock.
const OVERWRITTEN: [&str; 9] = [
    "SET lock x",
    "SETEX lock 1000 x",
    "MSET lock x",
    "SORT list STORE lock",
    "RENAME string lock",
    "SINTERSTORE lock set",
    "BITOP NOT lock string",
    "COPY string lock REPLACE",
    "ZUNIONSTORE lock 1 set",
];

#[test]
fn a_hold_ends_when_something_else_takes_its_place() {
    let server = Server::start();
    let mut client = server.client();
    for act in OVERWRITTEN {
        let token = prepare(&mut client);
        client.say(act);
        assert_ne!(client.text("TYPE lock"), "redislock", "{act}");
        let error = client.error_of("LOCK.FENCE lock");
        assert!(error.starts_with("WRONGTYPE"), "{act}: {error}");
        client.say("DEL lock");
        assert_dead(&mut client, "lock", token, act);
        let next = client.acquired("lock", "you", LONG_MS);
        assert!(next > token, "{act}");
        assert!(!client.is_live("lock", token), "{act}");
    }
}

#[test]
fn a_ttl_put_on_the_key_ends_the_hold_when_it_runs_out() {
    let server = Server::start();
    let mut client = server.client();
    for act in ["PEXPIRE lock 100", "EXPIRE lock 1"] {
        let token = prepare(&mut client);
        let question = format!("LOCK.FENCE lock {token}");
        let said = in_one_go(&mut client, &[act], &[question]);
        assert_eq!(said, [Value::Int(1)], "{act}: not yet");
        until_left(&mut client, OTHERS, act);
        assert_dead(&mut client, "lock", token, act);
        assert!(client.acquired("lock", "me", LONG_MS) > token, "{act}");
        assert_eq!(client.number("PTTL lock"), -1, "{act}");
    }
}

#[test]
fn a_ttl_that_ran_out_unnoticed_is_noticed_by_the_next_command() {
    let server = Server::start();
    let mut client = server.client();
    client.say("DEBUG SET-ACTIVE-EXPIRE 0");
    for call in ["LOCK.FENCE lock", "LOCK.ACQUIRE lock you 600000"] {
        let token = prepare(&mut client);
        client.say("PEXPIRE lock 10");
        run_out(&mut client, 15);
        match client.number_or_nil(call) {
            Some(next) => assert!(next > token, "{call}"),
            None => assert_dead(&mut client, "lock", token, call),
        }
        assert!(!client.is_live("lock", token), "{call}");
    }
    assert_eq!(client.acquire("lock", "me", LONG_MS), None);
}

#[test]
fn a_ttl_that_is_taken_back_ends_nothing() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    let said = in_one_go(&mut client, &["PEXPIRE lock 300"], &["PERSIST lock".into()]);
    assert_eq!(said, [Value::Int(1)]);
    run_out(&mut client, 320);
    assert!(client.is_live("lock", token));
}

#[test]
fn a_ttl_put_on_a_hold_that_was_released_does_not_break_the_next() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("lock", "me", LONG_MS);
    client.say("EXPIRE lock 1000");
    client.release("lock", "me");
    client.acquired("lock", "you", LONG_MS);
    assert_eq!(client.number("TTL lock"), -1);
}

/// The lease lapses in the script, and the next holder takes over the key.
const TAKE_AFTER_LAPSE: &str = "
redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 20)
redis.call('EXPIRE', KEYS[1], 1000)
for _ = 1, 3000000 do
  if not redis.call('LOCK.FENCE', KEYS[1]) then
    redis.call('LOCK.ACQUIRE', KEYS[1], 'you', 600000)
    return redis.call('TTL', KEYS[1])
  end
end
return 'it never lapsed'";

#[test]
fn a_ttl_put_on_a_hold_that_lapsed_does_not_break_the_next() {
    let server = Server::start();
    let mut client = server.client();
    let said = client.call(&["EVAL", TAKE_AFTER_LAPSE, "1", "lock"]);
    assert_eq!(said, Value::Int(-1));
}

#[test]
fn what_leaves_the_key_in_place_leaves_the_hold_alone() {
    let server = Server::start();
    let mut client = server.client();
    let token = prepare(&mut client);
    client.say("SELECT 1");
    client.say("SET lock x");
    client.say("SELECT 0");
    for (act, answer) in [
        ("RENAMENX lock string", 0),
        ("MOVE lock 1", 0),
        ("SETNX lock x", 0),
        ("MSETNX new x lock x", 0),
        ("COPY string lock", 0),
        ("PERSIST lock", 0),
        ("DEL string", 1),
        ("TOUCH lock", 1),
    ] {
        assert_eq!(client.number(act), answer, "{act}");
        assert!(client.is_live("lock", token), "{act}");
    }
    client.say("RENAME lock lock");
    client.say("SWAPDB 1 2");
    run_out(&mut client, 5);
    assert!(client.is_live("lock", token));
    assert_eq!(client.number("LOCK.EXTEND lock me 600000"), 1);
}

#[test]
fn a_database_that_is_swapped_with_itself_keeps_its_holds() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    client.say("SWAPDB 0 0");
    assert!(client.is_live("lock", token));
    assert!(client.exists("lock"));
}

#[test]
fn an_evicted_hold_is_dead() {
    let server = Server::with(&["maxmemory-policy allkeys-random"]);
    let mut client = server.client();
    let token = client.acquired("lock", "me", LONG_MS);
    client.say("CONFIG SET maxmemory 1");
    eventually("the key is evicted", || {
        client.try_call(&["SET", "one", "more"]).ok();
        (!client.exists("lock")).then_some(())
    });
    client.say("CONFIG SET maxmemory 0");
    assert_dead(&mut client, "lock", token, "eviction");
    assert!(client.acquired("lock", "me", LONG_MS) > token);
}

#[test]
fn a_flush_ends_thousands_of_holds_and_leaves_their_keys_free() {
    let server = Server::start();
    let mut client = server.client();
    let take_all = "
        local last
        for key = 1, 3000 do
          last = redis.call('LOCK.ACQUIRE', 'lock:' .. key, ARGV[1], 600000)
        end
        return last";
    for act in ["FLUSHALL", "FLUSHALL ASYNC", "SWAPDB 0 1"] {
        let old = client.call(&["EVAL", take_all, "0", "me"]);
        assert_eq!(client.number("DBSIZE"), 3_000, "{act}");
        client.say(act);
        let new = client.call(&["EVAL", take_all, "0", "you"]);
        let (Value::Int(old), Value::Int(new)) = (old, new) else {
            panic!("{act}");
        };
        assert_eq!(new, old + 3_000, "{act}: all were free");
        eventually("the dead are removed, the living are not", || {
            (census(&mut client) == (3_000, 3_000)).then_some(())
        });
        client.say("FLUSHALL");
    }
}

#[test]
fn a_flush_gives_the_memory_of_its_holds_back() {
    let server = Server::start();
    let mut client = server.client();
    let used = |client: &mut Client| -> i64 {
        let text = client.info("used_memory");
        text.parse().expect("a number")
    };
    let take_all = "
        for key = 1, 10000 do
          redis.call('LOCK.ACQUIRE', 'lock:' .. key, string.rep('o', 500), 86400000)
        end";
    for act in ["FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1"] {
        let before = used(&mut client);
        client.call(&["EVAL", take_all, "0"]);
        let held = used(&mut client) - before;
        assert!(held > 5_000_000, "{act}: {held} bytes");
        client.say(act);
        eventually(&format!("{act} gives memory back"), || {
            (used(&mut client) - before < held / 4).then_some(())
        });
    }
}
