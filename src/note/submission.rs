//! What a log sends to a witness (C2SP tlog-witness, `add-checkpoint`): which size the witness knows, the proof
//! that the new checkpoint extends it, and the checkpoint.
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{MOST_BYTES, NoteError};
use crate::tree::{HASH_BYTES, Hash};

/// Hashes of a proof at most: one per level of a tree of 2^63 leaves.
const MOST_HASHES: usize = 63;
/// Type of the answer that tells the size that the witness knows.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// A checkpoint on its way to a witness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// Leaves of the checkpoint that the witness cosigned last; 0 for none.
    pub old: u64,
    /// From there to the checkpoint.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: String,
}

impl Submission {
    /// Bytes at most: a line with 20 digits, 63 lines of 44 characters, and a note.
    pub const MOST_BYTES: usize = MOST_BYTES + 4096;

    /// Reads a request.
    ///
    /// # Errors
    /// It is not one, to the byte. The note is not read.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (head, note) = text.split_once("\n\n").ok_or(NoteError::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(NoteError::Malformed)?;
        let size = size_of(old).ok_or(NoteError::Malformed)?;
        let mut proof = Vec::new();
        for line in lines {
            let bytes = BASE64_STANDARD.decode(line).map_err(|_| NoteError::Malformed)?;
            let hash = <[u8; HASH_BYTES]>::try_from(bytes).map_err(|_| NoteError::Malformed)?;
            proof.push(hash);
        }
        if proof.len() > MOST_HASHES {
            return Err(NoteError::Malformed);
        }
        Ok(Self { old: size, proof, note: note.to_owned() })
    }

    /// The text of the request.
    pub fn text(&self) -> String {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.proof {
            text.push_str(&BASE64_STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.note);
        text
    }

    /// The size in the answer of a witness that knows another one.
    pub fn known_size(answer: &str) -> Option<u64> {
        size_of(answer.strip_suffix('\n').unwrap_or(answer))
    }
}

/// A number as it is written: no sign, no leading zeroes.
fn size_of(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|size| size.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_and_nothing_that_differs() {
        for hashes in [0, 1, 63] {
            let sent = Submission { old: 7, proof: vec![[5; 32]; hashes], note: "a\n\nb\n".to_owned() };
            assert_eq!(Submission::parse(&sent.text()), Ok(sent.clone()));
            assert!(sent.text().len() < Submission::MOST_BYTES - MOST_BYTES);
        }
        let many = Submission { old: 7, proof: vec![[5; 32]; 64], note: String::new() };
        assert_eq!(Submission::parse(&many.text()), Err(NoteError::Malformed));
        for bad in [
            "",
            "old 7\n",
            "old 07\n\nx",
            "old +7\n\nx",
            "old  7\n\nx",
            "new 7\n\nx",
            "old 7\nAAAA\n\nx",
            "old 7\r\n\nx",
        ] {
            assert_eq!(Submission::parse(bad), Err(NoteError::Malformed), "{bad:?}");
        }
        assert_eq!((Submission::known_size("12\n"), Submission::known_size("x")), (Some(12), None));
    }
}
