//! The settings as a page of documentation, made of their declarations. Called by: `chancery config reference`.
use std::fmt::Write as _;

use clap::{Arg, Args as _, Command};

use super::{
    limits,
    settings::{declared, default},
};

/// The table of settings of docs/configuration.md, in Markdown.
pub fn reference() -> String {
    let mut page =
        "| flag | variable | key | default | unit | meaning |\n|---|---|---|---|---|---|\n".to_owned();
    for arg in declared() {
        let flag = arg.get_long().unwrap_or_default();
        let variable = arg.get_env().unwrap_or_default().to_string_lossy();
        let unit = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        let default = default(&arg).map_or_else(|| "none".to_owned(), |text| format!("`{text}`"));
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| `--{flag}` | `{variable}` | {} | {default} | {unit} | {} |",
            key(&arg),
            meaning(&arg).replace('|', "\\|")
        );
    }
    page
}

/// Where the file has it.
fn key(arg: &Arg) -> String {
    let id = arg.get_id();
    let limits = limits::Table::augment_args(Command::new("limits"));
    match id.as_str() {
        "config" => "none".to_owned(),
        id if limits.get_arguments().any(|limit| limit.get_id() == id) => format!("`{id}` of `[limits]`"),
        id => format!("`{id}`"),
    }
}

/// What it is for, in one line without a full stop at its end.
fn meaning(arg: &Arg) -> String {
    let text = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
