//! Writes bundles.
use std::{
    fmt::Write as _,
    io::{self, Write},
};

use sha2::{Digest as _, Sha256};

use super::{END, Header, PERSONAL, PROOF, VERSION};
use crate::verify::{Hash, base64};

/// Writes a bundle as its events come.
pub struct Writer<W> {
    out: W,
    sum: Sha256,
}

impl<W: Write> Writer<W> {
    /// Begins a bundle.
    ///
    /// # Errors
    /// The writer's.
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut new = Self { out, sum: Sha256::new() };
        new.put(&header_text(header))?;
        Ok(new)
    }

    /// The next event: its position, record, what lies beside that, and the audit path in the checkpoint's tree.
    ///
    /// # Errors
    /// The writer's.
    pub fn event(&mut self, position: u64, record: &[u8], beside: &[u8], path: &[Hash]) -> io::Result<()> {
        let mut text = format!("event {position}\n{}\n", base64(record));
        if !beside.is_empty() {
            text.extend([PERSONAL, " ", &base64(beside), "\n"]);
        }
        text.extend([&proof_text(position, path), "\n"]);
        self.put(&text)
    }

    /// Ends the bundle and gives the writer back.
    ///
    /// # Errors
    /// The writer's.
    pub fn end(mut self) -> io::Result<W> {
        let sum = base64(&self.sum.finalize());
        self.out.write_all(format!("{END}{sum}\n").as_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        self.sum.update(text);
        self.out.write_all(text.as_bytes())
    }
}

fn header_text(header: &Header) -> String {
    let Header { log, positions, policy, checkpoint, extends } = header;
    let mut text = format!("{VERSION}\nlog {log}\npositions {} {}\n", positions.start, positions.end);
    // Writing to a String cannot fail.
    let _ = write!(text, "policy\n{policy}\ncheckpoint\n{checkpoint}\n");
    if let Some((first, proof)) = extends {
        let _ = writeln!(text, "extends {} {}\n{}", first.size, base64(&first.root), hashes(proof));
    }
    text
}

fn proof_text(position: u64, path: &[Hash]) -> String {
    format!("{PROOF}\nindex {position}\n{}", hashes(path))
}

fn hashes(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| base64(hash) + "\n").collect()
}

/// A proof of one event that stands alone: a C2SP tlog-proof file.
pub fn tlog_proof(position: u64, path: &[Hash], checkpoint: &str) -> String {
    format!("{}\n{checkpoint}", proof_text(position, path))
}
