//! `chancery producers list`: every producer that the logs know.
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::super::{
    ambient,
    connect::ConnectArgs,
    exit::Exit,
    failure::Failure,
    output::{Column, Format, Layout, Record, Sink, csv::Cell, say},
    time,
};
use crate::proto::v1::{ListProducersRequest, Producer};

/// Flags of `chancery producers list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Only producers of this log; of every log when not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    log: String,
    /// Only producers that were not heard of for at least this long, like 1h.
    #[arg(long, value_name = "SPAN", value_parser = time::span)]
    silent_for: Option<Duration>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
pub async fn run(args: ListArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let mut client = connection.producers();
    let mut request = ListProducersRequest {
        log: args.log,
        silent_for: args.silent_for.map(|span| pbjson_types::Duration {
            seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            // Below 1,000,000,000.
            nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
        }),
        page_size: 200,
        page_token: String::new(),
    };
    let now = ambient::now();
    let mut sink = Sink::stdout(args.output, layout())?;
    let mut listed = 0;
    loop {
        let page = connection.unary(client.list_producers(request.clone())).await?;
        for producer in &page.producers {
            sink.put(&ProducerRecord(producer, now))?;
        }
        listed += page.producers.len();
        if page.next_page_token.is_empty() {
            sink.finish()?;
            say(&format!("{listed} producers"));
            return Ok(Exit::Done);
        }
        request.page_token = page.next_page_token;
    }
}

fn layout() -> Layout {
    const CSV: [&str; 9] = [
        "log",
        "producer",
        "first_seen",
        "last_seen",
        "last_position",
        "events",
        "quarantined_events",
        "missing_sequences",
        "gap_count",
    ];
    Layout {
        table: vec![
            Column::text("log"),
            Column::text("producer"),
            Column::fixed("last seen (UTC)"),
            Column::number("silent for"),
            Column::number("events"),
            Column::number("quarantined"),
            Column::number("last position"),
            Column::number("missing"),
            Column::number("gaps"),
        ],
        csv: CSV.map(str::to_owned).to_vec(),
    }
}

/// A producer, and the instant that its silence is told for.
struct ProducerRecord<'a>(&'a Producer, Timestamp);

impl Serialize for ProducerRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Record for ProducerRecord<'_> {
    fn table(&self) -> Vec<String> {
        let Self(it, now) = self;
        vec![
            it.log.clone(),
            it.producer.clone(),
            time::column(it.last_seen.as_ref()),
            time::ago(it.last_seen.as_ref(), *now),
            it.events.to_string(),
            it.quarantined_events.to_string(),
            it.last_position.map_or_else(String::new, |it| it.to_string()),
            it.missing_sequences.to_string(),
            it.gap_count.to_string(),
        ]
    }

    fn csv(&self) -> Vec<Cell> {
        let it = self.0;
        let names = [&it.log, &it.producer].map(|text| Cell::Text(text.clone()));
        let times = [&it.first_seen, &it.last_seen].map(|at| Cell::Own(time::rfc3339(at.as_ref())));
        let counts = [it.events, it.quarantined_events, it.missing_sequences, it.gap_count];
        let counts = counts.map(|count| Cell::number(Some(count)));
        names.into_iter().chain(times).chain([Cell::number(it.last_position)]).chain(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_cells_agree() {
        let each = Producer::default();
        assert_eq!(ProducerRecord(&each, Timestamp::default()).csv().len(), layout().csv.len());
        assert_eq!(ProducerRecord(&each, Timestamp::default()).table().len(), layout().table.len());
    }
}
