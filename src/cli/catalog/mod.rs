//! `chancery catalog list` and `chancery catalog show`: what the server knows of event types.
//!
//! Does: page through the list, lay one type out for reading. Does not: read catalog files.
mod show;

use clap::{Args, Subcommand};
use serde::{Serialize, Serializer};

use super::{
    connect::ConnectArgs,
    exit::Exit,
    failure::Failure,
    names::{self, Family},
    output::{Column, Format, Layout, Record, Sink, csv::Cell, escape::visible, say},
};
use crate::proto::v1::{EventType, ListEventTypesRequest};

/// The commands below `chancery catalog`.
#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// List event types.
    List(Box<ListArgs>),
    /// Show one event type with all its fields.
    Show(Box<show::ShowArgs>),
}

/// Flags of `chancery catalog list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Family; repeatable.
    #[arg(long, value_enum, value_delimiter = ',')]
    family: Vec<Family>,
    /// Text in the code, an alias, the name, the category or the summary.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// Runs the command.
pub async fn run(command: CatalogCommand) -> Result<Exit, Failure> {
    match command {
        CatalogCommand::List(args) => list(*args).await,
        CatalogCommand::Show(args) => show::run(*args).await,
    }
}

async fn list(args: ListArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let mut client = connection.catalog();
    let mut request = ListEventTypesRequest {
        families: args.family.iter().map(|it| it.proto() as i32).collect(),
        text: args.text,
        page_size: 200,
        page_token: String::new(),
    };
    let mut sink = Sink::stdout(args.output, layout())?;
    loop {
        let page = connection.unary(client.list_event_types(request.clone())).await?;
        for event_type in &page.event_types {
            sink.put(&TypeRecord(event_type))?;
        }
        if page.next_page_token.is_empty() {
            sink.finish()?;
            say(&format!("{} event types, catalog {}", page.total_size, visible(&page.catalog_version)));
            return Ok(Exit::Done);
        }
        request.page_token = page.next_page_token;
    }
}

fn layout() -> Layout {
    let csv = ["family", "code", "aliases", "name", "category", "summary", "reserved_reason"];
    Layout {
        table: vec![
            Column::fixed("family"),
            Column::fixed("code"),
            Column::text("name"),
            Column::text("category"),
            Column::text("summary"),
        ],
        csv: csv.map(str::to_owned).to_vec(),
    }
}

struct TypeRecord<'a>(&'a EventType);

impl Serialize for TypeRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Record for TypeRecord<'_> {
    fn table(&self) -> Vec<String> {
        let it = self.0;
        let summary = if it.reserved_reason.is_empty() {
            it.summary.clone()
        } else {
            format!("(reserved) {}", it.reserved_reason)
        };
        vec![
            names::family(it.family).to_owned(),
            it.code.clone(),
            it.name.clone(),
            it.category.clone(),
            summary,
        ]
    }

    fn csv(&self) -> Vec<Cell> {
        let it = self.0;
        let aliases = it.aliases.join("; ");
        [
            names::family(it.family),
            &it.code,
            &aliases,
            &it.name,
            &it.category,
            &it.summary,
            &it.reserved_reason,
        ]
        .map(|text| Cell::Text(text.to_owned()))
        .to_vec()
    }
}
