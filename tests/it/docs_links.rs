//! What the documents point at is there: pages, folders, and the files of sources and tests that the architecture
//! names.
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::{
    documents::{code_words, read},
    harness::root,
};

/// The pages of the project, by their paths from its root.
fn pages() -> Vec<String> {
    let mut pages: Vec<_> =
        ["README.md", "SECURITY.md", "CHANGELOG.md", "benches/README.md"].map(str::to_owned).into();
    for entry in std::fs::read_dir(root().join("docs")).expect("the folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages
}

#[test]
fn every_link_leads_to_something() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let mut followed = 0;
    for page in pages() {
        let folder: PathBuf = root().join(Path::new(&page).parent().unwrap_or(Path::new("")));
        for (_, [target]) in link.captures_iter(&read(&page)).map(|found| found.extract()) {
            let path = target.split('#').next().unwrap_or_default();
            if target.contains("://") || path.is_empty() {
                continue;
            }
            assert!(folder.join(path).exists(), "{page}: {target}");
            followed += 1;
        }
    }
    assert!(followed > 50, "{followed} links");
}

#[test]
fn the_files_that_the_architecture_names_are_there() {
    let page = read("docs/architecture.md");
    let mut named = 0;
    for word in page.lines().flat_map(code_words) {
        if ["src/", "tests/", "proto/", "migrations/"].iter().any(|folder| word.starts_with(folder)) {
            assert!(root().join(word).exists(), "{word}");
            named += 1;
        }
    }
    assert!(named > 80, "{named} names");
}
