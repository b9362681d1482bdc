//! Readers, writers and permits in one line: first come, first served, and those
//! who may hold together are let in together.

use super::holding::{ask, granted};
use super::support::resp::Wire;
use super::support::{stretched_ms, Server, Waiter};
use std::sync::atomic::{AtomicI64, Ordering};

const READER: &str = "60000 SHARED BLOCK 0";
const WRITER: &str = "60000 BLOCK 0";

#[test]
fn readers_do_not_overtake_a_writer_that_waits() {
    let mut server = Server::start();
    let mut client = server.client();
    let first = granted(&mut client, "k r1 60000 SHARED");
    let mut writer = Waiter::joins(&server, &mut client, &format!("LOCK.ACQUIRE k w {WRITER}"));
    assert_eq!(
        ask(&mut client, "k r2 60000 SHARED"),
        None,
        "a try is no overtaking"
    );
    let ask = |owner| format!("LOCK.ACQUIRE k {owner} {READER}");
    let mut second = Waiter::joins(&server, &mut client, &ask("r2"));
    let mut third = Waiter::joins(&server, &mut client, &ask("r3"));
    // The reader that holds is told its token again, line or not.
    assert_eq!(granted(&mut client, "k r1 60000 SHARED"), first);
    assert!(writer.is_silent() && second.is_silent());
    client.release("k", "r1");
    let written = writer.token();
    assert!(
        written > first,
        "a writer's token is above every earlier reader's"
    );
    assert!(second.is_silent() && third.is_silent());
    client.release("k", "w");
    let read = [second.token(), third.token()];
    assert!(written < read[0] && read[0] < read[1]);
    server.assert_healthy();
}

#[test]
fn a_batch_of_readers_is_let_in_in_one_turn_up_to_the_next_writer() {
    let mut server = Server::start();
    let mut client = server.client();
    let held = client.acquired("k", "holder", 60_000);
    let mut readers: Vec<Waiter> = (0..20)
        .map(|i| {
            let line = format!("LOCK.ACQUIRE k r{i} {READER}");
            Waiter::joins(&server, &mut client, &line)
        })
        .collect();
    let mut writer = Waiter::joins(&server, &mut client, &format!("LOCK.ACQUIRE k w {WRITER}"));
    let late = format!("LOCK.ACQUIRE k late {READER}");
    let mut late = Waiter::joins(&server, &mut client, &late);
    // Nothing comes between these two.
    client.say("MULTI");
    client.say("LOCK.RELEASE k holder");
    client.say("LOCK.INFO k");
    let told = format!("{:?}", client.say("EXEC"));
    for i in 0..20 {
        assert!(told.contains(&format!("\"r{i}\"")), "{told}");
    }
    let tokens: Vec<i64> = readers.iter_mut().map(Waiter::token).collect();
    let expected: Vec<i64> = (held + 1..=held + 20).collect();
    assert_eq!(tokens, expected, "in the order in which they came");
    assert!(writer.is_silent() && late.is_silent());
    for i in 0..20 {
        assert!(writer.is_silent(), "{i} have gone");
        client.release("k", &format!("r{i}"));
    }
    assert!(writer.token() > tokens[19]);
    assert!(late.is_silent());
    client.release("k", "w");
    late.token();
    server.assert_healthy();
}

#[test]
fn a_writer_that_leaves_the_line_lets_the_readers_behind_it_in() {
    let server = Server::start();
    let mut client = server.client();
    for way in ["LOCK.RELEASE k w", "CLIENT KILL ID {id}"] {
        client.say("FLUSHALL");
        let first = granted(&mut client, "k r1 60000 SHARED");
        let writer = format!("LOCK.ACQUIRE k w {WRITER}");
        let writer = Waiter::joins(&server, &mut client, &writer);
        let reader = format!("LOCK.ACQUIRE k r2 {READER}");
        let mut reader = Waiter::joins(&server, &mut client, &reader);
        client.say(&way.replace("{id}", &writer.id.to_string()));
        let second = reader.token();
        assert!(
            client.is_live("k", first) && client.is_live("k", second),
            "{way}"
        );
    }
    client.say("FLUSHALL");
    let first = granted(&mut client, "k r1 60000 SHARED");
    let mut brief = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k w 60000 BLOCK 100");
    let reader = format!("LOCK.ACQUIRE k r2 {READER}");
    let mut reader = Waiter::joins(&server, &mut client, &reader);
    brief.is_told_nil();
    let second = reader.token();
    assert!(client.is_live("k", first) && client.is_live("k", second));
}

#[test]
fn a_lease_that_ends_beside_others_lets_the_head_in() {
    let server = Server::start();
    let mut client = server.client();
    let brief = granted(
        &mut client,
        &format!("k brief {} LIMIT 2", stretched_ms(200)),
    );
    let other = granted(&mut client, "k other 60000 LIMIT 2");
    let line = "LOCK.ACQUIRE k next 60000 LIMIT 2 BLOCK 0";
    let mut next = Waiter::joins(&server, &mut client, line);
    let token = next.token();
    assert!(!client.is_live("k", brief));
    assert!(client.is_live("k", other) && client.is_live("k", token));
}

#[test]
fn a_permit_given_back_goes_to_the_head_of_the_line() {
    let server = Server::start();
    let mut client = server.client();
    for owner in ["a", "b"] {
        granted(&mut client, &format!("k {owner} 60000 LIMIT 2"));
    }
    let ask =
        |owner: &str, limit: usize| format!("LOCK.ACQUIRE k {owner} 60000 LIMIT {limit} BLOCK 0");
    let mut first = Waiter::joins(&server, &mut client, &ask("c", 2));
    let mut small = Waiter::joins(&server, &mut client, &ask("d", 1));
    let mut last = Waiter::joins(&server, &mut client, &ask("e", 2));
    client.release("k", "a");
    first.token();
    client.release("k", "b");
    assert!(
        small.is_silent() && last.is_silent(),
        "it would be the second"
    );
    client.release("k", "c");
    small.token();
    assert!(last.is_silent());
    client.release("k", "d");
    last.token();
}

/// What the clients do inside is counted by the server itself, in a number that
/// has nothing to do with locks.
#[test]
fn never_more_than_three_are_inside_and_at_times_three_are() {
    const CLIENTS: usize = 24;
    const TURNS: usize = 40;
    let mut server = Server::start();
    let (most, port) = (AtomicI64::new(0), server.port());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let most = &most;
            scope.spawn(move || {
                let mut wire = Wire::connect(port);
                let mut say = |line: &str| {
                    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
                    wire.send_command(&words).expect("it listens");
                    let told = wire.line().expect("an answer");
                    let told = String::from_utf8_lossy(&told[1..]).into_owned();
                    told.parse::<i64>().expect("a number")
                };
                for turn in 0..TURNS {
                    let owner = format!("{client}:{turn}");
                    say(&format!("LOCK.ACQUIRE pool {owner} 60000 LIMIT 3 BLOCK 0"));
                    most.fetch_max(say("INCR inside"), Ordering::Relaxed);
                    say("INCR entered");
                    say("DECR inside");
                    assert_eq!(say(&format!("LOCK.RELEASE pool {owner}")), 1);
                }
            });
        }
    });
    assert_eq!(most.into_inner(), 3);
    let mut client = server.client();
    assert_eq!(client.text("GET entered"), (CLIENTS * TURNS).to_string());
    assert!(!client.exists("pool"));
    server.assert_healthy();
}

#[test]
fn in_scripts_and_transactions_they_are_granted_together_too() {
    let server = Server::start();
    let mut client = server.client();
    let script = "local t = {} for i = 1, 4 do
        t[i] = redis.call('LOCK.ACQUIRE', KEYS[1], 'o' .. i, 60000, 'LIMIT', 3) and 1 or 0
        end return table.concat(t)";
    assert_eq!(client.bytes(&["EVAL", script, "1", "k"]), b"1110");
    client.say("MULTI");
    client.say("LOCK.RELEASE k o1");
    client.say("LOCK.ACQUIRE k o5 60000 LIMIT 3 BLOCK 0");
    client.say("LOCK.ACQUIRE k o6 60000 LIMIT 3 BLOCK 0");
    let redis::Value::Array(told) = client.say("EXEC") else {
        panic!("no answers");
    };
    assert!(
        matches!(told[..], [_, redis::Value::Int(_), redis::Value::Nil]),
        "{told:?}"
    );
}
