//! Keyspace events of locks: which, in which order, and only when they are asked for.

use crate::hourglass::until_free;
use crate::support::{Client, Server, Waiter};
use redis::{Connection, Msg};

/// Somebody who listens to all events of locks, and to `heard:all`.
struct Listener {
    connection: Connection,
}

impl Listener {
    fn at(server: &Server) -> Self {
        let url = format!("redis://127.0.0.1:{}", server.port());
        let client = redis::Client::open(url).expect("an address");
        let mut connection = client.get_connection().expect("a connection");
        let patience = Some(crate::support::patience());
        connection.set_read_timeout(patience).expect("a time");
        let mut subscribed = connection.as_pubsub();
        for pattern in ["__keyevent@*__:lock.*", "__keyspace@*__:*", "heard:all"] {
            subscribed.psubscribe(pattern).expect("subscribed");
        }
        // As it is: it is not to be unsubscribed.
        std::mem::forget(subscribed);
        Self { connection }
    }

    /// All messages up to now: channel and text.
    fn messages(&mut self, server: &Server) -> Vec<(String, String)> {
        server.client().say("PUBLISH heard:all now");
        let mut messages = Vec::new();
        loop {
            let message = self.connection.recv_response().expect("a message");
            let message = Msg::from_owned_value(message).expect("a message");
            if message.get_channel_name() == "heard:all" {
                return messages;
            }
            let text = message.get_payload().expect("text");
            messages.push((message.get_channel_name().to_owned(), text));
        }
    }

    /// What happened to locks up to now: the event and the key of each.
    fn events(&mut self, server: &Server) -> Vec<String> {
        let messages = self.messages(server).into_iter();
        let of_key = messages.filter_map(|(channel, text)| {
            let event = channel.split_once("__:lock.")?.1;
            channel
                .starts_with("__keyevent@")
                .then(|| format!("{event} {text}"))
        });
        of_key.collect()
    }
}

fn heard() -> (Server, Client, Listener) {
    let server = Server::with(&["notify-keyspace-events KEA"]);
    let (client, listener) = (server.client(), Listener::at(&server));
    (server, client, listener)
}

#[test]
fn each_act_is_published_by_key_and_by_event() {
    let (server, mut client, mut listener) = heard();
    client.acquired("k", "me", 60_000);
    let pair = |channel: &str, text: &str| (channel.to_owned(), text.to_owned());
    let expected = [
        pair("__keyspace@0__:k", "lock.acquire"),
        pair("__keyevent@0__:lock.acquire", "k"),
    ];
    assert_eq!(listener.messages(&server), expected, "and nothing else");
    client.say("LOCK.EXTEND k me 90000");
    client.say("LOCK.EXTEND k me 90000 RAISE 1");
    client.release("k", "me");
    let events = listener.events(&server);
    assert_eq!(events[0], "extend k");
    assert_eq!(events[events.len() - 1], "release k");
}

#[test]
fn what_changes_nothing_is_no_event() {
    let (server, mut client, mut listener) = heard();
    client.acquired("k", "me", 60_000);
    listener.events(&server);
    for line in [
        "LOCK.ACQUIRE k other 1000",
        "LOCK.ACQUIRE k me 1000",
        "LOCK.EXTEND k me 1000",
        "LOCK.EXTEND k other 1000",
        "LOCK.RELEASE k other",
        "LOCK.FENCE k",
        "LOCK.INFO k",
        "LOCK.ACQUIRE k other 0",
    ] {
        let _refused = client.try_call(&line.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(listener.messages(&server), []);
}

#[test]
fn a_hand_over_is_a_release_and_then_a_grant() {
    let (server, mut client, mut listener) = heard();
    client.acquired("k", "me", 60_000);
    let mut waiter = Waiter::joins(&server, &mut client, "LOCK.ACQUIRE k next 60000 BLOCK 0");
    client.release("k", "me");
    waiter.token();
    assert_eq!(
        listener.events(&server),
        ["acquire k", "release k", "acquire k"]
    );
}

#[test]
fn a_lease_that_runs_out_is_an_event_of_its_own_and_so_is_the_end_of_a_session() {
    let (server, mut client, mut listener) = heard();
    client.acquired("k", "me", 20);
    until_gone(&mut client, "k");
    assert_eq!(listener.events(&server), ["acquire k", "expire k"]);
    let mut other = server.client();
    other.say("LOCK.ACQUIRE k me 60000 SESSION");
    drop(other);
    until_gone(&mut client, "k");
    assert_eq!(listener.events(&server), ["acquire k", "expire k"]);
}

fn until_gone(client: &mut Client, key: &str) {
    until_free(client, key);
    crate::support::eventually("the key goes", || (!client.exists(key)).then_some(()));
}

#[test]
fn a_forced_break_is_an_event_before_what_comes_after_it() {
    let (server, mut client, mut listener) = heard();
    let breaks = [
        &["DEL k"][..],
        &["UNLINK k"],
        &["SET k 1", "DEL k"],
        &["RENAME k other", "DEL other"],
        &["MOVE k 1"],
        &["PEXPIRE k 1"],
    ];
    for lines in breaks {
        client.acquired("k", "me", 60_000);
        for line in lines {
            client.say(line);
        }
        until_gone(&mut client, "k");
        client.acquired("k", "next", 60_000);
        client.release("k", "next");
        assert_eq!(
            listener.events(&server),
            ["acquire k", "break k", "acquire k", "release k"],
            "{lines:?}"
        );
    }
}

#[test]
fn a_forced_break_is_published_though_nobody_touches_a_lock_any_more() {
    let (server, mut client, mut listener) = heard();
    client.acquired("k", "me", 60_000);
    client.say("DEL k");
    assert_eq!(listener.events(&server), ["acquire k", "break k"]);
}

#[test]
fn in_a_transaction_and_in_a_script_the_order_is_kept() {
    let (server, mut client, mut listener) = heard();
    for line in [
        "MULTI",
        "LOCK.ACQUIRE k me 60000",
        "DEL k",
        "LOCK.ACQUIRE k next 60000",
        "LOCK.RELEASE k next",
        "EXEC",
    ] {
        client.say(line);
    }
    let expected = ["acquire k", "break k", "acquire k", "release k"];
    assert_eq!(listener.events(&server), expected);
    let script = "redis.call('LOCK.ACQUIRE', KEYS[1], 'me', 60000)
        redis.call('DEL', KEYS[1])
        redis.call('LOCK.ACQUIRE', KEYS[1], 'next', 60000)
        return redis.call('LOCK.RELEASE', KEYS[1], 'next')";
    client.call(&["EVAL", script, "1", "k"]);
    assert_eq!(listener.events(&server), expected);
}

#[test]
fn the_database_is_that_of_the_lock() {
    let (server, mut client, mut listener) = heard();
    client.say("SELECT 3");
    client.acquired("k", "me", 20);
    client.say("SELECT 0");
    client.say("LOCK.ACQUIRE hold me 60000");
    client.say("SELECT 3");
    until_gone(&mut client, "k");
    let channels = listener.messages(&server).into_iter();
    let of_3: Vec<String> = channels
        .filter(|(channel, _)| channel.starts_with("__keyevent@3__:lock"))
        .map(|(channel, _)| channel)
        .collect();
    assert_eq!(
        of_3,
        ["__keyevent@3__:lock.acquire", "__keyevent@3__:lock.expire"]
    );
    assert_eq!(
        client.fence("hold"),
        None,
        "the client's database is as it was"
    );
}

#[test]
fn nothing_is_published_unless_events_of_modules_are_on_and_they_can_be_switched() {
    let server = Server::with(&["notify-keyspace-events KEg$"]);
    let (mut client, mut listener) = (server.client(), Listener::at(&server));
    client.acquired("k", "me", 60_000);
    client.release("k", "me");
    assert_eq!(listener.messages(&server), []);
    client.say("CONFIG SET notify-keyspace-events KEd");
    client.acquired("k", "me", 60_000);
    assert_eq!(listener.events(&server), ["acquire k"]);
    client.say("CONFIG SET notify-keyspace-events KEg");
    client.release("k", "me");
    assert_eq!(listener.messages(&server), []);
}

#[test]
fn a_wait_is_no_slow_command_and_the_latency_monitor_does_not_see_it() {
    let server = Server::with(&[
        "slowlog-log-slower-than 20000",
        "latency-monitor-threshold 20",
    ]);
    let mut client = server.client();
    client.acquired("k", "me", 60);
    let mut waiter = Waiter::asks(&server, "LOCK.ACQUIRE k next 60000 BLOCK 0");
    waiter.token();
    assert_eq!(client.number("SLOWLOG LEN"), 0);
    assert_eq!(client.texts("LATENCY LATEST"), Vec::<String>::new());
}

#[test]
fn work_between_commands_that_takes_long_is_in_the_latency_monitor_if_that_is_on() {
    let server = Server::start();
    let mut client = server.client();
    // A crowd whose leases end together: there is no more work in one turn than this.
    let crowd = "for i = 1, 30000 do
        redis.call('LOCK.ACQUIRE', KEYS[1], 'reader' .. i, ARGV[1], 'SHARED') end";
    for (threshold, is_there) in [("0", false), ("1", true)] {
        client.say(&format!("CONFIG SET latency-monitor-threshold {threshold}"));
        client.say("LATENCY RESET");
        client.call(&["EVAL", crowd, "1", "k", "1500"]);
        until_gone(&mut client, "k");
        let latest = format!("{:?}", client.say("LATENCY LATEST"));
        assert_eq!(latest.contains("redislock-turn"), is_there, "{latest}");
    }
}
