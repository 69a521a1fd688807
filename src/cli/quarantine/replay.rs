//! `chancery quarantine replay`: quarantined events to the catalog again.
use clap::Args;
use serde::{Serialize, Serializer};

use super::{
    super::{
        connect::ConnectArgs,
        exit::Exit,
        explain::Explained,
        failure::Failure,
        names,
        output::{Column, Format, Layout, Record, Sink, csv::Cell, say},
    },
    SelectArgs,
};
use crate::proto::v1::{AppendResult, EventResult, ReplayQuarantinedRequest, ReplayResult};

/// Ids of one call, as the contract bounds them.
pub const MAX_IDS: usize = 1000;

/// Flags of `chancery quarantine replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Log.
    #[arg(long, default_value = "main")]
    log: String,
    /// Replay every event that was not discarded, or those that --producer and --reason select.
    #[arg(long, conflicts_with = "ids", required_unless_present = "ids")]
    all: bool,
    #[command(flatten)]
    select: SelectArgs,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Ids of quarantined events, as `quarantine list` shows them.
    ids: Vec<String>,
}

/// Runs the command.
pub async fn run(args: ReplayArgs) -> Result<Exit, Failure> {
    if !args.all && !args.select.is_empty() {
        return Err(Failure::Usage("--producer and --reason select events of --all".to_owned()));
    }
    let connection = args.connect.open().await?;
    let mut client = connection.quarantine();
    let mut request = ReplayQuarantinedRequest {
        log: args.log,
        all: args.all,
        filter: args.all.then(|| args.select.filter()),
        ..ReplayQuarantinedRequest::default()
    };
    let mut ids = args.ids.chunks(MAX_IDS);
    let mut sink = None;
    let (mut replayed, mut appended, mut again) = (0, 0, false);
    loop {
        if !args.all {
            let Some(next) = ids.next() else { break };
            request.ids = next.to_vec();
        }
        let answer = connection.unary(client.replay_quarantined(request.clone())).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(status) => {
                if let Some(sink) = sink {
                    Sink::cut_off(sink)?;
                    say(&format!("{replayed} events replayed, {appended} of them now in the log"));
                }
                return Err(status.into());
            }
        };
        let sink = match &mut sink {
            Some(sink) => sink,
            empty => empty.insert(Sink::stdout(args.output, layout())?),
        };
        for each in &answer.results {
            sink.put(&ResultRecord(each))?;
            replayed += 1;
            let result = result(each).map_or(AppendResult::Unspecified, EventResult::result);
            appended += i32::from(matches!(result, AppendResult::Accepted | AppendResult::Duplicate));
            again |= result == AppendResult::NotAttempted;
        }
        if again || (args.all && answer.next.is_empty()) {
            break;
        }
        request.after = answer.next;
    }
    if let Some(sink) = sink {
        sink.finish()?;
    }
    say(&format!("{replayed} events replayed, {appended} of them now in the log"));
    if again {
        say("some events were not attempted; run the command again");
    }
    Ok(if replayed == appended { Exit::Done } else { Exit::Refused })
}

fn result(each: &ReplayResult) -> Option<&EventResult> {
    each.result.as_ref()
}

fn layout() -> Layout {
    Layout {
        table: vec![
            Column::fixed("result"),
            Column::number("position"),
            Column::text("producer"),
            Column::fixed("event id"),
            Column::text("why"),
            Column::fixed("id"),
        ],
        csv: ["id", "producer", "event_id", "result", "position", "reason", "message"]
            .map(str::to_owned)
            .to_vec(),
    }
}

struct ResultRecord<'a>(&'a ReplayResult);

impl ResultRecord<'_> {
    /// Why the event was not appended: reason and message.
    fn why(&self) -> (String, String) {
        let error = result(self.0).and_then(|it| it.error.as_ref());
        error.map(Explained::of_event).map_or_else(Default::default, |it| (it.reason, it.message))
    }
}

impl Serialize for ResultRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Record for ResultRecord<'_> {
    fn table(&self) -> Vec<String> {
        let it = result(self.0);
        vec![
            names::result(it.map_or(0, |it| it.result)).to_owned(),
            it.and_then(|it| it.position).map_or_else(String::new, |it| it.to_string()),
            self.0.producer.clone(),
            it.map_or_else(String::new, |it| it.event_id.clone()),
            self.why().1,
            self.0.id.clone(),
        ]
    }

    fn csv(&self) -> Vec<Cell> {
        let it = result(self.0);
        let (reason, message) = self.why();
        vec![
            Cell::Own(self.0.id.clone()),
            Cell::Text(self.0.producer.clone()),
            Cell::Text(it.map_or_else(String::new, |it| it.event_id.clone())),
            Cell::Own(names::result(it.map_or(0, |it| it.result)).to_owned()),
            Cell::number(it.and_then(|it| it.position)),
            Cell::Text(reason),
            Cell::Text(message),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_cells_agree() {
        let each = ReplayResult::default();
        assert_eq!(ResultRecord(&each).csv().len(), layout().csv.len());
        assert_eq!(ResultRecord(&each).table().len(), layout().table.len());
    }
}
