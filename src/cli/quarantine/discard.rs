//! `chancery quarantine discard`: quarantined events that are not to be replayed, and why.
use clap::Args;
use serde::{Serialize, Serializer};

use super::{
    super::{
        connect::ConnectArgs,
        exit::Exit,
        failure::Failure,
        output::{Column, Format, Layout, Record, Sink, csv::Cell, say},
        time,
    },
    replay::MAX_IDS,
};
use crate::proto::v1::{DiscardQuarantinedRequest, DiscardRecord};

/// Flags of `chancery quarantine discard`.
#[derive(Args, Clone, Debug)]
pub struct DiscardArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Log.
    #[arg(long, default_value = "main")]
    log: String,
    /// Why; kept with the events, as is who discards them (--as).
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Ids of quarantined events, as `quarantine list` shows them.
    #[arg(required = true)]
    ids: Vec<String>,
}

/// Runs the command.
pub async fn run(args: DiscardArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let mut client = connection.quarantine();
    let mut records = Vec::new();
    for ids in args.ids.chunks(MAX_IDS) {
        let (log, reason) = (args.log.clone(), args.reason.clone());
        let request = DiscardQuarantinedRequest { log, ids: ids.to_vec(), reason };
        records.extend(connection.unary(client.discard_quarantined(request)).await?.records);
    }
    let csv = ["id", "discarded_at", "discarded_by", "discard_reason"].map(str::to_owned).to_vec();
    let table = vec![
        Column::fixed("discarded (UTC)"),
        Column::text("by"),
        Column::text("reason"),
        Column::fixed("id"),
    ];
    let mut sink = Sink::stdout(args.output, Layout { table, csv })?;
    for record in &records {
        sink.put(&Discarded(record))?;
    }
    sink.finish()?;
    say(&format!("{} events are discarded", records.len()));
    Ok(Exit::Done)
}

struct Discarded<'a>(&'a DiscardRecord);

impl Serialize for Discarded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Record for Discarded<'_> {
    fn table(&self) -> Vec<String> {
        let it = self.0;
        let at = time::column(it.discarded_at.as_ref());
        vec![at, it.discarded_by.clone(), it.discard_reason.clone(), it.id.clone()]
    }

    fn csv(&self) -> Vec<Cell> {
        let it = self.0;
        let at = Cell::Own(time::rfc3339(it.discarded_at.as_ref()));
        let texts = [&it.discarded_by, &it.discard_reason].map(|text| Cell::Text(text.clone()));
        [Cell::Own(it.id.clone()), at].into_iter().chain(texts).collect()
    }
}
