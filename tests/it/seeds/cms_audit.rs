//! Reads the vendor's CMS audit event tables as published text and gives their facts back, row by row, so that the
//! catalog can be compared with them.
//!
//! In the text every cell stands on its own line and ends with a bar. Ten tables follow each other, each opened by its
//! header cells and a rule of dashes, with footnotes, a table inside a footnote and a paragraph between them.
//!
//! It reads ids, names, severities, and which fields a row uses. It does not read what a field means, what a footnote
//! says, nor the sentence that tells when an event is written.

/// First header cell of every event table. Nothing else in the text starts like this.
const FIRST_HEADER_CELL: &str = "Event ID";

/// The header cells that name a field, and the catalog's name of that field. The REST table has an error number and an
/// error message where the other tables have the two numbers.
const FIELDS: [(&str, &str); 8] = [
    ("Client ID", "client_id"),
    ("Operator ID", "operator_id"),
    ("Num1", "num1"),
    ("Num2", "num2"),
    ("Char1", "char1"),
    ("Char2", "char2"),
    ("errorNumber", "error_number"),
    ("errorMessage", "error_message"),
];

/// One row of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRow {
    /// Event id, as printed.
    pub code: String,
    /// Absent for an id that the vendor only reserves.
    pub severity: Option<u32>,
    /// Event description, as printed.
    pub name: String,
    /// Fields whose cell is `Null`, `0` or blank, in the order of `FIELDS`. Empty for a reserved id.
    pub unused: Vec<String>,
    /// All other fields, in the same order. Empty for a reserved id.
    pub used: Vec<String>,
}

/// All rows in the order of the text. Text that is not part of an event table is skipped.
pub fn extract(text: &str) -> Vec<SeedRow> {
    let mut lines = text.lines().peekable();
    let mut rows = Vec::new();
    while let Some(line) = lines.next() {
        if cell(line) != Some(FIRST_HEADER_CELL) {
            continue;
        }
        let mut header = vec![FIRST_HEADER_CELL];
        while let Some(name) = lines.next().and_then(cell) {
            header.push(name); // The rule of dashes is no cell, and ends the header.
        }
        // A row starts with a numeric id. The first line that is no such cell ends the table.
        while let Some(code) = lines.next_if(|line| cell(line).is_some_and(is_number)) {
            let mut cells = vec![cell(code).unwrap_or_default()];
            while cells.len() < header.len() {
                // A reserved id ends early, with the bars of its missing cells on one line.
                let Some(next) = lines.next().and_then(cell) else {
                    break;
                };
                cells.push(next);
            }
            rows.push(row(&header, &cells));
        }
    }
    rows
}

/// One line per row: `code`, `severity` (blank for a reserved id), `name` and the used fields joined with commas,
/// separated by tabs.
pub fn to_tsv(rows: &[SeedRow]) -> String {
    let mut tsv = String::new();
    for row in rows {
        let severity = row.severity.map(|s| s.to_string()).unwrap_or_default();
        tsv.push_str(&format!("{}\t{severity}\t{}\t{}\n", row.code, row.name, row.used.join(",")));
    }
    tsv
}

/// The content of a line that is exactly one cell; `None` for prose, rules of dashes and runs of bars.
fn cell(line: &str) -> Option<&str> {
    let content = line.strip_suffix('|')?;
    (!content.contains('|')).then(|| content.trim())
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit())
}

fn row(header: &[&str], cells: &[&str]) -> SeedRow {
    let at = |column: &str| {
        let index = header.iter().position(|name| *name == column)?;
        cells.get(index).copied()
    };
    let text = |column: &str| at(column).unwrap_or_default().to_owned();
    let severity = at("Event Severity Level").and_then(|cell| cell.parse().ok());
    let (mut unused, mut used) = (Vec::new(), Vec::new());
    if severity.is_some() {
        for (column, field) in FIELDS {
            match at(column) {
                Some("Null" | "0" | "") => unused.push(field.to_owned()),
                Some(_) => used.push(field.to_owned()),
                None => {} // The other kind of table has this column.
            }
        }
    }
    SeedRow { code: text(FIRST_HEADER_CELL), severity, name: text("Event Description"), unused, used }
}
