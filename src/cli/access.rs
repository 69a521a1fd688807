//! `chancery access`: checks an access file as a server would, and shows who may do what.
//!
//! Does: a row for each line of the file, with the tokens and subjects of its name. Does not: need a server, or show
//! anything that is secret: the file holds nothing that is. Called by: `cli::run`.
use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    ambient,
    exit::Exit,
    failure::Failure,
    output::{Column, Format, Layout, Record, Sink, csv::Cell, escape::visible, say},
};
use crate::config::{AccessLine, access_lines};

/// Flags of `chancery access`.
#[derive(Args, Clone, Debug)]
pub struct AccessArgs {
    /// Access file, as `chancery serve --access` takes it.
    file: PathBuf,
    /// The server's configuration file, whose [limits] hold where the access file says nothing.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
pub fn run(args: &AccessArgs) -> Result<Exit, Failure> {
    let lines = access_lines(&args.file, args.config.as_deref())
        .map_err(|error| Failure::Usage(told(&error.to_string())))?;
    let now = ambient::now();
    let mut sink = Sink::stdout(args.output, layout())?;
    let mut names = BTreeSet::new();
    let mut expired = 0;
    for line in &lines {
        let row = Row::of(line, now);
        if names.insert(&line.name) {
            expired += row.expired_tokens;
        }
        sink.put(&row)?;
    }
    sink.finish()?;
    let (shown, names) = (args.file.display(), names.len());
    say(&visible(&format!("{shown}: {names} names, {expired} expired tokens")));
    Ok(Exit::Done)
}

/// A text of the file, perhaps of several lines, as a terminal may show it.
fn told(text: &str) -> String {
    text.trim_end().lines().map(visible).collect::<Vec<_>>().join("\n")
}

fn is_over(end: Option<i64>, now: Timestamp) -> bool {
    end.is_some_and(|end| end <= now.as_microsecond())
}

/// A line of the file. The keys are this client's own.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    role: &'static str,
    name: String,
    logs: Vec<String>,
    families: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    personal: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
    /// Tokens of the name that can be used.
    tokens: usize,
    expired_tokens: usize,
    /// When the first of the tokens that can be used ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_expiry: Option<String>,
    subjects: Vec<String>,
}

impl Row {
    fn of(line: &AccessLine, now: Timestamp) -> Self {
        let (over, left): (Vec<Option<i64>>, Vec<_>) =
            line.tokens.iter().partition(|end| is_over(**end, now));
        let next = left.iter().filter_map(|end| *end).min();
        let next = next.and_then(|end| Timestamp::from_microsecond(end).ok());
        Self {
            role: line.role,
            name: line.name.clone(),
            logs: line.logs.clone(),
            families: line.families.clone(),
            personal: line.personal,
            events_per_second: line.events_per_second,
            bytes_per_second: line.bytes_per_second,
            tokens: left.len(),
            expired_tokens: over.len(),
            next_expiry: next.map(|end| end.to_string()),
            subjects: line.subjects.clone(),
        }
    }

    /// The limits in one cell.
    fn rates(&self) -> String {
        let rate = |limit: Option<u64>, what| limit.map(|limit| format!("{limit} {what}/s"));
        let rates = rate(self.events_per_second, "events").into_iter();
        rates.chain(rate(self.bytes_per_second, "bytes")).collect::<Vec<_>>().join(", ")
    }

    /// The tokens in one cell.
    fn tokens(&self) -> String {
        let expired = match self.expired_tokens {
            0 => String::new(),
            expired => format!(", {expired} expired"),
        };
        let until = self.next_expiry.as_deref().map_or_else(String::new, |end| format!(", until {end}"));
        format!("{}{until}{expired}", self.tokens)
    }
}

fn layout() -> Layout {
    const CSV: [&str; 11] = [
        "role",
        "name",
        "logs",
        "families",
        "personal",
        "events_per_second",
        "bytes_per_second",
        "tokens",
        "expired_tokens",
        "next_expiry",
        "subjects",
    ];
    Layout {
        table: vec![
            Column::fixed("role"),
            Column::text("name"),
            Column::text("logs"),
            Column::text("families"),
            Column::fixed("personal"),
            Column::text("limits"),
            Column::text("tokens"),
        ],
        csv: CSV.map(str::to_owned).to_vec(),
    }
}

impl Record for Row {
    fn table(&self) -> Vec<String> {
        let role = if self.role.is_empty() { "none" } else { self.role };
        let personal = match self.personal {
            None => "",
            Some(true) => "shown",
            Some(false) => "withheld",
        };
        vec![
            role.to_owned(),
            self.name.clone(),
            self.logs.join(" "),
            self.families.join(" "),
            personal.to_owned(),
            self.rates(),
            self.tokens(),
        ]
    }

    fn csv(&self) -> Vec<Cell> {
        let text = |text: &str| Cell::Text(text.to_owned());
        vec![
            text(self.role),
            text(&self.name),
            text(&self.logs.join("; ")),
            text(&self.families.join("; ")),
            text(self.personal.map_or("", |personal| if personal { "true" } else { "false" })),
            Cell::number(self.events_per_second),
            Cell::number(self.bytes_per_second),
            Cell::number(Some(self.tokens)),
            Cell::number(Some(self.expired_tokens)),
            text(self.next_expiry.as_deref().unwrap_or_default()),
            text(&self.subjects.join("; ")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_cells_agree() {
        assert_eq!(Row::default().csv().len(), layout().csv.len());
        assert_eq!(Row::default().table().len(), layout().table.len());
    }
}
