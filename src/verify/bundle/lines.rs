//! The lines of a bundle, bounded in length and summed as they are read.
use std::io::{self, BufRead, Read as _};

use sha2::{Digest as _, Sha256};

use super::{MOST_LINE, MOST_LINES, check::Stop};
use crate::verify::{Finding, HASH_BYTES, Hash, Verdict, from_base64};

/// Reads line after line.
pub struct Lines<R> {
    input: R,
    sum: Sha256,
    /// Sum of everything before the line that was read last.
    before: Sha256,
    number: u64,
    line: Vec<u8>,
    /// The line is to be read once more.
    again: bool,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R) -> Self {
        Self { input, sum: Sha256::new(), before: Sha256::new(), number: 0, line: Vec::new(), again: false }
    }

    /// The next line without its newline; none at the end of the file.
    pub fn next(&mut self) -> Result<Option<&str>, Stop> {
        if !std::mem::take(&mut self.again) {
            self.number += 1;
            self.line.clear();
            (&mut self.input).take(MOST_LINE).read_until(b'\n', &mut self.line)?;
            self.before = self.sum.clone();
            self.sum.update(&self.line);
        }
        match self.line.split_last() {
            None => Ok(None),
            Some((b'\n', line)) => match str::from_utf8(line) {
                Ok(line) => Ok(Some(line)),
                Err(_) => Err(self.wrong("it is no text")),
            },
            Some(_) if self.line.len() as u64 >= MOST_LINE => Err(self.wrong("it is too long")),
            // Cut off within a line.
            Some(_) => Err(Stop::End(self.number)),
        }
    }

    /// Goes back by one line.
    pub const fn unread(&mut self) {
        self.again = true;
    }

    /// The next line, when there must be one.
    pub fn some(&mut self) -> Result<&str, Stop> {
        let number = self.number + 1;
        self.next()?.ok_or(Stop::End(number))
    }

    /// A line that must be this one.
    pub fn exactly(&mut self, wanted: &str) -> Result<(), Stop> {
        if self.some()? == wanted { Ok(()) } else { Err(self.wrong(&format!("it is not {wanted:?}"))) }
    }

    /// What follows a word on the next line.
    pub fn after(&mut self, word: &str) -> Result<String, Stop> {
        match self.some()?.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')) {
            Some(rest) => Ok(rest.to_owned()),
            None => Err(self.wrong(&format!("it does not begin with {word:?}"))),
        }
    }

    /// The lines up to an empty one, each with its newline.
    pub fn paragraph(&mut self) -> Result<String, Stop> {
        let mut text = String::new();
        for _ in 0..MOST_LINES {
            match self.some()? {
                "" => return Ok(text),
                line => text.extend([line, "\n"]),
            }
        }
        Err(self.wrong("there are too many lines before it"))
    }

    /// Hashes, one a line, up to an empty line.
    pub fn hashes(&mut self) -> Result<Vec<Hash>, Stop> {
        let mut hashes = Vec::new();
        for _ in 0..MOST_LINES {
            let hash = match self.some()? {
                "" => return Ok(hashes),
                line => from_base64(line).and_then(|bytes| <[u8; HASH_BYTES]>::try_from(bytes).ok()),
            };
            hashes.push(hash.ok_or_else(|| self.wrong("it is no hash"))?);
        }
        Err(self.wrong("there are too many hashes"))
    }

    /// SHA-256 of everything before the line that was read last.
    pub fn sum(&self) -> Hash {
        self.before.clone().finalize().into()
    }

    /// The finding that the line which was read last is wrong.
    pub fn wrong(&self, evidence: &str) -> Stop {
        let field = format!("line {}", self.number);
        let evidence = format!("{evidence}: this is no bundle as it was exported");
        Stop::Found(Finding::new(Verdict::Tampered, field, evidence), None)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
