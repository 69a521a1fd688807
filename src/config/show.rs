//! The settings that hold, as a configuration file that says where each came from. Called by: `chancery config show`,
//! and by [`super::given`] for their hash.
use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    layers::Layer,
    origin::Origin,
    redact::{HIDDEN, redacted},
    settings::declared,
    signing,
};

/// Digits of a hash: as many as tell the settings of replicas apart.
const HASH_DIGITS: usize = 16;
/// What is a secret by itself, and given in variables only.
const SECRET_VARIABLES: [&str; 2] = [signing::VARIABLE, "OTEL_EXPORTER_OTLP_HEADERS"];

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrets {
    /// Passwords and keys are left out.
    Hidden,
    /// Everything that the settings themselves say.
    Shown,
}

/// A configuration file that gives the same settings.
pub(super) fn show(layer: &Layer, secrets: Secrets, with_origins: bool) -> String {
    let mut lines = Vec::new();
    for arg in declared() {
        let key = arg.get_id().as_str();
        // The tables come last; the file is no key of itself.
        let none = !["config", "events_per_second", "bytes_per_second", "store"].contains(&key);
        match layer.get(&vec![key.to_owned()]) {
            Some((value, origin)) => lines.push(line(key, value, origin, secrets, with_origins)),
            None if none && with_origins => lines.push(format!("# {key}: none ({})", Origin::Default)),
            None => {}
        }
    }
    let mut tables: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
    for (path, (value, origin)) in
        layer.iter().filter(|(path, (value, _))| path.len() > 1 || value.is_object())
    {
        match (value, path.split_last()) {
            (Value::Object(_), _) | (_, None) => drop(tables.entry(path).or_default()),
            (value, Some((key, table))) => {
                tables.entry(table).or_default().push(line(key, value, origin, secrets, with_origins));
            }
        }
    }
    for (table, inside) in tables {
        let name = table.iter().map(|key| bare_or_quoted(key)).collect::<Vec<_>>().join(".");
        lines.extend([String::new(), format!("[{name}]")]);
        lines.extend(inside);
    }
    if with_origins {
        for name in SECRET_VARIABLES {
            if std::env::var_os(name).is_some_and(|text| !text.is_empty()) {
                lines.insert(0, format!("# {name}: {HIDDEN} (variable {name})"));
            }
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What tells the settings of two servers apart, without saying anything of them.
pub(super) fn hash(layer: &Layer) -> String {
    let text = show(layer, Secrets::Hidden, false);
    let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chars().take(HASH_DIGITS).collect()
}

fn line(key: &str, value: &Value, origin: &Origin, secrets: Secrets, with_origins: bool) -> String {
    let shown = match secrets {
        Secrets::Hidden => without_secrets(value),
        Secrets::Shown => value.clone(),
    };
    let text = format!("{} = {}", bare_or_quoted(key), literal(&shown));
    if with_origins { format!("{text}  # {}", told(origin)) } else { text }
}

/// Without what would end a comment.
fn told(origin: &Origin) -> String {
    origin.to_string().replace(char::is_control, " ")
}

fn without_secrets(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redacted(text)),
        Value::Array(values) => Value::Array(values.iter().map(without_secrets).collect()),
        other => other.clone(),
    }
}

/// Texts, numbers and lists are written in TOML as in JSON, but for one character.
fn literal(value: &Value) -> String {
    value.to_string().replace('\u{7f}', "\\u007f")
}

fn bare_or_quoted(key: &str) -> String {
    let bare = |each: char| each.is_ascii_alphanumeric() || each == '_' || each == '-';
    match !key.is_empty() && key.chars().all(bare) {
        true => key.to_owned(),
        false => literal(&Value::from(key)),
    }
}
