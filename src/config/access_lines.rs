//! An access file as rows, for `chancery access`: what the server would make of it.
use std::{collections::BTreeMap, path::Path};

use super::{AccessFile, ConfigError, error, given};
use crate::{
    auth::{Access, Families, Holder, Logs, Table},
    catalog::model::Family,
    event::Producer,
    ingest::rate::{Rate, Rates},
};

/// What somebody may do, by one line of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessLine {
    /// Nothing for a name that has a token or a subject and no role.
    pub role: &'static str,
    pub name: String,
    /// `*` for all but the log of the self-audit.
    pub logs: Vec<String>,
    /// `*` for all; none where they say nothing.
    pub families: Vec<String>,
    /// Whether a reader sees personal values.
    pub personal: Option<bool>,
    /// Of a producer; none for no limit.
    pub events_per_second: Option<u64>,
    pub bytes_per_second: Option<u64>,
    /// When each token of the name ends, in microseconds since 1970; none for never.
    pub tokens: Vec<Option<i64>>,
    /// Subjects of certificates that are mapped to the name.
    pub subjects: Vec<String>,
}

/// Reads an access file as the server would. `configuration` is the server's own file, whose `[limits]` hold where a
/// line says nothing.
///
/// # Errors
/// What is wrong with either.
pub fn access_lines(path: &Path, configuration: Option<&Path>) -> Result<Vec<AccessLine>, ConfigError> {
    let limits = configuration.map(given::read).transpose()?.map(|(settings, _)| settings.limits);
    let limits = limits.unwrap_or_default();
    limits.rates().map_err(|reason| error("limits", reason))?;
    match (AccessFile { path: Some(path.to_owned()), limits }).read()? {
        Access::Open => Ok(Vec::new()),
        Access::Table(table) => Ok(lines(&table)),
    }
}

fn lines(table: &Table) -> Vec<AccessLine> {
    let mut lines = Vec::new();
    for (name, grant) in &table.producers {
        let Rates { events, bytes } = table.rates.get(name).copied().unwrap_or_default();
        lines.push(AccessLine {
            families: families(&grant.families),
            events_per_second: events.map(|Rate { per_second, .. }| per_second),
            bytes_per_second: bytes.map(|Rate { per_second, .. }| per_second),
            ..line("producer", name.as_str(), &grant.logs)
        });
    }
    for (holder, grant) in &table.readers {
        lines.push(AccessLine {
            families: families(&grant.families),
            personal: Some(grant.personal),
            ..line("reader", &text(holder), &grant.logs)
        });
    }
    for (role, holders) in [("auditor", &table.auditors), ("admin", &table.admins)] {
        lines.extend(holders.iter().map(|(holder, logs)| line(role, &text(holder), logs)));
    }
    let (tokens, subjects) = (tokens(table), subjects(table));
    for name in tokens.keys().chain(subjects.keys()) {
        if lines.iter().all(|line| line.name != name.as_str()) {
            lines.push(line("", name.as_str(), &Logs::Named([].into())));
        }
    }
    for line in &mut lines {
        let Ok(name) = Producer::parse(&line.name) else { continue };
        line.tokens = tokens.get(&name).cloned().unwrap_or_default();
        line.subjects = subjects.get(&name).cloned().unwrap_or_default();
    }
    lines
}

fn line(role: &'static str, name: &str, logs: &Logs) -> AccessLine {
    AccessLine {
        role,
        name: name.to_owned(),
        logs: match logs {
            Logs::All => vec!["*".to_owned()],
            Logs::Named(logs) => logs.iter().map(ToString::to_string).collect(),
        },
        families: Vec::new(),
        personal: None,
        events_per_second: None,
        bytes_per_second: None,
        tokens: Vec::new(),
        subjects: Vec::new(),
    }
}

fn text(holder: &Holder) -> String {
    match holder {
        Holder::Name(name) => name.as_str().to_owned(),
        Holder::Group(group) => format!("{}{group}", crate::auth::GROUP),
    }
}

fn families(families: &Families) -> Vec<String> {
    match families {
        None => vec!["*".to_owned()],
        Some(families) => families.iter().copied().map(Family::name).map(str::to_owned).collect(),
    }
}

/// The ends of everybody's tokens, the first one first.
fn tokens(table: &Table) -> BTreeMap<Producer, Vec<Option<i64>>> {
    let mut tokens: BTreeMap<Producer, Vec<Option<i64>>> = BTreeMap::new();
    for token in table.tokens.values() {
        tokens.entry(token.name.clone()).or_default().push(token.expires_at);
    }
    for ends in tokens.values_mut() {
        ends.sort_unstable_by_key(|end| end.unwrap_or(i64::MAX));
    }
    tokens
}

fn subjects(table: &Table) -> BTreeMap<Producer, Vec<String>> {
    let mut subjects: BTreeMap<Producer, Vec<String>> = BTreeMap::new();
    for (subject, name) in &table.subjects {
        subjects.entry(name.clone()).or_default().push(subject.clone());
    }
    subjects
}
