//! LOCK.INFO and LOCK.HELP: what they show, in which order, and to whom.

use crate::hourglass::run_out;
use crate::support::{eventually, replica_of, Client, Server, Waiter};
use redis::Value;

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => panic!("{other:?}"),
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        other => panic!("{other:?}"),
    }
}

/// The names of a flat map, and its values.
fn parts(value: &Value) -> (Vec<String>, Vec<Value>) {
    let pairs = list(value).chunks(2);
    pairs.map(|pair| (text(&pair[0]), pair[1].clone())).unzip()
}

const FIELDS: [&str; 5] = ["holders", "waiters", "lowest-token", "held-by", "line"];
const OF_HOLD: [&str; 8] = [
    "owner",
    "token",
    "ttl-ms",
    "held-ms",
    "tolerates",
    "session",
    "delay-ms",
    "cooling-ms",
];
const OF_WAITER: [&str; 3] = ["owner", "tolerates", "waited-ms"];

/// The values of LOCK.INFO, in order.
fn info(client: &mut Client, key: &str) -> Vec<Value> {
    let (names, values) = parts(&client.say(&format!("LOCK.INFO {key}")));
    assert_eq!(names, FIELDS);
    for (index, fields) in [(3, &OF_HOLD[..]), (4, &OF_WAITER[..])] {
        for part in list(&values[index]) {
            assert_eq!(parts(part).0, fields);
        }
    }
    values
}

#[test]
fn a_free_lock_has_nobody() {
    let server = Server::start();
    let mut client = server.client();
    let nobody = Value::Array(vec![]);
    let expected = [
        Value::Int(0),
        Value::Int(0),
        Value::Nil,
        nobody.clone(),
        nobody,
    ];
    assert_eq!(info(&mut client, "free"), expected);
    assert!(!client.exists("free"));
}

#[test]
fn a_holder_is_shown_with_all_it_has() {
    let server = Server::start();
    let mut client = server.client();
    let id = client.number("CLIENT ID");
    let token = client.number("LOCK.ACQUIRE k me 60000 LIMIT 3 SESSION DELAY 5000");
    let shared = client.number("LOCK.ACQUIRE k reader 60000 SHARED");
    let values = info(&mut client, "k");
    assert_eq!(
        values[..3],
        [Value::Int(2), Value::Int(0), Value::Int(token)]
    );
    let [me, reader] = list(&values[3]) else {
        panic!("{values:?}");
    };
    let me = parts(me).1;
    assert_eq!((text(&me[0]), number(&me[1])), ("me".to_owned(), token));
    assert!((30_000..=60_000).contains(&number(&me[2])), "{me:?}");
    let rest = [3, id, 5_000, 0].map(Value::Int);
    assert_eq!(me[4..], rest, "the session is the number of the connection");
    let reader = parts(reader).1;
    assert_eq!(
        (text(&reader[0]), number(&reader[1])),
        ("reader".to_owned(), shared)
    );
    assert_eq!(
        reader[4..],
        [Value::Int(0), Value::Nil, Value::Int(0), Value::Int(0)]
    );
}

#[test]
fn a_hold_that_cools_is_shown_as_one() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.number("LOCK.ACQUIRE k me 20 DELAY 600000");
    eventually("it cools", || (!client.is_live("k", token)).then_some(()));
    let values = info(&mut client, "k");
    assert_eq!(values[..3], [Value::Int(1), Value::Int(0), Value::Nil]);
    let hold = parts(&list(&values[3])[0]).1;
    assert_eq!(
        [&hold[1], &hold[2], &hold[4]],
        [&Value::Int(token), &Value::Int(0), &Value::Int(1)]
    );
    assert_eq!(hold[6], Value::Int(600_000));
    assert!((500_000..=600_000).contains(&number(&hold[7])), "{hold:?}");
}

/// To a second: tokens are marked with the time once a second.
#[test]
fn since_when_somebody_holds_it_is_shown_also_after_an_extension_and_for_a_replica() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("before", "me", 600_000);
    let replica = replica_of(&server, &[]);
    run_out(&mut client, 1_200);
    client.say("LOCK.EXTEND before me 700000");
    client.acquired("after", "me", 600_000);
    let mut age = |key: &str| {
        let hold = parts(&list(&info(&mut client, key)[3])[0]).1;
        number(&hold[3])
    };
    let (before, after) = (age("before"), age("after"));
    assert!(before >= 1_200, "{before} ms");
    assert!(
        after < before && before - after >= 1_000,
        "{before} and {after} ms"
    );
    let hold = parts(&list(&info(&mut replica.client(), "before")[3])[0]).1;
    assert!(number(&hold[3]) >= 1_200, "{hold:?}");
}

#[test]
fn those_in_line_are_shown_in_order_with_how_long_they_have_waited() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let lines = [
        "a 60000 BLOCK 0",
        "b 60000 BLOCK 0 SHARED",
        "c 60000 BLOCK 0 LIMIT 7",
    ];
    let _line =
        lines.map(|rest| Waiter::joins(&server, &mut client, &format!("LOCK.ACQUIRE k {rest}")));
    // The same owner twice is one place in line.
    let _again = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k a 60000 BLOCK 0");
    let values = eventually("time passes", || {
        let values = info(&mut client, "k");
        let last = parts(list(&values[4]).last()?).1;
        (number(&last[2]) > 0).then_some(values)
    });
    assert_eq!(number(&values[1]), 3);
    let shown: Vec<_> = list(&values[4]).iter().map(|it| parts(it).1).collect();
    let who: Vec<_> = shown
        .iter()
        .map(|it| (text(&it[0]), number(&it[1])))
        .collect();
    assert_eq!(
        who,
        [
            ("a".to_owned(), 1),
            ("b".to_owned(), 0),
            ("c".to_owned(), 7)
        ]
    );
    let waited: Vec<i64> = shown.iter().map(|it| number(&it[2])).collect();
    assert!(
        waited.is_sorted_by(|a, b| a >= b) && waited[0] < 60_000,
        "{waited:?}"
    );
}

#[test]
fn of_many_a_hundred_are_listed_and_all_are_counted() {
    let server = Server::start();
    let mut client = server.client();
    let tokens: Vec<i64> = (0..150)
        .map(|i| client.number(&format!("LOCK.ACQUIRE k r{i} 600000 SHARED")))
        .collect();
    let _line: Vec<Waiter> = (0..150)
        .map(|i| Waiter::asks(&server, &format!("LOCK.ACQUIRE k w{i} 600000 BLOCK 0")))
        .collect();
    let values = eventually("all are in line", || {
        let values = info(&mut client, "k");
        (values[1] == Value::Int(150)).then_some(values)
    });
    assert_eq!((number(&values[0]), number(&values[2])), (150, tokens[0]));
    let listed: Vec<i64> = list(&values[3])
        .iter()
        .map(|it| number(&parts(it).1[1]))
        .collect();
    assert_eq!(listed, tokens[..100]);
    assert_eq!(list(&values[4]).len(), 100);
}

#[test]
fn in_resp3_it_is_a_map_of_maps() {
    let server = Server::start();
    let mut client = server.client();
    let token = client.acquired("k", "me", 60_000);
    let mut raw = Waiter::in_resp3(&server);
    raw.say("LOCK.INFO k");
    let expected = [
        "%5",
        "$7",
        "holders",
        ":1",
        "$7",
        "waiters",
        ":0",
        "$12",
        "lowest-token",
        &format!(":{token}"),
        "$7",
        "held-by",
        "*1",
        "%8",
        "$5",
        "owner",
        "$2",
        "me",
    ];
    for line in expected {
        assert_eq!(raw.answer(), line);
    }
    raw.say("LOCK.INFO free");
    let rest: Vec<String> = std::iter::from_fn(|| Some(raw.answer()))
        .take_while(|line| line != "line")
        .collect();
    assert!(
        rest.iter().any(|line| line == "_"),
        "nil is RESP3's own: {rest:?}"
    );
    assert_eq!(raw.answer(), "*0");
}

#[test]
fn a_key_of_another_type_and_too_many_words_are_errors() {
    let server = Server::start();
    let mut client = server.client();
    client.say("SET string x");
    assert!(client
        .error_of("LOCK.INFO string")
        .starts_with("WRONGTYPE "));
    for line in ["LOCK.INFO", "LOCK.INFO a b"] {
        let error = client.error_of(line);
        assert_eq!(
            error,
            "ERR wrong number of arguments for 'lock.info' command"
        );
    }
    let error = client.error_of("LOCK.HELP me");
    assert_eq!(
        error,
        "ERR wrong number of arguments for 'lock.help' command"
    );
}

#[test]
fn a_replica_shows_holders_and_no_sessions() {
    let master = Server::start();
    let mut on_master = master.client();
    let token = on_master.number("LOCK.ACQUIRE k me 600000 SESSION DELAY 7");
    let replica = Server::start();
    let mut on_replica = replica.client();
    on_replica.say(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
    eventually("it follows", || {
        (on_replica.fence("k") == Some(token)).then_some(())
    });
    let hold = parts(&list(&info(&mut on_replica, "k")[3])[0]).1;
    assert_eq!(
        hold[4..],
        [Value::Int(1), Value::Nil, Value::Int(7), Value::Int(0)]
    );
}

#[test]
fn who_may_read_a_lock_may_see_it_and_nobody_else() {
    let server = Server::start();
    let mut admin = server.client();
    admin.acquired("a:lock", "me", 600_000);
    for (rules, is_shown) in [
        ("~a:* +@all", true),
        ("%R~a:* +@all", true),
        ("~* +lock.info", true),
        ("%W~a:* +@all", false),
        ("~b:* +@all", false),
        ("~a:* +lock.guard +lock.fence", false),
        ("~a:* +@all -lock.info", false),
    ] {
        admin.say(&format!("ACL SETUSER somebody reset on nopass {rules}"));
        let mut client = server.client();
        client.say("AUTH somebody any");
        let told = client.try_call(&["LOCK.INFO", "a:lock"]);
        match told {
            Ok(_) => assert!(is_shown, "{rules}"),
            Err(error) => assert!(!is_shown && error.code() == Some("NOPERM"), "{rules}"),
        }
    }
}

#[test]
fn help_names_every_command_and_fits_a_screen() {
    let server = Server::start();
    let mut client = server.client();
    let help = client.texts("LOCK.HELP");
    let all = client.texts("COMMAND LIST FILTERBY MODULE redislock");
    let public: Vec<String> = all
        .into_iter()
        .filter(|name| !name.starts_with("lock._"))
        .map(|name| name.to_uppercase())
        .collect();
    assert_eq!(public.len(), 7, "{public:?}");
    for name in public {
        let is_named = help
            .iter()
            .any(|line| line.split(' ').next() == Some(name.as_str()));
        assert!(is_named, "{name}");
    }
    for line in &help {
        assert!(line.len() <= 100 && line.is_ascii(), "{line}");
        assert!(!line.contains("LOCK._"), "{line}");
    }
    let shown = help.join("\n");
    for option in [
        "BLOCK", "SESSION", "SHARED", "LIMIT n", "DELAY ms", "TOKEN", "RAISE",
    ] {
        assert!(shown.contains(option), "{option}");
    }
}

#[test]
fn help_needs_no_key_and_no_master() {
    let server = Server::with(&["replica-serve-stale-data no"]);
    let mut client = server.client();
    client.say("REPLICAOF 127.0.0.1 1");
    assert!(client.error_of("LOCK.INFO k").starts_with("MASTERDOWN "));
    assert!(client.texts("LOCK.HELP").len() > 10);
}
