//! Effects are what a master tells its replicas and its log. Clients cannot send
//! them, in no way of sending commands.

use crate::refusals::Refusals;

/// What only a master or a file may say, all of it well formed.
const EFFECTS: [&str; 6] = [
    "LOCK._GRANT|free|you|9007199254740991|1000|1|0",
    "LOCK._GRANT|held|you|9007199254740991|1000|1|0",
    "LOCK._GRANT|string|you|5|1000|1|0",
    "LOCK._END|held|me|5",
    "LOCK._CEILING|9007199254740991|1000|5",
    "LOCK._ceiling|5|1000|0",
];

const EFFECT: &str = "ERR only a master or a persistence file may send this command";

/// Servers that know internal commands do not know this one when a client asks.
fn is_refusal_of_effect(line: &str) -> bool {
    line == format!("-{EFFECT}") || line.to_lowercase().starts_with("-err unknown command")
}

#[test]
fn effects_from_a_client_are_refused() {
    let mut refusals = Refusals::new();
    for call in EFFECTS {
        refusals.assert_changes_nothing(call, |this| {
            let line = this.answer(call);
            assert!(is_refusal_of_effect(&line), "{call}: {line}");
        });
    }
    let token = refusals.client.fence("held").expect("it is held");
    let next = refusals.client.acquired("next", "me", 1000);
    assert_eq!(next, token + 1, "no effect moved the counter");
}

#[test]
fn effects_in_a_transaction_are_refused() {
    let mut refusals = Refusals::new();
    for call in EFFECTS {
        refusals.assert_changes_nothing(call, |this| {
            let [began, queued, executed] = ["MULTI", call, "EXEC"].map(|call| this.line_of(call));
            assert_eq!(began, "+OK");
            if queued == "+QUEUED" {
                assert_eq!(executed, "*1", "{call}");
                let line = this.line();
                assert!(is_refusal_of_effect(&line), "{call}: {line}");
            } else {
                assert!(is_refusal_of_effect(&queued), "{call}: {queued}");
                assert!(executed.starts_with("-EXECABORT"), "{executed}");
            }
        });
    }
}

#[test]
fn effects_from_a_script_are_refused() {
    let mut refusals = Refusals::new();
    for call in EFFECTS {
        let words: Vec<String> = call.split('|').map(|word| format!("'{word}'")).collect();
        let script = format!("return redis.pcall({})", words.join(","));
        refusals.assert_changes_nothing(call, |this| {
            let line = this.answer(&format!("EVAL|{script}|0"));
            let said = line.to_lowercase();
            let is_unknown = said.contains("unknown") && said.contains("command");
            let is_forbidden = said.contains("not allowed from script");
            let is_refused = line.starts_with(&format!("-{EFFECT}"));
            assert!(is_unknown || is_forbidden || is_refused, "{call}: {line}");
        });
    }
}
