//! Rules about the examples in other languages, and about what pins their dependencies.

use super::sources;
use std::fs;
use std::path::{Path, PathBuf};

/// An example is copied by hand, and read in one go.
const LINES_MOST: usize = 135;

/// How a file of that name begins, if it is in one of our languages.
pub fn language(name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    match ending {
        "rs" => Some("//! "),
        "go" | "java" | "mjs" => Some("// "),
        "py" => Some("\"\"\""),
        "sh" => Some("# "),
        _ => None,
    }
}

/// The folder of each client's example.
fn clients() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let clients = entries.map(|entry| entry.path()).filter(|it| it.is_dir());
    clients.collect()
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[test]
fn examples_are_short_enough_to_be_copied() {
    let examples = sources().into_iter();
    let examples = examples.filter(|source| source.path.starts_with("examples/"));
    let examples: Vec<_> = examples
        .filter(|source| source.path.matches('/').count() > 1)
        .collect();
    assert!(examples.len() >= 10, "the examples are there");
    for source in examples {
        let lines = source.text.lines().count();
        assert!(lines <= LINES_MOST, "{}: {lines} lines", source.path);
    }
}

#[test]
fn every_client_is_in_the_table() {
    let table = include_str!("../../examples/README.md");
    for client in clients() {
        let name = client.file_name().expect("a name").to_string_lossy();
        assert!(table.contains(&format!("| `{name}` |")), "{name}");
    }
}

/// Another machine gets the same versions, and from its own registry: no mirror of the
/// machine that wrote a lock file is named in it.
#[test]
fn lock_files_pin_versions_and_name_no_host() {
    let mut pinned = 0;
    for client in clients() {
        if let Some(lines) = text(&client.join("requirements.txt")) {
            pinned += 1;
            assert!(lines.lines().all(|line| line.contains("==")), "{lines}");
        }
        if let Some(lock) = text(&client.join("package-lock.json")) {
            pinned += 1;
            assert!(lock.contains("\"integrity\""), "{}", client.display());
            assert!(!lock.contains("\"resolved\""), "{}", client.display());
        }
        if let Some(module) = text(&client.join("go.mod")) {
            pinned += 1;
            assert!(!module.contains("replace"), "{module}");
            assert!(client.join("go.sum").exists(), "{}", client.display());
        }
        if let Some(project) = text(&client.join("pom.xml")) {
            pinned += 1;
            let urls = project.matches("://").count();
            // The name of the format looks like an address.
            assert_eq!(urls, project.matches("http://maven.apache.org/POM").count());
            assert!(!project.contains("LATEST"));
        }
    }
    assert!(pinned >= 7, "{pinned} lock files");
}
