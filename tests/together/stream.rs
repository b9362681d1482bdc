//! What replicas and the log are told of several holders and of delays, line by
//! line.

use super::holding::{ask, granted};
use super::support::{eventually, stretched_ms, Listening, Waiter};

impl Listening {
    /// Waits until the first words of these lines, and nothing else, were sent.
    pub fn hears(&mut self, expected: &[String]) {
        let mut all = Vec::new();
        eventually("what is expected is sent", || {
            all.extend(self.stream.heard(&mut self.client));
            (all.len() >= expected.len()).then_some(())
        });
        assert_eq!(all, expected);
    }
}

#[test]
fn a_grant_says_how_many_it_tolerates_and_how_long_it_cools() {
    let mut on = Listening::start(600_000);
    for (options, numbers) in [
        ("", ""),
        ("SHARED", " 0 0"),
        ("LIMIT 3", " 3 0"),
        ("LIMIT 1", ""),
        ("DELAY 5000", " 1 5000"),
        ("SHARED DELAY 1", " 0 1"),
        ("DELAY 0 LIMIT 1024 SESSION", " 1024 0"),
    ] {
        let token = granted(&mut on.client, &format!("k me 60000 {options}"));
        assert_eq!(
            on.heard(),
            [format!("LOCK._GRANT k me {token} 60000{numbers}")]
        );
        on.client.release("k", "me");
        assert_eq!(on.heard(), ["DEL k"]);
    }
}

#[test]
fn each_holder_is_told_of_and_each_end_and_the_last_one_is_del() {
    let mut on = Listening::start(600_000);
    let tokens = ["a", "b", "c"].map(|it| granted(&mut on.client, &format!("k {it} 60000 SHARED")));
    let grant = |owner: &str, token: i64| format!("LOCK._GRANT k {owner} {token} 60000 0 0");
    let [a, b, c] = tokens;
    assert_eq!(on.heard(), [grant("a", a), grant("b", b), grant("c", c)]);
    on.client.release("k", "b");
    assert_eq!(on.heard(), [format!("LOCK._END k b {b}")]);
    on.client.say("LOCK.EXTEND k a 70000");
    assert_eq!(on.heard(), [format!("LOCK._GRANT k a {a} 70000 0 0")]);
    on.client.release("k", "a");
    on.client.release("k", "c");
    assert_eq!(
        on.heard(),
        [format!("LOCK._END k a {a}"), "DEL k".to_owned()]
    );
}

#[test]
fn a_lease_that_ends_beside_others_is_sent_as_its_end() {
    let mut on = Listening::start(600_000);
    let brief = granted(&mut on.client, "k brief 30 LIMIT 2");
    let long = granted(&mut on.client, "k long 60000 LIMIT 2");
    let (first, second) = (
        format!("LOCK._GRANT k brief {brief} 30 2 0"),
        format!("LOCK._GRANT k long {long} 60000 2 0"),
    );
    on.hears(&[first, second, format!("LOCK._END k brief {brief}")]);
}

#[test]
fn a_batch_let_in_is_one_transaction() {
    let mut on = Listening::start(600_000);
    let held = on.client.acquired("k", "w", 60_000);
    let waiters = ["a", "b"].map(|it| {
        let line = format!("LOCK.ACQUIRE k {it} 60000 SHARED BLOCK 0");
        Waiter::joins(&on.server, &mut on.client, &line)
    });
    on.heard();
    on.client.release("k", "w");
    let [a, b] = waiters.map(|mut it| it.token());
    let expected = [
        "MULTI".to_owned(),
        format!("LOCK._END k w {held}"),
        format!("LOCK._GRANT k a {a} 60000 0 0"),
        format!("LOCK._GRANT k b {b} 60000 0 0"),
        "EXEC".to_owned(),
    ];
    assert_eq!(on.heard(), expected);
}

#[test]
fn del_of_many_is_sent_as_it_came_and_once() {
    let mut on = Listening::start(600_000);
    for owner in ["a", "b"] {
        granted(&mut on.client, &format!("k {owner} 60000 SHARED"));
    }
    on.heard();
    on.client.say("DEL k");
    assert_eq!(on.heard(), ["DEL k"]);
}

#[test]
fn that_a_hold_cools_is_sent_and_its_end_is() {
    let mut on = Listening::start(600_000);
    let delay_ms = stretched_ms(300);
    let ask = format!("k me {} DELAY {delay_ms}", stretched_ms(20));
    let token = granted(&mut on.client, &ask);
    on.heard();
    eventually("it cools", || {
        (!on.client.is_live("k", token)).then_some(())
    });
    assert!(on.client.exists("k"));
    let cools = eventually("it is sent", || on.heard().pop());
    let left = cools.strip_prefix(&format!("LOCK._GRANT k me {token} 0 1 "));
    let left = left.and_then(|left| left.parse::<u64>().ok());
    assert!(
        left.is_some_and(|ms| (1..=delay_ms).contains(&ms)),
        "{cools}"
    );
    on.hears(&["DEL k".to_owned()]);
}

#[test]
fn a_changed_delay_is_sent_whole() {
    let mut on = Listening::start(600_000);
    let token = granted(&mut on.client, "k me 60000 SHARED");
    on.heard();
    on.client.say("LOCK.ACQUIRE k me 1000 SHARED DELAY 700");
    let heard = on.heard();
    let [line] = &heard[..] else {
        panic!("{heard:?}")
    };
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[..4], ["LOCK._GRANT", "k", "me", &token.to_string()]);
    assert_eq!(words[5..], ["0", "700"]);
    let left: u64 = words[4].parse().expect("a number");
    assert!((30_000..=60_000).contains(&left), "{line}");
}

#[test]
fn what_changes_nothing_is_not_sent() {
    let mut on = Listening::start(600_000);
    let a = granted(&mut on.client, "k a 60000 LIMIT 2 DELAY 5");
    granted(&mut on.client, "k b 60000 LIMIT 2");
    let cooling = granted(&mut on.client, "cold me 1 DELAY 600000");
    eventually("that it cools is sent", || {
        let cools = format!("LOCK._GRANT cold me {cooling} 0 ");
        let heard = on.heard();
        heard
            .iter()
            .any(|line| line.starts_with(&cools))
            .then_some(())
    });
    let silent = [
        "LOCK.ACQUIRE k c 60000 LIMIT 2".to_owned(),
        "LOCK.ACQUIRE k c 60000 SHARED".into(),
        "LOCK.ACQUIRE k c 60000 LIMIT 1".into(),
        "LOCK.ACQUIRE k a 1 LIMIT 2 DELAY 5".into(),
        "LOCK.ACQUIRE k a 600000 SHARED".into(),
        "LOCK.ACQUIRE k a 600000 LIMIT 3 DELAY 6".into(),
        format!("LOCK.EXTEND k a 600000 RAISE {}", a + 9),
        "LOCK.RELEASE k c".into(),
        "LOCK.ACQUIRE cold me 60000".into(),
        "LOCK.EXTEND cold me 60000".into(),
        "LOCK.RELEASE cold you".into(),
        format!("LOCK.RELEASE cold me TOKEN {}", cooling + 99),
        "LOCK.FENCE cold".into(),
        "LOCK.INFO k".into(),
        "LOCK.INFO cold".into(),
        "LOCK.HELP".into(),
    ];
    for line in &silent {
        let _ = on
            .client
            .try_call(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(on.heard(), [""; 0], "{line}");
    }
    assert_eq!(ask(&mut on.client, "k c 1000 SHARED"), None);
    on.client.say("LOCK.RELEASE cold me");
    assert_eq!(on.heard(), ["DEL cold"]);
}
