//! CSV rows that a spreadsheet opens without running anything.
//!
//! Does: quote (the csv crate), escape text cells, leave our own numbers alone.
//! Called by: `output::Sink`.
use std::io;

use super::{Out, escape};

/// One cell of a CSV row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text of an event or of the catalog.
    Text(String),
    /// A number or a word of our own: written as it is.
    Own(String),
}

impl Cell {
    /// A number, or an empty cell.
    pub fn number(value: Option<impl ToString>) -> Self {
        Self::Own(value.map_or_else(String::new, |it| it.to_string()))
    }
}

/// Writes rows of cells.
pub struct CsvWriter(::csv::Writer<Out>);

impl CsvWriter {
    /// Starts with the header row.
    pub fn new(out: Out, header: &[String]) -> io::Result<Self> {
        let mut writer = ::csv::WriterBuilder::new().from_writer(out);
        writer.write_record(header)?;
        Ok(Self(writer))
    }

    /// Writes one row.
    pub fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        for cell in cells {
            match cell {
                Cell::Text(text) => self.0.write_field(escape::cell(text).as_bytes())?,
                Cell::Own(text) => self.0.write_field(text)?,
            }
        }
        // The fields are in; an empty record only ends the row.
        Ok(self.0.write_record(None::<&[u8]>)?)
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Shared, *};

    #[test]
    fn text_is_defused_and_numbers_are_not() {
        let out = Shared::default();
        let written =
            CsvWriter::new(Box::new(out.clone()), &["a".to_owned(), "b".to_owned()]).and_then(|mut csv| {
                csv.row(&[Cell::Text("=1,\"x\"\n".to_owned()), Cell::Own("-1".to_owned())])?;
                csv.flush()
            });
        assert!(written.is_ok());
        assert_eq!(out.text(), "a,b\n\"'=1,\"\"x\"\"\n\",-1\n");
    }
}
