//! `chancery quarantine list`: quarantined events as they arrive.
use clap::Args;
use serde::{Serialize, Serializer};

use super::{
    super::{
        connect::ConnectArgs,
        exit::Exit,
        explain::Explained,
        failure::Failure,
        output::{Column, Format, Layout, Record, Sink, csv::Cell, say},
        time,
    },
    SelectArgs,
};
use crate::proto::v1::{ListQuarantinedRequest, NewEvent, QuarantinedEvent, new_event::Family};

/// Flags of `chancery quarantine list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Log.
    #[arg(long, default_value = "main")]
    log: String,
    #[command(flatten)]
    select: SelectArgs,
    /// At most this many events; 0 for all.
    #[arg(long, default_value_t = 0, value_name = "N")]
    limit: u64,
    /// List discarded events too.
    #[arg(long)]
    include_discarded: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
pub async fn run(args: ListArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let request = ListQuarantinedRequest {
        log: args.log,
        filter: Some(args.select.filter()),
        limit: args.limit,
        include_discarded: args.include_discarded,
    };
    let mut stream = connection.quarantine().list_quarantined(request).await?.into_inner();
    let mut sink = Sink::stdout(args.output, layout())?;
    let mut listed = 0_u64;
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                if let Some(event) = &message.event {
                    sink.put(&QuarantinedRecord(event))?;
                    listed += 1;
                }
            }
            Ok(None) => break,
            Err(status) if listed == 0 => return Err(status.into()),
            Err(status) => {
                sink.cut_off()?;
                let why = Explained::of_call(&status);
                let text =
                    format!("the stream broke off after {listed} events: {why}\nrun the command again");
                return Err(Failure::BrokenOff(text));
            }
        }
    }
    sink.finish()?;
    say(&format!("{listed} events"));
    Ok(Exit::Done)
}

fn layout() -> Layout {
    const CSV: [&str; 10] = [
        "id",
        "received_at",
        "producer",
        "event_id",
        "reason",
        "description",
        "code",
        "discarded_at",
        "discarded_by",
        "discard_reason",
    ];
    Layout {
        table: vec![
            Column::fixed("received (UTC)"),
            Column::text("producer"),
            Column::text("code"),
            Column::fixed("reason"),
            Column::text("description"),
            Column::text("discarded"),
            Column::fixed("id"),
        ],
        csv: CSV.map(str::to_owned).to_vec(),
    }
}

struct QuarantinedRecord<'a>(&'a QuarantinedEvent);

impl Serialize for QuarantinedRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Record for QuarantinedRecord<'_> {
    fn table(&self) -> Vec<String> {
        let it = self.0;
        vec![
            time::column(it.received_at.as_ref()),
            it.producer.clone(),
            code(it.submitted.as_ref()).to_owned(),
            it.reason.clone(),
            it.description.clone(),
            it.discard_reason.clone(),
            it.id.clone(),
        ]
    }

    fn csv(&self) -> Vec<Cell> {
        let it = self.0;
        let text = |text: &str| Cell::Text(text.to_owned());
        vec![
            // Of the letters, digits, "-" and "_" of base64url, and read by this program again: as it is.
            Cell::Own(it.id.clone()),
            Cell::Own(time::rfc3339(it.received_at.as_ref())),
            text(&it.producer),
            text(&it.event_id),
            text(&it.reason),
            text(&it.description),
            text(code(it.submitted.as_ref())),
            Cell::Own(time::rfc3339(it.discarded_at.as_ref())),
            text(&it.discarded_by),
            text(&it.discard_reason),
        ]
    }
}

/// The code as it was submitted; empty where it is inside raw parameters.
fn code(event: Option<&NewEvent>) -> &str {
    match event.and_then(|event| event.family.as_ref()) {
        Some(Family::CmsAudit(event)) => &event.code,
        Some(Family::CmsNotification(event)) => &event.code,
        Some(Family::AsAudit(event)) => &event.action,
        Some(Family::TokenServer(event)) => &event.r#type,
        Some(Family::Chancery(event)) => &event.r#type,
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_cells_agree() {
        let event = QuarantinedEvent::default();
        assert_eq!(QuarantinedRecord(&event).csv().len(), layout().csv.len());
        assert_eq!(QuarantinedRecord(&event).table().len(), layout().table.len());
    }
}
