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
/// How long the second look at a log may take that seems forked: a head is locked for some 50 ms by each that waits.
const SECOND_LOOK: Duration = Duration::from_secs(15);
/// Checkpoints that are looked through for one of this key.
const LOOK_BACK: usize = 64;

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
    #[error("{0}")]
    Damaged(String),
    /// It was read once, and not in the way that appends read.
    #[error("it does not seem to extend what was signed ({0}), which is not certain: {1}")]
    Unconfirmed(String, String),
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
            Self::Proof(_) | Self::Damaged(_) | Self::Unconfirmed(..) | Self::Forked(..) => false,
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
        match compare(parts, prover, name, &last.head, &head).await {
            Err(Trouble::Forked(reason, _)) => {
                return Err(second_look(parts, prover, name, &last.head, reason).await);
            }
            compared => compared?,
        }
        let taken_up = !mem::replace(&mut log.compared, true);
        if !log.stored {
            store(parts, name, last).await?;
            log.stored = true;
        }
        if head.size == last.head.size {
            return Ok(taken_up);
        }
    } else {
        // Nothing that was signed says what the leaves are: they must be those of the tree that appends go on.
        tiles(parts, name, head.size).await?;
        if prover.root(name, head.size).await? != head.root {
            return Err(Trouble::Damaged("the tree of the log is not that of its events".to_owned()));
        }
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
    let mut wanted = WantedCheckpoint::Newest;
    let mut others = 0;
    while others < LOOK_BACK
        && let Some(stored) = parts.store.checkpoint(name, wanted).await?
    {
        let Some(last) = signed(&stored.signed_note, &parts.key, name) else {
            others += 1;
            wanted = WantedCheckpoint::Below(stored.tree.size);
            continue;
        };
        if last.head != stored.tree {
            let size = stored.tree.size;
            return Err(Trouble::Damaged(format!(
                "the stored checkpoint of {size} events holds another note"
            )));
        }
        tracing::warn!(log = %name, size = last.head.size, others,
            "the signer's folder has no head of this log: the newest one of this key in the store is taken, which a restored store could have set back");
        parts.heads.keep(name, last.note.clone()).await?;
        return Ok(Some(last));
    }
    if others > 0 {
        tracing::error!(log = %name, key = parts.key.name(), others,
            "the signer's folder has no head of this log, and the newest checkpoints in the store are of other keys: this key begins anew, which is right only for a new name that auditors were told of");
    }
    Ok(None)
}

/// What it is with a log that seems forked. A standby that lags behind, or a primary that lost its office, would
/// show an older tree: so the head is read again as appends read it, which only a database that takes commits
/// allows, and what is read else must agree with it.
async fn second_look(
    parts: &Parts,
    prover: &Prover,
    name: &LogName,
    last: &TreeHead,
    reason: String,
) -> Trouble {
    let head = match timeout(SECOND_LOOK, locked(parts, name)).await {
        Ok(Ok(Some(head))) => head,
        Ok(Ok(None)) => {
            return Trouble::Unconfirmed(reason, "reads and appends see different trees".to_owned());
        }
        Ok(Err(error)) => return Trouble::Unconfirmed(reason, error.to_string()),
        Err(_) => return Trouble::Unconfirmed(reason, "its head is not to be had".to_owned()),
    };
    match compare(parts, prover, name, last, &head).await {
        Ok(()) => Trouble::Unconfirmed(reason, "a second look has not found it".to_owned()),
        Err(trouble) => trouble,
    }
}

/// The head as the next append would find it, when other reads find the same.
async fn locked(parts: &Parts, name: &LogName) -> Result<Option<TreeHead>, StoreError> {
    let mut appender = parts.store.appender().await?;
    let locked = appender.begin(name).await?;
    let read = parts.store.tree(name).await?;
    appender.commit().await?;
    Ok((locked.tree == read).then(|| read.head()))
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

/// Stores a checkpoint, in the place of one of another key: a log that has lost events begins anew with a new
/// key, and reaches sizes that were signed before.
async fn store(parts: &Parts, name: &LogName, new: &SignedHead) -> Result<(), Trouble> {
    let checkpoint = StoredCheckpoint {
        tree: new.head,
        signed_note: new.note.clone(),
        signed_at: parts.clock.now_micros(),
    };
    if parts.store.add_checkpoint(name, &checkpoint).await? {
        return Ok(());
    }
    let wanted = WantedCheckpoint::Exactly(new.head.size);
    let Some(stored) = parts.store.checkpoint(name, wanted).await? else {
        return Err(StoreError::Locked("the checkpoint went away".into()).into());
    };
    if signed(&stored.signed_note, &parts.key, name).is_some_and(|stored| stored.head == new.head) {
        return Ok(());
    }
    tracing::warn!(log = %name, size = new.head.size, key = parts.key.name(),
        "the store has a checkpoint of this size that this key has not signed: it is replaced");
    match parts.store.replace_checkpoint(name, &checkpoint, &stored.signed_note).await? {
        true => Ok(()),
        false => Err(StoreError::Locked("the checkpoint was replaced at the same time".into()).into()),
    }
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
