//! Reads the vendor's pages on CMS notification events, as plain text, into the facts the catalog
//! is checked against: codes, printed names, used fields.
//!
//! Nothing is corrected here. What the page misprints comes out misprinted, so that the catalog's
//! corrections stay visible in the tests that compare the two.

/// One event table, as printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedEvent {
    /// Value of the `EventID` row.
    pub code: String,
    /// Value of the `Description` row, without its angle brackets.
    pub name: String,
    /// Fields, by catalog name, whose printed value is neither `null` nor `0`.
    pub used: Vec<String>,
}

/// One table that says how a credential type fills the `AdditionalInfo` fields of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedVariant {
    /// Fields, by catalog name, whose printed value is neither `null` nor `0`.
    pub used: Vec<String>,
}

/// The vendor's field names and the catalog's, in the catalog's order.
const FIELDS: [(&str, &str); 7] = [
    ("ClientID", "client_id"),
    ("OperatorID", "operator_id"),
    ("AdditionalInfoNum1", "num1"),
    ("AdditionalInfoNum2", "num2"),
    ("AdditionalInfoChar1", "char1"),
    ("AdditionalInfoChar2", "char2"),
    ("AdditionalInfoChar3", "char3"),
];

/// First and second cell of a row. The third, the description, is not read.
type Row<'a> = (&'a str, &'a str);

/// A table of three columns; cells are trimmed.
struct Table {
    /// Heading of the first column: `Field` or `Key`.
    heading: String,
    /// Cells of the body, row after row.
    cells: Vec<String>,
}

impl Table {
    fn rows(&self) -> Vec<Row<'_>> {
        self.cells.chunks_exact(3).map(|cells| (cells[0].as_str(), cells[1].as_str())).collect()
    }
}

/// The event tables of the notification page, in the page's order.
pub fn extract(text: &str) -> Vec<SeedEvent> {
    tables(text).iter().filter_map(|table| event(&table.rows())).collect()
}

/// The variant tables of the notification page, in the page's order.
pub fn extract_variants(text: &str) -> Vec<SeedVariant> {
    tables(text)
        .iter()
        .filter(|table| table.heading == "Field")
        .map(Table::rows)
        .filter(|rows| value_of(rows, "EventID").is_none())
        .map(|rows| SeedVariant { used: used(&rows) })
        .collect()
}

/// The keys of the two hash tables of the notification page, in the page's order.
pub fn extract_hashtable_keys(text: &str) -> Vec<String> {
    tables(text)
        .iter()
        .filter(|table| table.heading == "Key")
        .flat_map(Table::rows)
        .map(|(key, _)| key.to_owned())
        .collect()
}

/// The events of the authentication page, which prints every cell as a paragraph of its own.
pub fn extract_authentication(text: &str) -> Vec<SeedEvent> {
    let paragraphs: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Every paragraph with the one after it: a field's name stands before its value. The heading
    // `Description` of the next table pairs with `EventID`, but the event's own comes first.
    let rows: Vec<Row<'_>> = paragraphs.windows(2).map(|two| (two[0], two[1])).collect();
    let starts: Vec<usize> = (0..rows.len()).filter(|&start| rows[start].0 == "EventID").collect();
    let ends = starts.iter().skip(1).copied().chain([rows.len()]);
    starts.iter().zip(ends).filter_map(|(&start, end)| event(&rows[start..end])).collect()
}

/// One line for each event: code, name and used fields, separated by tabs.
pub fn to_tsv(events: &[SeedEvent]) -> String {
    events.iter().map(|event| format!("{}\t{}\t{}\n", event.code, event.name, event.used.join(","))).collect()
}

/// The event that these rows describe; `None` when they have no `EventID`.
fn event(rows: &[Row<'_>]) -> Option<SeedEvent> {
    let name = value_of(rows, "Description").unwrap_or_default();
    Some(SeedEvent {
        code: value_of(rows, "EventID")?.to_owned(),
        name: name.trim_matches(['<', '>']).to_owned(),
        used: used(rows),
    })
}

/// Value of the first row with this field name.
fn value_of<'a>(rows: &[Row<'a>], field: &str) -> Option<&'a str> {
    rows.iter().find(|row| row.0 == field).map(|row| row.1)
}

/// Catalog names of the fields that these rows use.
fn used(rows: &[Row<'_>]) -> Vec<String> {
    let is_used = |field| value_of(rows, field).is_some_and(|value| value != "null" && value != "0");
    FIELDS.iter().filter(|(field, _)| is_used(field)).map(|(_, name)| (*name).to_owned()).collect()
}

/// Every table of the notification page. A cell ends with a bar at the end of a line; a rule of
/// dashes and bars separates a table's headings from its body.
fn tables(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut cell = String::new();
    let mut preamble: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        let cells = tables.last_mut().map_or(&mut preamble, |table| &mut table.cells);
        if line.starts_with("---|") {
            // The last three cells were this table's headings. The first of them also holds the
            // prose between the tables: the heading is its last line.
            let headings = cells.split_off(cells.len().saturating_sub(3));
            let heading = headings.first().and_then(|cell| cell.lines().last());
            tables.push(Table { heading: heading.unwrap_or_default().to_owned(), cells: Vec::new() });
            cell.clear();
        } else if let Some(end) = line.strip_suffix('|') {
            cell.push_str(end);
            cells.push(cell.trim().to_owned());
            cell.clear();
        } else {
            cell.push_str(line);
            cell.push('\n');
        }
    }
    tables
}
