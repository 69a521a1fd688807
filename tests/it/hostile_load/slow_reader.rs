//! Streams whose clients send batches and never read an ack.
use std::time::Duration;

use chancery::proto::v1::{AppendResult, AppendStreamRequest, AppendStreamResponse, NewEvent};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming, transport::Endpoint};

use super::{Honest, bounded_memory};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, Refusal, from_producer},
    events,
    metrics::{conserved, metrics},
    server::Server,
    stream::Stream,
};

const STREAMS: usize = 12;

/// A client with the smallest windows, so that few acks fit into them.
async fn narrow(server: &Server) -> Audit {
    let endpoint = Endpoint::from_shared(server.url()).expect("a URL");
    let endpoint = endpoint.initial_stream_window_size(16_384).initial_connection_window_size(65_535);
    Audit::new(endpoint.connect().await.expect("a connection")).max_decoding_message_size(usize::MAX)
}

/// Sends batches until the server reads no more of them; all that was offered, and the unread answers.
async fn stuff(server: &Server, number: usize) -> (Vec<Vec<NewEvent>>, Streaming<AppendStreamResponse>) {
    let (sender, receiver) = mpsc::channel(1);
    let request = from_producer("deaf", ReceiverStream::new(receiver));
    let answers = narrow(server).await.append_stream(request).await.expect("a stream").into_inner();
    let mut offered = Vec::new();
    loop {
        let batch: Vec<_> =
            (0..1000).map(|at| events::hold(&format!("{number}.{}.{at}", offered.len()))).collect();
        let request = AppendStreamRequest {
            batch_number: offered.len() as u64 + 1,
            events: batch.clone(),
            ..AppendStreamRequest::default()
        };
        match tokio::time::timeout(Duration::from_secs(5), sender.send(request)).await {
            Ok(Ok(())) => offered.push(batch),
            // Not read any more, or ended already.
            Ok(Err(_)) | Err(_) => return (offered, answers),
        }
    }
}

/// Reads a stream to its end: what was offered, what was acked, and why it ended.
async fn read(
    (offered, mut answers): (Vec<Vec<NewEvent>>, Streaming<AppendStreamResponse>),
) -> (Vec<Vec<NewEvent>>, u64, Option<Refusal>) {
    let mut acked = 0;
    loop {
        match answers.message().await {
            Ok(Some(answer)) => acked = acked.max(answer.acked_through),
            Ok(None) => return (offered, acked, None),
            Err(status) => return (offered, acked, Some(Refusal::of(&status))),
        }
    }
}

#[test]
fn streams_that_never_read_their_acks_take_bounded_memory_and_end() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let honest = Honest::start(&server).await;
            let mut stuffing = Vec::new();
            for number in 0..STREAMS {
                let server = &server;
                stuffing.push(async move { stuff(server, number).await });
            }
            let streams = futures::future::join_all(stuffing).await;
            let cut = "chancery_load_shed_total{cause=\"slow_reader\"}";
            let began = std::time::Instant::now();
            // Those without room wait for the others to be cut off, so it takes a while until all are.
            while metrics(&server).await[cut] == 0.0 {
                assert!(began.elapsed() < Duration::from_secs(90), "{:?}", metrics(&server).await);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            honest.finish().await;
            bounded_memory(&server);
            // Whoever reads at last hears why, and loses nothing by sending everything again.
            let reading = futures::future::join_all(streams.into_iter().map(read));
            let read =
                tokio::time::timeout(Duration::from_secs(120), reading).await.expect("all streams end");
            let (offered, acked, refusal) = read
                .into_iter()
                .find_map(|(offered, acked, end)| Some((offered, acked, end?)))
                .expect("a cut stream");
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "SLOW_READER"));
            assert!(refusal.retry_after.is_some() && !refusal.quotas.is_empty(), "{refusal:?}");
            let mut again = Stream::of(&mut server.audit().await, "deaf").await.expect("a stream");
            again.answer().await.settings.expect("settings");
            // What was acked, and some of what was not.
            for (at, batch) in offered.into_iter().take(acked as usize + 2).enumerate() {
                again.send(at as u64 + 1, batch).await;
                let answer = again.answer().await;
                for result in &answer.results {
                    let duplicate = result.result() == AppendResult::Duplicate;
                    assert!(duplicate || result.result() == AppendResult::Accepted, "{result:?}");
                    assert!(duplicate || answer.acked_through > acked, "an acked event was lost");
                }
            }
            conserved(&server).await;
        });
    }
}
