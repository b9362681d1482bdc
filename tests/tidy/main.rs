//! Rules about our own source that no compiler knows.

mod examples;
mod seeded_bugs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MOST: usize = 600;
const COLUMNS_MOST: usize = 100;

struct Source {
    /// Relative to the project, with `/` between folders.
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "examples", "benches", "fuzz", "client"] {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "the sources are there");
    let source = |file: PathBuf| Source {
        path: file
            .strip_prefix(root)
            .expect("a file of ours")
            .to_string_lossy()
            .into_owned(),
        text: fs::read_to_string(&file).expect("text"),
    };
    files.into_iter().map(source).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // What was built, or was installed to try an example.
        let name = entry.file_name().to_string_lossy().into_owned();
        let foreign = name.starts_with('.') || name == "target" || name == "node_modules";
        if path.is_dir() && !foreign {
            collect(&path, files);
        } else if !foreign && examples::language(&name).is_some() {
            files.push(path);
        }
    }
}

/// Every place where `is_wrong` finds a line wrong.
fn lines_where(is_wrong: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if is_wrong(&source, line) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn files_are_short_enough_to_be_read() {
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(lines <= LINES_MOST, "{}: {lines} lines", source.path);
    }
    let wide = lines_where(|_, line| line.chars().count() > COLUMNS_MOST);
    assert_eq!(wide, [""; 0]);
}

#[test]
fn every_file_begins_by_saying_what_it_owns() {
    for source in sources() {
        let opening = examples::language(&source.path).expect("a language of ours");
        // A script's first line says what runs it.
        let text = match source.text.strip_prefix("#!") {
            Some(rest) => rest.split_once('\n').map_or("", |(_, text)| text),
            None => &source.text,
        };
        assert!(text.starts_with(opening), "{}", source.path);
    }
}

#[test]
fn unsafe_code_is_in_the_shell_only() {
    let found = lines_where(|source, line| {
        let code = line.split("//").next().unwrap_or_default();
        let names_it = code.contains("unsafe ") && !code.contains("forbid");
        names_it && !source.path.starts_with("src/redis/") && !source.path.starts_with("tests/tidy")
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_rules_know_nothing_of_the_server() {
    let found = lines_where(|source, line| {
        let reaches_out = [
            "redis_module",
            "crate::",
            "libc::",
            "std::time",
            "std::thread",
        ];
        source.path.starts_with("src/lock/") && reaches_out.iter().any(|word| line.contains(word))
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn commands_decide_nothing_and_call_nobody() {
    let found = lines_where(|source, line| {
        let reaches_out = ["redis_module", "crate::redis", "libc::", "std::time"];
        source.path.starts_with("src/commands/")
            && reaches_out.iter().any(|word| line.contains(word))
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn tests_wait_for_conditions_and_never_sleep() {
    let found = lines_where(|source, line| {
        let sleeps = line.contains("thread::sleep") || line.contains("time::sleep");
        let is_test = ["tests/", "client/tests/"]
            .iter()
            .any(|at| source.path.starts_with(at));
        sleeps && is_test && !source.path.starts_with("tests/tidy")
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn nothing_is_left_to_be_done() {
    // Written in two parts, so that this line is not one of them.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("X", "XX")];
    let marks = marks.map(|(start, end)| format!("{start}{end}"));
    let macros = ["todo!(", "unimplemented!(", "#[ignore"];
    let found = lines_where(|source, line| {
        let is_left = marks.iter().any(|mark| line.contains(mark))
            || macros.iter().any(|name| line.contains(name));
        is_left && !source.path.starts_with("tests/tidy")
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn files_are_named_for_what_they_hold() {
    for source in sources() {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        let vague = ["utils", "util", "helpers", "helper", "misc", "common"];
        let stem = name.split('.').next().unwrap_or_default();
        assert!(!vague.contains(&stem), "{}", source.path);
    }
}

/// A panic that reaches C ends the whole server. So what the server calls is fenced in
/// its own body, or does nothing but call what is.
#[test]
fn every_function_that_the_server_calls_has_a_fence() {
    let fenced = ["fence(", "end_lock(value)"];
    let mut callbacks = 0;
    let mut open = Vec::new();
    for source in sources() {
        if !source.path.starts_with("src/") {
            continue;
        }
        for body in source.text.split("unsafe extern \"C\" fn ").skip(1) {
            let body = body.split("\n}\n").next().unwrap_or_default();
            callbacks += 1;
            if !fenced.iter().any(|fence| body.contains(fence)) {
                let name = body.split(['(', '<']).next().unwrap_or_default();
                open.push(format!("{}: {name}", source.path));
            }
        }
    }
    assert!(callbacks > 20, "the callbacks are there");
    assert_eq!(open, [""; 0]);
}

/// The words in `text` that begin with `RedisModule_`, each once.
fn functions(text: &str) -> BTreeSet<&str> {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    let words = text.split(|it| !is_part(it));
    words
        .filter(|word| word.starts_with("RedisModule_"))
        .collect()
}

/// `server!` panics on a function that is not there, so each is asked for at load.
#[test]
fn every_function_of_the_server_that_is_called_is_looked_for_when_the_module_loads() {
    let sources = sources();
    let shell = sources
        .iter()
        .filter(|source| source.path.starts_with("src/redis/"));
    let called: BTreeSet<&str> = shell
        .flat_map(|source| source.text.split("server!(").skip(1))
        .filter_map(|rest| functions(rest.split(')').next()?).pop_first())
        .collect();
    assert!(called.len() > 50, "{called:?}");
    let api = sources
        .iter()
        .find(|source| source.path == "src/redis/api.rs");
    let list = api.and_then(|api| api.text.split("    check! {").nth(1));
    let list = list
        .and_then(|rest| rest.split('}').next())
        .expect("a list");
    assert_eq!(called, functions(list));
}
