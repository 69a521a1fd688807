//! A producer on `AppendStream`: several batches in flight, and all that are not acked once more on the
//! next stream.
use std::{collections::VecDeque, time::Duration};

use chancery::proto::v1::{AppendStreamRequest, AppendStreamResponse};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{
    ledger::{Ledger, Sent},
    producers::{Producer, failed},
};
use crate::harness::calls::from_producer;

/// Unacked batches at most; the server's own limit is higher.
const IN_FLIGHT: usize = 4;

/// Sends until it is stopped and everything is acked.
pub async fn run(mut producer: Producer) {
    let mut spool: VecDeque<Vec<Sent>> = VecDeque::new();
    while !(producer.stopped() && spool.is_empty()) {
        if let Err(status) = one_stream(&mut producer, &mut spool).await {
            failed(&producer.ledger, &status).await;
        }
    }
}

/// Sends on one stream until that ends or the spool is empty for good.
async fn one_stream(producer: &mut Producer, spool: &mut VecDeque<Vec<Sent>>) -> Result<(), Status> {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let mut client = producer.client();
    let request = from_producer(&producer.name, ReceiverStream::new(receiver));
    let mut answers = client.append_stream(request).await?.into_inner();
    let mut sent = 0;
    for batch in spool.iter() {
        sent += 1;
        send(&sender, sent, batch).await;
    }
    loop {
        while spool.len() < IN_FLIGHT && !producer.stopped() {
            producer.pause().await;
            let batch = producer.batch();
            sent += 1;
            send(&sender, sent, &batch).await;
            spool.push_back(batch);
        }
        let Some(unacked) = spool.front() else { return Ok(()) };
        let Some(answer) = next(&mut answers, &producer.ledger).await? else { return Ok(()) };
        let expected = sent + 1 - spool.len() as u64;
        if answer.acked_through != expected || answer.results.len() != unacked.len() {
            producer.ledger.wrong(format!("batch {expected} is answered {answer:?}"));
        }
        producer.ledger.tree(answer.tree_size, &answer.root_hash);
        for (sent, result) in unacked.iter().zip(&answer.results) {
            if !producer.ledger.answer(&producer.name, sent, result) {
                producer.ledger.wrong(format!("a stream acks what it did not attempt: {result:?}"));
            }
        }
        spool.pop_front();
    }
}

/// The next ack. `None` when the server has ended the stream in order.
async fn next(
    answers: &mut Streaming<AppendStreamResponse>,
    ledger: &Ledger,
) -> Result<Option<AppendStreamResponse>, Status> {
    loop {
        let answer = timeout(Duration::from_secs(90), answers.message()).await;
        let Some(answer) = answer.map_err(|_| Status::cancelled("no answer on a stream"))?? else {
            return Ok(None);
        };
        if answer.acked_through != 0 {
            return Ok(Some(answer));
        }
        ledger.book().throttled += u64::from(answer.throttle.is_some());
    }
}

async fn send(sender: &mpsc::Sender<AppendStreamRequest>, batch_number: u64, batch: &[Sent]) {
    let events = batch.iter().map(|sent| sent.event.clone()).collect();
    let request = AppendStreamRequest { batch_number, events, ..AppendStreamRequest::default() };
    // When the stream is broken its answers say so.
    let _ = sender.send(request).await;
}
