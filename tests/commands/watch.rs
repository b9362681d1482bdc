//! WATCH and client-side caches hear of a change of holders or of a token, and
//! of nothing else: a lease that moves and a try that fails are not a change.

use crate::hourglass::until_free;
use crate::support::resp::Wire;
use crate::support::{Client, Server};
use redis::Value;

const HOLD: &str = "LOCK.ACQUIRE lock me 600000";

/// What somebody does to `lock` while another watches it.
struct Act {
    before: &'static [&'static str],
    watched: &'static [&'static str],
}

const fn act(before: &'static [&'static str], watched: &'static [&'static str]) -> Act {
    Act { before, watched }
}

/// Does the lines; `{token}` is the token of `lock`, `{more}` the one above it.
fn do_all(client: &mut Client, lines: &[&str]) {
    let token = client.fence("lock").unwrap_or(1);
    for line in lines {
        let line = line.replace("{token}", &token.to_string());
        client.say(&line.replace("{more}", &(token + 1).to_string()));
    }
}

/// Whether a transaction that began with WATCH before the act was executed.
fn is_executed(server: &Server, act: &Act) -> bool {
    let (mut watching, mut acting) = (server.client(), server.client());
    acting.say("FLUSHALL");
    do_all(&mut acting, act.before);
    watching.say("WATCH lock");
    watching.say("LOCK.FENCE lock");
    do_all(&mut acting, act.watched);
    exec(&mut watching)
}

fn exec(watching: &mut Client) -> bool {
    watching.say("MULTI");
    watching.say("SET done yes");
    match watching.say("EXEC") {
        Value::Nil => false,
        Value::Array(_) => true,
        other => panic!("{other:?}"),
    }
}

const CHANGES: [Act; 18] = [
    act(&[], &[HOLD]),
    act(&[HOLD], &["LOCK.RELEASE lock me"]),
    act(&[HOLD], &["LOCK.RELEASE lock me TOKEN {token}"]),
    act(&[HOLD], &["LOCK.RELEASE lock me", HOLD]),
    act(&[], &[HOLD, "LOCK.RELEASE lock me"]),
    act(&[HOLD], &["LOCK.EXTEND lock me 600000 RAISE {more}"]),
    act(&[HOLD], &["LOCK.EXTEND lock me 1 RAISE {more}"]),
    act(&[HOLD], &["DEL lock"]),
    act(&[HOLD], &["UNLINK lock"]),
    act(&[HOLD], &["SET lock x"]),
    act(&[HOLD], &["RENAME lock elsewhere"]),
    act(&[HOLD, "SET other x"], &["RENAME other lock"]),
    act(&[HOLD], &["MOVE lock 1"]),
    act(&[HOLD], &["SWAPDB 0 1"]),
    act(&[HOLD], &["FLUSHDB"]),
    act(&[HOLD], &["FLUSHALL ASYNC"]),
    act(&[HOLD], &["EXPIRE lock -1"]),
    act(&[HOLD], &["EXPIREAT lock 1"]),
];

#[test]
fn a_change_of_holder_or_token_aborts_the_transaction_of_who_watches() {
    let server = Server::start();
    for act in &CHANGES {
        let shown = (act.before, act.watched);
        assert!(!is_executed(&server, act), "{shown:?}");
    }
}

const NO_CHANGES: [Act; 16] = [
    act(&[HOLD], &["LOCK.EXTEND lock me 86400000"]),
    act(&[HOLD], &["LOCK.EXTEND lock me 86400000 TOKEN {token}"]),
    act(&[HOLD], &["LOCK.EXTEND lock me 86400000 RAISE {token}"]),
    act(&[HOLD], &["LOCK.EXTEND lock me 86400000 RAISE 1"]),
    act(&[HOLD], &["LOCK.EXTEND lock me 1"]),
    act(&[HOLD], &["LOCK.EXTEND lock you 86400000"]),
    act(&[HOLD], &["LOCK.EXTEND lock me 86400000 TOKEN {more}"]),
    act(&[HOLD], &["LOCK.ACQUIRE lock me 86400000"]),
    act(&[HOLD], &["LOCK.ACQUIRE lock me 1"]),
    act(&[HOLD], &["LOCK.ACQUIRE lock you 86400000"]),
    act(&[HOLD], &["LOCK.RELEASE lock you"]),
    act(&[HOLD], &["LOCK.RELEASE lock me TOKEN {more}"]),
    act(&[], &["LOCK.RELEASE lock me"]),
    act(&[], &["LOCK.EXTEND lock me 1000"]),
    act(&[HOLD], &["LOCK.FENCE lock", "LOCK.FENCE lock {token}"]),
    act(&[HOLD], &["LOCK.ACQUIRE another me 1000", "DEL another"]),
];

#[test]
fn a_moved_lease_and_a_failed_call_abort_nothing() {
    let server = Server::start();
    for act in &NO_CHANGES {
        let shown = (act.before, act.watched);
        assert!(is_executed(&server, act), "{shown:?}");
    }
}

#[test]
fn a_refused_call_aborts_nothing() {
    let server = Server::start();
    let (mut watching, mut acting) = (server.client(), server.client());
    acting.say(HOLD);
    watching.say("WATCH lock");
    for line in [
        "LOCK.ACQUIRE lock me 0",
        "LOCK.EXTEND lock me 600000 RAISE 9007199254740991",
        "LOCK.RELEASE lock me TOKEN 0",
    ] {
        acting.error_of(line);
    }
    assert!(exec(&mut watching));
}

#[test]
fn a_lease_that_ends_by_itself_aborts_the_transaction() {
    let server = Server::start();
    let (mut watching, mut acting) = (server.client(), server.client());
    acting.acquired("lock", "me", 500);
    watching.say("WATCH lock");
    assert!(watching.fence("lock").is_some(), "it is live when watched");
    until_free(&mut acting, "lock");
    crate::support::eventually("the key is swept", || {
        (acting.say("DBSIZE") == Value::Int(0)).then_some(())
    });
    assert!(!exec(&mut watching));
}

/// Nothing is swept while a script runs: the next holder follows upon the last.
const TAKE_AFTER_LAPSE: &str = "
for _ = 1, 5000000 do
  if not redis.call('LOCK.FENCE', KEYS[1]) then
    return redis.call('LOCK.ACQUIRE', KEYS[1], 'you', 600000)
  end
end
return 'it never lapsed'";

#[test]
fn a_grant_on_the_heels_of_a_lapse_aborts_the_transaction() {
    let server = Server::start();
    let (mut watching, mut acting) = (server.client(), server.client());
    acting.acquired("lock", "me", 500);
    watching.say("WATCH lock");
    assert!(watching.fence("lock").is_some(), "it is live when watched");
    let said = acting.call(&["EVAL", TAKE_AFTER_LAPSE, "1", "lock"]);
    assert!(matches!(said, Value::Int(_)), "{said:?}");
    assert!(!exec(&mut watching));
}

#[test]
fn the_recipe_runs_several_commands_under_a_live_token() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    client.say("WATCH lock");
    assert!(client.is_live("lock", token));
    assert!(exec(&mut client));
    client.say("WATCH lock");
    assert!(client.is_live("lock", token));
    server.client().say("DEL lock");
    assert!(!exec(&mut client));
}

/// A connection that is told when `lock`, as it saw it, has changed.
struct Cache {
    wire: Wire,
}

impl Cache {
    fn of(server: &Server) -> Self {
        let mut wire = Wire::connect(server.port());
        wire.send(b"HELLO 3\r\nCLIENT TRACKING ON\r\nPING\r\n")
            .expect("it listens");
        let mut cache = Self { wire };
        while cache.line() != "+PONG" {}
        cache
    }

    fn line(&mut self) -> String {
        String::from_utf8(self.wire.line().expect("an answer")).expect("text")
    }

    fn look(&mut self) {
        self.wire.send(b"LOCK.FENCE lock\r\n").expect("it listens");
        self.line();
    }

    /// Whether it was told since it looked.
    fn is_told(&mut self) -> bool {
        self.wire.send(b"PING\r\n").expect("it listens");
        let first = self.line();
        if first == "+PONG" {
            return false;
        }
        assert_eq!(first, ">2");
        let rest: Vec<String> = (0..6).map(|_| self.line()).collect();
        assert_eq!(rest, ["$10", "invalidate", "*1", "$4", "lock", "+PONG"]);
        true
    }
}

#[test]
fn a_client_side_cache_hears_what_watch_hears() {
    let server = Server::start();
    let mut acting = server.client();
    let mut cache = Cache::of(&server);
    for (acts, is_change) in [(&CHANGES[..7], true), (&NO_CHANGES[..], false)] {
        for act in acts {
            acting.say("FLUSHALL");
            cache.is_told_of_flush();
            do_all(&mut acting, act.before);
            cache.look();
            do_all(&mut acting, act.watched);
            let shown = (act.before, act.watched);
            assert_eq!(cache.is_told(), is_change, "{shown:?}");
        }
    }
}

impl Cache {
    /// FLUSHALL is told with a nil in place of the keys.
    fn is_told_of_flush(&mut self) {
        self.wire.send(b"PING\r\n").expect("it listens");
        while self.line() != "+PONG" {}
    }
}
