//! docs/errors.md lists every reason of an error or warning that the code can give, and no other.
use std::{collections::BTreeSet, path::Path};

use regex::Regex;

use crate::{
    documents::{code_words, table},
    harness::root,
};

const PAGE: &str = "docs/errors.md";

#[test]
fn every_reason_is_in_the_table_and_every_row_is_a_reason() {
    // Reasons are the only words in capitals in these places.
    let places = ["src/grpc", "src/catalog/rejection.rs", "src/catalog/reading.rs"];
    let reason = Regex::new(r#""([A-Z]+(?:_[A-Z]+)*)""#).expect("a pattern");
    let mut known = BTreeSet::new();
    for place in places {
        for file in files(&root().join(place)) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            // Tests of the module itself may name anything.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            known.extend(reason.captures_iter(text).map(|found| found[1].to_owned()));
        }
    }
    let mut listed = BTreeSet::new();
    for heading in ["## Errors", "## Streams", "## Warnings"] {
        for row in table(PAGE, heading) {
            let word = code_words(&row[0]).next().unwrap_or_else(|| panic!("{PAGE}: no reason in {row:?}"));
            assert!(listed.insert(word.to_owned()), "{PAGE} lists {word} twice");
        }
    }
    assert_eq!(listed, known, "{PAGE} (left) and the code (right) differ");
}

/// A file, or the Rust files of a folder.
fn files(path: &Path) -> Vec<std::path::PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() || path.extension().is_some_and(|it| it == "rs") {
            found.extend(files(&path));
        }
    }
    found
}
