//! Every limit that `docs/limits.md` names has its test, and the file in which it is set is there.
use std::fs;

use regex::Regex;

use crate::harness::root;

/// The sources below a folder, as one text.
fn sources(folder: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).expect("a source"));
            }
        }
    }
    text
}

#[test]
fn every_limit_has_its_test() {
    let document = fs::read_to_string(root().join("docs/limits.md")).expect("docs/limits.md");
    let tests = sources("tests/it") + &sources("src");
    let quoted = Regex::new("`([^`]+)`").expect("a pattern");
    let mut limits = 0;
    for line in document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| hazard")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let named =
            |cell: &str| quoted.captures_iter(cell).map(|found| found[1].to_owned()).collect::<Vec<_>>();
        let own = named(cells.last().expect("a cell"));
        assert!(!own.is_empty(), "no test: {line}");
        for test in own.iter().filter(|name| *name != "append") {
            let there = match test.strip_suffix(".rs") {
                Some(_) => root().join(test).is_file(),
                None => tests.contains(&format!("fn {test}()")),
            };
            assert!(there, "{test} is no test: {line}");
        }
        for file in named(cells[2]).iter().filter(|name| name.ends_with(".rs")) {
            assert!(root().join("src").join(file).is_file(), "{file} is not there: {line}");
        }
        limits += 1;
    }
    assert!(limits > 20, "{limits} limits");
}
