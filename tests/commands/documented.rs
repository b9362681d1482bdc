//! COMMAND DOCS says what the parser takes, and nothing else: the docs of a live server
//! are read as a grammar, and the parser understands a call exactly if that allows it.

use crate::described::{text, COMMANDS};
use crate::grammar::{allows, arguments, docs, orders, Shown};
use crate::support::{Client, Server};

/// Whether the parser understood a call, whatever came of it. A key that nobody else
/// has: nobody waits.
fn is_understood(client: &mut Client, command: &str, words: &[String], number: usize) -> bool {
    let mut call = vec![command.to_owned()];
    call.extend_from_slice(words);
    if let Some(key) = call.get_mut(1) {
        key.push_str(&number.to_string());
    }
    let Err(error) = client.try_call(&call) else {
        return true;
    };
    let error = error.to_string();
    let refused = ["syntax error", "number of arguments", "not an integer"];
    !refused.iter().any(|text| error.contains(text))
}

/// A server, and how many calls it and the docs agreed about: understood and not.
struct Comparison {
    _server: Server,
    client: Client,
    understood: usize,
    refused: usize,
}

impl Comparison {
    fn new() -> Self {
        let server = Server::start();
        Self {
            client: server.client(),
            _server: server,
            understood: 0,
            refused: 0,
        }
    }

    fn compare(&mut self, command: &str, grammar: &[Shown], words: &[String]) {
        let number = self.understood + self.refused;
        let understood = is_understood(&mut self.client, command, words, number);
        assert_eq!(understood, allows(grammar, words), "{command} {words:?}");
        match understood {
            true => self.understood += 1,
            false => self.refused += 1,
        }
    }
}

/// What options there are. Said here, too: one that the docs leave out is tried.
const OPTIONS: [&str; 7] = [
    "BLOCK", "SESSION", "SHARED", "LIMIT", "DELAY", "TOKEN", "RAISE",
];

/// The words of all options, in any case, and what else people type.
fn vocabulary(client: &mut Client) -> Vec<String> {
    let mut words: Vec<String> = ["7", "30s", "block"].map(str::to_owned).to_vec();
    words.extend(OPTIONS.map(str::to_owned));
    for command in COMMANDS {
        for argument in arguments(client, command) {
            words.extend(argument.token);
            words.extend(argument.choices.into_iter().filter_map(|it| it.token));
        }
    }
    words.sort();
    words.dedup();
    words
}

#[test]
fn every_call_that_the_docs_allow_is_understood_in_every_order() {
    let mut comparison = Comparison::new();
    for command in COMMANDS {
        let grammar = arguments(&mut comparison.client, command);
        for call in orders(&grammar) {
            assert!(allows(&grammar, &call), "{command} {call:?}");
            comparison.compare(command, &grammar, &call);
        }
    }
    assert_eq!(comparison.refused, 0);
    assert!(comparison.understood > 100, "{}", comparison.understood);
}

/// A word less, a word more at any place, an option once more.
#[test]
fn a_call_that_is_a_word_off_is_understood_exactly_if_the_docs_allow_it() {
    let mut comparison = Comparison::new();
    let words = vocabulary(&mut comparison.client);
    for command in COMMANDS {
        let grammar = arguments(&mut comparison.client, command);
        for call in orders(&grammar) {
            for at in 0..call.len() {
                let less = [&call[..at], &call[at + 1..]].concat();
                comparison.compare(command, &grammar, &less);
            }
            for at in 1..=call.len() {
                for word in &words {
                    let more = [&call[..at], std::slice::from_ref(word), &call[at..]].concat();
                    comparison.compare(command, &grammar, &more);
                }
            }
        }
    }
    let Comparison {
        understood,
        refused,
        ..
    } = comparison;
    assert!(
        understood > 200 && refused > 5_000,
        "{understood}, {refused}"
    );
}

#[test]
fn all_short_ends_of_a_call_are_understood_exactly_if_the_docs_allow_them() {
    let mut comparison = Comparison::new();
    let words = vocabulary(&mut comparison.client);
    for command in COMMANDS {
        let grammar = arguments(&mut comparison.client, command);
        // The first is the one without options.
        let start = orders(&grammar).remove(0);
        let mut ends = vec![Vec::new()];
        for length in 0..=3 {
            let longest = ends.iter().filter(|end: &&Vec<String>| end.len() == length);
            let longer = |end: &Vec<String>| -> Vec<Vec<String>> {
                let words = words.iter().cloned();
                words.map(|word| [&end[..], &[word]].concat()).collect()
            };
            let longer: Vec<_> = longest.clone().flat_map(longer).collect();
            for end in longest {
                let call = [&start[..], end].concat();
                comparison.compare(command, &grammar, &call);
            }
            ends = longer;
        }
    }
    let Comparison {
        understood,
        refused,
        ..
    } = comparison;
    assert!(
        understood > 100 && refused > 3_000,
        "{understood}, {refused}"
    );
}

#[test]
fn the_docs_say_what_it_does_what_it_costs_and_since_when() {
    let server = Server::start();
    let mut client = server.client();
    for command in COMMANDS {
        let docs = docs(&mut client, command);
        let field = |name: &str| {
            let found = docs.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| text(value)).unwrap_or_default()
        };
        let summary = field("summary");
        assert!(summary.len() > 10 && summary.ends_with('.'), "{summary}");
        assert!(field("complexity").starts_with("O("), "{command}");
        assert_eq!(field("group"), "module", "{command}");
        assert_eq!(field("module"), "redislock", "{command}");
        let numbers = |version: &str| -> Vec<u32> {
            let parts = version.split('.');
            parts.map(|part| part.parse().expect("a number")).collect()
        };
        let since = numbers(&field("since"));
        assert_eq!(since.len(), 3, "{command}");
        assert!(since <= numbers(env!("CARGO_PKG_VERSION")), "{command}");
    }
}
