//! docs/configuration.md holds the table that `chancery config reference` makes of the declarations; its tables of
//! further keys are those that the file takes; its example file sets every key, and is accepted.
use std::collections::BTreeSet;

use regex::Regex;

use crate::{
    documents::{blocks, code_words, read, table},
    harness::{cli::run, server::chancery},
};

/// A setting as documented.
pub struct Setting {
    pub flag: String,
    pub variable: String,
    pub default: Option<String>,
    pub unit: String,
    pub is_list: bool,
}

impl Setting {
    /// The key, and whether it stands in `[limits]`.
    pub fn key(&self) -> (String, bool) {
        let key = self.flag.trim_start_matches("--").replace('-', "_");
        let limit = key.ends_with("_per_second");
        (key, limit)
    }
}

/// Every setting that the binary declares.
pub fn settings() -> Vec<Setting> {
    let page = run(chancery().args(["config", "reference"]), "").out;
    let rows = page.lines().skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect());
    let word = |cell: &str| code_words(cell).next().map(str::to_owned);
    let settings: Vec<_> = rows
        .map(|row: Vec<&str>| Setting {
            flag: word(row[0]).expect("a flag"),
            variable: word(row[1]).expect("a variable"),
            default: word(row[3]),
            unit: row[4].to_owned(),
            is_list: row[5].contains("may be repeated"),
        })
        .collect();
    assert!(settings.len() > 20, "{page}");
    settings
}

#[test]
fn the_page_has_the_table_that_the_binary_prints() {
    let page = read("docs/configuration.md");
    let (_, rest) = page.split_once("\n## Settings\n").expect("the heading");
    let rows: Vec<_> = rest
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .collect();
    let printed = run(chancery().args(["config", "reference"]), "").out;
    assert_eq!(
        rows,
        printed.lines().collect::<Vec<_>>(),
        "put the output of `chancery config reference` there"
    );
}

#[test]
fn the_table_is_the_help() {
    let settings = settings();
    let listed: BTreeSet<_> =
        settings.iter().map(|it| (it.flag.clone(), it.variable.clone(), it.default.clone())).collect();
    assert_eq!(listed, of_help(), "the table (left) and `chancery serve --help` (right) differ");
    for setting in &settings {
        let (key, _) = setting.key();
        assert_eq!(setting.variable, format!("CHANCERY_{}", key.to_uppercase()), "named alike");
    }
}

/// The tables whose keys are no flags: what is told of an unknown key there lists them.
#[test]
fn the_further_tables_have_the_keys_that_the_file_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, heading) in [("jwt", "## Signed tokens"), ("limits", "## Limits of producers")] {
        let path = folder.path().join("chancery.toml");
        std::fs::write(&path, format!("[{name}]\nzzzzzzzzzzzzzzzz = 1\n")).expect("a file");
        let ran = run(chancery().args(["config", "show", "--config"]).arg(&path), "");
        let (_, known) = ran.err.split_once("expected one of").unwrap_or_else(|| panic!("{ran:?}"));
        let known: BTreeSet<_> = code_words(known).map(str::to_owned).collect();
        let rows = table("docs/configuration.md", heading);
        let listed: BTreeSet<_> =
            rows.iter().filter_map(|row| code_words(&row[0]).next()).map(str::to_owned).collect();
        assert_eq!(listed, known, "{heading} (left) and the keys of [{name}] (right)");
    }
}

#[test]
fn the_example_file_is_accepted() {
    let example = blocks("docs/configuration.md").into_iter().find(|block| block.language == "toml");
    let example = example.expect("an example file").text;
    for setting in settings() {
        let (key, _) = setting.key();
        assert!(
            ["config", "store"].contains(&key.as_str())
                || example.lines().any(|line| line.starts_with(&format!("{key} = "))),
            "the example file does not set {key}"
        );
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = folder.path().join("store");
    std::fs::write(&store, "postgres://chancery@127.0.0.1/chancery\n").expect("a file");
    std::fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    let example = example.replace("/run/secrets/store", &store.display().to_string());
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

/// The settings as `chancery serve --help` shows them: flag, variable, default.
fn of_help() -> BTreeSet<(String, String, Option<String>)> {
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
