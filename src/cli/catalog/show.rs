//! `chancery catalog show FAMILY CODE`: one event type, laid out for reading.
//!
//! Called by: `catalog`.
use std::io::{self, Write};

use clap::{Args, ValueEnum};

use crate::{
    cli::{
        connect::ConnectArgs,
        exit::Exit,
        failure::Failure,
        names::{self, Family},
        output::{self, escape::visible, json, table},
    },
    proto::v1::{AttributeShape, EventShape, EventType, FieldShape, GetEventTypeRequest},
};

/// Flags of `chancery catalog show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Family of the code.
    #[arg(value_enum)]
    family: Family,
    /// Code, or an alias of it.
    code: String,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: ShowFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShowFormat {
    Table,
    Json,
}

/// Runs the command.
pub async fn run(args: ShowArgs) -> Result<Exit, Failure> {
    let connection = args.connect.open().await?;
    let request = GetEventTypeRequest { family: args.family.proto() as i32, code: args.code };
    let answer = connection.unary(connection.catalog().get_event_type(request)).await?;
    let event_type = answer.event_type.unwrap_or_default();
    let mut out = output::stdout();
    match args.output {
        ShowFormat::Table => page(&mut out, &event_type)?,
        ShowFormat::Json => {
            json::write(&mut out, &event_type)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn page(out: &mut dyn Write, it: &EventType) -> io::Result<()> {
    writeln!(out, "{} {}  {}", names::family(it.family), visible(&it.code), visible(&it.name))?;
    line(out, "", &it.summary)?;
    line(out, "category: ", &it.category)?;
    line(out, "also in: ", &it.other_categories.join(", "))?;
    line(out, "aliases: ", &it.aliases.join(", "))?;
    line(out, "other names: ", &it.old_names.join(", "))?;
    line(out, "reserved, events with it are refused: ", &it.reserved_reason)?;
    for shape in &it.shapes {
        writeln!(out)?;
        row(out, shape)?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, name: &str, text: &str) -> io::Result<()> {
    if text.is_empty() { Ok(()) } else { writeln!(out, "{name}{}", visible(text)) }
}

fn row(out: &mut dyn Write, shape: &EventShape) -> io::Result<()> {
    let mut head = Vec::new();
    if let Some(severity) = shape.severity {
        head.push(format!("severity {severity}"));
    }
    if !shape.statuses.is_empty() {
        let statuses: Vec<_> = shape.statuses.iter().map(u32::to_string).collect();
        head.push(format!("status {}", statuses.join(" or ")));
    }
    if !shape.variant.is_empty() {
        head.push(format!("variant {}", shape.variant));
    }
    head.push(format!("outcome {}", names::outcome(shape.outcome)));
    if !shape.interfaces.is_empty() {
        head.push(format!("from {}", shape.interfaces.join(", ")));
    }
    line(out, "== ", &head.join(", "))?;
    line(out, "", &shape.summary)?;
    let mut table = table::plain();
    table.set_header(["field", "attribute", "type", "class", "meaning and listed values"]);
    for field in &shape.fields {
        table.add_rows(field_rows(field));
    }
    table::print(out, table)
}

/// One table row per attribute of a field; the field is named once.
fn field_rows(field: &FieldShape) -> Vec<[String; 5]> {
    let mut name = visible(&field.field).into_owned();
    if !field.separator.is_empty() {
        name = format!("{name} (parts by {})", visible(&field.separator));
    }
    if field.attributes.is_empty() {
        let unused = if field.unused { "(unused)" } else { "" };
        return vec![[name, unused.to_owned(), String::new(), String::new(), String::new()]];
    }
    let attribute = |it: &AttributeShape| {
        [
            std::mem::take(&mut name),
            visible(&it.name).into_owned(),
            names::value_type(it.r#type).to_owned(),
            names::class(it.class).to_owned(),
            meaning(it),
        ]
    };
    field.attributes.iter().map(attribute).collect()
}

fn meaning(it: &AttributeShape) -> String {
    let mut lines = Vec::new();
    if !it.summary.is_empty() {
        lines.push(visible(&it.summary).into_owned());
    }
    if !it.roles.is_empty() {
        lines.push(format!("fills {}", visible(&it.roles.join(", "))));
    }
    if !it.constant.is_empty() {
        lines.push(format!("always {}", visible(&it.constant)));
    }
    if !it.allowed_values.is_empty() {
        lines.push(if it.closed { "only these values:" } else { "listed values:" }.to_owned());
    }
    for value in &it.allowed_values {
        lines.push(format!("  {}  {}", visible(&value.value), visible(&value.meaning)).trim_end().to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::AllowedValue;

    #[test]
    fn a_composite_field_is_named_once_and_its_values_are_listed() {
        let attribute = AttributeShape {
            name: "request_type".to_owned(),
            r#type: 2,
            class: 1,
            closed: true,
            allowed_values: vec![AllowedValue { value: "1".to_owned(), meaning: "issue".to_owned() }],
            ..AttributeShape::default()
        };
        let field = FieldShape {
            field: "char2".to_owned(),
            separator: ";".to_owned(),
            attributes: vec![attribute.clone(), AttributeShape { name: "b".to_owned(), ..attribute }],
            ..FieldShape::default()
        };
        let rows = field_rows(&field);
        assert_eq!(rows[0][..4], ["char2 (parts by ;)", "request_type", "integer", "public"]);
        assert_eq!(rows[0][4], "only these values:\n  1  issue");
        assert_eq!(rows[1][0], "");
    }
}
