//! Counts for people: tables with a bar a row, or a sparkline a group.
//!
//! Does: choose the form and compute its rows; pure. Does not: print, or ask the server. Called by: `count`.
use std::collections::BTreeMap;

use super::{
    CountLine,
    chart::{self, Span},
};
use crate::cli::{
    output::{Column, table},
    time,
};

/// A bar or a sparkline has at least this many characters, if a text must be cut for it.
const NARROWEST: u16 = 10;

/// The columns of a table and its rows.
pub struct Drawn {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<String>>,
}

/// What was asked for, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Seconds of a bucket; absent without buckets.
    pub bucket: Option<i64>,
    pub since: Option<i64>,
    pub until: Option<i64>,
}

/// The table for a terminal of this width.
pub fn draw(columns: Vec<Column>, lines: &[CountLine<'_>], asked: Asked, width: u16) -> Drawn {
    let most = lines.iter().map(|it| it.row.count).max().unwrap_or(0);
    let grouped = lines.first().is_some_and(|it| !it.by.is_empty());
    let buckets: Vec<i64> = lines.iter().map(CountLine::bucket).collect();
    match asked.bucket.and_then(|seconds| Span::of(&buckets, seconds, asked.since, asked.until)) {
        Some(span) if grouped => sparks(columns, lines, span, width),
        Some(span) => {
            let counts: Vec<_> = lines.iter().map(|it| (it.bucket(), it.row.count)).collect();
            let filled = span.filled(&counts).into_iter();
            bars(columns, filled.map(|(bucket, count)| (vec![instant(bucket)], count)).collect(), most, width)
        }
        None if grouped => {
            let rows = lines.iter().map(|it| (it.groups().collect(), it.row.count)).collect();
            bars(columns, rows, most, width)
        }
        // One number is no chart.
        None => Drawn { columns, rows: lines.iter().map(|it| vec![it.row.count.to_string()]).collect() },
    }
}

fn bars(mut columns: Vec<Column>, rows: Vec<(Vec<String>, u64)>, most: u64, width: u16) -> Drawn {
    let (mut rows, counts): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .map(|(mut cells, count)| {
            cells.push(count.to_string());
            (cells, count)
        })
        .unzip();
    let room = room(&columns, &rows, width);
    for (cells, count) in rows.iter_mut().zip(counts) {
        cells.push(chart::bar(count, most, room));
    }
    columns.push(Column::fixed(""));
    Drawn { columns, rows }
}

/// A row per group: its sum, and how that is spread over time. All groups have one scale.
fn sparks(columns: Vec<Column>, lines: &[CountLine<'_>], span: Span, width: u16) -> Drawn {
    // The first column is the bucket's.
    let mut columns: Vec<_> = columns.into_iter().skip(1).collect();
    let mut groups: BTreeMap<Vec<String>, Vec<(i64, u64)>> = BTreeMap::new();
    for it in lines {
        groups.entry(it.groups().collect()).or_default().push((it.bucket(), it.row.count));
    }
    let sum = |counts: &[(i64, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    let mut rows: Vec<Vec<String>> = groups
        .iter()
        .map(|(group, counts)| group.iter().cloned().chain([sum(counts).to_string()]).collect())
        .collect();
    let room = room(&columns, &rows, width);
    let per_cell = span.per_cell(room);
    let cells: Vec<_> = groups.values().map(|counts| span.cells(counts, per_cell)).collect();
    let most = cells.iter().flatten().copied().max().unwrap_or(0);
    for (row, cells) in rows.iter_mut().zip(cells) {
        row.push(chart::spark(&cells, most));
    }
    // What one character stands for, as far as there is room to tell.
    let each = format!("{} each", time::short(per_cell.saturating_mul(span.width)));
    let names = [format!("{each} from {}", instant(span.first)), each];
    let name = names.into_iter().find(|it| it.len() <= usize::from(room)).unwrap_or_default();
    columns.push(Column::fixed(&name));
    Drawn { columns, rows }
}

/// Characters that are left for a chart.
fn room(columns: &[Column], rows: &[Vec<String>], width: u16) -> u16 {
    let needed = table::needed(columns, rows).into_iter();
    let taken = needed.fold(0_u16, |sum, it| sum.saturating_add(it).saturating_add(table::GAP));
    width.saturating_sub(taken).max(NARROWEST)
}

fn instant(seconds: i64) -> String {
    // Buckets are whole seconds.
    let text = time::rfc3339(Some(&pbjson_types::Timestamp { seconds, nanos: 0 }));
    text.replacen('T', " ", 1).trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::CountRow;

    fn row(bucket: Option<i64>, outcome: &str, count: u64) -> CountRow {
        CountRow {
            group: [("outcome".to_owned(), outcome.to_owned())].into(),
            bucket_start: bucket.map(|seconds| pbjson_types::Timestamp { seconds, nanos: 0 }),
            count,
        }
    }

    fn drawn(rows: &[CountRow], by: &[&str], asked: Asked) -> Vec<Vec<String>> {
        let by: Vec<_> = by.iter().map(|it| (*it).to_owned()).collect();
        let bucketed = asked.bucket.is_some();
        let lines: Vec<_> = rows.iter().map(|row| CountLine { row, by: &by, bucketed }).collect();
        let columns = super::super::columns(&by, bucketed);
        let drawn = draw(columns, &lines, asked, 40);
        assert!(drawn.rows.iter().all(|row| row.len() == drawn.columns.len()));
        drawn.rows
    }

    #[test]
    fn groups_have_bars() {
        let rows = [row(None, "OUTCOME_FAILURE", 10), row(None, "OUTCOME_DENIED", 5)];
        // 40 characters less "outcome", "count" and two gaps.
        let expected = [["failure", "10", &"█".repeat(24)], ["denied", "5", &"█".repeat(12)]];
        assert_eq!(drawn(&rows, &["outcome"], Asked::default()), expected);
    }

    #[test]
    fn buckets_have_bars_and_empty_ones_too() {
        let rows = [row(Some(0), "", 10), row(Some(7200), "", 5)];
        let asked = Asked { bucket: Some(3600), ..Asked::default() };
        let full = "█".repeat(12);
        let expected = [
            ["1970-01-01 00:00:00", "10", &full],
            ["1970-01-01 01:00:00", "0", ""],
            ["1970-01-01 02:00:00", "5", &full[..full.len() / 2]],
        ];
        assert_eq!(drawn(&rows, &[], asked), expected);
    }

    #[test]
    fn groups_over_time_have_a_sparkline_each_on_one_scale() {
        let rows = [
            row(Some(0), "OUTCOME_FAILURE", 8),
            row(Some(3600), "OUTCOME_DENIED", 1),
            row(Some(7200), "OUTCOME_FAILURE", 4),
        ];
        let asked = Asked { bucket: Some(3600), ..Asked::default() };
        assert_eq!(drawn(&rows, &["outcome"], asked), [["denied", "1", " ▁"], ["failure", "12", "█ ▄"]]);
    }

    #[test]
    fn one_number_is_a_number_and_nothing_is_nothing() {
        assert_eq!(drawn(&[row(None, "", 7)], &[], Asked::default()), [["7"]]);
        let asked = Asked { bucket: Some(60), ..Asked::default() };
        assert!(drawn(&[], &["outcome"], asked).is_empty());
    }
}
