//! The access file: who may do what. Read at start and again when the process is told to.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Display,
    path::Path,
    sync::Arc,
};

use serde::Deserialize;

use super::{ConfigError, error, fault::toml_fault, limits};
use crate::{
    auth::{Access, Families, GROUP, Holder, Logs, ProducerGrant, ReaderGrant, Table, TokenGrant},
    catalog::model::Family,
    event::{LogName, Producer},
};

/// Stands for all logs, and for all families.
const ALL: &str = "*";

/// The access file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    producer: BTreeMap<String, ProducerFile>,
    reader: BTreeMap<String, ReaderFile>,
    auditor: BTreeMap<String, LogsFile>,
    admin: BTreeMap<String, LogsFile>,
    token: Vec<TokenFile>,
    subject: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProducerFile {
    logs: Vec<String>,
    families: Vec<String>,
    events_per_second: Option<u64>,
    burst_events: Option<u64>,
    bytes_per_second: Option<u64>,
    burst_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReaderFile {
    logs: Vec<String>,
    families: Vec<String>,
    #[serde(default)]
    personal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogsFile {
    logs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    name: String,
    sha256: String,
    expires: Option<toml::value::Datetime>,
}

/// What the access file says; everything is open where there is none. `limits` are the rates of producers that have
/// none of their own.
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn read(path: Option<&Path>, limits: &limits::Table) -> Result<Access, ConfigError> {
    let Some(path) = path else { return Ok(Access::Open) };
    let at = |reason: &dyn Display| error("access", format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|reason| at(&reason))?;
    parse(&text, limits).map(Access::Table).map_err(|reason| at(&reason))
}

/// What the text of an access file says, with no limits but its own.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn check(text: &str) -> Result<Access, String> {
    parse(text, &limits::Table::default()).map(Access::Table)
}

/// Reads the text of an access file.
///
/// # Errors
/// The first thing that is wrong, and where.
fn parse(text: &str, limits: &limits::Table) -> Result<Table, String> {
    let file: File = toml::from_str(text).map_err(|reason| toml_fault(text, &reason))?;
    let mut table = Table::default();
    for (name, line) in file.producer {
        let at = |reason: &dyn Display| format!("[producer.{name:?}]: {reason}");
        let producer = Producer::parse(&name).map_err(|reason| at(&reason))?;
        if name.starts_with(GROUP) {
            return Err(at(&"a group is no producer: events are stored under the name of one"));
        }
        if name == Producer::OWN {
            return Err(at(&"is the server's own name"));
        }
        let own = limits::Table {
            events_per_second: line.events_per_second,
            burst_events: line.burst_events,
            bytes_per_second: line.bytes_per_second,
            burst_bytes: line.burst_bytes,
        };
        let rates = own.over(limits).rates().map_err(|reason| at(&reason))?;
        let grant = ProducerGrant {
            logs: logs(&line.logs).map_err(|reason| at(&reason))?,
            families: families(&line.families).map_err(|reason| at(&reason))?,
        };
        table.rates.insert(producer.clone(), rates);
        table.producers.insert(producer, Arc::new(grant));
    }
    for (name, line) in file.reader {
        let at = |reason: &dyn Display| format!("[reader.{name:?}]: {reason}");
        let grant = ReaderGrant {
            logs: logs(&line.logs).map_err(|reason| at(&reason))?,
            families: families(&line.families).map_err(|reason| at(&reason))?,
            personal: line.personal,
        };
        table.readers.insert(holder(&name).map_err(|reason| at(&reason))?, Arc::new(grant));
    }
    for (role, lines, into) in
        [("auditor", file.auditor, &mut table.auditors), ("admin", file.admin, &mut table.admins)]
    {
        for (name, line) in lines {
            let at = |reason: &dyn Display| format!("[{role}.{name:?}]: {reason}");
            let logs = logs(&line.logs).map_err(|reason| at(&reason))?;
            into.insert(holder(&name).map_err(|reason| at(&reason))?, logs);
        }
    }
    table.tokens = tokens(file.token)?;
    table.subjects = subjects(file.subject)?;
    Ok(table)
}

/// Who a line is about.
fn holder(name: &str) -> Result<Holder, String> {
    match name.strip_prefix(GROUP) {
        Some("") => Err("names no group".to_owned()),
        Some(group) => Ok(Holder::Group(group.to_owned())),
        None => Producer::parse(name).map(Holder::Name).map_err(str::to_owned),
    }
}

fn logs(names: &[String]) -> Result<Logs, String> {
    if names.iter().any(|name| name == ALL) {
        return match names {
            [_] => Ok(Logs::All),
            // All of them, and the one that has to be named.
            _ => Err(format!(
                "logs: {ALL:?} stands alone; give the log of the self-audit a line of another name"
            )),
        };
    }
    let mut logs = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            return Err("logs: a name is empty".to_owned());
        }
        logs.insert(LogName::parse(name).map_err(|reason| format!("logs: {name:?}: {reason}"))?);
    }
    Ok(Logs::Named(logs))
}

fn families(names: &[String]) -> Result<Families, String> {
    if let [name] = names
        && name == ALL
    {
        return Ok(None);
    }
    let mut families = BTreeSet::new();
    for name in names {
        let family = Family::ALL.into_iter().find(|family| family.name() == name);
        let known = || Family::ALL.map(Family::name).join(", ");
        families.insert(family.ok_or_else(|| format!("families: {name:?} is none of {}, {ALL:?}", known()))?);
    }
    Ok(Some(families))
}

/// Whose the tokens are.
fn tokens(lines: Vec<TokenFile>) -> Result<HashMap<[u8; 32], TokenGrant>, String> {
    let mut tokens = HashMap::new();
    for line in lines {
        let at = |reason: &dyn Display| format!("[[token]] of {:?}: {reason}", line.name);
        let name = Producer::parse(&line.name).map_err(|reason| at(&reason))?;
        let digest = digest(&line.sha256).ok_or_else(|| at(&"sha256 is not 64 hexadecimal digits"))?;
        let expires_at = line.expires.map(micros).transpose().map_err(|reason| at(&reason))?;
        if tokens.insert(digest, TokenGrant { name, expires_at }).is_some() {
            return Err(at(&"another line has the same sha256"));
        }
    }
    Ok(tokens)
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// A time of the file in microseconds since 1970.
fn micros(time: toml::value::Datetime) -> Result<i64, String> {
    let time: jiff::Timestamp = time
        .to_string()
        .parse()
        .map_err(|_| "expires is not a time with an offset, such as 2027-01-31T00:00:00Z".to_owned())?;
    Ok(time.as_microsecond())
}

fn subjects(lines: BTreeMap<String, String>) -> Result<BTreeMap<String, Producer>, String> {
    let named = |(subject, name): (String, String)| {
        let name = Producer::parse(&name).map_err(|reason| format!("[subject] {subject:?}: {reason}"))?;
        Ok((subject, name))
    };
    lines.into_iter().map(named).collect()
}
