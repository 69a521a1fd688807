//! Numbers that a producer skips are gaps until they arrive, in whatever order, through whichever replica.
use chancery::proto::v1::{GetProducerResponse, NewEvent};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Audit, append, from_producer, per_event},
    events::{hold, token},
    producers::{Producers, assert_exact, batch, gaps, get, numbered},
    server::Server,
};

/// Appends events with these numbers of the epoch that has none, in one call.
async fn send(audit: &mut Audit, numbers: &[u64]) {
    let events = numbers.iter().map(|number| numbered(hold("x"), None, *number));
    append(audit, batch("p", events.collect())).await;
}

/// Missing numbers and gaps; those of the producer and of its only epoch are the same.
async fn told(producers: &mut Producers) -> (GetProducerResponse, u64, Vec<(u64, u64, u64)>) {
    let answer = get(producers, "p").await;
    let producer = answer.producer.as_ref().expect("a producer");
    let (missing, count) = (producer.missing_sequences, producer.gap_count);
    assert_eq!(answer.epochs.iter().map(|epoch| epoch.missing_sequences).sum::<u64>(), missing);
    assert_eq!(answer.epochs.iter().map(|epoch| epoch.gap_count).sum::<u64>(), count);
    let gaps = gaps(&answer);
    assert_eq!((gaps.iter().map(|(_, from, to)| to - from + 1).sum(), gaps.len() as u64), (missing, count));
    (answer, missing, gaps)
}

#[test]
fn a_gap_opens_shrinks_splits_and_closes() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            // Not from 0: what came before the first number is not known, so it is not missing.
            send(&mut audit, &[100, 101]).await;
            assert_eq!(told(&mut producers).await.2, []);
            send(&mut audit, &[110]).await;
            let (answer, missing, gaps) = told(&mut producers).await;
            assert_eq!((missing, gaps), (8, vec![(0, 102, 109)]));
            let noticed = answer.gaps[0].seen_at;
            assert_eq!(noticed, answer.epochs[0].last_seen);
            for (numbers, expected) in [
                // Its first, its last, one in the middle.
                (vec![102], vec![(0, 103, 109)]),
                (vec![109], vec![(0, 103, 108)]),
                (vec![105], vec![(0, 103, 104), (0, 106, 108)]),
                // Both pieces at once, one of them whole; and a new gap above.
                (vec![104, 103, 107, 120], vec![(0, 106, 106), (0, 108, 108), (0, 111, 119)]),
            ] {
                send(&mut audit, &numbers).await;
                let (answer, _, gaps) = told(&mut producers).await;
                assert_eq!(gaps, expected, "{kind:?} {numbers:?}");
                // What is left of a gap was noticed when the gap was.
                assert_eq!(answer.gaps.last().expect("a gap").seen_at, noticed);
                assert_exact(&store).await;
            }
            send(&mut audit, &[119, 118, 117, 116, 115, 114, 113, 112, 111, 108, 106]).await;
            let (answer, missing, gaps) = told(&mut producers).await;
            assert_eq!((missing, gaps), (0, Vec::new()));
            let epoch = &answer.epochs[0];
            assert_eq!((epoch.first_sequence, epoch.last_sequence), (100, 120));
            assert_eq!((epoch.seen_sequences, epoch.repeated_events), (21, 0));
            assert_exact(&store).await;
        });
    }
}

#[test]
fn epochs_are_numbered_apart_and_repeats_are_counted() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            let of = |epoch, numbers: &[u64]| -> Vec<NewEvent> {
                numbers.iter().map(|number| numbered(hold("x"), epoch, *number)).collect()
            };
            let first = of(None, &[1, 2, 4]);
            append(&mut audit, batch("p", first.clone())).await;
            // Epoch 0 is the epoch of those that name none.
            append(&mut audit, batch("p", [of(Some(0), &[4, 5]), of(Some(7), &[900, 903])].concat())).await;
            // A duplicate is no repeat; another event with the same number is.
            append(&mut audit, batch("p", first)).await;
            append(&mut audit, batch("p", of(None, &[2, 2, 6]))).await;
            let (answer, missing, gaps) = told(&mut producers).await;
            assert_eq!((missing, gaps), (3, vec![(0, 3, 3), (7, 901, 902)]));
            let epochs: Vec<_> = answer
                .epochs
                .iter()
                .map(|it| {
                    (it.epoch, it.first_sequence, it.last_sequence, it.seen_sequences, it.repeated_events)
                })
                .collect();
            assert_eq!(epochs, [(7, 900, 903, 2, 0), (0, 1, 6, 5, 3)]);
            // The same numbers of another producer, and in another log, are not these.
            append(&mut audit, batch("q", of(None, &[3]))).await;
            let other =
                chancery::proto::v1::AppendRequest { log: "other".to_owned(), ..per_event(of(None, &[3])) };
            append(&mut audit, from_producer("p", other)).await;
            assert_eq!(told(&mut producers).await.1, 3);
            assert_exact(&store).await;
        });
    }
}

#[test]
fn quarantined_events_have_numbers_and_rejected_ones_do_not() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            let bad = numbered(token("NO_SUCH_TYPE"), None, 2);
            let rejected = NewEvent { occurred_at: None, ..numbered(hold("x"), None, 4) };
            let events = vec![
                numbered(hold("x"), None, 1),
                bad.clone(),
                numbered(hold("x"), None, 3),
                rejected,
                numbered(hold("x"), None, 5),
            ];
            append(&mut audit, batch("p", events)).await;
            assert_eq!(told(&mut producers).await.2, [(0, 4, 4)]);
            append(&mut audit, batch("p", vec![bad.clone(), bad])).await;
            let (answer, ..) = told(&mut producers).await;
            assert_eq!((answer.epochs[0].seen_sequences, answer.epochs[0].repeated_events), (4, 0));
            let counted = answer.producer.expect("a producer");
            assert_eq!((counted.events, counted.quarantined_events), (3, 1));
            assert_exact(&store).await;
        });
    }
}

/// More gaps than are shown, and numbers as large as they may be, whose sum is larger than either database
/// can add up.
#[test]
fn many_gaps_and_large_numbers_are_counted() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            for call in 0..2_u64 {
                let numbers: Vec<_> = (0..900).map(|at| (call * 900 + at) * 2).collect();
                send(&mut audit, &numbers).await;
            }
            let answer = get(&mut producers, "p").await;
            let producer = answer.producer.as_ref().expect("a producer");
            assert_eq!((producer.missing_sequences, producer.gap_count), (1_799, 1_799));
            assert_eq!((answer.gaps.len(), gaps(&answer)[999]), (1_000, (0, 3_597, 3_597)));
            // Late ones far apart.
            send(&mut audit, &[1, 1_001, 3_597]).await;
            assert_eq!(get(&mut producers, "p").await.producer.expect("a producer").gap_count, 1_796);
            assert_exact(&store).await;

            const MOST: u64 = i64::MAX as u64;
            let huge =
                (1..=3).flat_map(|epoch| [0, MOST].map(|number| numbered(hold("x"), Some(epoch), number)));
            append(&mut audit, batch("huge", huge.collect())).await;
            let answer = get(&mut producers, "huge").await;
            assert_eq!(answer.producer.expect("a producer").missing_sequences, u64::MAX);
            assert_eq!(answer.epochs[0].missing_sequences, MOST - 1);
        });
    }
}

#[test]
fn one_numbering_over_two_replicas() {
    let store = TestStore::new(Kind::Postgres);
    let servers = [Server::start(&store), Server::start(&store)];
    block_on(async {
        let mut senders = Vec::new();
        for sender in 0..4_u64 {
            let mut audit = servers[usize::try_from(sender % 2).expect("small")].audit().await;
            senders.push(tokio::spawn(async move {
                // Every fourth number, but none that ends in 7.
                let numbers: Vec<_> = (0..400).map(|at| at * 4 + sender).filter(|it| it % 10 != 7).collect();
                for few in numbers.chunks(5) {
                    send(&mut audit, few).await;
                }
            }));
        }
        for sender in senders {
            sender.await.expect("a sender");
        }
        let mut producers = servers[0].producers().await;
        let (answer, missing, gaps) = told(&mut producers).await;
        let expected: Vec<_> = (0..160).map(|ten| (0, ten * 10 + 7, ten * 10 + 7)).collect();
        assert_eq!((missing, gaps), (160, expected));
        assert_eq!((answer.epochs[0].seen_sequences, answer.epochs[0].repeated_events), (1_440, 0));
        assert_exact(&store).await;
    });
}
