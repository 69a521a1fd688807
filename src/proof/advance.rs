//! One log's next checkpoint: whether its tree extends the last signed head, and then the new one, in the order
//! that a crash cannot turn round: file, then store. Called by: `signer`, for one log at a time.
use std::{mem, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    heads::{Heads, SignedHead, signed},
    prover::{ProofError, Prover},
    tiles::Tiler,
};
use crate::{
    clock::Clock,
    event::LogName,
    note::Key,
    store::{Store, StoreError, StoredCheckpoint, WantedCheckpoint},
    telemetry::Metrics,
    tree::{TreeHead, check_extension},
};

/// How long a log may hold up the others with tiles that are missing; they are written on in the next turn.
const TILES: Duration = Duration::from_secs(2);

/// What it takes to sign.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub tiler: Arc<Tiler>,
    pub key: Arc<Key>,
    pub heads: Heads,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

/// What the signer knows of a log.
#[derive(Default)]
pub(super) struct Log {
    pub(super) last: Option<SignedHead>,
    /// Whether the store was asked for a head of before this signer's time.
    pub(super) asked: bool,
    /// Whether the log was compared with the last head since the start.
    pub(super) compared: bool,
    /// Whether the store has the last head.
    pub(super) stored: bool,
    pub(super) halted: bool,
    /// Since when there are events that no checkpoint covers.
    pub(super) uncovered: Option<Instant>,
    pub(super) failing: bool,
}

/// Why a log has no new checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("the signer's folder cannot be written: {0}")]
    State(#[from] std::io::Error),
    /// Never overcome.
    #[error("{0}")]
    Forked(String, TreeHead),
}

impl Trouble {
    /// Whether other logs would have it too.
    pub(super) const fn is_of_all(&self) -> bool {
        match self {
            Self::Store(error) | Self::Proof(ProofError::Store(error)) => {
                matches!(error, StoreError::Unavailable(_) | StoreError::StateUnknown(_))
            }
            Self::Proof(_) | Self::Forked(..) => false,
            Self::State(_) => true,
        }
    }
}

/// Brings a log's newest checkpoint up to date. Whether one was signed or taken up.
pub(super) async fn advance(
    parts: &Parts,
    prover: &Prover,
    name: &LogName,
    size: u64,
    log: &mut Log,
) -> Result<bool, Trouble> {
    if log.last.is_none() && !mem::replace(&mut log.asked, true) {
        let taken = take_up(parts, name).await;
        log.asked = taken.is_ok();
        log.last = taken?;
    }
    let signed_size = log.last.as_ref().map(|last| last.head.size).unwrap_or_default();
    if size == signed_size && (size == 0 || (log.compared && log.stored)) {
        return Ok(false);
    }
    let head = parts.store.tree(name).await?.head();
    if let Some(last) = &log.last {
        compare(parts, prover, name, &last.head, &head).await?;
        let taken_up = !mem::replace(&mut log.compared, true);
        if !log.stored {
            store(parts, name, last).await?;
            log.stored = true;
        }
        if head.size == last.head.size {
            return Ok(taken_up);
        }
    } else {
        tiles(parts, name, head.size).await?;
    }
    let new = SignedHead { head, note: parts.key.sign(name, &head) };
    parts.heads.keep(name, new.note.clone()).await?;
    let new = log.last.insert(new);
    (log.compared, log.stored) = (true, false);
    store(parts, name, new).await?;
    log.stored = true;
    parts.metrics.checkpoints.signed();
    Ok(true)
}

/// A head that this key has signed, though the folder does not have it: the folder is new, or was lost.
async fn take_up(parts: &Parts, name: &LogName) -> Result<Option<SignedHead>, Trouble> {
    let newest = parts.store.checkpoint(name, WantedCheckpoint::Newest).await?;
    let Some(last) = newest.and_then(|newest| signed(&newest.signed_note, &parts.key, name)) else {
        return Ok(None);
    };
    tracing::warn!(log = %name, size = last.head.size,
        "the signer's folder has no head of this log: the newest one in the store is taken, which a restored store could have set back");
    parts.heads.keep(name, last.note.clone()).await?;
    Ok(Some(last))
}

/// Whether a log's tree extends the last signed one.
async fn compare(
    parts: &Parts,
    prover: &Prover,
    name: &LogName,
    last: &TreeHead,
    head: &TreeHead,
) -> Result<(), Trouble> {
    let proof = if last.size < head.size {
        tiles(parts, name, head.size).await?;
        prover.consistency(name, last.size, head.size).await?.hashes
    } else {
        Vec::new()
    };
    check_extension(last, head, &proof).map_err(|reason| Trouble::Forked(reason, *head))
}

/// Makes sure of the tiles that proofs of a checkpoint are made of. They come from memory mostly; a proof without
/// them would read the leaf hashes of all that was appended since.
async fn tiles(parts: &Parts, name: &LogName, size: u64) -> Result<(), Trouble> {
    match timeout(TILES, parts.tiler.complete(name, size)).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ProofError::Behind.into()),
    }
}

async fn store(parts: &Parts, name: &LogName, signed: &SignedHead) -> Result<(), Trouble> {
    let checkpoint = StoredCheckpoint {
        tree: signed.head,
        signed_note: signed.note.clone(),
        signed_at: parts.clock.now_micros(),
    };
    Ok(parts.store.add_checkpoint(name, &checkpoint).await?)
}

/// Both heads, for people and for whoever has to prove what happened.
pub(super) fn evidence(log: &LogName, reason: &str, observed: &TreeHead, at: i64, signed: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default();
    let root = BASE64_STANDARD.encode(observed.root);
    format!(
        "The log {log} does not extend the checkpoint that was signed of it: {reason}.\n\
         No checkpoint of it is signed any more.\n\n\
         found at: {at}\n\
         size in the store: {}\n\
         root in the store: {root}\n\n\
         Signed before:\n\n{signed}",
        observed.size
    )
}
