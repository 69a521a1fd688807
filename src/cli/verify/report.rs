//! The findings as rows, and the verdict over all of them.
//!
//! Called by: `verify::run`.
use std::{ops::Range, path::Path};

use serde::Serialize;

use super::described;
use crate::{
    cli::{
        failure::Failure,
        output::{Column, Format, Layout, Record, Sink, csv::Cell},
    },
    verify::{Believed, Finding, Positions, Told, Values, Verdict, base64},
};

/// Ranges of positions that are named in a line.
const MOST_SHOWN: usize = 10;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    /// The checkpoint that everything was compared with, when one was believed.
    pub checkpoint: Option<Believed>,
    /// The positions that were checked.
    pub positions: Range<u64>,
    /// Events that are what was signed.
    pub events: u64,
    /// What became of their personal values.
    pub values: Values,
    /// What the log tells of what is not there.
    pub told: Told,
    pub findings: Vec<Finding>,
}

impl Report {
    /// One that ended with its first finding.
    pub fn of(finding: Finding) -> Self {
        Self { findings: vec![finding], ..Self::default() }
    }

    /// The verdict: the gravest of all findings.
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Valid)
    }

    /// Says where the two checkpoints of a fork are.
    pub fn both_kept(&mut self, last: &Path, other: &Path) {
        let places = format!("; they are in {} and {}", last.display(), other.display());
        for finding in self.findings.iter_mut().filter(|finding| finding.verdict == Verdict::Forked) {
            finding.evidence.push_str(&places);
        }
    }

    /// Prints a row per finding; one row when there is none.
    pub fn print(&self, format: Format) -> Result<(), Failure> {
        let mut sink = Sink::stdout(format, layout())?;
        if self.findings.is_empty() {
            let nothing = Finding::new(Verdict::Valid, "", "every record is what was signed");
            sink.put(&self.row(&nothing.at(self.positions.clone())))?;
        }
        for finding in &self.findings {
            sink.put(&self.row(finding))?;
        }
        Ok(sink.finish()?)
    }

    /// The verdict in one line.
    pub fn summary(&self) -> String {
        let of = self.checkpoint.as_ref().map(described).unwrap_or_default();
        match self.verdict() {
            Verdict::Valid => {
                let (events, positions) = (self.events, span(&self.positions));
                let (removed, values) = (self.removed(), self.personal());
                format!("valid: {events} events, positions {positions}, of {of}{removed}{values}")
            }
            verdict if of.is_empty() => verdict.to_string(),
            verdict => format!("{verdict}: {of}"),
        }
    }

    /// What is said of personal values, when there is something to say.
    fn personal(&self) -> String {
        let Values { erased, withheld, records_with_erased, .. } = self.values;
        let erased = match erased {
            0 => String::new(),
            _ => {
                let at = listed(self.told.erased());
                format!(
                    "; {erased} personal values of {records_with_erased} events were erased (positions {at})"
                )
            }
        };
        // Where every record up to the checkpoint was read, this is a finding.
        let open = match self.told.open().count {
            0 => String::new(),
            _ => format!(
                "; of those at positions {} no event in this range tells: erased, not accounted for in this range",
                listed(self.told.open())
            ),
        };
        let withheld = match withheld {
            0 => String::new(),
            _ => format!("; {withheld} personal values are not there and were not checked"),
        };
        erased + &open + &withheld
    }

    /// What is said of positions that retention has removed.
    fn removed(&self) -> String {
        match self.told.removed() {
            Some((oldest, event)) => format!(
                "; from position {oldest} on: {oldest} events below were removed by retention (event RETENTION_APPLIED \
                 at position {event})"
            ),
            None => String::new(),
        }
    }

    fn row(&self, finding: &Finding) -> Row {
        let head = self.checkpoint.as_ref().map(|checkpoint| checkpoint.head);
        let positions = finding.positions.as_ref();
        Row {
            verdict: finding.verdict.name(),
            first_position: positions.map(|range| range.start.to_string()),
            last_position: positions.map(|range| range.end.saturating_sub(1).to_string()),
            field: finding.field.clone(),
            evidence: finding.evidence.clone(),
            origin: self.checkpoint.as_ref().map(|checkpoint| checkpoint.origin.clone()),
            tree_size: head.map(|head| head.size.to_string()),
            root_hash: head.map(|head| base64(&head.root)),
            erased_values: self.values.erased.to_string(),
            events_with_erased_values: self.values.records_with_erased.to_string(),
            erased_positions: self.told.erased().texts(),
            erased_not_accounted_for: self.told.open().count.to_string(),
            withheld_values: self.values.withheld.to_string(),
            removed_below: self.told.removed().map(|(oldest, _)| oldest.to_string()),
            removed_by: self.told.removed().map(|(_, event)| event.to_string()),
            cosigned_by: self.checkpoint.as_ref().map(|it| it.cosigned.clone()).unwrap_or_default(),
        }
    }
}

/// A finding. The keys are this client's own, in the style of the protobuf JSON mapping (64-bit numbers as text).
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_position: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    evidence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_hash: Option<String>,
    /// Personal values that were erased, over everything that was checked.
    erased_values: String,
    events_with_erased_values: String,
    /// Positions and ranges of them, the first hundred.
    erased_positions: Vec<String>,
    /// Events with erased values after which no erasure is told in what was checked.
    erased_not_accounted_for: String,
    /// Personal values that are not there, because the bundle has none or the server withholds them: nobody checked them.
    withheld_values: String,
    /// Where the log begins because retention removed what was below, and the event that tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_below: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_by: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cosigned_by: Vec<String>,
}

fn layout() -> Layout {
    const CSV: [&str; 16] = [
        "verdict",
        "first_position",
        "last_position",
        "field",
        "evidence",
        "origin",
        "tree_size",
        "root_hash",
        "erased_values",
        "events_with_erased_values",
        "erased_positions",
        "erased_not_accounted_for",
        "withheld_values",
        "removed_below",
        "removed_by",
        "cosigned_by",
    ];
    Layout {
        table: vec![
            Column::fixed("verdict"),
            Column::number("positions"),
            Column::fixed("field"),
            Column::text("evidence"),
        ],
        csv: CSV.map(str::to_owned).to_vec(),
    }
}

impl Record for Row {
    fn table(&self) -> Vec<String> {
        let positions = match (&self.first_position, &self.last_position) {
            (Some(first), Some(last)) if first != last => format!("{first}-{last}"),
            (first, _) => first.clone().unwrap_or_default(),
        };
        vec![self.verdict.to_owned(), positions, self.field.clone(), self.evidence.clone()]
    }

    fn csv(&self) -> Vec<Cell> {
        let text = |text: &str| Cell::Text(text.to_owned());
        vec![
            text(self.verdict),
            Cell::number(self.first_position.as_ref()),
            Cell::number(self.last_position.as_ref()),
            text(&self.field),
            text(&self.evidence),
            text(self.origin.as_deref().unwrap_or_default()),
            Cell::number(self.tree_size.as_ref()),
            text(self.root_hash.as_deref().unwrap_or_default()),
            Cell::number(Some(&self.erased_values)),
            Cell::number(Some(&self.events_with_erased_values)),
            text(&self.erased_positions.join("; ")),
            Cell::number(Some(&self.erased_not_accounted_for)),
            Cell::number(Some(&self.withheld_values)),
            Cell::number(self.removed_below.as_ref()),
            Cell::number(self.removed_by.as_ref()),
            text(&self.cosigned_by.join("; ")),
        ]
    }
}

/// Positions in a line: the first ranges of them, and how many more there are.
fn listed(positions: &Positions) -> String {
    let texts = positions.texts();
    let shown = texts.len().min(MOST_SHOWN);
    let dots = if texts.len() > shown { ", ..." } else { "" };
    texts[..shown].join(", ") + dots
}

fn span(positions: &Range<u64>) -> String {
    format!("{} to {}", positions.start, positions.end.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_cells_agree() {
        assert_eq!(Row::default().csv().len(), layout().csv.len());
        assert_eq!(Row::default().table().len(), layout().table.len());
    }

    #[test]
    fn the_gravest_finding_is_the_verdict() {
        let finding = |verdict| Finding::new(verdict, "record", "");
        let mut report = Report::default();
        assert_eq!(report.verdict(), Verdict::Valid);
        report.findings = vec![finding(Verdict::Tampered), finding(Verdict::Missing)];
        assert_eq!(report.verdict(), Verdict::Tampered);
    }
}
