//! What LOCK.GUARD refuses, in which words, and that nothing happens then.

use super::raw::Raw;
use super::support::{eventually, Client, Server, Stream};

const STALE: &str = "STALE token {t} is not live: nothing was done";
const OURS: &str = "ERR LOCK.GUARD does not run LOCK commands";
const BLOCKING: &str = "ERR LOCK.GUARD does not run commands that may block";
const ADMIN: &str = "ERR LOCK.GUARD does not run admin commands";
const NO_SCRIPT: &str = "ERR LOCK.GUARD does not run what scripts may not run";
const NO_KEYS: &str = "ERR LOCK.GUARD does not run commands without keys";
const LOCK: &str = "ERR LOCK.GUARD does not run commands on the lock's own key";

struct Watched {
    server: Server,
    client: Client,
    stream: Stream,
    token: i64,
}

/// `lock` is held with a token; somebody listens to the stream.
fn watched() -> Watched {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("lock", "me", 600_000);
    for line in ["SET string x", "RPUSH list a b", "HSET hash f v"] {
        client.say(line);
    }
    let stream = Stream::of(server.port());
    Watched {
        server,
        client,
        stream,
        token,
    }
}

impl Watched {
    /// That the words get this error and change nothing.
    fn refuses<W: AsRef<[u8]>>(&mut self, words: &[W], error: &str) {
        let before = self.client.text("DEBUG DIGEST");
        let told = self.client.error(words);
        let shown = words
            .iter()
            .map(|it| it.as_ref().escape_ascii().to_string());
        let shown = shown.collect::<Vec<_>>().join(" ");
        assert_eq!(told, error, "{shown}");
        assert_eq!(self.client.text("DEBUG DIGEST"), before, "{shown}");
        assert_eq!(self.stream.heard(&mut self.client), [""; 0], "{shown}");
    }

    fn refuses_inner(&mut self, inner: &str, error: &str) {
        let line = format!("LOCK.GUARD lock {} {inner}", self.token);
        self.refuses(&line.split_whitespace().collect::<Vec<_>>(), error);
    }
}

#[test]
fn with_a_token_that_is_not_live_nothing_happens() {
    let mut on = watched();
    let token = on.token;
    for other in [1, token - 1, token + 1, (1 << 53) - 1] {
        for inner in [
            "SET string y",
            "GET string",
            "DEL list",
            "INCR n",
            "LPOP list",
        ] {
            let line = format!("LOCK.GUARD lock {other} {inner}");
            let words: Vec<&str> = line.split(' ').collect();
            on.refuses(&words, &STALE.replace("{t}", &other.to_string()));
        }
    }
    let none = format!("LOCK.GUARD nothing {token} SET string y");
    on.refuses(
        &none.split(' ').collect::<Vec<_>>(),
        &STALE.replace("{t}", &token.to_string()),
    );
    on.client.release("lock", "me");
    on.stream.heard(&mut on.client);
    let gone = format!("LOCK.GUARD lock {token} SET string y");
    on.refuses(
        &gone.split(' ').collect::<Vec<_>>(),
        &STALE.replace("{t}", &token.to_string()),
    );
    assert_eq!(on.client.text("GET string"), "x");
    on.server.assert_healthy();
}

#[test]
fn each_kind_of_command_that_may_not_be_guarded_is_refused_in_its_words() {
    let mut on = watched();
    for (inner, error) in [
        ("LOCK.ACQUIRE other me 1000", OURS),
        ("lock.release lock me", OURS),
        ("LOCK.FENCE other", OURS),
        ("LOCK.INFO lock", OURS),
        ("LOCK.HELP", OURS),
        ("LOCK._END lock me 5", OURS),
        ("LOCK.NOTHING x", OURS),
        ("Lock.Guard lock 1 SET a 1", OURS),
        ("BLPOP list 0", BLOCKING),
        ("blmove list other LEFT LEFT 0", BLOCKING),
        ("BZPOPMIN sorted 1", BLOCKING),
        ("XREAD STREAMS stream 0", BLOCKING),
        ("XREADGROUP GROUP g c STREAMS stream >", BLOCKING),
        ("CONFIG SET maxmemory 0", ADMIN),
        ("DEBUG SLEEP 0", ADMIN),
        ("SAVE", ADMIN),
        ("ACL WHOAMI", NO_SCRIPT),
        ("CLIENT ID", NO_SCRIPT),
        ("EVAL return 1 list", NO_SCRIPT),
        ("EVALSHA x 1 list", NO_SCRIPT),
        ("FCALL f 1 list", NO_SCRIPT),
        ("SCRIPT FLUSH", NO_SCRIPT),
        ("MULTI", NO_SCRIPT),
        ("EXEC", NO_SCRIPT),
        ("WATCH list", NO_SCRIPT),
        ("SUBSCRIBE list", NO_SCRIPT),
        ("HELLO 3", NO_SCRIPT),
        ("PING", NO_KEYS),
        ("FLUSHALL", NO_KEYS),
        ("FLUSHDB", NO_KEYS),
        ("SWAPDB 0 1", NO_KEYS),
        ("PUBLISH channel x", NO_KEYS),
        ("SPUBLISH channel x", NO_KEYS),
        ("SELECT 1", NO_KEYS),
        ("DBSIZE", NO_KEYS),
        ("KEYS *", NO_KEYS),
        ("SCAN 0", NO_KEYS),
        ("RANDOMKEY", NO_KEYS),
        ("TIME", NO_KEYS),
        ("OBJECT HELP", NO_KEYS),
        ("COMMAND GETKEYS GET x", NO_KEYS),
        ("DEL lock", LOCK),
        ("SET lock x", LOCK),
        ("GET lock", LOCK),
        ("EXISTS string lock", LOCK),
        ("RENAME string lock", LOCK),
        ("RENAME lock string", LOCK),
        ("MOVE lock 1", LOCK),
        ("EXPIRE lock 1", LOCK),
        ("TYPE lock", LOCK),
        ("MSET string 1 lock 2", LOCK),
        ("SUNIONSTORE string lock", LOCK),
        ("SORT list STORE lock", LOCK),
        ("OBJECT ENCODING lock", LOCK),
        ("ZUNIONSTORE sorted 2 string lock", LOCK),
    ] {
        on.refuses_inner(inner, error);
    }
    assert!(on.client.is_live("lock", on.token));
    on.server.assert_healthy();
}

/// What may never be guarded is refused whether or not the token is live.
#[test]
fn a_command_that_may_not_be_guarded_is_refused_with_a_stale_token_too() {
    let mut on = watched();
    on.token += 1;
    on.refuses_inner("LOCK.HELP", OURS);
    on.refuses_inner("PING", NO_KEYS);
    on.refuses_inner("DEL lock", LOCK);
}

#[test]
fn what_the_server_does_not_know_it_says_itself() {
    let mut on = watched();
    for inner in [
        "NOTHING x",
        "OBJECT NOTHING x",
        "XGROUP",
        "config|get x",
        "\u{e9}t\u{e9} x",
    ] {
        let line = format!("LOCK.GUARD lock {} {inner}", on.token);
        let told = on.client.error_of(&line);
        assert!(told.starts_with("ERR "), "{inner}: {told}");
        assert_eq!(on.stream.heard(&mut on.client), [""; 0]);
    }
    on.server.assert_healthy();
}

#[test]
fn names_of_any_bytes_are_answered_with_an_error() {
    let mut on = watched();
    let token = on.token.to_string();
    let long = vec![b'x'; 1 << 20];
    let names: [&[u8]; 12] = [
        b"",
        b"\0",
        b"SET\0",
        b"\0SET",
        b"GET\0x",
        b"\xff\xfe",
        b"\r\n",
        b"GET\r\n+OK",
        b"lock.",
        b"LOCK.\0",
        b"%s%n",
        &long,
    ];
    let mut raw = Raw::connect(&on.server, 2);
    for name in names {
        let shown = name[..name.len().min(20)].escape_ascii();
        for behind in [&b"string"[..], b"", b"\0"] {
            let words: [&[u8]; 6] = [b"LOCK.GUARD", b"lock", token.as_bytes(), name, behind, b"x"];
            for count in 4..=6 {
                let told = raw.call(&words[..count]);
                assert!(
                    told.starts_with(b"-ERR "),
                    "{shown}: {}",
                    told.escape_ascii()
                );
                assert_eq!(raw.say("PING"), b"+PONG\r\n", "{shown}");
            }
        }
    }
    assert_eq!(on.stream.heard(&mut on.client), [""; 0]);
    assert!(on.client.is_live("lock", on.token));
    on.server.assert_healthy();
}

const NOT_A_TOKEN: &str = "ERR value is not an integer or out of range: token, the argument \
                           behind the key, is the number that LOCK.ACQUIRE returned";

#[test]
fn too_few_words_and_tokens_that_are_none_are_refused() {
    let mut on = watched();
    let arity = "ERR wrong number of arguments for 'lock.guard' command";
    for line in ["LOCK.GUARD", "LOCK.GUARD lock", "LOCK.GUARD lock 1"] {
        on.refuses(&line.split(' ').collect::<Vec<_>>(), arity);
    }
    for token in ["x", "", "1.0", " 1", "+1", "9223372036854775808"] {
        let words = ["LOCK.GUARD", "lock", token, "SET", "string", "y"];
        on.refuses(&words, NOT_A_TOKEN);
    }
    for token in ["0", "-1", "9007199254740992"] {
        let words = ["LOCK.GUARD", "lock", token, "SET", "string", "y"];
        on.refuses(&words, "ERR token must be from 1 to 9007199254740991");
    }
    let token = on.token.to_string();
    let words = ["LOCK.GUARD", "lock", &token, "SE\0T", "string", "y"];
    let error = "ERR LOCK.GUARD does not know the command behind the token";
    on.refuses(&words, error);
    for key in ["string", "list", "hash"] {
        let words = ["LOCK.GUARD", key, "1", "SET", "other", "y"];
        let error = "WRONGTYPE Operation against a key holding the wrong kind of value";
        on.refuses(&words, error);
    }
}

/// Were each of them looked at, the server's stack would not be deep enough.
#[test]
fn guards_in_guards_are_refused_however_deep() {
    let mut on = watched();
    let token = on.token.to_string();
    let mut words = Vec::new();
    for _ in 0..100_000 {
        words.extend(["LOCK.GUARD", "lock", &token]);
    }
    words.extend(["SET", "string", "y"]);
    on.refuses(&words, OURS);
    let get_keys = [&["COMMAND", "GETKEYS"], &words[..]].concat();
    assert_eq!(
        on.client.call(&get_keys),
        redis::Value::Array(vec![redis::Value::BulkString("lock".into())])
    );
    let flags = [&["COMMAND", "GETKEYSANDFLAGS"], &words[..]].concat();
    assert!(matches!(on.client.call(&flags), redis::Value::Array(keys) if keys.len() == 1));
    on.client.say("ACL SETUSER limited on nopass ~lock +@all");
    let mut limited = Raw::connect(&on.server, 2);
    limited.say("AUTH limited x");
    let told = limited.call(&words);
    assert!(
        told.starts_with(b"-ERR LOCK.GUARD does not run LOCK"),
        "{}",
        told.escape_ascii()
    );
    on.client.say("ACL SETUSER limited resetkeys ~other");
    assert!(limited.call(&words).starts_with(b"-NOPERM"));
    // In a transaction the keys are asked for as well.
    on.client.say("MULTI");
    on.client.call(&words);
    let _ = on.client.try_call(&["EXEC"]);
    assert!(on.client.is_live("lock", on.token));
    on.server.assert_healthy();
}

#[test]
fn a_hold_that_cools_guards_nothing() {
    let mut on = watched();
    let cooling = on.client.number("LOCK.ACQUIRE cold me 10 DELAY 600000");
    eventually("it cools", || {
        (!on.client.is_live("cold", cooling)).then_some(())
    });
    on.stream.heard(&mut on.client);
    let line = format!("LOCK.GUARD cold {cooling} SET string y");
    let error = STALE.replace("{t}", &cooling.to_string());
    on.refuses(&line.split(' ').collect::<Vec<_>>(), &error);
}
