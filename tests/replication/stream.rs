//! The exact stream of what changes something.

use super::support::{stretched_ms, Listening, Server, Stream};

impl Listening {
    /// What is heard of one call, with the token it returned put in as `T`.
    fn heard_of(&mut self, line: &str) -> Vec<String> {
        let token = self.client.number_or_nil(line).unwrap_or_default();
        let heard = self.heard();
        heard
            .iter()
            .map(|line| line.replace(&token.to_string(), "T"))
            .collect()
    }
}

#[test]
fn the_first_grant_sends_the_ceiling_in_front_in_one_transaction() {
    let server = Server::start();
    let mut client = server.client();
    let mut stream = Stream::of(server.port());
    let token = client.acquired("k", "alice", 30_000);
    // The term began with the first token of a millisecond.
    let (ceiling, since) = (token + (1 << 18), token >> 12);
    let expected = [
        "MULTI".to_owned(),
        format!("LOCK._CEILING {ceiling} 30000 {since}"),
        format!("LOCK._GRANT k alice {token} 30000"),
        "EXEC".to_owned(),
    ];
    assert_eq!(stream.heard(&mut client), expected);
}

#[test]
fn a_grant_sends_who_holds_it_with_which_token_for_how_long() {
    let mut on = Listening::start(60_000);
    let heard = on.heard_of("LOCK.ACQUIRE k alice 30000");
    assert_eq!(heard, ["LOCK._GRANT k alice T 30000"]);
}

#[test]
fn a_longer_lease_than_ever_before_sends_the_ceiling_again() {
    let mut on = Listening::start(60_000);
    let heard = on.heard_of("LOCK.ACQUIRE k alice 60001");
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert!(heard[1].starts_with("LOCK._CEILING "), "{heard:?}");
    assert!(heard[1].contains(" 60001 "), "{heard:?}");
    assert_eq!(heard[2], "LOCK._GRANT k alice T 60001");
    let heard = on.heard_of("LOCK.EXTEND k alice 70000");
    assert!(heard[1].contains(" 70000 "), "{heard:?}");
}

#[test]
fn a_release_sends_del() {
    let mut on = Listening::start(60_000);
    on.client.acquired("k", "alice", 30_000);
    on.heard();
    assert_eq!(on.heard_of("LOCK.RELEASE k alice"), ["DEL k"]);
}

#[test]
fn a_lease_that_ends_by_itself_sends_del() {
    let mut on = Listening::start(60_000);
    on.client.acquired("k", "alice", stretched_ms(20));
    on.heard();
    let (client, stream) = (&mut on.client, &mut on.stream);
    super::support::eventually("the key goes", || (!client.exists("k")).then_some(()));
    assert_eq!(stream.heard(client), ["DEL k"]);
}

#[test]
fn a_moved_lease_is_sent_whole() {
    let mut on = Listening::start(60_000);
    let token = on.client.acquired("k", "alice", 10_000);
    on.heard();
    let grant = |ttl| vec![format!("LOCK._GRANT k alice {token} {ttl}")];
    on.client.say("LOCK.EXTEND k alice 20000");
    assert_eq!(on.heard(), grant(20_000));
    on.client.say("LOCK.ACQUIRE k alice 30000");
    assert_eq!(on.heard(), grant(30_000));
}

#[test]
fn a_raised_token_is_sent_whole() {
    let mut on = Listening::start(60_000);
    let token = on.client.acquired("k", "alice", 10_000);
    on.heard();
    let raised = token + 5;
    on.client
        .say(&format!("LOCK.EXTEND k alice 20000 RAISE {raised}"));
    let grant = format!("LOCK._GRANT k alice {raised} 20000");
    assert_eq!(on.heard(), [grant]);
}

#[test]
fn a_raise_above_the_ceiling_sends_a_new_ceiling_first() {
    let mut on = Listening::start(60_000);
    let token = on.client.acquired("k", "alice", 10_000);
    on.heard();
    let raised = token + (1 << 20);
    on.client
        .say(&format!("LOCK.EXTEND k alice 20000 RAISE {raised}"));
    let heard = on.heard();
    // It says when the counter rose: after the term began, at the RAISE.
    let ceiling = format!("LOCK._CEILING {} 60000 ", raised + (1 << 18));
    let since = heard[1].strip_prefix(&ceiling);
    let since: i64 = since.and_then(|it| it.parse().ok()).expect("a time");
    assert!((token >> 12..(token >> 12) + 60_000).contains(&since));
    let grant = format!("LOCK._GRANT k alice {raised} 20000");
    assert_eq!(heard, ["MULTI", &heard[1], &grant, "EXEC"]);
}

/// The lapse is not swept while a script keeps the loop busy, so the next
/// grant in the same script finds the old hold.
#[test]
fn a_grant_after_an_unswept_lapse_sends_the_end_and_the_grant() {
    let mut on = Listening::start(60_000);
    let token = on.client.acquired("k", "alice", 1);
    on.heard();
    let script = "local t repeat t = redis.call('LOCK.ACQUIRE','k','bob','30000') until t return t";
    // The first try may come after the sweep; then there was nothing to end.
    let mut old = token;
    for _ in 0..50 {
        let new = match on.client.call(&["EVAL", script, "1", "k"]) {
            redis::Value::Int(new) => new,
            other => panic!("{other:?}"),
        };
        let heard = on.heard();
        if heard.len() == 4 {
            assert_eq!(heard[1], format!("LOCK._END k alice {old}"));
            assert_eq!(heard[2], format!("LOCK._GRANT k bob {new} 30000"));
            return;
        }
        on.client.release("k", "bob");
        old = on.client.acquired("k", "alice", 2);
        on.heard();
    }
    panic!("the sweep came first each time");
}

#[test]
fn several_commands_in_multi_are_one_transaction() {
    let mut on = Listening::start(60_000);
    on.client.say("MULTI");
    on.client.say("LOCK.ACQUIRE a alice 10000");
    on.client.say("SET b 1");
    on.client.say("LOCK.RELEASE a alice");
    on.client.say("EXEC");
    let heard = on.heard();
    assert_eq!(heard.len(), 5, "{heard:?}");
    assert_eq!(heard[0], "MULTI");
    assert!(heard[1].starts_with("LOCK._GRANT a alice "), "{heard:?}");
    assert_eq!(heard[2..], ["SET b 1", "DEL a", "EXEC"]);
}

#[test]
fn a_key_with_a_dead_handle_is_sent_as_del_once() {
    let mut on = Listening::start(60_000);
    on.client.acquired("k", "alice", 30_000);
    on.heard();
    on.client.say("RENAME k x");
    let (client, stream) = (&mut on.client, &mut on.stream);
    super::support::eventually("the key goes", || (!client.exists("x")).then_some(()));
    assert_eq!(stream.heard(client), ["RENAME k x", "DEL x"]);
}

#[test]
fn the_ceiling_is_sent_again_only_when_half_the_reserve_is_used() {
    let mut on = Listening::start(60_000);
    on.client.acquired("k", "alice", 10_000);
    on.heard();
    let script = "for i = 1, tonumber(ARGV[1]) do
        redis.call('LOCK.ACQUIRE', KEYS[1], 'a', '100')
        redis.call('LOCK.RELEASE', KEYS[1], 'a') end";
    let half = (1 << 17) - 10;
    let count = half.to_string();
    on.client.call(&["EVAL", script, "1", "r", count.as_str()]);
    let ceilings = |heard: Vec<String>| {
        let is_one = |line: &&String| line.starts_with("LOCK._CEILING");
        heard.iter().filter(is_one).count()
    };
    assert_eq!(ceilings(on.heard()), 0);
    on.client.call(&["EVAL", script, "1", "r", "20"]);
    assert_eq!(ceilings(on.heard()), 1);
    on.server.assert_healthy();
}
