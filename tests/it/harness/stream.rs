//! An append stream with both of its sides.
use std::time::Duration;

use chancery::proto::v1::{self, AppendStreamRequest, AppendStreamResponse};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::{
    calls::{Audit, from_producer},
    server::Server,
};

type Batches = ReceiverStream<AppendStreamRequest>;

/// A stream with its sending side.
pub struct Stream {
    pub batches: mpsc::Sender<AppendStreamRequest>,
    pub answers: Streaming<AppendStreamResponse>,
}

impl Stream {
    /// Opens a stream on a connection of its own.
    pub async fn open(server: &Server) -> Self {
        Self::with(&mut server.audit().await, Request::new).await.expect("a stream")
    }

    /// Opens a stream in the name of a producer.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn of(audit: &mut Audit, producer: &str) -> Result<Self, Status> {
        Self::with(audit, |batches| from_producer(producer, batches)).await
    }

    /// Opens a stream with a request.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn with(
        audit: &mut Audit,
        request: impl FnOnce(Batches) -> Request<Batches>,
    ) -> Result<Self, Status> {
        let (batches, receiver) = mpsc::channel(64);
        let request = request(ReceiverStream::new(receiver));
        let answers = audit.append_stream(request).await?.into_inner();
        Ok(Self { batches, answers })
    }

    /// Sends a batch for the log of the stream.
    pub async fn send(&self, batch_number: u64, events: Vec<v1::NewEvent>) {
        let batch = AppendStreamRequest { batch_number, events, ..AppendStreamRequest::default() };
        self.batches.send(batch).await.expect("an open stream");
    }

    /// The next answer, or the end of the stream.
    ///
    /// # Errors
    /// Why the stream ended.
    pub async fn next(&mut self) -> Result<Option<AppendStreamResponse>, Status> {
        timeout(Duration::from_secs(30), self.answers.message()).await.expect("an answer in time")
    }

    /// The next answer.
    pub async fn answer(&mut self) -> AppendStreamResponse {
        self.next().await.expect("no error").expect("an answer")
    }
}
