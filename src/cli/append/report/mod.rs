//! What became of the events: rows, lines on standard error, the summary, the exit code.
//!
//! Called by: `append::run`.
use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write as _},
};

use indicatif::{ProgressBar, ProgressStyle};
use tonic::{Code, Status};

use super::reader::Batch;
use crate::{
    cli::{
        exit::Exit,
        explain::Explained,
        names,
        output::{self, Format, Sink, escape::visible, say, table},
    },
    proto::v1::{AppendResult, EventResult},
};

mod row;
use self::row::Row;

/// Standard error with or without a progress bar on it.
pub struct Notes(Option<ProgressBar>);

impl Notes {
    /// With a bar when the size of the input is known and a person is looking.
    pub fn new(total_bytes: Option<u64>) -> Self {
        let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left");
        let (Some(total), Ok(style), true) = (total_bytes, style, io::stderr().is_terminal()) else {
            return Self(None);
        };
        Self(Some(ProgressBar::new(total).with_style(style)))
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    fn advance(&self, bytes: u64, events: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
            bar.set_message(format!("{events} events"));
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Events by what became of them.
#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    duplicate: u64,
    quarantined: u64,
    rejected: u64,
    conflict: u64,
    not_attempted: u64,
    unreadable: u64,
    with_warnings: u64,
    first: Option<u64>,
    last: Option<u64>,
}

/// Collects and prints.
pub struct Report<'a> {
    counts: Counts,
    /// Absent with the default output, which prints the summary only.
    rows: Option<Sink>,
    notes: &'a Notes,
    /// The server refused a batch, or a line of an atomic batch could not be read.
    stopped: bool,
}

impl<'a> Report<'a> {
    /// Nothing has happened yet.
    pub fn new(format: Format, notes: &'a Notes) -> io::Result<Self> {
        let rows = (format != Format::Table).then(|| Sink::stdout(format, row::layout())).transpose()?;
        Ok(Self { counts: Counts::default(), rows, notes, stopped: false })
    }

    /// Lines that are no events.
    pub fn unreadable(&mut self, batch: &Batch) -> io::Result<()> {
        for (line, reason) in &batch.unreadable {
            self.notes.say(&format!("{}:{line}: {}", batch.source, visible(reason)));
            self.counts.unreadable += 1;
            self.put(&Row::unreadable(batch, *line, reason))?;
        }
        self.notes.advance(batch.bytes, self.counts.accepted + self.counts.duplicate);
        Ok(())
    }

    /// The server has judged every event.
    pub fn judged(&mut self, batch: &Batch, results: &[EventResult]) -> io::Result<()> {
        for (index, result) in results.iter().enumerate() {
            let explained = result.error.as_ref().map(Explained::of_event);
            self.count(result);
            if let Some(explained) = &explained {
                self.refusal(batch, index, names::result(result.result), explained);
            }
            self.put(&Row::judged(batch, index, result, explained.as_ref()))?;
        }
        if let Some(rows) = &mut self.rows {
            rows.flush()?;
        }
        Ok(())
    }

    /// The server has refused the whole batch because of events in it. Nothing after it is sent.
    pub fn refused(&mut self, batch: &Batch, status: &Status) -> io::Result<()> {
        let explained = Explained::of_call(status);
        let conflict = status.code() == Code::AlreadyExists;
        let named: BTreeSet<usize> =
            explained.violations.iter().filter_map(|(field, _)| index_of(field)).collect();
        for index in 0..batch.events.len() {
            if !named.contains(&index) {
                self.counts.not_attempted += 1;
                self.put(&Row::of(batch, index, "NOT_ATTEMPTED", None))?;
                continue;
            }
            let (count, word) = if conflict {
                (&mut self.counts.conflict, "CONFLICT")
            } else {
                (&mut self.counts.rejected, "REJECTED")
            };
            *count += 1;
            let own = Explained {
                violations: explained
                    .violations
                    .iter()
                    .filter(|it| index_of(&it.0) == Some(index))
                    .cloned()
                    .collect(),
                ..explained.clone()
            };
            self.refusal(batch, index, word, &own);
            self.put(&Row::of(batch, index, word, Some(&own)))?;
        }
        if named.is_empty() {
            self.notes.say(&format!("{}: REFUSED {explained}", batch.place(0)));
        }
        self.stopped = true;
        self.say_where(batch);
        Ok(())
    }

    /// A line of an atomic batch could not be read: the batch is not sent, nor anything after it.
    pub fn stopped_before(&mut self, batch: &Batch) {
        self.stopped = true;
        self.failed(batch);
    }

    /// The call of this batch failed for good. The failure has an exit code of its own.
    pub fn failed(&mut self, batch: &Batch) {
        self.counts.not_attempted += batch.events.len() as u64;
        self.say_where(batch);
    }

    fn say_where(&self, batch: &Batch) {
        let first = batch.lines.first().into_iter().chain(batch.unreadable.first().map(|it| &it.0)).min();
        let line = first.copied().unwrap_or_default();
        self.notes
            .say(&format!("chancery: stopped; nothing from {}:{line} on is acknowledged", batch.source));
    }

    /// Ends the rows and prints the summary.
    pub fn finish(self) -> io::Result<Exit> {
        self.notes.finish();
        match self.rows {
            Some(rows) => {
                rows.finish()?;
                for (what, value) in self.counts.lines() {
                    say(&format!("{what} {value}"));
                }
            }
            None => {
                let mut table = table::plain();
                table.add_rows(self.counts.lines().map(|(what, value)| [what.to_owned(), value]));
                let mut out = output::stdout();
                table::print(&mut out, table)?;
                out.flush()?;
            }
        }
        let counts = &self.counts;
        let refused = counts.quarantined + counts.rejected + counts.conflict + counts.unreadable;
        Ok(match () {
            () if refused > 0 || self.stopped => Exit::Refused,
            () if counts.not_attempted > 0 => Exit::Error,
            () => Exit::Done,
        })
    }

    fn count(&mut self, result: &EventResult) {
        let counts = &mut self.counts;
        let count = match AppendResult::try_from(result.result) {
            Ok(AppendResult::Accepted) => &mut counts.accepted,
            Ok(AppendResult::Duplicate) => &mut counts.duplicate,
            Ok(AppendResult::Quarantined) => &mut counts.quarantined,
            Ok(AppendResult::Conflict) => &mut counts.conflict,
            Ok(AppendResult::NotAttempted) => &mut counts.not_attempted,
            // A result newer than this client is at least not an acceptance.
            Ok(AppendResult::Rejected | AppendResult::Unspecified) | Err(_) => &mut counts.rejected,
        };
        *count += 1;
        counts.with_warnings += u64::from(!result.warnings.is_empty());
        if let Some(position) = result.position {
            counts.first = Some(counts.first.map_or(position, |it| it.min(position)));
            counts.last = Some(counts.last.map_or(position, |it| it.max(position)));
        }
    }

    /// `FILE:LINE: RESULT REASON field: description`, one line per violation.
    fn refusal(&self, batch: &Batch, index: usize, result: &str, explained: &Explained) {
        let head = format!("{}: {result} {}", batch.place(index), visible(&explained.reason));
        if explained.violations.is_empty() {
            self.notes.say(&format!("{head} {}", visible(&explained.message)));
        }
        for (field, description) in &explained.violations {
            self.notes.say(&format!("{head} {}: {}", visible(own_field(field)), visible(description)));
        }
    }

    fn put(&mut self, row: &Row) -> io::Result<()> {
        self.rows.as_mut().map_or(Ok(()), |rows| rows.put(row))
    }
}

impl Counts {
    fn lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        let position = |it: Option<u64>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
        [
            ("accepted", self.accepted.to_string()),
            ("  with warnings", self.with_warnings.to_string()),
            ("duplicate", self.duplicate.to_string()),
            ("quarantined", self.quarantined.to_string()),
            ("rejected", self.rejected.to_string()),
            ("conflict", self.conflict.to_string()),
            ("not attempted", self.not_attempted.to_string()),
            ("unreadable lines", self.unreadable.to_string()),
            ("first position", position(self.first)),
            ("last position", position(self.last)),
        ]
        .into_iter()
    }
}

/// The index in `events[3].cms_audit.code`.
fn index_of(field: &str) -> Option<usize> {
    field.strip_prefix("events[")?.split_once(']')?.0.parse().ok()
}

/// `cms_audit.code` of `events[3].cms_audit.code`: the index means nothing to who sees file and line.
fn own_field(field: &str) -> &str {
    match (index_of(field), field.split_once("].")) {
        (Some(_), Some((_, own))) => own,
        _ => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_paths_lead_to_the_event() {
        assert_eq!(index_of("events[12].cms_audit.code"), Some(12));
        assert_eq!(own_field("events[12].as_audit.parameters[0].code"), "as_audit.parameters[0].code");
        assert_eq!((index_of("log"), own_field("log")), (None, "log"));
        assert_eq!(own_field("cms_audit.code"), "cms_audit.code");
    }
}
