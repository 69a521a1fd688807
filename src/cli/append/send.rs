//! Sends one batch until it is answered for good.
//!
//! Does: retries what may be retried, as long as the server asks for or longer each time; in per-event
//! mode sends again the events that were not attempted. Every event has an id, so a retry after a lost
//! answer is recognised as a duplicate. Does not: report results. Called by: `append::run`.
use std::time::Duration;

use tonic::{Code, Status};

use super::report::Notes;
use crate::{
    cli::{connect::Connection, explain::Explained, failure::connection_lost},
    proto::v1::{AppendMode, AppendRequest, AppendResult, EventResult, NewEvent},
};

/// First wait where the server does not say how long; doubled for each further try.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A server may ask for more than our own longest wait, but not for ever.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(300);

/// How batches are sent.
pub struct Sender<'a> {
    /// The server.
    pub connection: &'a Connection,
    /// The log.
    pub log: &'a str,
    /// What a bad event does to its batch.
    pub mode: AppendMode,
    /// Store nothing.
    pub validate_only: bool,
    /// Retries per batch.
    pub max_retries: u32,
    /// Where retries are announced.
    pub notes: &'a Notes,
}

/// The answer to a batch.
pub enum Sent {
    /// One result per event, in order.
    Judged(Vec<EventResult>),
    /// The call was refused because of events in it; nothing of it is stored.
    Refused(Box<Status>),
}

impl Sender<'_> {
    /// Sends a batch. Fails when retrying did not help or cannot help.
    pub async fn send(&self, events: &[NewEvent]) -> Result<Sent, Box<Status>> {
        let mut results: Vec<EventResult> = Vec::new();
        results.resize_with(events.len(), EventResult::default);
        let mut pending: Vec<usize> = (0..events.len()).collect();
        let mut retries = 0;
        loop {
            let request = AppendRequest {
                log: self.log.to_owned(),
                events: pending.iter().map(|at| events[*at].clone()).collect(),
                mode: self.mode as i32,
                validate_only: self.validate_only,
            };
            let mut client = self.connection.audit();
            let why = match self.connection.unary(client.append(request)).await {
                Ok(answer) => {
                    if answer.results.len() != pending.len() {
                        let text = format!("{} results for {} events", answer.results.len(), pending.len());
                        return Err(Box::new(Status::internal(text)));
                    }
                    let asked = std::mem::take(&mut pending);
                    for (at, result) in asked.into_iter().zip(answer.results) {
                        if result.result == AppendResult::NotAttempted as i32 && result.retryable {
                            pending.push(at);
                        }
                        results[at] = result;
                    }
                    let Some(first) = pending.first() else { return Ok(Sent::Judged(results)) };
                    if retries == self.max_retries {
                        return Ok(Sent::Judged(results));
                    }
                    results[*first].error.as_ref().map_or_else(unexplained, Explained::of_event)
                }
                Err(status) if refuses_events(&status) => return Ok(Sent::Refused(status)),
                Err(status) if may_retry(&status) && retries < self.max_retries => {
                    Explained::of_call(&status)
                }
                Err(status) => return Err(status),
            };
            let wait = wait(retries, why.retry_after);
            retries += 1;
            self.notes.say(&format!(
                "chancery: {why}\nchancery: sending {} events again in {wait:?} (retry {retries} of {})",
                pending.len(),
                self.max_retries,
            ));
            tokio::time::sleep(wait).await;
        }
    }
}

fn unexplained() -> Explained {
    Explained::of_call(&Status::unavailable("events were not attempted"))
}

fn refuses_events(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::AlreadyExists)
}

fn may_retry(status: &Status) -> bool {
    // A call that ran out of time may have been carried out; the ids make asking again safe.
    let code = status.code();
    matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
        || connection_lost(status)
}

fn wait(retries: u32, asked: Option<Duration>) -> Duration {
    match asked {
        Some(asked) => asked.min(LONGEST_ASKED_WAIT),
        None => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(retries)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_decides_how_long_to_wait_and_else_waits_double() {
        assert_eq!(wait(0, Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(wait(0, Some(Duration::MAX)), LONGEST_ASKED_WAIT);
        assert_eq!(wait(2, None), Duration::from_millis(800));
        assert_eq!(wait(u32::MAX, None), LONGEST_WAIT);
    }

    #[test]
    fn what_the_server_has_judged_is_not_sent_again() {
        assert!(may_retry(&Status::resource_exhausted("")) && may_retry(&Status::unavailable("")));
        assert!(!may_retry(&Status::permission_denied("")) && !may_retry(&Status::internal("")));
        assert!(refuses_events(&Status::already_exists("")));
    }
}
