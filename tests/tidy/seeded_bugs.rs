//! The patches of `tests/seeded_bugs` keep up with the source. That each is caught is
//! for `make test-the-tests` to show, which takes minutes; this takes none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Bug {
    name: String,
    path: PathBuf,
    /// What is broken: the first line of the patch.
    text: String,
    /// The test that turns red, as `TARGET MODULE::TEST`.
    caught_by: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bugs() -> Vec<Bug> {
    let folder = fs::read_dir(root().join("tests/seeded_bugs")).expect("our own folder");
    let paths = folder.flatten().map(|entry| entry.path());
    let patches = paths.filter(|path| path.extension().is_some_and(|ending| ending == "patch"));
    let mut bugs: Vec<Bug> = patches.map(read).collect();
    bugs.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(bugs.len() >= 20, "the patches are there");
    bugs
}

fn read(path: PathBuf) -> Bug {
    let patch = fs::read_to_string(&path).expect("text");
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut lines = patch.lines();
    let caught_by = lines.find_map(|line| line.strip_prefix("Caught-by: --test "));
    Bug {
        name: name.into_owned(),
        text: patch.lines().next().unwrap_or_default().to_owned(),
        caught_by: caught_by.unwrap_or_default().to_owned(),
        path,
    }
}

#[test]
fn every_seeded_bug_still_applies_to_the_source() {
    for bug in bugs() {
        let checked = Command::new("git")
            .args(["apply", "--check"])
            .arg(&bug.path)
            .current_dir(root())
            // A copy of the project may lie within another repository.
            .env("GIT_CEILING_DIRECTORIES", root().parent().unwrap_or(root()))
            .output()
            .expect("git");
        let error = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {error}", bug.name);
    }
}

#[test]
fn every_seeded_bug_names_a_test_that_exists() {
    for bug in bugs() {
        let (target, test) = bug.caught_by.split_once(' ').unwrap_or_default();
        let (module, function) = test.rsplit_once("::").unwrap_or(("main", test));
        let file = root().join(format!("tests/{target}/{module}.rs"));
        let source = fs::read_to_string(file).unwrap_or_default();
        let is_there = source.contains(&format!("\nfn {function}() {{"));
        assert!(is_there, "{}: no such test: {}", bug.name, bug.caught_by);
    }
}

#[test]
fn the_list_of_seeded_bugs_is_that_of_their_patches() {
    let page = root().join("tests/seeded_bugs/README.md");
    let page = fs::read_to_string(page).expect("text");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let bugs = bugs();
    let row = |bug: &Bug| format!("| `{}` | {} | `{}` |", bug.name, bug.text, bug.caught_by);
    let expected: Vec<String> = bugs.iter().map(row).collect();
    assert_eq!(rows, expected, "\nit should be\n{}\n", expected.join("\n"));
}
