//! What COMMAND DOCS says of the words of a command, read as a grammar: the calls that
//! it allows, and whether it allows a call.

use crate::described::{list, text};
use crate::support::Client;
use redis::Value;
use std::collections::BTreeSet;

/// An argument, as COMMAND DOCS shows it.
#[derive(Debug)]
pub struct Shown {
    name: String,
    display: Option<String>,
    shape: String,
    pub token: Option<String>,
    flags: Vec<String>,
    pub choices: Vec<Shown>,
}

/// The pairs of a map, in whichever form.
pub fn fields(value: &Value) -> Vec<(String, &Value)> {
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
        display: None,
        shape: String::new(),
        token: None,
        flags: Vec::new(),
        choices: Vec::new(),
    };
    for (field, value) in fields(value) {
        match field.as_str() {
            "name" => argument.name = text(value),
            "display_text" => argument.display = Some(text(value)),
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
pub fn docs(client: &mut Client, command: &str) -> Vec<(String, Value)> {
    let said = client.say(&format!("COMMAND DOCS {command}"));
    let (name, about) = fields(&said).remove(0);
    assert_eq!(name, command);
    let about = fields(about).into_iter();
    about.map(|(name, value)| (name, value.clone())).collect()
}

/// Its arguments.
pub fn arguments(client: &mut Client, command: &str) -> Vec<Shown> {
    let docs = docs(client, command);
    let found = docs.iter().find(|(name, _)| name == "arguments");
    found.map_or(Vec::new(), |(_, value)| {
        list(value).iter().map(shown).collect()
    })
}

impl Shown {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|it| it == flag)
    }

    pub fn is_optional(&self) -> bool {
        self.has("optional")
    }

    /// One of it, or the choices there are in its place.
    fn alternatives(&self) -> Vec<&Shown> {
        match self.shape.as_str() {
            "oneof" => self.choices.iter().collect(),
            _ => vec![self],
        }
    }

    /// The words that may stand in its place, one way after the other; values are
    /// what `value` says.
    pub fn ways(&self, value: fn(&Shown) -> String) -> Vec<Vec<String>> {
        let way = |one: &Shown| {
            let mut words: Vec<String> = one.token.iter().cloned().collect();
            if one.shape != "pure-token" {
                words.push(value(one));
            }
            words
        };
        self.alternatives().into_iter().map(way).collect()
    }

    /// A word that fits.
    pub fn sample(&self) -> String {
        match (self.shape.as_str(), self.name.as_str()) {
            ("integer", _) => "7",
            ("key", _) => "the-key",
            ("string", "command") => "GET",
            ("string", _) => "a-word",
            other => panic!("{other:?}"),
        }
        .into()
    }

    /// The word that people are shown for it. Redis 7.0 does not tell it.
    pub fn placeholder(&self) -> String {
        let name = match self.name.as_str() {
            "limit" => "n",
            "delay-ms" => "ms",
            "raise" => "token",
            name => name,
        };
        let shown = self.display.as_deref().unwrap_or(name);
        match self.has("multiple") {
            true => format!("{shown} ..."),
            false => shown.to_owned(),
        }
    }
}

/// Every call that the grammar allows, each option there or not, in each way and in the
/// order of the docs; words behind the command's name.
pub fn calls(arguments: &[Shown], value: fn(&Shown) -> String) -> Vec<Vec<String>> {
    let mut calls = vec![Vec::new()];
    for argument in arguments {
        let mut ways = argument.ways(value);
        if argument.is_optional() {
            ways.push(Vec::new());
        }
        let longer = |call: &Vec<String>| -> Vec<Vec<String>> {
            let longer = ways.iter().map(|way| [&call[..], &way[..]].concat());
            longer.collect()
        };
        calls = calls.iter().flat_map(longer).collect();
    }
    calls
}

/// As [`calls`], with the options in every order.
pub fn orders(arguments: &[Shown]) -> Vec<Vec<String>> {
    let required = arguments.iter().filter(|it| !it.is_optional());
    let start: Vec<String> = required
        .flat_map(|it| it.ways(Shown::sample).remove(0))
        .collect();
    let options: Vec<&Shown> = arguments.iter().filter(|it| it.is_optional()).collect();
    let mut calls = Vec::new();
    let mut open = vec![(start, Vec::new())];
    while let Some((call, used)) = open.pop() {
        for (index, option) in options.iter().enumerate() {
            if !used.contains(&index) {
                for way in option.ways(Shown::sample) {
                    open.push((
                        [&call[..], &way[..]].concat(),
                        [&used[..], &[index]].concat(),
                    ));
                }
            }
        }
        calls.push(call);
    }
    calls
}

/// Whether the grammar allows a call: what must be there is there, each option at most
/// once, and in any order.
pub fn allows(arguments: &[Shown], words: &[String]) -> bool {
    let is_integer = |word: &String| word.parse::<i64>().is_ok();
    let fits = |argument: &Shown, word: &String| argument.shape != "integer" || is_integer(word);
    let mut words = words.iter();
    let (required, optional): (Vec<_>, Vec<_>) = arguments.iter().partition(|it| !it.is_optional());
    for argument in required {
        if !words.next().is_some_and(|word| fits(argument, word)) {
            return false;
        }
    }
    let mut unused = optional;
    while let Some(word) = words.next() {
        let takes = |argument: &Shown| match &argument.token {
            Some(token) => token.eq_ignore_ascii_case(word),
            None => fits(argument, word),
        };
        let is_one = |argument: &&Shown| argument.alternatives().into_iter().any(takes);
        let Some(index) = unused.iter().position(is_one) else {
            return false;
        };
        if unused[index].has("multiple") {
            return true;
        }
        let group = unused.remove(index);
        let mut taken = group.alternatives().into_iter().filter(|it| takes(it));
        if taken.any(|it| it.token.is_some() && it.shape != "pure-token") {
            let value = words.next();
            if !value.is_some_and(is_integer) {
                return false;
            }
        }
    }
    true
}

/// Every call that a line of text allows, as people write them:
/// `NAME key [OPTION value] [ONE | OTHER]`.
pub fn calls_of_text(usage: &str) -> BTreeSet<String> {
    let mut calls = vec![String::new()];
    for piece in usage.split_inclusive(']') {
        let (always, option) = match piece.split_once('[') {
            Some((always, option)) => (always, option.trim_end_matches(']')),
            None => (piece, ""),
        };
        let ways: Vec<&str> = option.split(" | ").chain([""]).collect();
        let longer = |call: &String| {
            let ways = ways.iter();
            ways.map(|way| format!("{call} {always} {way}"))
                .collect::<Vec<_>>()
        };
        calls = calls.iter().flat_map(longer).collect();
    }
    let words = |call: String| call.split_whitespace().collect::<Vec<_>>().join(" ");
    calls.into_iter().map(words).collect()
}
