//! COMMAND DOCS says what the parser takes: every call that the documented syntax
//! allows is understood, and a call that lacks a required word is not.

use crate::described::{list, text, COMMANDS};
use crate::support::{Client, Server};
use redis::Value;

/// An argument, as COMMAND DOCS shows it.
#[derive(Debug)]
struct Shown {
    name: String,
    shape: String,
    token: Option<String>,
    flags: Vec<String>,
    choices: Vec<Shown>,
}

fn fields(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Map(pairs) => pairs.iter().map(|(name, it)| (text(name), it)).collect(),
        other => {
            let flat = list(other).chunks(2);
            flat.map(|pair| (text(&pair[0]), &pair[1])).collect()
        }
    }
}

fn shown(value: &Value) -> Shown {
    let mut argument = Shown {
        name: String::new(),
        shape: String::new(),
        token: None,
        flags: Vec::new(),
        choices: Vec::new(),
    };
    for (field, value) in fields(value) {
        match field.as_str() {
            "name" => argument.name = text(value),
            "type" => argument.shape = text(value),
            "token" => argument.token = Some(text(value)),
            "flags" => argument.flags = list(value).iter().map(text).collect(),
            "arguments" => argument.choices = list(value).iter().map(shown).collect(),
            _ => {}
        }
    }
    argument
}

/// What COMMAND DOCS says of a command, by field.
fn docs(client: &mut Client, command: &str) -> Vec<(String, Value)> {
    let said = client.say(&format!("COMMAND DOCS {command}"));
    let (name, about) = fields(&said).remove(0);
    assert_eq!(name, command);
    let about = fields(about).into_iter();
    about.map(|(name, value)| (name, value.clone())).collect()
}

fn arguments(client: &mut Client, command: &str) -> Vec<Shown> {
    let docs = docs(client, command);
    let found = docs.iter().find(|(name, _)| name == "arguments");
    found.map_or(Vec::new(), |(_, value)| {
        list(value).iter().map(shown).collect()
    })
}

impl Shown {
    fn is_optional(&self) -> bool {
        self.flags.iter().any(|flag| flag == "optional")
    }

    /// The words that may stand in its place, one way after the other.
    fn ways(&self) -> Vec<Vec<String>> {
        if self.shape == "oneof" {
            return self.choices.iter().flat_map(Shown::ways).collect();
        }
        let mut words: Vec<String> = self.token.iter().cloned().collect();
        match (self.shape.as_str(), self.name.as_str()) {
            ("pure-token", _) => {}
            ("integer", _) => words.push("7".into()),
            ("key", _) => words.push("the-key".into()),
            ("string", "command") => words.push("GET".into()),
            ("string", _) => words.push("a-word".into()),
            other => panic!("{other:?}"),
        }
        vec![words]
    }
}

/// Every call that the syntax allows: each option there or not, in each way.
fn calls(command: &str, arguments: &[Shown]) -> Vec<Vec<String>> {
    let mut calls = vec![vec![command.to_owned()]];
    for argument in arguments {
        let mut ways = argument.ways();
        if argument.is_optional() {
            ways.push(Vec::new());
        }
        let longer = |call: &Vec<String>| -> Vec<Vec<String>> {
            let call = call.clone();
            ways.iter()
                .map(|way| [call.clone(), way.clone()].concat())
                .collect()
        };
        calls = calls.iter().flat_map(longer).collect();
    }
    calls
}

/// Whether the parser understood a call, whatever came of it.
fn is_understood(client: &mut Client, call: &[String]) -> bool {
    client.say("FLUSHALL");
    match client.try_call(call) {
        Ok(_) => true,
        Err(error) => {
            let text = error.to_string();
            !text.contains("syntax error") && !text.contains("number of arguments")
        }
    }
}

#[test]
fn every_call_that_the_docs_allow_is_understood() {
    let server = Server::start();
    let mut client = server.client();
    let mut tried = 0;
    for command in COMMANDS {
        let arguments = arguments(&mut client, command);
        for call in calls(command, &arguments) {
            assert!(is_understood(&mut client, &call), "{call:?}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried} calls");
}

#[test]
fn a_call_without_a_word_that_the_docs_require_is_not_understood() {
    let server = Server::start();
    let mut client = server.client();
    for command in COMMANDS {
        let arguments = arguments(&mut client, command);
        let required: Vec<_> = arguments
            .into_iter()
            .filter(|it| !it.is_optional())
            .collect();
        for left_out in 0..required.len() {
            let words = required.iter().enumerate();
            let words = words.filter(|(index, _)| *index != left_out);
            let words = words.flat_map(|(_, argument)| argument.ways().remove(0));
            let call: Vec<_> = [command.to_owned()].into_iter().chain(words).collect();
            assert!(!is_understood(&mut client, &call), "{call:?}");
        }
    }
}

#[test]
fn every_option_of_the_help_is_in_the_docs() {
    let server = Server::start();
    let mut client = server.client();
    let help = client.texts("LOCK.HELP");
    for command in COMMANDS {
        let lines = help.iter().filter(|line| {
            let first = line.split(' ').next().unwrap_or_default();
            first.eq_ignore_ascii_case(command)
        });
        let lines: Vec<_> = lines.collect();
        assert!(!lines.is_empty(), "{command}");
        let arguments = arguments(&mut client, command);
        let all = arguments
            .iter()
            .chain(arguments.iter().flat_map(|it| &it.choices));
        let documented: Vec<String> = all.filter_map(|it| it.token.clone()).collect();
        let words = lines
            .iter()
            .flat_map(|line| line.split([' ', '[', ']', '|']).skip(1));
        let mut options: Vec<String> = words
            .filter(|word| word.len() > 1 && word.chars().all(|it| it.is_ascii_uppercase()))
            .map(str::to_owned)
            .collect();
        options.sort();
        options.dedup();
        let mut sorted = documented;
        sorted.sort();
        assert_eq!(options, sorted, "{command}");
    }
}

#[test]
fn the_docs_say_what_it_does_what_it_costs_and_since_when() {
    let server = Server::start();
    let mut client = server.client();
    for command in COMMANDS {
        let docs = docs(&mut client, command);
        for field in ["summary", "complexity", "since"] {
            let found = docs.iter().find(|(name, _)| name == field);
            let said = found.map(|(_, value)| text(value)).unwrap_or_default();
            assert!(!said.is_empty(), "{command}: {field}");
        }
    }
}
