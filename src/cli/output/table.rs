//! Tables for people, page by page, fitted to the terminal.
//!
//! Does: buffer one page, give every column the width it needs or a fair share, one line per row; leave out
//! the least important columns where even that does not fit; colour outcomes.
//! Does not: buffer more than a page: memory does not grow with the answer.
//! Called by: `output::Sink` and `count`; `plain` and `print` by commands with a small table of their own.
use std::{
    borrow::Cow,
    io::{self, Write},
};

use comfy_table::{ContentArrangement, Table, presets};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Look, Out, escape::visible};

/// Rows per page. Widths are computed per page, so a page is also how soon the first row shows.
const PAGE: usize = 100;
/// A column that must shrink keeps at least this many characters.
const NARROWEST: u16 = 6;
/// Blank characters between columns.
pub const GAP: u16 = 2;
/// Stands for what does not fit.
const MORE: &str = "…";

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    shrinks: bool,
    right: bool,
    outcome: bool,
    leaves: u8,
}

impl Column {
    /// A column that is always shown in full.
    pub fn fixed(name: &str) -> Self {
        Self { name: name.to_owned(), shrinks: false, right: false, outcome: false, leaves: 0 }
    }

    /// A column of numbers, shown in full and aligned to the right.
    pub fn number(name: &str) -> Self {
        Self { right: true, ..Self::fixed(name) }
    }

    /// A column that is cut with `…` where the terminal is too narrow.
    pub fn text(name: &str) -> Self {
        Self { shrinks: true, ..Self::fixed(name) }
    }

    /// A column of outcomes, of which those stand out that went wrong.
    pub fn outcome(name: &str) -> Self {
        Self { outcome: true, ..Self::fixed(name) }
    }

    /// The same, left out where the terminal is too narrow for all: the highest rank first.
    pub fn leaves(self, rank: u8) -> Self {
        Self { leaves: rank, ..self }
    }
}

/// Prints rows in pages.
pub struct TableWriter {
    out: Out,
    columns: Vec<Column>,
    look: Look,
    /// Rows that are not printed yet.
    rows: Vec<Vec<String>>,
    /// Rows below the last header, and what their columns need and have; absent for one that is left out.
    printed: usize,
    natural: Vec<u16>,
    widths: Vec<Option<u16>>,
}

impl TableWriter {
    /// A table without rows; it prints nothing until it has one.
    pub fn new(out: Out, columns: Vec<Column>, look: Look) -> Self {
        Self { out, columns, look, rows: Vec::new(), printed: 0, natural: Vec::new(), widths: Vec::new() }
    }

    /// Adds a row and prints the page when it is full.
    pub fn row(&mut self, mut cells: Vec<String>) -> io::Result<()> {
        for cell in &mut cells {
            if let Cow::Owned(safe) = visible(cell) {
                *cell = safe;
            }
        }
        self.rows.push(cells);
        if self.printed + self.rows.len() >= PAGE { self.print() } else { Ok(()) }
    }

    /// Shows what is there. The page goes on below it, under the same header while its columns are wide enough.
    pub fn flush(&mut self) -> io::Result<()> {
        self.print()?;
        self.out.flush()
    }

    fn print(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let needed = needed(&self.columns, &self.rows);
        if self.printed == 0 {
            self.natural = needed;
        } else {
            self.natural.iter_mut().zip(needed).for_each(|(it, needed)| *it = needed.max(*it));
        }
        let widths = fit(&self.natural, &self.columns, self.look.width);
        if self.printed == 0 || widths != self.widths {
            if !self.widths.is_empty() {
                writeln!(self.out)?;
            }
            self.widths = widths;
            self.printed = 0;
            let mut header = self.line(self.columns.iter().map(|it| it.name.as_str()), false);
            if self.widths.contains(&None) {
                header = format!("{header}{:GAP$}{MORE}", "", GAP = usize::from(GAP));
            }
            writeln!(self.out, "{header}")?;
        }
        for cells in std::mem::take(&mut self.rows) {
            let line = self.line(cells.iter().map(String::as_str), self.look.colour);
            writeln!(self.out, "{line}")?;
            self.printed += 1;
        }
        if self.printed >= PAGE {
            self.printed = 0;
        }
        Ok(())
    }

    /// One line, never longer than the terminal unless its shown-in-full columns alone are.
    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>, colour: bool) -> String {
        let mut line = String::new();
        // Blanks are written before the next cell only, so that lines do not end in them.
        let mut blanks = 0;
        for ((cell, column), width) in cells.zip(&self.columns).zip(&self.widths) {
            let Some(width) = width else { continue };
            let text = cut(cell, *width);
            let spare = usize::from(*width).saturating_sub(text.width());
            let (before, after) = if column.right { (spare, 0) } else { (0, spare) };
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', blanks + before));
                match paint(cell).filter(|_| colour && column.outcome) {
                    Some(start) => line.extend([start, &text, "\u{1b}[0m"]),
                    None => line.push_str(&text),
                }
                blanks = after + usize::from(GAP);
            } else {
                blanks += spare + usize::from(GAP);
            }
        }
        line
    }
}

/// What makes an outcome stand out: red for what failed, yellow for what was refused.
fn paint(outcome: &str) -> Option<&'static str> {
    match outcome {
        "failure" => Some("\u{1b}[31m"),
        "denied" => Some("\u{1b}[33m"),
        _ => None,
    }
}

/// Characters that the columns need to be shown in full.
pub fn needed(columns: &[Column], rows: &[Vec<String>]) -> Vec<u16> {
    let width = |text: &str| u16::try_from(text.width()).unwrap_or(u16::MAX);
    let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at)).map(|it| width(it));
    columns.iter().enumerate().map(|(at, it)| cells(at).fold(width(&it.name), u16::max)).collect()
}

/// The text in at most so many characters of the terminal.
fn cut(text: &str, width: u16) -> Cow<'_, str> {
    let width = usize::from(width);
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut room = width.saturating_sub(1);
    let fits = |letter: &char| {
        let left = room.checked_sub(letter.width().unwrap_or(0));
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push_str(MORE);
    Cow::Owned(short)
}

/// A table without lines around or between its cells.
pub fn plain() -> Table {
    let mut table = Table::new();
    let width = Look::stdout().width;
    let arrangement =
        if width.is_some() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.load_preset(presets::NOTHING).set_content_arrangement(arrangement);
    if let Some(width) = width {
        table.set_width(width);
    }
    table
}

/// Prints a small table that a command has filled by itself; long cells wrap.
pub fn print(out: &mut dyn Write, mut table: Table) -> io::Result<()> {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, GAP));
    });
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}

/// Widths of the columns: what they need, where that fits; else the widest of those that shrink are cut to one
/// common width; else columns are left out, and have no width.
fn fit(natural: &[u16], columns: &[Column], width: Option<u16>) -> Vec<Option<u16>> {
    let mut shown: Vec<Option<u16>> = natural.iter().copied().map(Some).collect();
    let Some(width) = width.map(usize::from) else { return shown };
    let capped = |it: u16, column: &Column, cap: u16| if column.shrinks { it.min(cap) } else { it };
    let total = |shown: &[Option<u16>], cap: u16| -> usize {
        let columns = shown.iter().zip(columns);
        let widths = columns.filter_map(|(it, column)| it.map(|it| usize::from(capped(it, column, cap))));
        // Whatever is left out has a mark in the header.
        let mark = if shown.contains(&None) { 1 + usize::from(GAP) } else { 0 };
        (widths.map(|it| it + usize::from(GAP)).sum::<usize>() + mark).saturating_sub(usize::from(GAP))
    };
    while total(&shown, NARROWEST) > width {
        let leaving = columns.iter().enumerate().filter(|(at, it)| it.leaves > 0 && shown[*at].is_some());
        let Some((at, _)) = leaving.max_by_key(|(_, it)| it.leaves) else { break };
        shown[at] = None;
    }
    let mut cap = shown.iter().flatten().copied().max().unwrap_or(0);
    while cap > NARROWEST && total(&shown, cap) > width {
        cap -= 1;
    }
    shown.iter().zip(columns).map(|(it, column)| it.map(|it| capped(it, column, cap))).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Shared, *};

    fn columns() -> Vec<Column> {
        vec![Column::number("n"), Column::text("name"), Column::text("more")]
    }

    fn look(width: u16) -> Look {
        Look { width: Some(width), colour: false }
    }

    fn widths(natural: &[u16], columns: &[Column], width: Option<u16>) -> Vec<u16> {
        fit(natural, columns, width).into_iter().map(|it| it.unwrap_or(0)).collect()
    }

    #[test]
    fn the_widest_columns_shrink_first() {
        assert_eq!(widths(&[3, 8, 40], &columns(), Some(28)), [3, 8, 13]);
        assert_eq!(widths(&[3, 40, 40], &columns(), Some(27)), [3, 10, 10]);
        assert_eq!(widths(&[3, 8, 40], &columns(), None), [3, 8, 40]);
    }

    #[test]
    fn fixed_columns_stay_whole_in_any_terminal() {
        assert_eq!(widths(&[30, 8, 40], &columns(), Some(10)), [30, 6, 6]);
    }

    #[test]
    fn columns_leave_by_rank_where_all_are_too_many_and_the_header_says_so() {
        let columns = vec![Column::fixed("id"), Column::text("a").leaves(2), Column::text("b").leaves(1)];
        assert_eq!(fit(&[10, 8, 8], &columns, Some(26)), [Some(10), Some(6), Some(6)]);
        assert_eq!(fit(&[10, 8, 8], &columns, Some(25)), [Some(10), None, Some(8)]);
        assert_eq!(fit(&[10, 8, 8], &columns, Some(12)), [Some(10), None, None]);
        let out = Shared::default();
        let mut table = TableWriter::new(Box::new(out.clone()), columns, look(25));
        let row = ["0123456789", "aaaaaaaa", "bbbbbbbb"].map(str::to_owned);
        assert!(table.row(row.to_vec()).and_then(|()| table.flush()).is_ok());
        assert_eq!(out.text(), "id          b  …\n0123456789  bbbbbbbb\n");
    }

    #[test]
    fn rows_are_one_line_each_and_cut_with_a_mark() {
        let out = Shared::default();
        let mut table = TableWriter::new(Box::new(out.clone()), columns(), look(22));
        let row = ["7", "two words\n", "a very long cell indeed"].map(str::to_owned);
        assert!(table.row(row.to_vec()).and_then(|()| table.flush()).is_ok());
        assert_eq!(out.text(), "n  name      more\n7  two wor…  a very …\n");
    }

    #[test]
    fn wide_letters_count_as_two() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
    }

    #[test]
    fn a_full_page_is_printed_without_waiting_for_the_end() {
        let out = Shared::default();
        let mut table = TableWriter::new(Box::new(out.clone()), columns(), Look::default());
        for at in 0..PAGE {
            assert!(table.row(vec![at.to_string(), String::new(), String::new()]).is_ok());
        }
        assert_eq!(out.text().lines().count(), PAGE + 1);
    }

    #[test]
    fn a_page_goes_on_after_a_flush_and_has_a_new_header_when_it_must_widen() {
        let out = Shared::default();
        let mut table = TableWriter::new(Box::new(out.clone()), columns(), Look::default());
        for name in ["ann", "bob", "charles"] {
            let row = ["1", name, "x"].map(str::to_owned);
            assert!(table.row(row.to_vec()).and_then(|()| table.flush()).is_ok());
        }
        assert_eq!(out.text(), "n  name  more\n1  ann   x\n1  bob   x\n\nn  name     more\n1  charles  x\n");
    }

    #[test]
    fn what_went_wrong_is_coloured_and_nothing_else() {
        let look = Look { width: None, colour: true };
        let out = Shared::default();
        let columns = vec![Column::outcome("outcome"), Column::text("name")];
        let mut table = TableWriter::new(Box::new(out.clone()), columns, look);
        for outcome in ["success", "failure", "denied"] {
            assert!(table.row(vec![outcome.to_owned(), "failure".to_owned()]).is_ok());
        }
        assert!(table.flush().is_ok());
        assert_eq!(
            out.text(),
            "outcome  name\nsuccess  failure\n\u{1b}[31mfailure\u{1b}[0m  failure\n\u{1b}[33mdenied\u{1b}[0m   failure\n"
        );
    }
}
