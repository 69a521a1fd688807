//! Callers that go away at any moment: calls given up after so many polls or so many microseconds,
//! connections cut under a call. What they sent is stored once or not at all, and sending it again tells;
//! what others do at the same time is not touched.
use std::{future::poll_fn, task::Poll, time::Duration};

use chancery::proto::v1::{
    AppendStreamRequest, DiscardQuarantinedRequest, GetEventRequest, ListQuarantinedRequest, NewEvent,
    QueryRequest,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::{
    Random, check,
    ledger::{Kind, Ledger, Sent},
    verifier::verify,
};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, append, atomic, from_producer, per_event},
    database::Database,
    events,
    metrics::{fates, metrics},
    server::Server,
};

const CALLERS: usize = 8;
const CALLS: u64 = 40;

/// Polls a future so often at most; then it is dropped.
async fn polled<T>(future: impl Future<Output = T>, mut polls: u64) -> Option<T> {
    let mut future = Box::pin(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Lets a future run for a while that is drawn.
async fn given_up<T>(future: impl Future<Output = T>, random: &mut Random) {
    if random.percent(50) {
        drop(polled(future, random.below(12)).await);
    } else {
        drop(timeout(Duration::from_micros(random.below(8_000)), future).await);
    }
}

/// One connection to a server that can be cut.
async fn relay(server: String) -> (Audit, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let relayed = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(server).await.expect("the server");
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    (Audit::new(Endpoint::from_shared(url).expect("a URL").connect_lazy()), relayed)
}

/// Makes calls and gives them up; everything that was sent.
async fn leave(mut audit: Audit, server: String, name: String, mut random: Random) -> Vec<NewEvent> {
    let mut sent = Vec::new();
    for _ in 0..CALLS {
        let batch: Vec<_> = (0..random.below(5) + 1).map(|_| events::hold("device-1")).collect();
        sent.extend(batch.clone());
        match random.below(4) {
            0 => given_up(audit.append(from_producer(&name, atomic(batch))), &mut random).await,
            1 => given_up(audit.append(from_producer(&name, per_event(batch))), &mut random).await,
            2 => {
                let (mut audit, relayed) = relay(server.clone()).await;
                let call = audit.append(from_producer(&name, atomic(batch)));
                given_up(call, &mut random).await;
                relayed.abort();
            }
            _ => {
                let (sender, receiver) = mpsc::channel(8);
                for (at, event) in batch.into_iter().enumerate() {
                    let request = AppendStreamRequest {
                        batch_number: at as u64 + 1,
                        events: vec![event],
                        ..AppendStreamRequest::default()
                    };
                    sender.send(request).await.expect("room");
                }
                // The server ends the stream when it has acked everything.
                drop(sender);
                let stream = async {
                    let request = from_producer(&name, ReceiverStream::new(receiver));
                    let mut acks = audit.append_stream(request).await.expect("a stream").into_inner();
                    while acks.message().await.is_ok_and(|ack| ack.is_some()) {}
                };
                given_up(stream, &mut random).await;
            }
        }
    }
    sent
}

#[test]
fn what_callers_leave_behind_is_stored_once_or_not_at_all() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let mut random = Random::of("cancelled");
        let ledger = Ledger::new();
        block_on(async {
            let mut leavers = Vec::new();
            for caller in 0..CALLERS {
                let (audit, name) = (server.audit().await, format!("leaver-{caller}"));
                let leaver = leave(audit, server.address.clone(), name.clone(), random.branch());
                leavers.push((name, tokio::spawn(leaver)));
            }
            let mut audit = server.audit().await;
            let (mut sent, mut duplicates) = (0, 0);
            for (name, leaver) in leavers {
                let all = leaver.await.expect("a leaver");
                for batch in all.chunks(100) {
                    sent += batch.len();
                    let answer = append(&mut audit, from_producer(&name, per_event(batch.to_vec()))).await;
                    for (event, result) in batch.iter().zip(&answer.results) {
                        duplicates +=
                            usize::from(result.result() == chancery::proto::v1::AppendResult::Duplicate);
                        let event = Sent { kind: Kind::Good, event: event.clone() };
                        assert!(ledger.answer(&name, &event, result), "{result:?}");
                    }
                }
            }
            assert!(duplicates > 0 && duplicates < sent, "{duplicates} of {sent} had arrived");
            check(format!("{kind:?}"), &verify(&server, &store, &ledger, &mut random).await);
            let samples = metrics(&server).await;
            let (_, fates) = fates(&samples);
            assert!(fates.contains_key("unanswered"), "{kind:?}: nobody went away in time");
        });
    }
}

#[test]
fn requests_that_are_given_up_take_no_discard_with_them() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        let mut random = Random::of("discards");
        block_on(async {
            let mut audit = server.audit().await;
            let refused: Vec<_> = (0..CALLS).map(|_| events::token("NO_SUCH_TYPE")).collect();
            append(&mut audit, per_event(refused)).await;
            let mut quarantine = server.quarantine().await;
            let list = quarantine.list_quarantined(ListQuarantinedRequest::default()).await;
            let mut list = list.expect("a list").into_inner();
            let mut ids = Vec::new();
            while let Some(row) = list.message().await.expect("a row") {
                ids.push(row.event.expect("an event").id);
            }
            let mut discarded = 0;
            for id in ids {
                for _ in 0..10 {
                    given_up(audit.query(QueryRequest::default()), &mut random).await;
                    let get = GetEventRequest { position: Some(0), ..GetEventRequest::default() };
                    given_up(audit.get_event(get), &mut random).await;
                    let list = quarantine.list_quarantined(ListQuarantinedRequest::default());
                    given_up(list, &mut random).await;
                }
                let request = DiscardQuarantinedRequest {
                    ids: vec![id],
                    reason: "a test".to_owned(),
                    ..Default::default()
                };
                if random.percent(30) {
                    given_up(quarantine.discard_quarantined(request.clone()), &mut random).await;
                }
                quarantine.discard_quarantined(request).await.expect("a discard");
                discarded += 1;
            }
            // What only a connection of the server knows goes with it.
            server.signal("KILL");
            server.wait(Duration::from_secs(10));
            let query = "SELECT count(*) FROM quarantine WHERE discarded_at IS NOT NULL";
            assert_eq!(Database::open(&store).await.number(query).await, discarded, "{kind:?}");
        });
    }
}
