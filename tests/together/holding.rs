//! Who may hold a lock together with whom, and what each hold has of its own.

use super::support::{eventually, Client, Server, Waiter};

/// `LOCK.ACQUIRE key owner ttl-ms options`: the token, or nil.
pub fn ask(client: &mut Client, rest: &str) -> Option<i64> {
    client.number_or_nil(&format!("LOCK.ACQUIRE {rest}"))
}

/// As [`ask`], which must be granted.
pub fn granted(client: &mut Client, rest: &str) -> i64 {
    ask(client, rest).unwrap_or_else(|| panic!("{rest}: not granted"))
}

#[test]
fn readers_hold_together_and_a_writer_holds_alone() {
    let mut server = Server::start();
    let mut client = server.client();
    let readers: Vec<i64> = (0..50)
        .map(|i| granted(&mut client, &format!("k r{i} 60000 SHARED")))
        .collect();
    assert!(
        readers.windows(2).all(|pair| pair[0] < pair[1]),
        "{readers:?}"
    );
    assert!(readers.iter().all(|&token| client.is_live("k", token)));
    assert_eq!(client.fence("k"), Some(readers[0]), "the lowest");
    assert_eq!(ask(&mut client, "k w 60000"), None);
    for i in 0..50 {
        assert_eq!(client.release("k", &format!("r{i}")), 1);
    }
    assert!(!client.exists("k"));
    let writer = granted(&mut client, "k w 60000");
    assert!(writer > readers[49]);
    assert_eq!(ask(&mut client, "k r 60000 SHARED"), None);
    server.assert_healthy();
}

#[test]
fn a_limit_lets_in_as_many_as_it_says() {
    let server = Server::start();
    let mut client = server.client();
    for limit in [1, 2, 3, 1_024] {
        let name = format!("k{limit}");
        let rest = |i| format!("{name} o{i} 60000 LIMIT {limit}");
        for i in 0..limit {
            granted(&mut client, &rest(i));
        }
        assert_eq!(ask(&mut client, &rest(limit)), None, "{limit}");
        assert_eq!(client.release(&name, "o0"), 1);
        granted(&mut client, &rest(limit));
    }
}

/// Each line is somebody who asks; `+` those who must be let in.
#[test]
fn nobody_is_let_in_where_anybody_would_mind() {
    let mixtures: [&[&str]; 8] = [
        &["+SHARED", "+LIMIT 3", "+SHARED", "-SHARED", "-LIMIT 9", "-"],
        &["+LIMIT 3", "+LIMIT 2", "-LIMIT 3", "-SHARED"],
        &["+SHARED", "+SHARED", "+SHARED", "-LIMIT 3", "+LIMIT 4"],
        &["+LIMIT 1", "-LIMIT 1", "-SHARED", "-"],
        &["+", "-LIMIT 2", "-SHARED", "-LIMIT 1024"],
        &["+SHARED", "-", "-LIMIT 1", "+LIMIT 2", "-LIMIT 2"],
        &["+LIMIT 5", "+LIMIT 4", "+LIMIT 5", "-LIMIT 3", "+SHARED"],
        &["+LIMIT 2", "+SHARED", "-SHARED"],
    ];
    let server = Server::start();
    let mut client = server.client();
    for asked in mixtures {
        client.say("FLUSHALL");
        for (turn, who) in asked.iter().enumerate() {
            let (mark, option) = who.split_at(1);
            let token = ask(&mut client, &format!("k o{turn} 60000 {option}"));
            assert_eq!(token.is_some(), mark == "+", "{asked:?} at {turn}");
        }
    }
}

#[test]
fn a_semaphore_is_resized_by_asking_with_another_number() {
    let server = Server::start();
    let mut client = server.client();
    for owner in ["a", "b", "c"] {
        granted(&mut client, &format!("k {owner} 60000 LIMIT 3"));
    }
    // Larger: as soon as those are gone who knew the smaller number.
    assert_eq!(ask(&mut client, "k d 60000 LIMIT 5"), None);
    client.release("k", "a");
    granted(&mut client, "k d 60000 LIMIT 5");
    client.release("k", "b");
    client.release("k", "c");
    for owner in ["e", "f", "g", "h"] {
        granted(&mut client, &format!("k {owner} 60000 LIMIT 5"));
    }
    // Smaller: nobody more until it is kept.
    assert_eq!(ask(&mut client, "k i 60000 LIMIT 2"), None);
    for owner in ["d", "e", "f"] {
        client.release("k", owner);
        assert_eq!(ask(&mut client, "k i 60000 LIMIT 2"), None);
    }
    client.release("k", "g");
    granted(&mut client, "k i 60000 LIMIT 2");
}

#[test]
fn each_holder_has_a_lease_of_its_own() {
    let server = Server::start();
    let mut client = server.client();
    let short = granted(&mut client, "k short 100 SHARED");
    let long = granted(&mut client, "k long 60000 SHARED");
    let moved = granted(&mut client, "k moved 100 SHARED");
    assert_eq!(client.number("LOCK.EXTEND k moved 60000"), 1);
    eventually("the short lease ends", || {
        (!client.is_live("k", short)).then_some(())
    });
    assert!(client.is_live("k", long) && client.is_live("k", moved));
    assert_eq!(client.fence("k"), Some(long));
    assert_eq!(client.release("k", "short"), 0);
    assert_eq!(client.number("LOCK.EXTEND k short 60000"), 0);
    let again = granted(&mut client, "k short 60000 SHARED");
    assert!(again > moved);
}

#[test]
fn each_holder_has_a_session_of_its_own() {
    let server = Server::start();
    let mut client = server.client();
    let ask = |owner: &str| format!("LOCK.ACQUIRE k {owner} 60000 SHARED SESSION");
    let mut tokens = Vec::new();
    let mut holders: Vec<Waiter> = Vec::new();
    for owner in ["a", "b", "c"] {
        let mut holder = Waiter::asks(&server, &ask(owner));
        tokens.push(holder.token());
        holders.push(holder);
    }
    let unbound = granted(&mut client, "k d 60000 SHARED");
    drop(holders.remove(1));
    eventually("the session ends", || {
        (!client.is_live("k", tokens[1])).then_some(())
    });
    assert!([tokens[0], tokens[2], unbound]
        .iter()
        .all(|&it| client.is_live("k", it)));
    drop(holders);
    eventually("the sessions end", || {
        (client.fence("k") == Some(unbound)).then_some(())
    });
}

#[test]
fn one_connection_may_be_the_session_of_several_holders_of_a_lock() {
    let server = Server::start();
    let mut client = server.client();
    let mut holder = Waiter::asks(&server, "LOCK.ACQUIRE k a 60000 SHARED SESSION");
    let mut tokens = vec![holder.token()];
    for owner in ["b", "c"] {
        holder.say(&format!("LOCK.ACQUIRE k {owner} 60000 SHARED SESSION"));
        tokens.push(holder.token());
    }
    // The latest call of an owner says what its hold is bound to.
    assert_eq!(granted(&mut client, "k b 60000 SHARED"), tokens[1]);
    drop(holder);
    eventually("the others end", || {
        (client.fence("k") == Some(tokens[1])).then_some(())
    });
    assert!(!client.is_live("k", tokens[2]));
}

#[test]
fn release_of_one_of_many_leaves_the_others_and_the_key() {
    let server = Server::start();
    let mut client = server.client();
    let [a, b, c] = ["a", "b", "c"].map(|it| granted(&mut client, &format!("k {it} 60000 SHARED")));
    assert_eq!(client.number(&format!("LOCK.RELEASE k b TOKEN {a}")), 0);
    assert!(client.is_live("k", b));
    assert_eq!(client.number(&format!("LOCK.RELEASE k b TOKEN {b}")), 1);
    assert_eq!(client.release("k", "b"), 0);
    assert!(client.exists("k") && client.is_live("k", a) && client.is_live("k", c));
    client.release("k", "a");
    assert_eq!(client.fence("k"), Some(c));
    client.release("k", "c");
    assert_eq!(client.number("DBSIZE"), 0);
}

#[test]
fn del_breaks_all_holds_and_the_line_is_served() {
    for break_it in [
        "DEL k",
        "UNLINK k",
        "FLUSHALL",
        "RENAME k x",
        "PEXPIRE k -1",
    ] {
        let mut server = Server::start();
        let mut client = server.client();
        let tokens: Vec<i64> = (0..5)
            .map(|i| granted(&mut client, &format!("k r{i} 60000 SHARED")))
            .collect();
        let mut writer = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k w 60000 BLOCK 0");
        client.say(break_it);
        let token = writer.token();
        assert!(token > tokens[4], "{break_it}");
        assert!(
            tokens.iter().all(|&it| !client.is_live("k", it)),
            "{break_it}"
        );
        assert_eq!(client.release("k", "r0"), 0);
        assert_eq!(client.release("k", "w"), 1);
        eventually("no key is left", || {
            (client.number("DBSIZE") == 0).then_some(())
        });
        server.assert_healthy();
    }
}

#[test]
fn the_same_owner_with_another_tolerance_is_an_error_that_changes_nothing() {
    let mut server = Server::start();
    let mut client = server.client();
    let ways = ["", "SHARED", "LIMIT 2", "LIMIT 3"];
    for held in ways {
        client.say("FLUSHALL");
        let token = granted(&mut client, &format!("k me 60000 {held}"));
        for other in ways {
            let rest = format!("k me 600000 {other} SESSION DELAY 5000");
            let line = format!("LOCK.ACQUIRE {rest}");
            let before = client.text("DEBUG DIGEST");
            if held == other {
                assert_eq!(granted(&mut client, &format!("k me 60000 {other}")), token);
                continue;
            }
            let error = client.error_of(&line);
            assert!(
                error.starts_with("ERR this owner holds the lock or waits"),
                "{error}"
            );
            assert_eq!(client.text("DEBUG DIGEST"), before);
            assert!(client.is_live("k", token));
            let info = format!("{:?}", client.say("LOCK.INFO k"));
            assert!(!info.contains("5000"), "{info}");
        }
    }
    // One is the same as alone, which has no other name.
    client.say("FLUSHALL");
    let token = granted(&mut client, "k me 60000");
    assert_eq!(granted(&mut client, "k me 60000 LIMIT 1"), token);
    server.assert_healthy();
}

#[test]
fn the_same_owner_in_line_with_another_tolerance_is_an_error_that_leaves_it_there() {
    let server = Server::start();
    let mut client = server.client();
    client.acquired("k", "holder", 60_000);
    let mut reader = Waiter::joins(
        &server,
        &mut client,
        "LOCK.ACQUIRE k me 60000 BLOCK 0 SHARED",
    );
    for other in ["", " LIMIT 2"] {
        let line = format!("LOCK.ACQUIRE k me 60000 BLOCK 0{other}");
        let error = client.error_of(&line);
        assert!(error.starts_with("ERR this owner"), "{error}");
    }
    assert!(reader.is_silent());
    client.release("k", "holder");
    let token = reader.token();
    granted(&mut client, "k other 60000 SHARED");
    assert!(client.is_live("k", token));
}

#[test]
fn raise_is_refused_where_others_may_hold_too() {
    let server = Server::start();
    let mut client = server.client();
    for option in ["SHARED", "LIMIT 2"] {
        let token = granted(&mut client, &format!("k me 1000 {option}"));
        let raise = format!("LOCK.EXTEND k me 60000 RAISE {}", token + 1);
        let error = client.error_of(&raise);
        assert!(
            error.starts_with("ERR RAISE is for exclusive holds"),
            "{error}"
        );
        assert_eq!(client.fence("k"), Some(token));
        client.release("k", "me");
    }
    let token = granted(&mut client, "k me 1000 LIMIT 1");
    let raise = format!("LOCK.EXTEND k me 60000 RAISE {}", token + 1);
    assert_eq!(client.number(&raise), token + 1);
}

#[test]
fn a_key_with_many_holders_is_one_key_of_the_type() {
    let server = Server::start();
    let mut client = server.client();
    granted(&mut client, "k r0 60000 SHARED");
    let one = client.number("MEMORY USAGE k");
    for i in 1..1_000 {
        granted(
            &mut client,
            &format!("k a-reader-whose-name-is-long-{i} 60000 SHARED"),
        );
    }
    let many = client.number("MEMORY USAGE k");
    assert!(many > one + 100 * 999, "{one}, {many}");
    assert!(many < one + 1_000 * 999, "{one}, {many}");
    assert_eq!(client.text("TYPE k"), "redislock");
    assert_eq!(client.names_of_type("redislock"), ["k"]);
    assert_eq!(client.number("DBSIZE"), 1);
}

#[test]
fn the_digest_of_a_key_tells_of_each_of_its_holders() {
    let server = Server::start();
    let mut client = server.client();
    let mut digests = Vec::new();
    for owner in ["a", "b", "c"] {
        granted(&mut client, &format!("k {owner} 60000 SHARED"));
        digests.push(client.text("DEBUG DIGEST"));
    }
    client.release("k", "b");
    digests.push(client.text("DEBUG DIGEST"));
    let mut different = digests.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), digests.len(), "{digests:?}");
    client.say("LOCK.EXTEND k a 70000");
    assert_eq!(client.text("DEBUG DIGEST"), digests[3], "not until when");
}
