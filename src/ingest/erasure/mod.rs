//! Erasure of a person's values: told in the log first, then done, batch by batch, up to where it was told.
//!
//! A request is kept until it is done, with how far it is, so that one that was interrupted anywhere goes on when it is
//! made again. A batch is one transaction: events, the content hashes of their keys, their places in the index, and
//! the progress. Until it commits everything is as it was, and afterwards nothing of it is found any more.
//! `index` is what it does to the index, `quarantine` counts what it leaves there. Caller: `grpc::admin`.
mod index;
pub mod quarantine;

use std::{sync::Arc, time::Duration};

use index::Probes;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use super::own::OwnError;
use super::{
    Ingest,
    own::{self, OwnEvent},
};
use crate::{
    catalog::Catalog,
    clock::Clock,
    event::{
        LogName, Producer,
        person::{Without, without},
    },
    query::{Order, pages::Pages, predicate::Predicate},
    store::{ErasedEvent, Eraser, ErasureCounts, ErasureRequest, PageStart, Store, StoreError, StoredEvent},
};

/// Events of one transaction. The indexes of the log and, on SQLite, appends wait for it: some 50 ms.
const BATCH: u32 = 32;
/// How long one call works. Its caller calls again, and waits for no answer longer than for any other call.
const TURN: Duration = Duration::from_secs(10);
/// How long the builder of the index is waited for: it holds on to a log for about a second at a time.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

/// What is asked for.
pub struct Request {
    pub log: LogName,
    pub subject: String,
    pub reason: String,
    pub request_id: Uuid,
    pub requested_by: Producer,
}

/// What has been done, over all calls of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    pub counts: ErasureCounts,
    /// Of the event that tells of it.
    pub position: Option<u64>,
    /// Everything below has been looked at.
    pub next: u64,
    pub complete: bool,
}

/// Why an erasure has not been done. What was done stays done.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event that tells of it is not in the log, so nothing was erased.
    #[error(transparent)]
    NotTold(#[from] OwnError),
    /// The id is that of a request for another person or with another reason.
    #[error("the request id is taken")]
    RequestIdReused,
    /// These legal holds are on the log.
    #[error("legal holds are on the log")]
    Held(Vec<Uuid>),
}

/// What erasing takes.
pub struct Erasing {
    pub store: Arc<dyn Store>,
    pub ingest: Arc<Ingest>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
}

impl Erasing {
    /// Does what is asked for, or a turn of it.
    ///
    /// # Errors
    /// Why not.
    pub async fn erase(&self, asked: Request) -> Result<Done, EraseError> {
        self.not_held(&asked.log).await?;
        let proposed = ErasureRequest {
            log: asked.log.clone(),
            request_id: asked.request_id,
            subject: Some(asked.subject.clone()),
            reason: asked.reason.clone(),
            position: None,
            next: 0,
            counts: ErasureCounts::default(),
        };
        let mut request = self.store.erasure(&proposed).await?;
        let other = request.subject.as_ref().is_some_and(|subject| *subject != asked.subject);
        if other || request.reason != asked.reason {
            return Err(EraseError::RequestIdReused);
        }
        if request.subject.is_none() {
            return Ok(done(&request, true));
        }
        let position = match request.position {
            Some(position) => position,
            None => self.tell(&asked).await?,
        };
        request.position = Some(position);
        let until = Instant::now() + TURN;
        let mut eraser = Erasers { eraser: self.store.eraser().await?, probes: Probes::default() };
        while request.next < position && Instant::now() < until {
            let turn = self.turn(&mut eraser, &mut request, &asked.subject, position, until).await;
            // What was erased must not be found, whatever becomes of the rest.
            let whole = matches!(turn, Ok(()) | Err(EraseError::Held(_)));
            if whole && (turn.is_err() || request.next >= position || Instant::now() >= until) {
                self.finish(&mut eraser, &asked.log).await?;
            }
            turn?;
        }
        if request.next < position {
            return Ok(done(&request, false));
        }
        self.store.erasure_done(&asked.log, asked.request_id).await?;
        Ok(done(&request, true))
    }

    /// What an erasure would do now, as far as one call gets.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn dry_run(&self, log: &LogName, subject: &str) -> Result<Done, EraseError> {
        self.not_held(log).await?;
        let head = self.store.extent(log).await?.size;
        let until = Instant::now() + TURN;
        let mut pages = self.pages(log, subject);
        let mut seen = Done { counts: ErasureCounts::default(), position: None, next: 0, complete: false };
        while !seen.complete && Instant::now() < until {
            let page = pages.next(PageStart::From(seen.next), head, BATCH).await?;
            for event in &page.events {
                add(&mut seen.counts, &self.without(event, subject)?);
            }
            seen.complete = page.complete;
            seen.next = match page.next {
                PageStart::From(next) if !page.complete => next,
                _ => head,
            };
        }
        Ok(seen)
    }

    /// Whether anything of the log may go.
    async fn not_held(&self, log: &LogName) -> Result<(), EraseError> {
        let holds = self.store.holds(log).await?;
        let held: Vec<Uuid> =
            holds.iter().filter(|hold| hold.released.is_none()).map(|hold| hold.id).collect();
        if held.is_empty() { Ok(()) } else { Err(EraseError::Held(held)) }
    }

    /// Has the log tell of the erasure. The id of the event is that of the request, so that it does once.
    async fn tell(&self, asked: &Request) -> Result<u64, EraseError> {
        let details = [
            ("request_id", asked.request_id.to_string()),
            ("requested_by", asked.requested_by.as_str().to_owned()),
            ("reason", asked.reason.clone()),
        ];
        let event = OwnEvent {
            event_id: asked.request_id,
            r#type: "SUBJECT_ERASED",
            details: details.map(|(key, value)| (key.to_owned(), value)).into(),
        };
        let position =
            own::append(&self.ingest, &self.catalog, self.clock.as_ref(), &asked.log, event).await?;
        self.store.erasure_told(&asked.log, asked.request_id, position).await?;
        Ok(position)
    }

    /// The events that hold a person's name anywhere, as a part of other words too: `event::person` decides. No
    /// index answers that, so the log is read through.
    fn pages(&self, log: &LogName, subject: &str) -> Pages {
        let predicate = Predicate::Contains(subject.to_owned());
        Pages::new(Arc::clone(&self.store), log.clone(), predicate, Order::PositionAsc)
    }

    fn without(&self, event: &StoredEvent, subject: &str) -> Result<Without, StoreError> {
        without(&self.catalog, &event.record, &event.personal, subject).map_err(|error| {
            StoreError::Broken(format!("the event at position {}: {error}", event.position).into())
        })
    }

    /// Page after page, until the time is over, or somebody else has been at the same events and they are to be read
    /// anew.
    async fn turn(
        &self,
        eraser: &mut Erasers,
        request: &mut ErasureRequest,
        subject: &str,
        position: u64,
        until: Instant,
    ) -> Result<(), EraseError> {
        let mut pages = self.pages(&request.log, subject);
        let mut seen = request.next;
        while request.next < position {
            let page = pages.next(PageStart::From(seen), position, BATCH).await?;
            let next = match page.next {
                PageStart::From(next) if !page.complete => next,
                _ => position,
            };
            let (mut counts, mut events) = (ErasureCounts::default(), Vec::new());
            for event in page.events {
                let mut without = self.without(&event, subject)?;
                add(&mut counts, &without);
                if let Some(personal) = without.personal.take() {
                    events.push((event, personal, without));
                }
            }
            let over = Instant::now() >= until;
            // Nothing to write yet: most of a log is not about the person.
            if events.is_empty() && counts == ErasureCounts::default() && next < position && !over {
                seen = next;
                continue;
            }
            if !self.commit(eraser, request, events, next, counts).await? {
                *request = self.store.erasure(request).await?;
                return Ok(());
            }
            (request.next, seen) = (next, next);
            request.counts.events += counts.events;
            request.counts.values += counts.values;
            request.counts.not_erasable += counts.not_erasable;
            if over {
                break;
            }
        }
        Ok(())
    }

    /// One transaction. `false`: somebody else has changed what it would write, so nothing is written.
    async fn commit(
        &self,
        Erasers { eraser, probes }: &mut Erasers,
        request: &ErasureRequest,
        events: Vec<(StoredEvent, Vec<u8>, Without)>,
        next: u64,
        counts: ErasureCounts,
    ) -> Result<bool, EraseError> {
        let eraser = eraser.as_mut();
        begin(eraser, &request.log).await?;
        if let Err(held) = self.not_held(&request.log).await {
            eraser.rollback().await?;
            return Err(held);
        }
        let changes = events.iter().map(|(event, _, left)| (event.position, &left.before, &left.after));
        index::forget(eraser, &request.log, probes, changes).await?;
        let events: Result<Vec<_>, StoreError> =
            events.into_iter().map(|(event, personal, left)| erased(event, personal, left)).collect();
        let written = eraser.write(request, &events?, next, counts).await?;
        if written {
            eraser.commit().await?
        } else {
            eraser.rollback().await?;
            probes.forget();
        }
        Ok(written)
    }

    /// Ends the search for terms that may be nobody's, each transaction of which is as short as a batch.
    async fn finish(
        &self,
        Erasers { eraser, probes }: &mut Erasers,
        log: &LogName,
    ) -> Result<(), EraseError> {
        while probes.are_open() {
            begin(eraser.as_mut(), log).await?;
            index::finish(eraser.as_mut(), log, probes).await?;
            eraser.commit().await?;
        }
        Ok(())
    }
}

/// What one call writes with.
struct Erasers {
    eraser: Box<dyn Eraser>,
    probes: Probes,
}

/// Begins a transaction, once the index of the log is free.
async fn begin(eraser: &mut dyn Eraser, log: &LogName) -> Result<(), StoreError> {
    let patience = Instant::now() + PATIENCE;
    while !eraser.begin(log).await? {
        if Instant::now() >= patience {
            let why = "the index of the log is being built and does not come free";
            return Err(StoreError::Locked(why.into()));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

fn erased(event: StoredEvent, personal: Vec<u8>, left: Without) -> Result<ErasedEvent, StoreError> {
    let event_id =
        Uuid::try_parse(&left.event_id).map_err(|error| StoreError::Broken(error.to_string().into()))?;
    Ok(ErasedEvent {
        position: event.position,
        producer: left.producer,
        event_id,
        before: event.personal,
        personal,
        columns: left.after,
    })
}

fn add(counts: &mut ErasureCounts, without: &Without) {
    counts.events += u64::from(without.values > 0);
    counts.values += without.values;
    counts.not_erasable += u64::from(without.still_named);
}

const fn done(request: &ErasureRequest, complete: bool) -> Done {
    Done { counts: request.counts, position: request.position, next: request.next, complete }
}
