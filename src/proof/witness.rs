//! Asks a witness to cosign the newest checkpoints (C2SP tlog-witness, `add-checkpoint`), and keeps its
//! cosignatures with them.
//!
//! Does: prove to the witness what it does not know yet, check what it answers with its key, add the lines to the
//! stored note. Does not: hold up the signer, or another witness: each has a task and a deadline of its own.
//! Called by: `app`, which owns the tasks.
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use reqwest::StatusCode;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep_until},
};

use super::{
    heads::SignedHead,
    prover::{ProofError, Prover},
    signer::Newest,
};
use crate::{
    event::LogName,
    note::{self, Key, NoteError, Submission, VerifierKey},
    store::{StoreError, StoredCheckpoint, WantedCheckpoint},
    telemetry::{Metrics, WitnessFailure},
};

/// Deadline of one request, of which connecting may take half.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long after a failure: of a log, or of the witness when it does not answer at all.
const RETRY: Duration = Duration::from_secs(5);
/// Requests for one checkpoint: the first may only tell which size the witness knows, and another replica may
/// tell it more meanwhile.
const TRIES: usize = 3;
/// Tries to add to a note. Each fails only because another replica has added a line, of which there are few.
const WRITES: usize = 32;
/// Bytes of an answer at most: some ten lines of signatures.
const MOST_ANSWER: usize = 64 * 1024;

/// A witness, as it is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// What `/add-checkpoint` is put behind.
    pub url: String,
    pub key: VerifierKey,
}

/// What all witnesses share.
pub struct Shared {
    pub prover: Prover,
    pub key: Arc<Key>,
    pub metrics: Arc<Metrics>,
    /// Held while a note is read, changed and written.
    pub notes: Mutex<()>,
}

/// The task of one witness.
pub struct Client {
    target: Target,
    shared: Arc<Shared>,
    http: reqwest::Client,
    logs: BTreeMap<LogName, Log>,
    /// What has been said in the log already.
    said: HashSet<(LogName, WitnessFailure)>,
    /// Not asked before.
    pause: Option<Instant>,
}

/// What is known of a witness and a log.
#[derive(Default)]
struct Log {
    /// Size of the tree that it cosigned last, as far as is known.
    known: u64,
    /// Size of the newest checkpoint that has its cosignature.
    done: u64,
    pause: Option<Instant>,
}

/// Why a checkpoint has no cosignature.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no answer: {0}")]
    Unreachable(String),
    #[error("status {0}: {1}")]
    Refused(StatusCode, String),
    #[error("it has cosigned another tree of {0} events: what it and the store have is forked")]
    Conflict(u64),
    #[error("it has cosigned a tree of {0} events, which is larger")]
    Ahead(u64),
    #[error("its answer is no cosignature: {0}")]
    BadAnswer(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Trouble {
    fn cause(&self) -> WitnessFailure {
        match self {
            Self::Unreachable(_) => WitnessFailure::unreachable,
            Self::Refused(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, _) => WitnessFailure::unknown_log,
            Self::Refused(StatusCode::UNPROCESSABLE_ENTITY, _) => WitnessFailure::not_proved,
            Self::Refused(status, _) if status.is_server_error() => WitnessFailure::unreachable,
            Self::Refused(..) | Self::BadAnswer(_) => WitnessFailure::bad_answer,
            Self::Conflict(_) => WitnessFailure::conflict,
            Self::Ahead(_) => WitnessFailure::ahead,
            Self::Store(_) | Self::Proof(_) | Self::Note(_) => WitnessFailure::store,
        }
    }
}

impl Client {
    /// A client of one witness.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(target: Target, shared: Arc<Shared>) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .connect_timeout(DEADLINE / 2)
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        shared.metrics.checkpoints.witness(target.key.name());
        Ok(Self { target, shared, http, logs: BTreeMap::new(), said: HashSet::new(), pause: None })
    }

    /// Submits every new head, until the signer has ended.
    pub async fn run(mut self, mut newest: watch::Receiver<Newest>) {
        loop {
            let heads = newest.borrow_and_update().clone();
            for (log, signed) in self.open(&heads) {
                if !self.turn(&log, &signed).await {
                    break;
                }
            }
            let next = self.logs.values().filter_map(|log| log.pause).chain(self.pause).min();
            let again = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return },
                () = again => {}
            }
        }
    }

    /// The heads that want a cosignature now.
    fn open(&mut self, newest: &Newest) -> Vec<(LogName, Arc<SignedHead>)> {
        let now = Instant::now();
        self.pause = self.pause.filter(|until| *until > now);
        let mut open = Vec::new();
        for (name, signed) in newest {
            let log = self.logs.entry(name.clone()).or_default();
            log.pause = log.pause.filter(|until| *until > now);
            if self.pause.is_none() && log.pause.is_none() && log.done != signed.head.size {
                open.push((name.clone(), Arc::clone(signed)));
            }
        }
        open
    }

    /// One head's turn. Whether the next one should have its turn.
    async fn turn(&mut self, name: &LogName, signed: &SignedHead) -> bool {
        let witness = self.target.key.name().to_owned();
        match self.cosign(name, signed).await {
            Ok(()) => {
                self.shared.metrics.checkpoints.cosigned(&witness);
                if self.said.iter().any(|(log, _)| log == name) {
                    self.said.retain(|(log, _)| log != name);
                    tracing::info!(witness, log = %name, "the witness cosigns again");
                }
                true
            }
            Err(trouble) => {
                let cause = trouble.cause();
                self.shared.metrics.checkpoints.not_cosigned(&witness, cause);
                if self.said.insert((name.clone(), cause)) {
                    tracing::warn!(witness, url = self.target.url, log = %name, error = %trouble, "a checkpoint was not cosigned");
                }
                let until = Some(Instant::now() + RETRY);
                if cause == WitnessFailure::unreachable {
                    self.pause = until;
                    return false;
                }
                self.logs.entry(name.clone()).or_default().pause = until;
                true
            }
        }
    }

    /// Has a head cosigned, and keeps the lines.
    async fn cosign(&mut self, name: &LogName, signed: &SignedHead) -> Result<(), Trouble> {
        let size = signed.head.size;
        for _ in 0..TRIES {
            let old = self.logs.get(name).map(|log| log.known).unwrap_or_default();
            if old > size {
                // What it knew may be forgotten, by the witness or by its log's owner: ask again the next time.
                self.logs.entry(name.clone()).or_default().known = 0;
                return Err(Trouble::Ahead(old));
            }
            let proof = match old {
                0 => Vec::new(),
                old if old == size => Vec::new(),
                old => self.shared.prover.consistency(name, old, size).await?.hashes,
            };
            let submission = Submission { old, proof, note: signed.note.clone() };
            let (status, answer) = self.post(submission.text()).await?;
            match status {
                StatusCode::OK => {
                    let lines = self.cosignatures(name, signed, &answer)?;
                    self.keep(name, size, &lines).await?;
                    let log = self.logs.entry(name.clone()).or_default();
                    (log.known, log.done, log.pause) = (size, size, None);
                    return Ok(());
                }
                StatusCode::CONFLICT => {
                    let known = Submission::known_size(&answer)
                        .ok_or_else(|| Trouble::BadAnswer(format!("size {:?}", beginning(&answer))))?;
                    if known == old {
                        return Err(Trouble::Conflict(known));
                    }
                    self.logs.entry(name.clone()).or_default().known = known;
                }
                status => return Err(Trouble::Refused(status, beginning(&answer))),
            }
        }
        Err(Trouble::BadAnswer("it knows another size every time".to_owned()))
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String), Trouble> {
        let lost = |error: reqwest::Error| Trouble::Unreachable(chain(&error));
        let url = format!("{}/add-checkpoint", self.target.url);
        let mut answer = self.http.post(url).body(body).send().await.map_err(lost)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_ANSWER {
                return Err(Trouble::BadAnswer(format!("more than {MOST_ANSWER} bytes")));
            }
        }
        Ok((answer.status(), String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The lines of an answer that are cosignatures of the witness's key.
    fn cosignatures(
        &self,
        name: &LogName,
        signed: &SignedHead,
        answer: &str,
    ) -> Result<Vec<String>, Trouble> {
        let wrong = |error: NoteError| Trouble::BadAnswer(error.to_string());
        let note = note::joined(&signed.note, answer.split_inclusive('\n')).map_err(wrong)?;
        let keys = [self.shared.key.verifier(name), self.target.key.clone()];
        let opened = note::open(&note, &keys).map_err(wrong)?;
        let own = opened.signatures.into_iter().filter(|signed| signed.key == self.target.key);
        let lines: Vec<String> = own.map(|signed| signed.line).collect();
        match lines.is_empty() {
            true => Err(Trouble::BadAnswer("not signed by its key".to_owned())),
            false => Ok(lines),
        }
    }

    /// Adds lines to a stored note, unless it has some of the witness. Another replica may do the same at the
    /// same time, so it is read again.
    async fn keep(&self, name: &LogName, size: u64, lines: &[String]) -> Result<(), Trouble> {
        let _alone = self.shared.notes.lock().await;
        let store = &self.shared.prover.store;
        let keys = [self.shared.key.verifier(name), self.target.key.clone()];
        for _ in 0..WRITES {
            // Signed, but not stored yet: the next turn keeps it.
            let stored = store
                .checkpoint(name, WantedCheckpoint::Exactly(size))
                .await?
                .ok_or_else(|| StoreError::Broken("the checkpoint is not stored".into()))?;
            let opened = note::open(&stored.signed_note, &keys)?;
            if opened.signatures.iter().any(|signed| signed.key == self.target.key) {
                return Ok(());
            }
            let signed_note = note::joined(&stored.signed_note, lines.iter().map(String::as_str))?;
            let cosigned = StoredCheckpoint { signed_note, ..stored.clone() };
            if store.replace_checkpoint(name, &cosigned, &stored.signed_note).await? {
                return Ok(());
            }
        }
        Err(StoreError::Locked("others add to this note all the time".into()).into())
    }
}

/// The beginning of a text from a stranger.
fn beginning(text: &str) -> String {
    text.chars().take(200).collect()
}

/// An error with its causes: reqwest's own text has none of them.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
