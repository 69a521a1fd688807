//! The README's commands work, in its order, on a store of each kind.
use crate::{
    documents::{blocks, shell},
    harness::{
        Kind, TestStore, block_on,
        signing::{key, signing, sizes},
        until,
    },
};

/// Lines that only a person runs: they build, they run for ever, or they change the machine.
const NOT_RUN: [&str; 4] = [
    // The tests start their own server, with the same flags but another address and store.
    "cargo run --release -- serve",
    // The tests' PostgreSQL databases are made by the harness.
    "createdb ",
    // These tests are part of it.
    "./test.sh",
    // Prints a script into the user's home.
    "cargo run --release -- completions",
];
/// How the README shows the key that the server signs with.
const SIGNING_KEY: &str = "keys show chancery.key";
/// How the README makes one.
const NEW_KEY: &str = "--out chancery.key";
/// How the README writes the address of its PostgreSQL store.
const POSTGRES_URL: &str = "postgres:///chancery";

#[test]
fn every_command_succeeds() {
    let sqlite = TestStore::new(Kind::Sqlite);
    let postgres = TestStore::new(Kind::Postgres);
    for store in [&sqlite, &postgres] {
        let server = signing(store, &[]);
        let key = key(store).display().to_string();
        let mut ran = 0;
        for block in blocks("README.md").iter().filter(|block| block.language == "sh") {
            let kept: Vec<_> =
                block.text.lines().filter(|line| !NOT_RUN.iter().any(|not| line.starts_with(not))).collect();
            if kept.is_empty() {
                continue;
            }
            if block.text.contains(" export ") {
                block_on(until("a checkpoint", || async { !sizes(store, "main").await.is_empty() }));
            }
            let binary = format!("'{}' ", env!("CARGO_BIN_EXE_chancery"));
            let commands = kept
                .join("\n")
                .replace("cargo run --release -- ", &binary)
                .replace(SIGNING_KEY, &format!("keys show '{key}'"))
                .replace(NEW_KEY, &format!("--out '{}'", store.folder.path().join("new.key").display()))
                .replace(POSTGRES_URL, &postgres.url);
            let (output, text) = shell(&format!("set -e\n{commands}"), &server);
            assert!(output.status.success(), "README.md:{}\n{commands}\n{text}", block.line);
            ran += kept.len();
        }
        assert!(ran > 5, "the README has only {ran} commands");
    }
}

#[test]
fn the_tables_of_exit_codes_and_help_agree() {
    let help = crate::harness::server::chancery().arg("--help").output().expect("the help").stdout;
    let help = String::from_utf8_lossy(&help).into_owned();
    let codes = help.split_once("Exit codes:\n").expect("the exit codes").1;
    let of_help: Vec<_> = codes
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .map(|(code, meaning)| (code.to_owned(), meaning.to_owned()))
        .collect();
    let of_readme: Vec<_> = crate::documents::table("README.md", "## Exit codes")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert_eq!(of_readme, of_help);
}
