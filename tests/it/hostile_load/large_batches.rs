//! The largest events in the largest batches, more at a time than the server has room for.
use std::collections::BTreeMap;

use chancery::proto::v1::{NewEvent, TokenServerEvent, new_event::Family};
use prost::Message as _;
use tonic::Code;

use super::{Honest, bounded_memory};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, atomic, from_producer},
    events,
    metrics::conserved,
    server::Server,
};

/// An event of almost 64 KiB.
fn large() -> NewEvent {
    let details = (0..8).map(|note| (format!("note {note}"), "x".repeat(8000))).collect();
    let token =
        TokenServerEvent { r#type: "CONSENT_GIVEN".to_owned(), details, ..TokenServerEvent::default() };
    events::event(Family::TokenServer(token))
}

#[test]
fn floods_of_the_largest_batches_take_bounded_memory() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let honest = Honest::start(&server).await;
            let mut calls = Vec::new();
            for connection in 0..3 {
                let audit = server.audit().await;
                for call in 0..20 {
                    let mut audit = audit.clone();
                    calls.push(tokio::spawn(async move {
                        // Every fourth has a thousand of them, and so is above the limit for messages.
                        let events = if call % 4 == 3 { 1000 } else { 60 };
                        let batch = vec![large(); events.min(70)];
                        let mut batch: Vec<_> = batch
                            .into_iter()
                            .map(|event| NewEvent { event_id: events::fresh_id(), ..event })
                            .collect();
                        if events > 70 {
                            batch.extend(std::iter::repeat_n(NewEvent::default(), 930));
                        }
                        let request = atomic(batch);
                        assert_eq!(request.encoded_len() > 4 << 20, events > 70);
                        let producer = format!("hostile-{}", connection % 2);
                        match audit.append(from_producer(&producer, request)).await {
                            Ok(_) => "stored".to_owned(),
                            Err(status) => {
                                let refusal = Refusal::of(&status);
                                let told = refusal.retry_after.is_some();
                                assert_eq!(told, refusal.code == Code::Unavailable, "{refusal:?}");
                                refusal.reason
                            }
                        }
                    }));
                }
            }
            let mut seen = BTreeMap::<_, usize>::new();
            for call in calls {
                *seen.entry(call.await.expect("a call")).or_default() += 1;
            }
            honest.finish().await;
            eprintln!("{kind:?}: {seen:?}");
            assert_eq!(seen["MESSAGE_TOO_LARGE"], 15);
            assert!(seen["stored"] > 0, "{seen:?}");
            let known =
                seen.keys().all(|it| ["stored", "OVERLOADED", "MESSAGE_TOO_LARGE"].contains(&it.as_str()));
            assert!(known, "{seen:?}");
            bounded_memory(&server);
            conserved(&server).await;
        });
    }
}

/// tonic's own buffer would keep the size of the largest message of its stream.
#[test]
fn streams_that_once_had_a_large_batch_take_bounded_memory() {
    use crate::harness::stream::Stream;
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let mut streams = Vec::new();
        for number in 0..60 {
            let producer = format!("exporter-{number}");
            let mut stream = Stream::of(&mut server.audit().await, &producer).await.expect("a stream");
            stream.answer().await.settings.expect("settings");
            let batch = (0..60).map(|_| NewEvent { event_id: events::fresh_id(), ..large() }).collect();
            stream.send(1, batch).await;
            assert_eq!(stream.answer().await.acked_through, 1);
            streams.push(stream);
        }
        bounded_memory(&server);
        conserved(&server).await;
    });
}
