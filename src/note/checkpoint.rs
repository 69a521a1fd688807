//! A checkpoint: origin, size and root of a tree, as the body of a note.
use std::collections::HashSet;

use signed_note::{Note, Verifier as _, VerifierList};
use tlog_tiles::{checkpoint::Checkpoint as Body, tlog::Hash as Node};

use super::keys::{Kind, VerifierKey};
use crate::tree::TreeHead;

/// Bytes of a note at most. The specification asks for room for 16 signatures, of which the largest kinds have
/// 5 kB.
pub const MOST_BYTES: usize = 128 * 1024;
/// Leaves of a tree at most: proofs of larger ones cannot be verified.
const MOST_LEAVES: u64 = 1 << 62;

/// Why a note is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// Not a checkpoint in a note, to the byte.
    #[error("this is not a signed checkpoint")]
    Malformed,
    /// Signed by none of the log keys.
    #[error("no known key has signed this checkpoint of {origin:?}")]
    Unsigned { origin: String },
    /// A signature in the name of a known key is not that key's.
    #[error("the signature of {name:?} is not valid")]
    Forged { name: String },
    /// The key of one log has signed for another.
    #[error("the key of {name:?} has signed a checkpoint of {origin:?}")]
    Foreign { name: String, origin: String },
}

/// What a note says, whoever signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    pub origin: String,
    pub head: TreeHead,
    body: String,
}

impl Checkpoint {
    /// The text that is signed, with any extension lines.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The text that is signed for a head.
    pub(super) fn body_of(origin: &str, head: &TreeHead) -> String {
        format!("{origin}\n{}\n{}\n", head.size, Node(head.root))
    }
}

/// A note whose log has signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    pub checkpoint: Checkpoint,
    /// The signatures of the known keys, in the note's order; one per key.
    pub signatures: Vec<Signed>,
}

/// A signature that was verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    pub key: VerifierKey,
    /// Of a cosignature: seconds since 1970.
    pub time: Option<u64>,
    /// As it stands in the note, with its newline.
    pub line: String,
}

/// Reads a note without asking who signed it.
///
/// # Errors
/// It is not a checkpoint in a note.
pub fn read(note: &str) -> Result<Checkpoint, NoteError> {
    parsed(note).map(|(_, checkpoint)| checkpoint)
}

/// Opens a note that a log's key among these has signed. Of witnesses' keys it says which cosigned; other
/// signatures are ignored, as the specification demands.
///
/// # Errors
/// Why it is not to be believed.
pub fn open(note: &str, keys: &[VerifierKey]) -> Result<Opened, NoteError> {
    let (note, checkpoint) = parsed(note)?;
    let unsigned = || NoteError::Unsigned { origin: checkpoint.origin.clone() };
    let mut known: Vec<VerifierKey> = Vec::new();
    for key in keys {
        if !known.contains(key) {
            known.push(key.clone());
        }
    }
    let list = known.iter().map(|key| Box::new(key.clone()) as Box<dyn signed_note::Verifier>);
    let (verified, _) = note.verify(&VerifierList::new(list.collect())).map_err(|error| match error {
        signed_note::NoteError::InvalidSignature { name, .. } => NoteError::Forged { name },
        _ => unsigned(),
    })?;
    let mut signatures = Vec::new();
    for signature in verified {
        let by = |key: &&VerifierKey| key.name() == signature.name() && key.key_id() == signature.id();
        let Some(key) = known.iter().find(by) else { continue };
        if key.kind() == Kind::Log && key.name() != checkpoint.origin {
            return Err(NoteError::Foreign { name: key.name().to_owned(), origin: checkpoint.origin });
        }
        let time = key.time(signature.signature());
        let line = String::from_utf8(signature.to_bytes()).map_err(|_| NoteError::Malformed)?;
        signatures.push(Signed { key: key.clone(), time, line });
    }
    if !signatures.iter().any(|signed| signed.key.kind() == Kind::Log) {
        return Err(unsigned());
    }
    Ok(Opened { checkpoint, signatures })
}

/// A note with these signature lines behind its own, but for those that it has.
///
/// # Errors
/// What comes of it is not a checkpoint in a note.
pub fn joined<'a>(note: &str, lines: impl IntoIterator<Item = &'a str>) -> Result<String, NoteError> {
    let mut joined = note.to_owned();
    let mut had: HashSet<&str> = note.split_inclusive('\n').collect();
    for line in lines {
        if had.insert(line) {
            joined.push_str(line);
        }
    }
    read(&joined).map(|_| joined)
}

fn parsed(note: &str) -> Result<(Note, Checkpoint), NoteError> {
    let malformed = |_| NoteError::Malformed;
    if note.len() > MOST_BYTES {
        return Err(NoteError::Malformed);
    }
    let read = Note::from_bytes(note.as_bytes()).map_err(|_| NoteError::Malformed)?;
    let body = Body::from_bytes(read.text()).map_err(|_| NoteError::Malformed)?;
    if read.to_bytes() != note.as_bytes() || body.to_bytes() != read.text() || body.size() > MOST_LEAVES {
        return Err(NoteError::Malformed);
    }
    let text = String::from_utf8(read.text().to_vec()).map_err(malformed)?;
    let head = TreeHead { size: body.size(), root: body.hash().0 };
    let checkpoint = Checkpoint { origin: body.origin().to_owned(), head, body: text };
    Ok((read, checkpoint))
}
