//! `chancery count`: how many events match a filter, by group and time bucket.
//!
//! Does: one CountEvents call and its rows; bars and sparklines on a terminal. Does not: count anything itself.
mod chart;
mod terminal;

use std::{io::Write as _, time::Duration};

use clap::Args;
use serde::{Serialize, Serializer};

use self::terminal::Asked;
use super::{
    ambient,
    connect::ConnectArgs,
    exit::Exit,
    failure::Failure,
    filter::FilterArgs,
    names,
    output::{self, Column, Format, Layout, Look, Record, Sink, csv::Cell, json, say, table::TableWriter},
    time,
};
use crate::proto::v1::{CountEventsRequest, CountRow, EventFamily, EventFilter, Outcome};

/// Flags of `chancery count`.
#[derive(Args, Clone, Debug)]
pub struct CountArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Group by these, comma-separated.
    #[arg(long, value_delimiter = ',', value_name = "KEYS",
        value_parser = ["family", "code", "name", "category", "outcome", "producer"])]
    by: Vec<String>,
    /// Also group by time, in buckets of this width in whole seconds, like 1h.
    #[arg(long, value_name = "SPAN", value_parser = bucket)]
    bucket: Option<Duration>,
    /// Output format. A table on a terminal has bars, or with groups and buckets a sparkline a group.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
pub async fn run(args: CountArgs) -> Result<Exit, Failure> {
    let request = CountEventsRequest {
        log: args.filter.log.clone(),
        filter: Some(args.filter.filter(ambient::now())?),
        r#where: args.filter.expression()?,
        group_by: args.by.clone(),
        bucket: args.bucket.map(time::proto_span),
    };
    let asked = asked(&args, request.filter.as_ref());
    let connection = args.connect.open().await?;
    let answer = connection.unary(connection.audit().count_events(request)).await?;

    if args.output == Format::Json {
        // The answer as it is: rows and total in one object.
        let mut out = output::stdout();
        json::write(&mut out, &answer)?;
        writeln!(out)?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let bucketed = args.bucket.is_some();
    let lines: Vec<_> = answer.rows.iter().map(|row| CountLine { row, by: &args.by, bucketed }).collect();
    let columns = columns(&args.by, bucketed);
    let look = Look::stdout();
    match (args.output, look.width) {
        (Format::Table, Some(width)) => {
            let drawn = terminal::draw(columns, &lines, asked, width);
            let mut table = TableWriter::new(output::stdout(), drawn.columns, look);
            drawn.rows.into_iter().try_for_each(|row| table.row(row))?;
            table.flush()?;
        }
        (format, _) => {
            let mut sink = Sink::stdout(format, Layout { table: columns, csv: headers(&args) })?;
            lines.iter().try_for_each(|line| sink.put(line))?;
            sink.finish()?;
        }
    }
    // Among the rows it would be counted again by whoever sums the column.
    say(&format!("total {}", answer.total));
    Ok(Exit::Done)
}

/// The parts of the request that a chart is about.
fn asked(args: &CountArgs, filter: Option<&EventFilter>) -> Asked {
    let range = filter.and_then(|it| it.occurred.as_ref());
    let seconds = |it: &pbjson_types::Timestamp| it.seconds;
    Asked {
        bucket: args.bucket.and_then(|it| i64::try_from(it.as_secs()).ok()),
        since: range.and_then(|it| it.start.as_ref()).map(seconds),
        // A bound inside a second belongs to that second's bucket.
        until: range
            .and_then(|it| it.end.as_ref())
            .map(|it| it.seconds.saturating_add(i64::from(it.nanos > 0))),
    }
}

fn columns(by: &[String], bucketed: bool) -> Vec<Column> {
    let bucket = bucketed.then(|| Column::fixed("from (UTC)"));
    let keys = by.iter().map(|key| match key.as_str() {
        "outcome" => Column::outcome(key),
        key => Column::text(key),
    });
    bucket.into_iter().chain(keys).chain([Column::number("count")]).collect()
}

fn headers(args: &CountArgs) -> Vec<String> {
    let bucket = args.bucket.map(|_| "bucket_start");
    bucket.into_iter().chain(args.by.iter().map(String::as_str)).chain(["count"]).map(str::to_owned).collect()
}

struct CountLine<'a> {
    row: &'a CountRow,
    by: &'a [String],
    bucketed: bool,
}

impl CountLine<'_> {
    /// First second of the bucket; 0 without one.
    fn bucket(&self) -> i64 {
        self.row.bucket_start.as_ref().map_or(0, |it| it.seconds)
    }

    /// The values of the groups, with the words that the filter flags take.
    fn groups(&self) -> impl Iterator<Item = String> {
        self.by.iter().map(|key| {
            let value = self.row.group.get(key).map_or("", String::as_str);
            match key.as_str() {
                "family" => EventFamily::from_str_name(value).map(|it| names::family(it as i32)),
                "outcome" => Outcome::from_str_name(value).map(|it| names::outcome(it as i32)),
                _ => None,
            }
            .unwrap_or(value)
            .to_owned()
        })
    }
}

impl Serialize for CountLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.row.serialize(serializer)
    }
}

impl Record for CountLine<'_> {
    fn table(&self) -> Vec<String> {
        let bucket = self.bucketed.then(|| time::column(self.row.bucket_start.as_ref()));
        bucket.into_iter().chain(self.groups()).chain([self.row.count.to_string()]).collect()
    }

    fn csv(&self) -> Vec<Cell> {
        let bucket = self.bucketed.then(|| Cell::Own(time::rfc3339(self.row.bucket_start.as_ref())));
        let count = Cell::number(Some(self.row.count));
        bucket.into_iter().chain(self.groups().map(Cell::Text)).chain([count]).collect()
    }
}

fn bucket(text: &str) -> Result<Duration, String> {
    let width = time::span(text)?;
    if width.is_zero() || width.subsec_nanos() != 0 || i64::try_from(width.as_secs()).is_err() {
        return Err("a bucket is whole seconds, at least one".to_owned());
    }
    Ok(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_whole_seconds() {
        assert!(bucket("1h").is_ok());
        assert!(bucket("0s").is_err());
        assert!(bucket("1500ms").is_err());
    }

    #[test]
    fn groups_come_in_the_order_asked_for_and_in_the_words_of_the_flags() {
        let group = [("outcome", "OUTCOME_DENIED"), ("family", "EVENT_FAMILY_CMS_AUDIT"), ("code", "-1")];
        let row = CountRow {
            group: group.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            bucket_start: None,
            count: 3,
        };
        let by = ["family", "outcome", "code"].map(str::to_owned);
        let line = CountLine { row: &row, by: &by, bucketed: false };
        assert_eq!(line.table(), ["cms-audit", "denied", "-1", "3"]);
    }
}
