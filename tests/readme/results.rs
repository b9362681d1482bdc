//! What the pages say was measured is what was measured: the tables of README.md and
//! of benches/RESULTS.md are those that the benchmarks wrote, and the pictures are there.

use std::fs;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../../README.md");

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results")
}

#[test]
fn the_tables_of_the_pages_are_those_that_were_written() {
    let of_the_benches = results().with_file_name("RESULTS.md");
    let of_the_benches = fs::read_to_string(of_the_benches).unwrap_or_default();
    let pages = [README, &of_the_benches];
    let mut tables = 0;
    for file in fs::read_dir(results()).expect("results").flatten() {
        let path = file.path();
        if path.extension().is_some_and(|ending| ending == "md") {
            let table = fs::read_to_string(&path).expect("text");
            let is_shown = pages.iter().any(|page| page.contains(table.trim()));
            assert!(is_shown, "{}", path.display());
            tables += 1;
        }
    }
    assert!(tables > 0, "there are results");
}

#[test]
fn the_pictures_of_the_readme_are_there() {
    let links = README.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split(')').next());
    let mut pictures = 0;
    for link in links.filter(|link| link.ends_with(".svg")) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(link);
        let picture = fs::read_to_string(&path).unwrap_or_default();
        assert!(picture.contains("<svg"), "{link}");
        pictures += 1;
    }
    assert!(pictures > 0, "there are pictures");
}
