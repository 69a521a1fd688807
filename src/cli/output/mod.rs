//! Output: one sink for tables, JSON, NDJSON and CSV.
//!
//! Does: turn records into bytes on standard output, streaming; say things on standard error.
//! Does not: know which command it serves: a command brings its columns ([`Layout`]) and its rows
//! ([`Record`]). Called by: every client command.
pub mod csv;
pub mod escape;
pub mod event;
pub mod json;
pub mod look;
pub mod table;

use std::io::{self, BufWriter, IsTerminal as _, Write};

use clap::ValueEnum;
use serde::Serialize;

use self::csv::{Cell, CsvWriter};
use self::table::TableWriter;
pub use self::{look::Look, table::Column};

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// A header and rows that a spreadsheet opens safely.
    Csv,
}

/// Where output goes. A box, so that tests can look at it.
pub type Out = Box<dyn Write + Send>;

/// Standard output behind a buffer: one system call per 64 KiB and not one per line.
pub fn stdout() -> Out {
    Box::new(BufWriter::with_capacity(64 << 10, io::stdout()))
}

/// Whether a person is looking at standard output.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints a line on standard error. A closed standard error is no reason to stop, let alone to panic.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The columns of a command's rows.
pub struct Layout {
    /// Columns of the table.
    pub table: Vec<Column>,
    /// Headers of the CSV form.
    pub csv: Vec<String>,
}

/// A row. Its JSON is its `Serialize`.
pub trait Record: Serialize {
    /// Cells of the table, as many as the layout has; escaped by the table.
    fn table(&self) -> Vec<String>;
    /// Cells of the CSV row, as many as the layout has.
    fn csv(&self) -> Vec<Cell>;
}

/// Prints records in one format.
pub enum Sink {
    /// [`Format::Table`]
    Table(TableWriter),
    /// [`Format::Json`]; the flag says whether the array has an element yet.
    Json(Out, bool),
    /// [`Format::Ndjson`]
    Ndjson(Out),
    /// [`Format::Csv`]
    Csv(Box<CsvWriter>),
}

impl Sink {
    /// A sink on standard output.
    pub fn stdout(format: Format, layout: Layout) -> io::Result<Self> {
        Self::new(format, layout, stdout(), Look::stdout())
    }

    /// A sink on any writer. Only tables have a look.
    pub fn new(format: Format, layout: Layout, mut out: Out, look: Look) -> io::Result<Self> {
        Ok(match format {
            Format::Table => Self::Table(TableWriter::new(out, layout.table, look)),
            Format::Json => {
                out.write_all(b"[")?;
                Self::Json(out, false)
            }
            Format::Ndjson => Self::Ndjson(out),
            Format::Csv => Self::Csv(Box::new(CsvWriter::new(out, &layout.csv)?)),
        })
    }

    /// Prints one record.
    pub fn put(&mut self, record: &impl Record) -> io::Result<()> {
        match self {
            Self::Table(table) => table.row(record.table()),
            Self::Json(out, begun) => {
                out.write_all(if *begun { b",\n" } else { b"\n" })?;
                *begun = true;
                json::write(out, record)
            }
            Self::Ndjson(out) => {
                json::write(out, record)?;
                out.write_all(b"\n")
            }
            Self::Csv(csv) => csv.row(&record.csv()),
        }
    }

    /// Hands what is there to the reader.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Table(table) => table.flush(),
            Self::Json(out, _) | Self::Ndjson(out) => out.flush(),
            Self::Csv(csv) => csv.flush(),
        }
    }

    /// Ends the output after the last record.
    pub fn finish(mut self) -> io::Result<()> {
        if let Self::Json(out, _) = &mut self {
            out.write_all(b"\n]")?;
        }
        self.cut_off()
    }

    /// Ends the output early. A JSON array stays open on purpose: whoever reads the file later must not
    /// take a part for the whole.
    pub fn cut_off(mut self) -> io::Result<()> {
        if let Self::Json(out, _) = &mut self {
            out.write_all(b"\n")?;
        }
        self.flush()
    }
}

#[cfg(test)]
pub mod testing {
    //! A writer whose bytes a test can read while a sink owns it.
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex, PoisonError},
    };

    /// Shared bytes.
    #[derive(Clone, Default)]
    pub struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        /// Everything written so far.
        pub fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
