//! Prints a query's stream as it comes, and remembers how far it came.
//!
//! Does: events to the sink, notices to standard error, the resume token on with every message. Does not:
//! judge how the stream ended; `query` does.
use std::time::Duration;

use futures::FutureExt as _;
use tonic::{Status, Streaming};

use crate::{
    cli::{
        failure::Failure,
        interrupt::Interrupt,
        output::{Sink, event::EventRecord, say},
    },
    proto::v1::{QueryResponse, QuerySummary, query_response::Payload},
};

/// After this long without a message, what is buffered is shown; at once when the query has caught up.
const IDLE: Duration = Duration::from_millis(200);
/// Trailing metadata in which a server that ends a slow reader's stream says where it stopped.
const TOKEN_TRAILER: &str = "chancery-resume-token";

/// What has come of a stream so far.
#[derive(Debug, Default)]
pub struct Progress {
    /// Continues after everything that was printed. Empty before the first message.
    pub token: String,
    /// Events printed.
    pub returned: u64,
    /// The last message of a finished query.
    pub summary: Option<QuerySummary>,
    /// With follow: what is printed now comes as it is committed.
    live: bool,
}

/// Why the printing stopped.
#[derive(Debug)]
pub enum Ended {
    /// The server closed the stream, with or without a summary.
    ByServer,
    /// The server, or the way to it, failed.
    Failed(Box<Status>),
    /// Ctrl-C.
    Interrupted,
}

/// Prints events until the stream ends or the command is told to.
pub async fn print(
    mut stream: Streaming<QueryResponse>,
    interrupt: &Interrupt,
    sink: &mut Sink,
    progress: &mut Progress,
) -> Result<Ended, Failure> {
    let mut told = std::pin::pin!(interrupt.told());
    loop {
        let received = tokio::select! {
            biased;
            () = &mut told => return Ok(Ended::Interrupted),
            received = next(&mut stream, sink, progress.live) => received?,
        };
        match received {
            Ok(Some(message)) => progress.take(message, sink)?,
            Ok(None) => return Ok(Ended::ByServer),
            Err(status) => {
                progress.rewind(&status);
                return Ok(Ended::Failed(status));
            }
        }
    }
}

impl Progress {
    fn take(&mut self, message: QueryResponse, sink: &mut Sink) -> Result<(), Failure> {
        match message.payload {
            Some(Payload::Event(event)) => {
                sink.put(&EventRecord(&event))?;
                self.returned += 1;
            }
            Some(Payload::Summary(summary)) => self.summary = Some(summary),
            Some(Payload::CaughtUp(now)) => {
                self.live = true;
                sink.flush()?;
                say(&format!("caught up: all {} positions looked at, waiting for more", now.head_position));
            }
            Some(Payload::FellBehind(now)) => {
                self.live = false;
                sink.flush()?;
                say(&format!(
                    "fell behind: at position {} of {}; what was missed follows",
                    now.position, now.head_position
                ));
            }
            // A checkpoint, or a payload newer than this client: the token moves on.
            Some(Payload::Checkpoint(_)) | None => {}
        }
        self.token = message.resume_token;
        Ok(())
    }

    fn rewind(&mut self, status: &Status) {
        let token = status.metadata().get(TOKEN_TRAILER).and_then(|it| it.to_str().ok());
        if let Some(token) = token.filter(|it| !it.is_empty()) {
            token.clone_into(&mut self.token);
        }
    }
}

/// The next message. While messages are ready no timer is armed: at 100,000 events a second it would show.
async fn next(
    stream: &mut Streaming<QueryResponse>,
    sink: &mut Sink,
    live: bool,
) -> Result<Result<Option<QueryResponse>, Box<Status>>, Failure> {
    let received = match stream.message().now_or_never() {
        Some(received) => received,
        None if live => {
            sink.flush()?;
            stream.message().await
        }
        None => match tokio::time::timeout(IDLE, stream.message()).await {
            Ok(received) => received,
            Err(_) => {
                sink.flush()?;
                stream.message().await
            }
        },
    };
    Ok(received.map_err(Box::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_word_on_where_it_stopped_counts() {
        let mut progress = Progress { token: "seen".to_owned(), ..Progress::default() };
        let mut status = Status::aborted("too slow");
        progress.rewind(&status);
        assert_eq!(progress.token, "seen");
        status.metadata_mut().insert(TOKEN_TRAILER, tonic::metadata::MetadataValue::from_static("sent"));
        progress.rewind(&status);
        assert_eq!(progress.token, "sent");
    }
}
