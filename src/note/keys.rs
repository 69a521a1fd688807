//! Keys: of a server that signs for its logs, of a witness that cosigns, and what verifies each.
use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::checkpoint::Checkpoint;
use crate::{event::LogName, tree::TreeHead};

/// Bytes of an Ed25519 seed or public key.
const KEY_BYTES: usize = 32;
/// Bytes of a name at most; a host name has 253.
const MOST_NAME: usize = 255;
/// What a private key begins with, so that it is not taken for a public one.
const PRIVATE: &str = "PRIVATE+KEY+";

/// What a key signs, by its byte in the signed-note registry. An id is computed over it, so the two cannot be
/// mistaken for each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A log's: the note itself.
    Log = 0x01,
    /// A witness's: the note and the time at which it was the newest one seen.
    Witness = 0x04,
}

/// Why a key cannot be used. Never shows the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "a key's name has 1 to 255 bytes without spaces, control characters and \"+\", such as audit.example.com/chancery"
    )]
    Name,
    #[error("this is not a verifier key (NAME+ID+KEY, as `chancery keys show` prints it)")]
    NotAVerifierKey,
    #[error("this is not a private key (PRIVATE+KEY+NAME+ID+KEY, as `chancery keys generate` makes it)")]
    NotAPrivateKey,
    #[error("the id in the key is not that of its name and key: one of them was altered")]
    Id,
    #[error("the key is of a kind that is not known here")]
    Kind,
    #[error("this is the key of a log where that of a witness is needed")]
    NotAWitness,
    #[error("this is the key of a witness where that of a log is needed")]
    NotALog,
}

/// What verifies the signatures of one key. Its text is `NAME+ID+KEY`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierKey {
    name: String,
    kind: Kind,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(PRIVATE) {
            return Err(KeyError::NotAVerifierKey);
        }
        let (name, id, bytes) = parts(text).ok_or(KeyError::NotAVerifierKey)?;
        let (kind, bytes) = of_kind(&bytes).ok_or(KeyError::Kind)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAVerifierKey)?;
        if key.is_weak() {
            return Err(KeyError::NotAVerifierKey);
        }
        let read = Self { name: checked(name)?, kind, key };
        if read.id_text() != id {
            return Err(KeyError::Id);
        }
        Ok(read)
    }

    /// The key name: for a log its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its id in signature lines.
    pub fn id(&self) -> u32 {
        signed_note::key_id(&self.name, &encoded(self.kind, self.key.as_bytes()))
    }

    fn id_text(&self) -> String {
        format!("{:08x}", self.id())
    }

    /// The time of a cosignature's bytes, seconds since 1970; none for a log's.
    pub(super) fn time(&self, signature: &[u8]) -> Option<u64> {
        let (time, _) = signature.split_first_chunk().filter(|_| self.kind == Kind::Witness)?;
        Some(u64::from_be_bytes(*time))
    }

    fn accepts(&self, body: &[u8], signature: &[u8]) -> Option<()> {
        let (message, signature) = match self.kind {
            Kind::Log => (body.to_vec(), signature),
            Kind::Witness => {
                let (time, signature) = signature.split_first_chunk()?;
                (cosigned(u64::from_be_bytes(*time), body), signature)
            }
        };
        self.key.verify_strict(&message, &Signature::from_slice(signature).ok()?).ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64_STANDARD.encode(encoded(self.kind, self.key.as_bytes()));
        write!(f, "{}+{}+{key}", self.name, self.id_text())
    }
}

impl signed_note::Verifier for VerifierKey {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.accepts(message, signature).is_some()
    }
}

/// The private key of a server: signs the checkpoints of all its logs.
pub struct Key(Private);

impl Key {
    /// A key of this name. The seed must come from a source of randomness.
    ///
    /// # Errors
    /// The name cannot be one.
    pub fn new(name: &str, seed: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        Private::new(name, Kind::Log, seed).map(Self)
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match Private::parse(text)? {
            key if key.kind == Kind::Log => Ok(Self(key)),
            _ => Err(KeyError::NotALog),
        }
    }

    /// Its text: whoever has it can sign in the server's name.
    pub fn private_text(&self) -> String {
        self.0.text()
    }

    /// The first part of every origin.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What checkpoints of a log begin with.
    pub fn origin(&self, log: &LogName) -> String {
        format!("{}/{log}", self.0.name)
    }

    /// What verifies the checkpoints of a log.
    pub fn verifier(&self, log: &LogName) -> VerifierKey {
        self.0.verifier(self.origin(log))
    }

    /// The signed note of a log's head.
    pub fn sign(&self, log: &LogName, head: &TreeHead) -> String {
        let verifier = self.verifier(log);
        let body = Checkpoint::body_of(verifier.name(), head);
        let line = line(&verifier, &self.0.key.sign(body.as_bytes()).to_bytes());
        format!("{body}\n{line}")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.name)
    }
}

/// The private key of a witness.
pub struct Cosigner(Private);

impl Cosigner {
    /// A key of this name. The seed must come from a source of randomness.
    ///
    /// # Errors
    /// The name cannot be one.
    pub fn new(name: &str, seed: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        Private::new(name, Kind::Witness, seed).map(Self)
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match Private::parse(text)? {
            key if key.kind == Kind::Witness => Ok(Self(key)),
            _ => Err(KeyError::NotAWitness),
        }
    }

    /// Its text: whoever has it can cosign in the witness's name.
    pub fn private_text(&self) -> String {
        self.0.text()
    }

    /// What verifies its cosignatures.
    pub fn verifier(&self) -> VerifierKey {
        self.0.verifier(self.0.name.clone())
    }

    /// The signature line that says: at this time (seconds since 1970) this was the newest head seen.
    pub fn cosign(&self, checkpoint: &Checkpoint, time: u64) -> String {
        let signature = self.0.key.sign(&cosigned(time, checkpoint.body().as_bytes()));
        line(&self.verifier(), &[&time.to_be_bytes()[..], &signature.to_bytes()].concat())
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.0.name)
    }
}

/// The log in an origin: what follows its last `/`.
pub fn log_of(origin: &str) -> Option<LogName> {
    let (name, log) = origin.rsplit_once('/')?;
    LogName::parse(log).ok().filter(|_| !name.is_empty() && !log.is_empty())
}

/// A private key of either kind. The library wipes it from memory when it is dropped.
struct Private {
    name: String,
    kind: Kind,
    key: SigningKey,
}

impl Private {
    fn new(name: &str, kind: Kind, seed: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        Ok(Self { name: checked(name)?, kind, key: SigningKey::from_bytes(seed) })
    }

    fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PRIVATE).ok_or(KeyError::NotAPrivateKey)?;
        let (name, id, bytes) = parts(rest).ok_or(KeyError::NotAPrivateKey)?;
        let (kind, seed) = of_kind(&bytes).ok_or(KeyError::Kind)?;
        let key = Self::new(name, kind, &seed)?;
        if key.verifier(key.name.clone()).id_text() != id {
            return Err(KeyError::Id);
        }
        Ok(key)
    }

    fn text(&self) -> String {
        let id = self.verifier(self.name.clone()).id_text();
        let key = BASE64_STANDARD.encode(encoded(self.kind, self.key.as_bytes()));
        format!("{PRIVATE}{}+{id}+{key}", self.name)
    }

    fn verifier(&self, name: String) -> VerifierKey {
        VerifierKey { name, kind: self.kind, key: self.key.verifying_key() }
    }
}

/// Name, id and key bytes. Base64 has `+` too, so what follows the second one is all the key.
fn parts(text: &str) -> Option<(&str, &str, Vec<u8>)> {
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    Some((name, id, BASE64_STANDARD.decode(key).ok()?))
}

fn encoded(kind: Kind, key: &[u8; KEY_BYTES]) -> Vec<u8> {
    [&[kind as u8], &key[..]].concat()
}

fn of_kind(bytes: &[u8]) -> Option<(Kind, [u8; KEY_BYTES])> {
    let (kind, key) = bytes.split_first()?;
    let kind = [Kind::Log, Kind::Witness].into_iter().find(|each| *each as u8 == *kind)?;
    Some((kind, key.try_into().ok()?))
}

fn checked(name: &str) -> Result<String, KeyError> {
    let fits = name.len() <= MOST_NAME && !name.chars().any(char::is_control);
    if fits && signed_note::is_key_name_valid(name) { Ok(name.to_owned()) } else { Err(KeyError::Name) }
}

/// What a witness signs.
fn cosigned(time: u64, body: &[u8]) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time}\n").as_bytes(), body].concat()
}

fn line(key: &VerifierKey, signature: &[u8]) -> String {
    let signature = BASE64_STANDARD.encode([&key.id().to_be_bytes()[..], signature].concat());
    format!("\u{2014} {} {signature}\n", key.name)
}
