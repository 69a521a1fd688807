//! docs/configuration.md and the README's table list every setting of `chancery serve` with its flag,
//! variable and default as `--help` gives them, and no other. The page's example file is accepted.
use std::collections::BTreeSet;

use regex::Regex;

use crate::{
    documents::{blocks, code_words, table},
    harness::server::chancery,
};

/// Flag, variable, default.
type Setting = (String, String, Option<String>);

#[test]
fn both_tables_are_the_help() {
    let settings = of_help();
    assert!(settings.len() > 5, "{settings:?}");
    for document in ["docs/configuration.md", "README.md"] {
        let mut listed = BTreeSet::new();
        for row in table(document, "## Settings") {
            let word = |cell: &str| code_words(cell).next().map(str::to_owned);
            let flag = word(&row[0]).unwrap_or_else(|| panic!("{document}: no flag in {row:?}"));
            let variable = word(&row[1]).unwrap_or_else(|| panic!("{document}: no variable in {row:?}"));
            listed.insert((flag, variable, word(&row[2])));
        }
        assert_eq!(listed, settings, "{document} (left) and `chancery serve --help` (right) differ");
    }
}

#[test]
fn the_example_file_is_accepted() {
    let example = blocks("docs/configuration.md").into_iter().find(|block| block.language == "toml");
    let example = example.expect("an example file").text;
    for (flag, ..) in of_help() {
        let key = flag.trim_start_matches("--").replace('-', "_");
        assert!(
            key == "config" || example.lines().any(|line| line.starts_with(&format!("{key} = "))),
            "the example file does not set {key}"
        );
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("chancery.toml");
    std::fs::write(&path, &example).expect("a file");
    // A key is read with the settings.
    let key = ["keys", "generate", "audit.example.com/chancery", "--out", "chancery.key"];
    assert!(chancery().args(key).current_dir(&folder).status().expect("a key").success());
    // The example's catalog file does not exist here: settings are read before it is opened.
    let output = chancery().args(["serve", "--config"]).arg(&path).current_dir(&folder).output();
    let said = String::from_utf8_lossy(&output.expect("chancery serve").stderr).into_owned();
    assert!(said.contains("catalog file") && !said.contains("setting "), "{said}");
}

/// The settings as `chancery serve --help` shows them.
fn of_help() -> BTreeSet<Setting> {
    let output = chancery().args(["serve", "--help"]).env("COLUMNS", "500").output().expect("the help");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    // Each flag begins a line; some have no value.
    let flag = Regex::new(r"(?m)^ +(?:-[a-z], )?--").expect("a pattern");
    let starts: Vec<_> = flag.find_iter(&help).map(|found| found.end() - 2).collect();
    let value = |text: &str, pattern: &str| {
        let found = Regex::new(pattern).expect("a pattern").captures(text)?;
        Some(found[1].to_owned()).filter(|it| it != "none")
    };
    let mut settings = BTreeSet::new();
    for (at, start) in starts.iter().enumerate() {
        let text = &help[*start..starts.get(at + 1).copied().unwrap_or(help.len())];
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.starts_with("--help") {
            continue;
        }
        settings.insert((
            value(&text, r"^(--[a-z-]+)").expect("a flag"),
            value(&text, r"\[env: ([A-Z_]+)").unwrap_or_else(|| panic!("no variable: {text}")),
            value(&text, r"\[default: ([^\]]+)\]"),
        ));
    }
    settings
}
