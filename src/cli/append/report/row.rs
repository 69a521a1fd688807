//! One row of `chancery append -o json|ndjson|csv`: what became of one line.
//!
//! The keys are this client's own, in the style of the protobuf JSON mapping (64-bit numbers as text);
//! `EventResult` itself would hide reason and field in base64.
//! Called by: `append/report.rs`.
use serde::Serialize;

use super::{super::reader::Batch, own_field};
use crate::{
    cli::{
        explain::Explained,
        names,
        output::{Layout, Record, csv::Cell},
    },
    proto::v1::{EventResult, Warning},
};

/// What became of one line.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    file: String,
    line: u64,
    result: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
    retryable: bool,
}

#[derive(Debug, Serialize)]
struct Violation {
    field: String,
    description: String,
}

/// The columns of the rows. There is no table of them: the default output is the summary.
pub fn layout() -> Layout {
    const CSV: [&str; 10] = [
        "file",
        "line",
        "result",
        "event_id",
        "position",
        "reason",
        "message",
        "violations",
        "warnings",
        "retryable",
    ];
    Layout { table: Vec::new(), csv: CSV.map(str::to_owned).to_vec() }
}

impl Row {
    /// An event that the server has judged.
    pub fn judged(batch: &Batch, index: usize, result: &EventResult, explained: Option<&Explained>) -> Self {
        Self {
            event_id: result.event_id.clone(),
            position: result.position.map(|it| it.to_string()),
            warnings: result.warnings.clone(),
            retryable: result.retryable,
            ..Self::of(batch, index, names::result(result.result), explained)
        }
    }

    /// An event that went down with its batch.
    pub fn of(batch: &Batch, index: usize, result: &'static str, explained: Option<&Explained>) -> Self {
        let violations = explained.map_or(&[][..], |it| &it.violations);
        Self {
            file: batch.source.to_string(),
            line: batch.lines.get(index).copied().unwrap_or_default(),
            result,
            event_id: batch.events.get(index).map_or_else(String::new, |it| it.event_id.clone()),
            reason: explained.map_or_else(String::new, |it| it.reason.clone()),
            message: explained.map_or_else(String::new, |it| it.message.clone()),
            violations: violations
                .iter()
                .map(|(field, description)| Violation {
                    field: own_field(field).to_owned(),
                    description: description.clone(),
                })
                .collect(),
            ..Self::default()
        }
    }

    /// A line that is no event.
    pub fn unreadable(batch: &Batch, line: u64, reason: &str) -> Self {
        Self {
            file: batch.source.to_string(),
            line,
            result: "UNREADABLE",
            message: reason.to_owned(),
            ..Self::default()
        }
    }
}

impl Record for Row {
    fn table(&self) -> Vec<String> {
        Vec::new()
    }

    fn csv(&self) -> Vec<Cell> {
        let text = |text: &str| Cell::Text(text.to_owned());
        let violations: Vec<_> =
            self.violations.iter().map(|it| format!("{}: {}", it.field, it.description)).collect();
        let warnings: Vec<_> = self.warnings.iter().map(|it| format!("{} {}", it.reason, it.field)).collect();
        vec![
            text(&self.file),
            Cell::number(Some(self.line)),
            text(self.result),
            text(&self.event_id),
            Cell::number(self.position.as_ref()),
            text(&self.reason),
            text(&self.message),
            text(&violations.join("; ")),
            text(&warnings.join("; ")),
            Cell::number(Some(self.retryable)),
        ]
    }
}
