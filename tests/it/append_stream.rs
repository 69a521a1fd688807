//! AppendStream: settings first, batches in flight, cumulative acks in order with their results, bad
//! events that never end the stream, and unacked batches that end as duplicates on a new stream.
use std::time::Duration;

use chancery::proto::v1::{self, AppendResult, AppendStreamRequest};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on, events, metrics::conserved, server::Server, stream::Stream,
};

fn batch(size: usize) -> Vec<v1::NewEvent> {
    (0..size).map(|at| events::hold(&format!("device-{at}"))).collect()
}

#[test]
fn settings_come_first_and_acks_in_order_with_dense_positions() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut stream = Stream::open(&server).await;
            let settings = stream.answer().await.settings.expect("settings come first");
            assert_eq!(settings.max_batch_events, 1000);
            assert!(settings.max_unacked_batches > 1);
            for number in 7..27 {
                stream.send(number, batch(5)).await;
            }
            let mut next = 0;
            for number in 7..27 {
                let ack = stream.answer().await;
                assert_eq!(ack.acked_through, number, "{kind:?}");
                assert_eq!(ack.results.len(), 5);
                for result in &ack.results {
                    assert_eq!(result.result(), AppendResult::Accepted);
                    assert_eq!(result.position, Some(next));
                    next += 1;
                }
                assert!(ack.tree_size >= next);
            }
            drop(stream.batches);
            let mut answers = stream.answers;
            assert!(answers.message().await.expect("a clean end").is_none());
            conserved(&server).await;
        });
    }
}

#[test]
fn a_bad_event_never_ends_the_stream() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut stream = Stream::open(&server).await;
            stream.answer().await;
            let mut malformed = events::hold("d");
            malformed.event_id = "not a UUID".to_owned();
            let known = events::hold("d");
            let mut reused = events::hold("other");
            reused.event_id.clone_from(&known.event_id);
            stream
                .send(1, vec![known.clone(), events::token("NO_SUCH_TYPE"), malformed, reused, known])
                .await;
            stream.send(2, batch(1001)).await;
            stream.send(3, batch(1)).await;
            let results: Vec<_> = stream.answer().await.results.iter().map(v1::EventResult::result).collect();
            assert_eq!(
                results,
                [
                    AppendResult::Accepted,
                    AppendResult::Quarantined,
                    AppendResult::Rejected,
                    AppendResult::Conflict,
                    AppendResult::Duplicate,
                ]
            );
            let refused = stream.answer().await;
            assert_eq!((refused.acked_through, refused.results.len()), (2, 1001));
            assert!(refused.results.iter().all(|result| result.result() == AppendResult::Rejected));
            let good = stream.answer().await;
            assert_eq!(good.results[0].result(), AppendResult::Accepted);
            assert_eq!(good.results[0].position, Some(1));
            conserved(&server).await;
        });
    }
}

#[test]
fn unacked_batches_sent_again_on_a_new_stream_are_duplicates() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        block_on(async {
            let batches: Vec<_> = (0..50).map(|_| batch(20)).collect();
            let mut stream = Stream::open(&server).await;
            stream.answer().await;
            for (at, batch) in batches.iter().enumerate() {
                stream.send(at as u64 + 1, batch.clone()).await;
            }
            // Some are acked, some are on the way, when the server dies.
            let first = stream.answer().await;
            server.signal("KILL");
            server.wait(Duration::from_secs(10));

            let server = Server::start(&store);
            let mut stream = Stream::open(&server).await;
            stream.answer().await;
            for (at, batch) in batches.iter().enumerate() {
                stream.send(at as u64 + 1, batch.clone()).await;
            }
            let mut positions = Vec::new();
            for at in 0..batches.len() {
                let ack = stream.answer().await;
                if at == 0 {
                    let again: Vec<_> = ack.results.iter().map(|result| result.position).collect();
                    let before: Vec<_> = first.results.iter().map(|result| result.position).collect();
                    assert_eq!(again, before, "an acked event never moves");
                    assert!(ack.results.iter().all(|result| result.result() == AppendResult::Duplicate));
                }
                positions.extend(ack.results.iter().filter_map(|result| result.position));
            }
            positions.sort_unstable();
            assert_eq!(positions, (0..1000).collect::<Vec<_>>(), "{kind:?}: nothing lost, nothing doubled");
            conserved(&server).await;
        });
    }
}

#[test]
fn a_drain_is_announced_and_everything_queued_is_acked() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        block_on(async {
            let mut stream = Stream::open(&server).await;
            stream.answer().await;
            stream.send(1, batch(100)).await;
            assert_eq!(stream.answer().await.acked_through, 1);
            server.signal("TERM");
            let notice = stream.answer().await;
            assert_eq!(notice.drain.expect("a drain notice").reason, "SHUTDOWN");
            assert!(stream.next().await.expect("a clean end").is_none());
            assert_eq!(server.wait(Duration::from_secs(20)).code(), Some(0));
        });
    }
}

#[test]
fn broken_rules_end_the_stream_with_a_reason() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        for (numbers, log, field) in [
            ([0, 0], "", "batch_number"),
            ([1, 3], "", "batch_number"),
            ([2, 2], "", "batch_number"),
            ([1, 2], "other", "log"),
        ] {
            let mut stream = Stream::open(&server).await;
            stream.answer().await;
            for (at, number) in numbers.into_iter().enumerate() {
                let request = AppendStreamRequest {
                    batch_number: number,
                    events: batch(1),
                    log: if at == 0 { String::new() } else { log.to_owned() },
                };
                // The second may meet a stream that has ended already.
                let _ = stream.batches.send(request).await;
            }
            let error = loop {
                match stream.next().await {
                    Ok(Some(ack)) => assert_eq!(ack.acked_through, numbers[0]),
                    Ok(None) => panic!("the stream ended without a reason"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code(), Code::InvalidArgument, "{numbers:?}");
            assert!(error.message().starts_with(field), "{}", error.message());
        }
        conserved(&server).await;
    });
}

#[test]
fn the_server_waits_for_a_store_that_is_away_and_says_so() {
    use sqlx::{Connection as _, Executor as _};
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let mut stream = Stream::open(&server).await;
        stream.answer().await;
        let mut other = sqlx::SqliteConnection::connect(&store.url).await.expect("the database file");
        other.execute("BEGIN IMMEDIATE").await.expect("the write lock");
        stream.send(1, batch(3)).await;
        let throttle = stream.answer().await.throttle.expect("a throttle");
        assert_eq!(throttle.reason, "STORE_UNAVAILABLE");
        assert!(throttle.retry_after.is_some());
        other.execute("ROLLBACK").await.expect("the release");
        let ack = loop {
            let answer = stream.answer().await;
            if answer.throttle.is_none() {
                break answer;
            }
        };
        assert_eq!(ack.acked_through, 1);
        assert!(ack.results.iter().all(|result| result.result() == AppendResult::Accepted));
        conserved(&server).await;
    });
}
