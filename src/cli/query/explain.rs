//! `chancery query --explain`: how the server understood the filter, and how it would run the query.
//!
//! Does: print the summary's filter and plan. Does not: print events; the server sends none.
//! Called by: `query`.
use std::io::{self, Write};

use tonic::{Status, Streaming};

use crate::{
    cli::{
        exit::Exit,
        failure::Failure,
        output::{self, Format, escape::visible, json},
    },
    proto::v1::{QueryResponse, QuerySummary, query_response::Payload},
};

/// Prints the explanation: text, or with a JSON format the summary as it is.
pub async fn run(mut stream: Streaming<QueryResponse>, format: Option<Format>) -> Result<Exit, Failure> {
    while let Some(message) = stream.message().await? {
        match message.payload {
            Some(Payload::Summary(summary)) => {
                let mut out = output::stdout();
                match format {
                    Some(Format::Json | Format::Ndjson) => {
                        json::write(&mut out, &summary)?;
                        writeln!(out)?;
                    }
                    _ => write(&mut out, &summary)?,
                }
                out.flush()?;
                return Ok(Exit::Done);
            }
            // A server from before `explain` runs the query instead.
            Some(Payload::Event(_)) => {
                return Err(Status::unimplemented("this server does not explain queries").into());
            }
            _ => {}
        }
    }
    Err(Failure::BrokenOff("the stream ended without a summary".to_owned()))
}

fn write(out: &mut dyn Write, summary: &QuerySummary) -> io::Result<()> {
    let filter = if summary.filter.is_empty() { "(every event)".into() } else { visible(&summary.filter) };
    writeln!(out, "filter: {filter}\nplan:")?;
    summary.plan.lines().try_for_each(|step| writeln!(out, "  {}", visible(step)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_one_a_line_and_cannot_drive_the_terminal() {
        let summary = QuerySummary {
            filter: "actor = \"a\u{1b}[2J\"".to_owned(),
            plan: "by the index of actors\nthen the tail".to_owned(),
            ..QuerySummary::default()
        };
        let mut out = Vec::new();
        assert!(write(&mut out, &summary).is_ok());
        assert_eq!(
            String::from_utf8_lossy(&out),
            "filter: actor = \"a\\u{1b}[2J\"\nplan:\n  by the index of actors\n  then the tail\n"
        );
    }
}
