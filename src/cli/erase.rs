//! `chancery erase`: the personal values of one person, once the operator is sure.
//!
//! Does: ask, call until the server is done, say how to go on where it broke off. Does not: decide what is personal.
//! Called by: `cli::run`.
use std::io::{self, BufRead as _, IsTerminal as _};

use clap::Args;
use serde::{Serialize, Serializer};

use super::{
    ambient,
    connect::{ConnectArgs, Connection},
    exit::Exit,
    explain::Explained,
    failure::Failure,
    output::{Column, Format, Layout, Record, Sink, csv::Cell, escape::visible, say},
};
use crate::proto::v1::{EraseSubjectRequest, EraseSubjectResponse};

/// Flags of `chancery erase`.
#[derive(Args, Clone, Debug)]
pub struct EraseArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The person, exactly as events name them (subject or actor).
    subject: String,
    /// Why; it stays in the log for ever, so it must not name the person.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Log.
    #[arg(long, default_value = "main")]
    log: String,
    /// Id of the request, a UUID: that of an erasure that broke off continues it. Else a fresh one.
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,
    /// Only count what would be erased.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask whether to erase.
    #[arg(long)]
    yes: bool,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
pub async fn run(args: EraseArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let mut request = EraseSubjectRequest {
        log: args.log.clone(),
        subject: args.subject.clone(),
        dry_run: true,
        ..EraseSubjectRequest::default()
    };
    if args.dry_run || !args.yes {
        let count = call(&connection, &request).await?;
        if args.dry_run {
            return put(args.output, &count);
        }
        if !confirmed(&args, &count)? {
            say("nothing was erased");
            return Ok(Exit::Error);
        }
    }
    request.dry_run = false;
    request.reason = args.reason.unwrap_or_default();
    request.request_id = args.request_id.unwrap_or_else(ambient::event_id);
    let id = &request.request_id;
    loop {
        match call(&connection, &request).await {
            Ok(answer) if answer.complete => return put(args.output, &answer),
            Ok(answer) => say(&format!(
                "{} events so far, up to position {} of {}",
                answer.events_erased,
                answer.next_position,
                answer.erasure_position.unwrap_or_default()
            )),
            Err(status) if status.code() == tonic::Code::InvalidArgument => return Err(status.into()),
            Err(status) => {
                let why = Explained::of_call(&status);
                let text = format!(
                    "the erasure broke off: {why}\nto continue it: the same command with --request-id {id}"
                );
                return Err(Failure::BrokenOff(text));
            }
        }
    }
}

async fn call(
    connection: &Connection,
    request: &EraseSubjectRequest,
) -> Result<EraseSubjectResponse, Box<tonic::Status>> {
    let mut client = connection.admin();
    connection.unary(client.erase_subject(request.clone())).await
}

/// Asks, where somebody can answer.
fn confirmed(args: &EraseArgs, count: &EraseSubjectResponse) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage("nobody is there to confirm; --yes erases without asking".to_owned()));
    }
    say(&format!(
        "erases {}{} personal values of {} events that name {} in log {}; this cannot be undone\nerase them? [y/N]",
        if count.complete { "" } else { "at least " },
        count.values_erased,
        count.events_erased,
        visible(&args.subject),
        args.log
    ));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn put(format: Format, answer: &EraseSubjectResponse) -> Result<Exit, Failure> {
    let csv = ["events_erased", "values_erased", "not_erasable", "quarantined_mentions", "erasure_position"];
    let table = vec![
        Column::number("events"),
        Column::number("values"),
        Column::number("not erasable"),
        Column::number("in quarantine"),
        Column::number("told at"),
    ];
    let mut sink = Sink::stdout(format, Layout { table, csv: csv.map(str::to_owned).to_vec() })?;
    sink.put(&Erased(answer))?;
    sink.finish()?;
    if answer.not_erasable > 0 {
        say(&format!(
            "{} events still name the person: their records hold the name itself",
            answer.not_erasable
        ));
    }
    if !answer.complete {
        say(&format!("counted only up to position {}; there may be more", answer.next_position));
    }
    match answer.quarantined_mentions {
        Some(0) => {}
        Some(count) => say(&format!("{count} events in quarantine hold the name as well")),
        None => say("the quarantine was not searched; a dry run searches it again"),
    }
    Ok(Exit::Done)
}

struct Erased<'a>(&'a EraseSubjectResponse);

impl Serialize for Erased<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Erased<'_> {
    const fn numbers(&self) -> [Option<u64>; 5] {
        let it = self.0;
        [
            Some(it.events_erased),
            Some(it.values_erased),
            Some(it.not_erasable),
            it.quarantined_mentions,
            it.erasure_position,
        ]
    }
}

impl Record for Erased<'_> {
    fn table(&self) -> Vec<String> {
        self.numbers().map(|number| number.map_or_else(String::new, |it| it.to_string())).to_vec()
    }

    fn csv(&self) -> Vec<Cell> {
        self.numbers().map(Cell::number).to_vec()
    }
}
