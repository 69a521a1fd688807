//! Tables for people, page by page, fitted to the terminal.
//!
//! Does: buffer one page, give every column the width it needs or a fair share, one line per row.
//! Does not: buffer more than a page: memory does not grow with the answer.
//! Called by: `output::Sink`; `plain` and `print` by commands with a small table of their own.
use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

use super::{Out, escape::visible};

/// Rows per page. Widths are computed per page, so a page is also how soon the first row shows.
const PAGE: usize = 100;
/// A column that must shrink keeps at least this many characters, or the terminal wraps.
const NARROWEST: u16 = 6;
/// Below this a table is unreadable whatever is cut, so nothing is.
const NARROWEST_TERMINAL: u16 = 40;
/// Blank characters between columns.
const GAP: u16 = 2;

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    shrinks: bool,
    right: bool,
}

impl Column {
    /// A column that is always shown in full.
    pub fn fixed(name: &str) -> Self {
        Self { name: name.to_owned(), shrinks: false, right: false }
    }

    /// A column of numbers, shown in full and aligned to the right.
    pub fn number(name: &str) -> Self {
        Self { right: true, ..Self::fixed(name) }
    }

    /// A column that is cut with `…` where the terminal is too narrow.
    pub fn text(name: &str) -> Self {
        Self { shrinks: true, ..Self::fixed(name) }
    }
}

/// Prints rows in pages.
pub struct TableWriter {
    out: Out,
    columns: Vec<Column>,
    /// Characters per line; absent when the output is no terminal, and nothing is cut.
    width: Option<u16>,
    page: Vec<Vec<String>>,
}

impl TableWriter {
    /// A table without rows; it prints nothing until it has one.
    pub fn new(out: Out, columns: Vec<Column>, width: Option<u16>) -> Self {
        Self { out, columns, width, page: Vec::with_capacity(PAGE) }
    }

    /// Adds a row and prints the page when it is full.
    pub fn row(&mut self, cells: Vec<String>) -> io::Result<()> {
        self.page.push(cells);
        if self.page.len() == PAGE { self.print() } else { Ok(()) }
    }

    /// Prints the rows of an unfinished page.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.page.is_empty() {
            self.print()?;
        }
        self.out.flush()
    }

    fn print(&mut self) -> io::Result<()> {
        let mut table = plain();
        // Cells are one line: cut anywhere, not at the last space that fits.
        table.set_delimiter('\0').set_truncation_indicator("…");
        let mut header = Row::from(self.columns.iter().map(|it| it.name.as_str()));
        header.max_height(1);
        table.set_header(header);
        for cells in self.page.drain(..) {
            let mut row = Row::from(cells.iter().map(|it| visible(it)));
            row.max_height(1);
            table.add_row(row);
        }
        let natural = table.column_max_content_widths();
        let widths = fit(&natural, &self.columns, self.width);
        for (at, (width, column)) in widths.iter().zip(&self.columns).enumerate() {
            if let Some(it) = table.column_mut(at) {
                it.set_padding((0, GAP));
                it.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + GAP)));
                if column.right {
                    it.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        writeln!(self.out)
    }
}

/// A table without lines around or between its cells.
pub fn plain() -> Table {
    let mut table = Table::new();
    let arrangement =
        if terminal_width().is_some() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.load_preset(presets::NOTHING).set_content_arrangement(arrangement);
    table
}

/// Characters per line, when standard output is a terminal that knows it. Pseudo terminals of scripts
/// often say 0.
pub fn terminal_width() -> Option<u16> {
    Table::new().width().filter(|it| *it >= NARROWEST_TERMINAL)
}

/// Prints a small table that a command has filled by itself; long cells wrap.
pub fn print(out: &mut dyn Write, mut table: Table) -> io::Result<()> {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, GAP));
    });
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// Widths of the columns: what they need, where that fits; else the widest of those that shrink are cut
/// to one common width.
fn fit(natural: &[u16], columns: &[Column], width: Option<u16>) -> Vec<u16> {
    let Some(width) = width else { return natural.to_vec() };
    let total = |cap: u16| -> usize {
        let widths = natural.iter().zip(columns);
        widths
            .map(|(&it, column)| {
                usize::from(if column.shrinks { it.min(cap) } else { it }) + usize::from(GAP)
            })
            .sum()
    };
    let mut cap = natural.iter().copied().max().unwrap_or(0);
    while cap > NARROWEST && total(cap) > usize::from(width) {
        cap -= 1;
    }
    natural.iter().zip(columns).map(|(&it, column)| if column.shrinks { it.min(cap) } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Shared, *};

    fn columns() -> Vec<Column> {
        vec![Column::number("n"), Column::text("name"), Column::text("more")]
    }

    #[test]
    fn the_widest_columns_shrink_first() {
        assert_eq!(fit(&[3, 8, 40], &columns(), Some(30)), [3, 8, 13]);
        assert_eq!(fit(&[3, 40, 40], &columns(), Some(29)), [3, 10, 10]);
        assert_eq!(fit(&[3, 8, 40], &columns(), None), [3, 8, 40]);
    }

    #[test]
    fn fixed_columns_stay_whole_in_any_terminal() {
        assert_eq!(fit(&[30, 8, 40], &columns(), Some(10)), [30, 6, 6]);
    }

    #[test]
    fn rows_are_one_line_each_and_cut_with_a_mark() {
        let out = Shared::default();
        let mut table = TableWriter::new(Box::new(out.clone()), columns(), Some(24));
        let row = ["7", "two words\n", "a very long cell indeed"].map(str::to_owned);
        assert!(table.row(row.to_vec()).and_then(|()| table.finish()).is_ok());
        assert_eq!(out.text(), "n  name      more\n7  two wor…  a very …\n\n");
    }

    #[test]
    fn a_full_page_is_printed_without_waiting_for_the_end() {
        let out = Shared::default();
        let mut table = TableWriter::new(Box::new(out.clone()), columns(), None);
        for at in 0..PAGE {
            assert!(table.row(vec![at.to_string(), String::new(), String::new()]).is_ok());
        }
        assert_eq!(out.text().lines().count(), PAGE + 2);
    }
}
