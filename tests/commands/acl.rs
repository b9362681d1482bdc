//! Access lists: which categories the commands are in, which keys a user reaches with
//! them and by which ways, and that nobody reaches the internal ones.

use crate::described::{list, text, COMMANDS};
use crate::support::{eventually, Client, Server, Version, Waiter};
use redis::Value;

const README: &str = include_str!("../../README.md");

/// What only looks at a lock, on this key.
fn looks(key: &str) -> Vec<String> {
    ["LOCK.FENCE {k}", "LOCK.FENCE {k} 5", "LOCK.INFO {k}"]
        .map(|line| line.replace("{k}", key))
        .to_vec()
}

/// What changes a lock and tells a token of it.
fn changes(key: &str) -> Vec<String> {
    [
        "LOCK.ACQUIRE {k} me 60000",
        "LOCK.ACQUIRE {k} me 60000 BLOCK 5",
        "LOCK.ACQUIRE {k} me 60000 BLOCK 5 SHARED DELAY 5",
        "LOCK.EXTEND {k} me 60000",
        "LOCK.EXTEND {k} me 60000 RAISE 5",
    ]
    .map(|line| line.replace("{k}", key))
    .to_vec()
}

/// What takes a hold out.
fn removes(key: &str) -> Vec<String> {
    ["LOCK.RELEASE {k} me", "LOCK.RELEASE {k} me TOKEN 5"]
        .map(|line| line.replace("{k}", key))
        .to_vec()
}

fn all(key: &str) -> Vec<String> {
    let guards = [format!("LOCK.GUARD {key} 5 SET a:other v")];
    [looks(key), changes(key), removes(key), guards.into()].concat()
}

fn internal() -> [&'static str; 4] {
    [
        "LOCK._GRANT lock me 5 1000",
        "LOCK._GRANT lock me 5 1000 1 0",
        "LOCK._END lock me 5",
        "LOCK._CEILING 5 1000 5",
    ]
}

/// Scripts have other words for it, and each server its own; the client that the tests
/// use has its own for the server's code.
fn is_denied(error: &str) -> bool {
    const WORDS: [&str; 5] = [
        "NOPERM ",
        "NoPerm",
        "ACL failure in script",
        "The user executing the script can't",
        "acl verification failed",
    ];
    WORDS.iter().any(|words| error.contains(words))
}

/// The ways by which a client can send a line of words.
#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    Transaction,
    Script,
    Function,
    ScriptInTransaction,
    Guard,
}

const WAYS: [Way; 6] = [
    Way::Plain,
    Way::Transaction,
    Way::Script,
    Way::Function,
    Way::ScriptInTransaction,
    Way::Guard,
];

/// Runs what it is given, on keys that it did not declare.
const SCRIPT: &str = "return redis.call(unpack(ARGV))";
const LIBRARY: &str = "#!lua name=any
redis.register_function('any', function(keys, args) return redis.call(unpack(args)) end)";

/// Sends a line by a way; the error, if there is one.
fn send(client: &mut Client, way: Way, line: &str) -> Result<Value, String> {
    let words: Vec<&str> = line.split(' ').collect();
    let told = |said: redis::RedisResult<Value>| said.map_err(|error| error.to_string());
    let behind = |start: &[&'static str]| -> Vec<String> {
        let start = start.iter().map(|&word| word.to_owned());
        start
            .chain(words.iter().map(|&word| word.to_owned()))
            .collect()
    };
    match way {
        Way::Plain => told(client.try_call(&words)),
        Way::Script => told(client.try_call(&behind(&["EVAL", SCRIPT, "0"]))),
        Way::Function => told(client.try_call(&behind(&["FCALL", "any", "0"]))),
        Way::Guard => {
            let token = client.acquired("a:guard", "guard", 60_000);
            let line = format!("LOCK.GUARD a:guard {token} {line}");
            told(client.try_call(&line.split(' ').collect::<Vec<_>>()))
        }
        Way::Transaction => {
            client.say("MULTI");
            let queued = told(client.try_call(&words));
            let done = executed(client);
            queued.and(done)
        }
        Way::ScriptInTransaction => {
            client.say("MULTI");
            let queued = told(client.try_call(&behind(&["EVAL", SCRIPT, "0"])));
            let done = executed(client);
            queued.and(done)
        }
    }
}

/// What EXEC says, or the error of the one command in it.
fn executed(client: &mut Client) -> Result<Value, String> {
    match client.try_call(&["EXEC"]) {
        Err(error) => Err(error.to_string()),
        Ok(Value::Array(said)) => match said.into_iter().next() {
            Some(Value::ServerError(error)) => Err(format!("{error:?}")),
            said => Ok(said.unwrap_or(Value::Nil)),
        },
        Ok(other) => Ok(other),
    }
}

fn categories(client: &mut Client, command: &str) -> Vec<String> {
    let said = client.say(&format!("COMMAND INFO {command}"));
    let row = list(&list(&said)[0]);
    let mut found: Vec<String> = list(&row[6]).iter().map(text).collect();
    found.sort();
    found
}

#[test]
fn each_command_is_in_the_category_of_locks_and_in_those_of_the_server() {
    let server = Server::start();
    let mut client = server.client();
    let version = Version::of(&mut client);
    for (command, own) in [
        ("lock.acquire", ["@blocking", "@fast", "@write"].as_slice()),
        ("lock.release", &["@fast", "@write"]),
        ("lock.extend", &["@fast", "@write"]),
        ("lock.fence", &["@fast", "@read"]),
        ("lock.guard", &["@slow", "@write"]),
        ("lock.info", &["@read", "@slow"]),
        ("lock.help", &["@fast"]),
    ] {
        let mut expected: Vec<&str> = match version.lets_modules_name_categories() {
            true => own.to_vec(),
            false => Vec::new(),
        };
        if version.lets_modules_add_categories() {
            expected.push("@redislock");
        }
        expected.sort_unstable();
        assert_eq!(categories(&mut client, command), expected, "{command}");
    }
    if version.lets_modules_add_categories() {
        let mut found = client.texts("ACL CAT redislock");
        found.sort();
        let mut all = COMMANDS.map(str::to_owned);
        all.sort();
        assert_eq!(found, all);
    }
}

/// On Redis 7.0 module commands are in no category, so that none takes them away. The
/// README says so.
#[test]
fn a_user_who_may_not_write_takes_no_lock() {
    let server = Server::start();
    let mut admin = server.client();
    let knows = Version::of(&mut admin).lets_modules_name_categories();
    admin.acquired("lock", "holder", 60_000);
    for (rules, taken, left) in [
        ("~* +@all -@write", "LOCK.ACQUIRE", "LOCK.FENCE lock"),
        ("~* +@all -@write", "LOCK.RELEASE", "LOCK.INFO lock"),
        ("~* +@all -@write", "LOCK.EXTEND", "LOCK.HELP"),
        ("~* +@all -@write", "LOCK.GUARD", "LOCK.FENCE lock 5"),
        ("~* +@all -@read", "LOCK.FENCE", "LOCK.RELEASE lock me"),
        ("~* +@all -@read", "LOCK.INFO", "LOCK.HELP"),
        (
            "~* +@all -@blocking",
            "LOCK.ACQUIRE",
            "LOCK.RELEASE lock me",
        ),
        ("~* +@all -@fast", "LOCK.ACQUIRE", "LOCK.INFO lock"),
        ("~* +@all -@slow", "LOCK.GUARD", "LOCK.RELEASE lock me"),
    ] {
        let mut client = server.user(rules);
        let calls = all("lock").into_iter().filter(|it| it.starts_with(taken));
        for line in calls {
            let said = send(&mut client, Way::Plain, &line);
            let denied = said.is_err_and(|error| is_denied(&error));
            assert_eq!(denied, knows, "{rules}: {line}");
        }
        assert!(send(&mut client, Way::Plain, left).is_ok(), "{rules}");
    }
}

#[test]
fn the_category_of_locks_is_all_that_a_user_of_locks_needs() {
    let rules = "on nopass ~a:* -@all +@redislock";
    let server = Server::start();
    let mut admin = server.client();
    if !Version::of(&mut admin).lets_modules_add_categories() {
        let error = admin.error_of(&format!("ACL SETUSER app {rules}"));
        assert!(error.contains("+@redislock"), "{error}");
        return;
    }
    // Also in a file that is read before the module is there.
    let server = Server::with(&[&format!("user app {rules}")]);
    let mut client = server.client();
    client.say("AUTH app any");
    for line in [looks("a:1"), changes("a:1"), removes("a:1")].concat() {
        let said = send(&mut client, Way::Plain, &line);
        assert!(!said.is_err_and(|error| is_denied(&error)), "{line}");
    }
    client.say("LOCK.HELP");
    client.release("a:1", "me");
    let token = client.acquired("a:1", "me", 60_000);
    // The guarded command needs leave of its own.
    for line in [
        "GET a:1",
        "DEL a:1",
        &format!("LOCK.GUARD a:1 {token} SET a:2 v"),
    ] {
        assert!(is_denied(&client.error_of(line)), "{line}");
    }
    let mut client = server.user("~* +@all -@redislock");
    for line in all("a:1") {
        assert!(is_denied(&client.error_of(&line)), "{line}");
    }
}

/// The users that the README makes, by its own lines.
#[test]
fn the_users_of_the_readme_may_do_what_it_says_they_may() {
    let server = Server::start();
    let mut admin = server.client();
    if !Version::of(&mut admin).lets_modules_add_categories() {
        return;
    }
    let lines = README.lines().filter(|it| it.starts_with("ACL SETUSER "));
    let lines: Vec<&str> = lines.filter_map(|it| it.split("  ").next()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let [mut app, mut eye] = [(lines[0], "app"), (lines[1], "eye")].map(|(line, name)| {
        admin.say(line);
        let mut client = server.client();
        client.say(&format!("AUTH {name} secret"));
        client
    });
    let token = app.acquired("seat:1", "me", 600_000);
    let guarded = |inner: &str| format!("LOCK.GUARD seat:1 {token} {inner}");
    app.say(&guarded("SET seat:1:holder me"));
    for line in [
        &guarded("SET other v"),
        &guarded("GET seat:1:holder"),
        "LOCK.FENCE other",
    ] {
        assert!(is_denied(&app.error_of(line)), "{line}");
    }
    assert_eq!(eye.fence("seat:1"), Some(token));
    eye.say("LOCK.INFO seat:1");
    let changing = [changes("seat:1"), removes("seat:1")].concat();
    for line in changing {
        assert!(is_denied(&eye.error_of(&line)), "{line}");
    }
    assert!(is_denied(&eye.error_of(&guarded("SET seat:1:holder eve"))));
    assert_eq!(admin.text("GET seat:1:holder"), "me");
}

/// Which of `all` are let through on a key with such a permission.
#[test]
fn a_key_is_read_by_who_may_read_it_and_changed_by_who_may_do_both() {
    let server = Server::start();
    let mut admin = server.client();
    let guards = ["LOCK.GUARD a:1 5 SET c:1 v".to_owned()];
    for (rules, may_look, may_change, may_remove) in [
        ("%R~a:* ~c:* +@all", true, false, false),
        ("%W~a:* ~c:* +@all", false, false, true),
        ("%RW~a:* ~c:* +@all", true, true, true),
        ("~a:* ~c:* +@all", true, true, true),
        // One pattern must allow all that a command does with a key.
        ("%R~a:* %W~a:1 ~c:* +@all", true, false, true),
        ("~b:* ~c:* +@all", false, false, false),
        ("+@all", false, false, false),
        (
            "~c:* +@all (+lock.fence +lock.info %R~a:*)",
            true,
            false,
            false,
        ),
    ] {
        let mut client = server.user(rules);
        // A guard is refused at once, or comes as far as its token, which is not live.
        let may_guard = may_look && !rules.contains('(');
        for (lines, may) in [
            (looks("a:1"), may_look),
            (changes("a:1"), may_change),
            (removes("a:1"), may_remove),
            (guards.to_vec(), may_guard),
        ] {
            for line in lines {
                admin.say("DEL a:1");
                let said = send(&mut client, Way::Plain, &line);
                let denied = said.is_err_and(|error| is_denied(&error));
                assert_eq!(denied, !may, "{rules}: {line}");
            }
        }
    }
}

#[test]
fn no_way_leads_to_a_key_of_somebody_else() {
    let server = Server::start();
    let mut admin = server.client();
    admin.call(&["FUNCTION", "LOAD", LIBRARY]);
    let token = admin.acquired("b:1", "me", 600_000);
    let mut client = server.user("~a:* +@all");
    // The lock that guards is there before and after.
    client.acquired("a:guard", "guard", 600_000);
    let before = admin.text("DEBUG DIGEST");
    for way in WAYS {
        for line in all("b:1") {
            let error = send(&mut client, way, &line).expect_err(&line);
            let is_guard = matches!(way, Way::Guard) && error.contains("LOCK commands");
            assert!(is_denied(&error) || is_guard, "{way:?}: {line}: {error}");
        }
        for line in [looks("a:1"), changes("a:1"), removes("a:1")].concat() {
            let said = send(&mut client, way, &line);
            assert!(
                !said.is_err_and(|error| is_denied(&error)),
                "{way:?}: {line}"
            );
        }
        assert!(admin.is_live("b:1", token));
    }
    assert_eq!(admin.text("DEBUG DIGEST"), before);
}

#[test]
fn a_permission_that_goes_before_exec_is_gone_at_exec() {
    let server = Server::start();
    let mut admin = server.client();
    let mut client = server.user("~a:* +@all");
    client.say("MULTI");
    client.say("LOCK.ACQUIRE a:1 me 60000");
    admin.say("ACL SETUSER somebody resetkeys ~b:*");
    let error = executed(&mut client).expect_err("it may not any more");
    assert!(is_denied(&error), "{error}");
    assert!(!admin.exists("a:1"));
}

/// Each internal command, each way: refused, or not there at all.
#[test]
fn no_user_reaches_an_internal_command_by_any_way() {
    let server = Server::start();
    let mut admin = server.client();
    admin.call(&["FUNCTION", "LOAD", LIBRARY]);
    admin.acquired("lock", "me", 600_000);
    admin.acquired("a:guard", "guard", 600_000);
    let before = admin.text("DEBUG DIGEST");
    let named = match Version::of(&mut admin).hides_internal_commands() {
        true => "~* &* +@all",
        false => "~* &* +@all +lock._grant +lock._end +lock._ceiling",
    };
    for rules in ["~* &* +@all", named, "~* &* +@all -@dangerous"] {
        let mut client = server.user(rules);
        for way in WAYS {
            for line in internal() {
                let error = send(&mut client, way, line).expect_err(line);
                let is_refused = error.contains("only a master or a persistence file")
                    || error.to_lowercase().contains("unknown command")
                    || error.contains("Unknown Redis command")
                    || error.contains("not allowed from script")
                    || error.contains("does not run LOCK commands")
                    || is_denied(&error);
                assert!(is_refused, "{way:?}: {line}: {error}");
            }
        }
    }
    for way in WAYS {
        for line in internal() {
            assert!(send(&mut admin, way, line).is_err(), "{way:?}: {line}");
        }
    }
    assert_eq!(admin.text("DEBUG DIGEST"), before);
}

/// A user `somebody` who waits for a lock and another for a list.
fn waiters(server: &Server, admin: &mut Client) -> [Waiter; 2] {
    admin.say("ACL SETUSER somebody reset on nopass ~* +@all");
    admin.say("DEL lock queue");
    admin.acquired("lock", "holder", 600_000);
    ["LOCK.ACQUIRE lock me 60000 BLOCK 0", "BLPOP queue 0"].map(|line| {
        let mut waiter = Waiter::asks(server, "AUTH somebody any");
        assert_eq!(waiter.answer(), "+OK");
        waiter.waits(admin, line);
        waiter
    })
}

#[test]
fn a_waiter_whose_user_is_deleted_is_sent_away_as_from_a_list() {
    let server = Server::start();
    let mut admin = server.client();
    let waiters = waiters(&server, &mut admin);
    admin.say("ACL DELUSER somebody");
    for mut waiter in waiters {
        assert!(waiter.answer().starts_with("closed"));
    }
    eventually("it left the line", || {
        let said = admin.text("INFO clients");
        said.contains("blocked_clients:0").then_some(())
    });
    admin.release("lock", "holder");
    assert_eq!(admin.fence("lock"), None);
}

/// What a user may do is looked at when it asks, not when it is granted. Newer servers
/// look again before they pop from a list; CLIENT KILL is what ends a wait for certain.
#[test]
fn a_waiter_whose_user_loses_its_keys_waits_until_its_connection_is_killed() {
    let server = Server::start();
    let mut admin = server.client();
    let again = Version::of(&mut admin).asks_again_before_it_pops();
    let [mut waiter, mut popper] = waiters(&server, &mut admin);
    admin.say("ACL SETUSER somebody resetkeys");
    admin.say("RPUSH queue x");
    assert_eq!(popper.answer().starts_with("-NOPERM"), again);
    admin.release("lock", "holder");
    let token = waiter.token();
    assert!(admin.is_live("lock", token));
    waiter.say("LOCK.FENCE lock");
    assert!(waiter.answer().starts_with("-NOPERM"));

    let [mut waiter, _] = waiters(&server, &mut admin);
    admin.say("ACL SETUSER somebody resetkeys");
    admin.say("CLIENT KILL USER somebody");
    assert!(waiter.answer().starts_with("closed"));
    admin.release("lock", "holder");
    assert_eq!(admin.fence("lock"), None);
}
