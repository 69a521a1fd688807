//! What the tests of the documents share: fenced blocks, shell commands, and the tools that these need.
use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::harness::{root, server::Server};

/// A fenced block of a document.
pub struct Block {
    pub language: String,
    pub text: String,
    /// Line of the opening fence, from 1.
    pub line: usize,
}

/// The text of one of the project's documents.
pub fn read(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// The fenced blocks of a document, in order.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in read(document).lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), text: String::new(), line: at + 1 });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document} ends inside a block");
    blocks
}

/// The rows of the table that follows a heading or any other line: the cells of each, without the head.
pub fn table(document: &str, line: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let rows: Vec<_> = text
        .lines()
        .skip_while(|each| *each != line)
        .skip_while(|each| !each.starts_with('|'))
        .take_while(|each| each.starts_with('|'))
        .skip(2)
        .map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "{document} has no table after {line:?}");
    rows
}

/// The rows of every table of a document: the cells of each, without the heads.
pub fn tables(document: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let lines: Vec<_> = text.lines().collect();
    let mut rows = Vec::new();
    for table in lines.split(|line| !line.starts_with('|')).filter(|table| table.len() > 2) {
        let cells =
            |row: &&str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        rows.extend(table[2..].iter().map(cells));
    }
    assert!(!rows.is_empty(), "{document} has no tables");
    rows
}

/// The words between single backticks.
pub fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A tool that `test.sh` installs: the path in `variable`, or `name` on the PATH.
pub fn tool(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no {name} found: run ./test.sh, which installs it, or set {variable}"))
}

/// Runs a command of a document in the root of the project, as a user's shell would, against `server`.
/// Both output streams come as one text.
pub fn shell(command: &str, server: &Server) -> (Output, String) {
    let output = shell_command(&format!("exec 2>&1\n{command}"), server).output().expect("sh");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

/// The same, not yet run.
pub fn shell_command(command: &str, server: &Server) -> Command {
    let tools =
        "grpcurl() { \"$CHANCERY_TEST_GRPCURL\" \"$@\"; }\nchancery() { \"$CHANCERY_TEST_BINARY\" \"$@\"; }";
    let script = format!("{tools}\n{}", command.replace("localhost:50051", &server.address));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(root())
        .env("CHANCERY_TEST_GRPCURL", tool("CHANCERY_TEST_GRPCURL", "grpcurl"))
        .env("CHANCERY_TEST_BINARY", env!("CARGO_BIN_EXE_chancery"))
        .env("CHANCERY_SERVER", server.url());
    shell
}
