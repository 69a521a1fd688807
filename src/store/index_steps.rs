//! The steps of merging runs and of clearing them away: when a step is still the next one, and what it writes, for
//! both databases. Each brings its statements. Callers: `{postgres,sqlite}::index_write`.
use async_trait::async_trait;

use super::{LogName, StoreError};
use crate::index::{
    Kind, Row,
    chores::{Chore, RunId, State},
    run,
};

/// What a step of tidying is made of, inside of a transaction.
#[async_trait]
pub(super) trait RunWrites: Send {
    /// Runs a statement that begins or ends a transaction.
    async fn run(&mut self, statement: &'static str) -> Result<(), StoreError>;
    /// A run's state and progress, when there is such a run.
    async fn state(&mut self, log: &LogName, run: RunId) -> Result<Option<(State, u64)>, StoreError>;
    /// Changes both.
    async fn set(&mut self, log: &LogName, run: RunId, state: State, progress: u64)
    -> Result<(), StoreError>;
    /// Adds a run.
    async fn make(&mut self, log: &LogName, run: RunId, state: State) -> Result<(), StoreError>;
    /// Adds rows of a run.
    async fn add_rows(&mut self, log: &LogName, run: RunId, rows: &[Row]) -> Result<(), StoreError>;
    /// Deletes the rows of a run with keys from the first to the last.
    async fn clear(
        &mut self,
        log: &LogName,
        run: RunId,
        kind: Kind,
        keys: (u64, u64),
    ) -> Result<(), StoreError>;
    /// Deletes a run, whose rows are gone.
    async fn remove(&mut self, log: &LogName, run: RunId) -> Result<(), StoreError>;

    /// Does a step, unless it is not the next one any more.
    async fn step(&mut self, log: &LogName, chore: &Chore, rows: &[Row]) -> Result<bool, StoreError> {
        match chore {
            Chore::Merge { parent, child_level, children, buckets, last } => {
                match self.state(log, *parent).await? {
                    None if buckets.start == 0 => self.make(log, *parent, State::Building).await?,
                    Some((State::Building, progress)) if progress == buckets.start => {}
                    _ => return Ok(false),
                }
                self.add_rows(log, *parent, rows).await?;
                let (state, progress) = if *last { (State::Live, 0) } else { (State::Building, buckets.end) };
                self.set(log, *parent, state, progress).await?;
                for first in children.iter().filter(|_| *last) {
                    self.set(log, RunId { level: *child_level, first: *first }, State::Gone, 0).await?;
                }
            }
            Chore::Clear { run, buckets, last } => {
                if self.state(log, *run).await? != Some((State::Gone, buckets.start)) {
                    return Ok(false);
                }
                let numbers = (buckets.start, buckets.end.saturating_sub(1));
                self.clear(log, *run, Kind::Bucket, numbers).await?;
                self.clear(log, *run, Kind::Term, run::terms(run.level, buckets)).await?;
                if *last {
                    self.remove(log, *run).await?;
                } else {
                    self.set(log, *run, State::Gone, buckets.end).await?;
                }
            }
        }
        Ok(true)
    }

    /// Ends the transaction, whatever became of it.
    async fn end(&mut self, done: Result<bool, StoreError>) -> Result<bool, StoreError> {
        let ended = match &done {
            Ok(true) => self.run("COMMIT").await,
            Ok(false) => self.run("ROLLBACK").await,
            Err(_) => Ok(()),
        };
        if done.is_err() || ended.is_err() {
            // It may be over already.
            let _ = self.run("ROLLBACK").await;
        }
        ended.and(done)
    }
}
