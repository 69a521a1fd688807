//! Builds the indexes of all logs, behind the appends: whole segments one after the other, then the merges
//! that are due. Every step is one short transaction of its own connection, so it can end at any moment and
//! go on later, here or on another replica. Appends neither wait for it nor know of it; what is not indexed
//! yet is scanned by whoever asks. Called by: `app`, which owns the task.
use std::{mem, sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    event::LogName,
    index::{
        Row, Shape,
        chores::{self, Chore},
        run,
        segment::Collector,
    },
    store::{Behind, IndexWriter, Store, StoreError},
    telemetry::Metrics,
};

/// How long nothing is looked for after nothing was to do: the unindexed tail of a log is at most a segment
/// and what is appended in this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// How often all logs are looked through for runs that a crash or another replica has left to merge.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);
/// Logs of one pass. Each gets one segment, then the next pass asks again.
const LOGS: u32 = 64;
/// Events that are read at a time: the largest are 64 KiB, so 64 MiB at the very worst, and mostly 0.5 MiB.
const EVENTS: u32 = 1024;
/// Steps of tidying a log before the next log has its turn.
const STEPS: usize = 16;

/// The builder of indexes.
pub struct Indexer {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    shape: Shape,
    writer: Option<Box<dyn IndexWriter>>,
    tidied: Option<Instant>,
}

impl Indexer {
    /// For every log of a store.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, shape: Shape) -> Self {
        Self { store, metrics, shape, writer: None, tidied: None }
    }

    /// Indexes until it is stopped, which takes as long as one step.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            let pause = match self.pass(&stop).await {
                Ok(worked) => {
                    if mem::take(&mut failing) {
                        tracing::info!("indexing goes on");
                    }
                    if worked { Duration::ZERO } else { INTERVAL }
                }
                Err(error) => {
                    // The next try begins with a new connection.
                    self.writer = None;
                    if !mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "indexing has stopped, queries scan what is missing");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One segment of every log that has one, and the merges that follow. Whether there was anything to do.
    ///
    /// # Errors
    /// The store failed; what was done until then stays.
    pub async fn pass(&mut self, stop: &CancellationToken) -> Result<bool, StoreError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.store.index_writer().await?,
        };
        let mut worked = false;
        for behind in writer.behind(self.shape.segment_size(), LOGS).await? {
            if stop.is_cancelled() {
                break;
            }
            if segment(self.shape, writer.as_mut(), &behind).await? {
                worked = true;
                self.metrics.chores.segment_indexed();
                tidy(self.shape, writer.as_mut(), &behind.log).await?;
            }
        }
        if self.tidied.is_none_or(|at| at.elapsed() >= TIDY_INTERVAL) {
            let mut left = false;
            for log in writer.untidy(1 << self.shape.fan_out, u32::MAX).await? {
                if stop.is_cancelled() {
                    break;
                }
                left |= tidy(self.shape, writer.as_mut(), &log).await?;
            }
            // A log with more to do than one turn has it in the next pass.
            self.tidied = (!left).then(Instant::now);
            worked |= left;
        }
        self.metrics.chores.unindexed(writer.most_behind().await?);
        self.writer = Some(writer);
        Ok(worked)
    }
}

/// Indexes the next segment of a log.
async fn segment(shape: Shape, writer: &mut dyn IndexWriter, behind: &Behind) -> Result<bool, StoreError> {
    let Behind { log, head, .. } = behind;
    let Some(first) = writer.claim(log).await? else { return Ok(false) };
    let end = first.saturating_add(shape.segment_size());
    if end > *head {
        writer.release().await?;
        return Ok(false);
    }
    let mut collector = Collector::new(shape.segment, first);
    let (mut next, mut found) = (first, 0);
    while next < end {
        let events = writer.events(log, next..end, EVENTS).await?;
        found += events.len() as u64;
        // Fewer than asked for: those were all.
        let last = events.last().filter(|_| events.len() == EVENTS as usize);
        next = last.map_or(end, |(last, _)| last + 1);
        collector = apart(move || {
            events.into_iter().for_each(|(position, event)| collector.add(position, event));
            collector
        })
        .await?;
    }
    if found != end - first {
        // Retention removes only what is indexed. Taken for empty, what is not seen now would never be found.
        tracing::error!(%log, first, found, "events are missing, and the log is not indexed any further");
        writer.release().await?;
        return Ok(false);
    }
    let segment = apart(move || collector.finish()).await?;
    writer.add(log, &segment).await
}

/// Merges and clears away, for one turn. Whether there is more to do.
async fn tidy(shape: Shape, writer: &mut dyn IndexWriter, log: &LogName) -> Result<bool, StoreError> {
    for _ in 0..STEPS {
        if writer.claim(log).await?.is_none() {
            return Ok(false);
        }
        let runs = writer.runs(log).await?;
        let Some(chore) = chores::next(shape, &runs) else {
            writer.release().await?;
            return Ok(false);
        };
        let rows = match &chore {
            Chore::Merge { parent, child_level, children, buckets, .. } => {
                let rows = writer.slice(log, *child_level, children, buckets).await?;
                let (parent, child) = (*parent, *child_level);
                let merged = apart(move || {
                    let mut children: Vec<(u32, Vec<Row>)> =
                        (0..1 << (parent.level - child)).map(|number| (number, Vec::new())).collect();
                    for (first, row) in rows {
                        let number = usize::try_from((first - parent.first) >> child).unwrap_or(usize::MAX);
                        if let Some((_, rows)) = children.get_mut(number) {
                            rows.push(row);
                        }
                    }
                    run::merge(parent.level, child, &children)
                });
                match merged.await? {
                    Ok(rows) => rows,
                    Err(damaged) => {
                        // Its smaller runs stay, which look-ups can do with. Other logs must not wait for it.
                        tracing::error!(%log, level = child, first = parent.first, %damaged, "runs are not merged");
                        writer.release().await?;
                        return Ok(false);
                    }
                }
            }
            Chore::Clear { .. } => Vec::new(),
        };
        if !writer.tidy(log, &chore, &rows).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does work that takes the processor some ten milliseconds where it holds up nobody.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    spawn_blocking(work).await.map_err(|error| StoreError::Broken(error.into()))
}
