//! What `ProducerService` says of a producer is what Query and the quarantine show of it, to the event; who
//! is silent is found; and the metrics tell the same on every replica.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chancery::proto::v1::{
    AppendRequest, CountEventsRequest, GetProducerRequest, ListProducersRequest, NewEvent, Producer,
    ReplayQuarantinedRequest,
};
use tonic::Code;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Refusal, append, atomic, everything, from_producer, refuse},
    cli::run,
    database::Database,
    events::{hold, token},
    producers::{assert_exact, batch, get, list, numbered},
    server::{Server, chancery},
};

/// A catalog file with one type of the Token Server family.
const SITE: &str = r#"
[[token_server.event]]
code = "VAULT_OPENED"
category = "Vault"
outcome = "success"
summary = "Somebody opened the vault."
"#;

fn all() -> ListProducersRequest {
    ListProducersRequest::default()
}

fn names(producers: &[Producer]) -> Vec<(&str, &str)> {
    producers.iter().map(|each| (each.log.as_str(), each.producer.as_str())).collect()
}

/// Events, quarantined events and last position.
fn counts(producer: &Producer) -> (u64, u64, Option<u64>) {
    (producer.events, producer.quarantined_events, producer.last_position)
}

#[test]
fn counts_and_last_position_are_those_of_the_log() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            assert!(list(&mut producers, all()).await.is_empty());
            let first = vec![hold("a"), hold("b")];
            append(&mut audit, batch("cms-1", first.clone())).await;
            append(&mut audit, batch("cms-2", vec![hold("c"), token("NO_SUCH_TYPE")])).await;
            append(&mut audit, batch("only-bad", vec![token("NO_SUCH_TYPE")])).await;
            let other = AppendRequest { log: "other".to_owned(), ..atomic(vec![hold("d")]) };
            append(&mut audit, from_producer("cms-1", other)).await;
            let read = list(&mut producers, all()).await;
            let expected = [("main", "cms-1"), ("main", "cms-2"), ("main", "only-bad"), ("other", "cms-1")];
            assert_eq!(names(&read), expected);
            let expected = [(2, 0, Some(1)), (1, 1, Some(2)), (0, 1, None), (1, 0, Some(0))];
            assert_eq!(read.iter().map(counts).collect::<Vec<_>>(), expected);
            let one = get(&mut producers, "cms-1").await;
            assert_eq!(one.producer.as_ref(), Some(&read[0]));
            assert!(one.epochs.is_empty() && one.gaps.is_empty());
            let stored = everything(&mut audit, "").await;
            assert_eq!(
                (read[0].first_seen, read[0].last_seen),
                (stored[0].received_at, stored[1].received_at)
            );

            // Nothing of this is an event seen for the first time.
            append(&mut audit, batch("cms-1", first.clone())).await;
            append(&mut audit, batch("cms-1", vec![NewEvent { occurred_at: None, ..hold("e") }])).await;
            let conflict = NewEvent { correlation_id: "other".to_owned(), ..first[0].clone() };
            refuse(&mut audit, from_producer("cms-1", atomic(vec![hold("f"), conflict]))).await;
            let dry = AppendRequest { validate_only: true, ..atomic(vec![hold("g")]) };
            append(&mut audit, from_producer("dry", dry)).await;
            assert_eq!(list(&mut producers, all()).await, read);
            assert_exact(&store).await;
            // Something new, in the same call as duplicates.
            append(&mut audit, batch("cms-1", [first, vec![hold("h")]].concat())).await;
            let now = get(&mut producers, "cms-1").await.producer.expect("a producer");
            assert_eq!(counts(&now), (3, 0, Some(3)));
            let at = |time: Option<pbjson_types::Timestamp>| time.map(|at| (at.seconds, at.nanos));
            assert!(at(now.last_seen) > at(read[0].last_seen) && now.first_seen == read[0].first_seen);
            // A quarantined event has no position, and leaves that of the newest stored one.
            append(&mut audit, batch("cms-1", vec![token("NO_SUCH_TYPE")])).await;
            let now = get(&mut producers, "cms-1").await.producer.expect("a producer");
            assert_eq!(counts(&now), (3, 1, Some(3)));
            assert_exact(&store).await;
        });
    }
}

#[test]
fn a_replay_moves_an_event_and_is_no_sign_of_life() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let vault = |number| numbered(token("VAULT_OPENED"), None, number);
        let kept = vec![vault(1), vault(3)];
        let before = {
            let server = Server::start(&store);
            block_on(async {
                let (mut audit, mut producers) = (server.audit().await, server.producers().await);
                // Twice in one call, twice in two calls.
                append(&mut audit, batch("vault", [kept.clone(), kept.clone()].concat())).await;
                let before = get(&mut producers, "vault").await;
                append(&mut audit, batch("vault", kept.clone())).await;
                assert_eq!(get(&mut producers, "vault").await, before);
                before
            })
        };
        let producer = before.producer.clone().expect("a producer");
        assert_eq!(counts(&producer), (0, 2, None));
        assert_eq!((producer.missing_sequences, producer.gap_count), (1, 1));
        assert_eq!((before.epochs[0].seen_sequences, before.epochs[0].repeated_events), (2, 0));
        let path = store.folder.path().join("site.toml");
        std::fs::write(&path, SITE).expect("a site file");
        let server = Server::start_with(&store, &["--catalog", &path.display().to_string()]);
        block_on(async {
            let mut producers = server.producers().await;
            // Two at once, in one group: both wait behind an append that waits for the database.
            let mut other = Database::open(&store).await;
            append(&mut server.audit().await, batch("other", vec![hold("x")])).await;
            match kind {
                Kind::Sqlite => other.run("BEGIN IMMEDIATE").await,
                Kind::Postgres => {
                    other.run("BEGIN").await;
                    other.run("SELECT size FROM log_head FOR UPDATE").await;
                }
            }
            let mut audit = server.audit().await;
            let waiting = async { append(&mut audit, batch("other", vec![hold("x")])).await };
            let replay = || async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let request = ReplayQuarantinedRequest { all: true, ..ReplayQuarantinedRequest::default() };
                server.quarantine().await.replay_quarantined(request).await.expect("a replay").into_inner()
            };
            let release = async {
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                other.run("ROLLBACK").await;
            };
            let (_, one, two, ()) = tokio::join!(waiting, replay(), replay(), release);
            assert_eq!((one.results.len(), two.results.len()), (2, 2), "both have replayed the same rows");
            let after = get(&mut producers, "vault").await;
            let moved = after.producer.clone().expect("a producer");
            assert_eq!(counts(&moved), (2, 0, Some(3)));
            assert_eq!((moved.first_seen, moved.last_seen), (producer.first_seen, producer.last_seen));
            assert_eq!((&after.epochs, &after.gaps), (&before.epochs, &before.gaps));
            assert_exact(&store).await;
        });
    }
}

#[test]
fn a_kill_leaves_events_and_producers_as_one() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut next = [0_u64; 4];
        for cycle in 0..4_u64 {
            let server = Server::start(&store);
            block_on(async {
                let (mut writers, mut first_acks) = (Vec::new(), Vec::new());
                for (at, first) in next.into_iter().enumerate() {
                    let mut audit = server.audit().await;
                    let (first_ack, acked) = tokio::sync::oneshot::channel();
                    first_acks.push(acked);
                    let mut first_ack = Some(first_ack);
                    writers.push(tokio::spawn(async move {
                        let mut number = first;
                        loop {
                            let size = number % 7 + 1;
                            let events = (number..number + size).map(|it| numbered(hold("x"), None, it));
                            let call = batch(&format!("p{at}"), events.collect());
                            if audit.append(call).await.is_err() {
                                return number;
                            }
                            number += size;
                            if let Some(first_ack) = first_ack.take() {
                                first_ack.send(()).expect("somebody who waits");
                            }
                        }
                    }));
                }
                for acked in first_acks {
                    acked.await.expect("an ack");
                }
                tokio::time::sleep(Duration::from_millis(60 * cycle)).await;
                server.signal("KILL");
                for (next, writer) in next.iter_mut().zip(writers) {
                    *next = writer.await.expect("a writer");
                }
            });
            drop(server);
            block_on(async {
                assert_exact(&store).await;
                let server = Server::start(&store);
                let (mut audit, mut producers) = (server.audit().await, server.producers().await);
                let request =
                    CountEventsRequest { group_by: vec!["producer".to_owned()], ..Default::default() };
                let counted = audit.count_events(request).await.expect("a count").into_inner();
                let counted: BTreeMap<_, _> =
                    counted.rows.into_iter().map(|row| (row.group["producer"].clone(), row.count)).collect();
                let mut last = BTreeMap::new();
                for event in everything(&mut audit, "").await {
                    last.insert(event.producer, event.position);
                }
                let listed = list(&mut producers, all()).await;
                assert_eq!(listed.len(), counted.len());
                for (at, each) in listed.iter().enumerate() {
                    assert_eq!(each.events, counted[&each.producer], "{kind:?} {each:?}");
                    assert_eq!(each.last_position, last[&each.producer], "{kind:?} {each:?}");
                    // One caller per producer, so what was acked is dense; of what was not, all or nothing.
                    let epoch = &get(&mut producers, &each.producer).await.epochs[0];
                    assert_eq!((each.missing_sequences, epoch.repeated_events), (0, 0));
                    assert!(epoch.last_sequence + 1 >= next[at], "{kind:?} {epoch:?} {next:?}");
                    next[at] = epoch.last_sequence + 1;
                }
            });
        }
        assert!(next.iter().all(|next| *next > 0), "{next:?}");
    }
}

#[test]
fn pages_hold_every_producer_once_and_a_token_belongs_to_its_list() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            for at in 0..7 {
                for log in ["a", "b"] {
                    let request = AppendRequest { log: log.to_owned(), ..atomic(vec![hold("x")]) };
                    append(&mut audit, from_producer(&format!("p{at}"), request)).await;
                }
            }
            let whole = list(&mut producers, all()).await;
            assert_eq!(whole.len(), 14);
            assert!(whole.is_sorted_by_key(|each| (each.log.clone(), each.producer.clone())));
            for page_size in [1, 3, 7, 13, 14, 15] {
                let paged = list(&mut producers, ListProducersRequest { page_size, ..all() }).await;
                assert_eq!(paged, whole, "pages of {page_size}");
            }
            let log = |log: &str, page_size| ListProducersRequest { log: log.to_owned(), page_size, ..all() };
            assert_eq!(list(&mut producers, log("b", 2)).await, whole[7..]);
            let page = producers.list_producers(log("b", 2)).await.expect("a page").into_inner();
            assert_eq!(page.producers.len(), 2);
            let token = page.next_page_token;
            for (request, reason, field) in [
                (
                    ListProducersRequest { page_token: token.clone(), ..log("a", 2) },
                    "INVALID_PAGE_TOKEN",
                    "page_token",
                ),
                (
                    ListProducersRequest { page_token: format!("{token}AA"), ..log("b", 2) },
                    "INVALID_PAGE_TOKEN",
                    "page_token",
                ),
                (log("b", -1), "INVALID_PAGE_SIZE", "page_size"),
                (log("No Log", 0), "INVALID_LOG", "log"),
                (
                    ListProducersRequest {
                        silent_for: Some(pbjson_types::Duration { seconds: -1, nanos: 0 }),
                        ..all()
                    },
                    "INVALID_SILENCE",
                    "silent_for",
                ),
                (
                    ListProducersRequest {
                        silent_for: Some(pbjson_types::Duration { seconds: i64::MAX, nanos: 0 }),
                        ..all()
                    },
                    "INVALID_SILENCE",
                    "silent_for",
                ),
            ] {
                let refusal = Refusal::of(&producers.list_producers(request).await.expect_err("a refusal"));
                assert_eq!((refusal.reason.as_str(), refusal.fields()), (reason, vec![field]));
                assert_eq!(refusal.code, Code::InvalidArgument);
            }
            for (log, producer, code, reason) in [
                ("a", "nobody", Code::NotFound, "PRODUCER_NOT_FOUND"),
                ("", "p1", Code::NotFound, "PRODUCER_NOT_FOUND"),
                ("a", "", Code::InvalidArgument, "INVALID_PRODUCER"),
            ] {
                let request = GetProducerRequest { log: log.to_owned(), producer: producer.to_owned() };
                let refusal = Refusal::of(&producers.get_producer(request).await.expect_err("a refusal"));
                assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason));
            }
        });
    }
}

#[test]
fn silent_producers_are_found() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            append(&mut audit, batch("silent", vec![hold("x")])).await;
            tokio::time::sleep(Duration::from_millis(3_000)).await;
            append(&mut audit, batch("alive", vec![hold("x")])).await;
            let silent = |seconds, nanos| ListProducersRequest {
                silent_for: Some(pbjson_types::Duration { seconds, nanos }),
                ..all()
            };
            assert_eq!(names(&list(&mut producers, silent(2, 500_000_000)).await), [("main", "silent")]);
            assert_eq!(list(&mut producers, silent(0, 0)).await.len(), 2);
            assert!(list(&mut producers, silent(3_600, 0)).await.is_empty());
        });
    }
}

/// The value of a metric with this label, if it is there.
async fn metric(server: &Server, name: &str, producer: &str) -> Option<f64> {
    let (_, text) = server.admin_get("/metrics").await;
    let sample = format!("{name}{{producer=\"{producer}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&sample)).map(str::parse);
    value.transpose().expect("a number")
}

const LAST_SEEN: &str = "chancery_producer_last_seen_timestamp_seconds";

/// Waits until a server's metric of a producer is what the store says.
async fn told(server: &Server, producer: &Producer) {
    let at = producer.last_seen.expect("a time");
    let expected = (at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000) as f64 / 1e6;
    let began = Instant::now();
    loop {
        let told = metric(server, LAST_SEEN, &producer.producer).await;
        if told.is_some_and(|told| (told - expected).abs() < 1e-6) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{told:?} and not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn metrics_tell_of_gaps_and_of_silence() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let seen = block_on(async {
            let (mut audit, mut producers) = (server.audit().await, server.producers().await);
            append(&mut audit, batch("p", vec![numbered(hold("x"), None, 1)])).await;
            for name in ["gaps", "missing_sequences", "late_sequences"] {
                let name = format!("chancery_producer_{name}_total");
                assert_eq!(
                    metric(&server, &name, "p").await,
                    Some(0.0),
                    "{name}: there before the first gap"
                );
            }
            append(&mut audit, batch("p", vec![numbered(hold("x"), None, 11)])).await;
            append(&mut audit, batch("p", vec![numbered(hold("x"), None, 5), numbered(hold("x"), None, 6)]))
                .await;
            for (name, expected) in [("gaps", 1.0), ("missing_sequences", 9.0), ("late_sequences", 2.0)] {
                let name = format!("chancery_producer_{name}_total");
                assert_eq!(metric(&server, &name, "p").await, Some(expected), "{name}");
            }
            let seen = get(&mut producers, "p").await.producer.expect("a producer");
            told(&server, &seen).await;
            seen
        });
        drop(server);
        // After a restart, without a commit.
        let server = Server::start(&store);
        block_on(async {
            told(&server, &seen).await;
            let (_, text) = server.admin_get("/metrics").await;
            // The server itself is another one, once it has told of the calls above.
            let known = ["\nchancery_producers 1\n", "\nchancery_producers 2\n"];
            assert!(known.iter().any(|line| text.contains(line)), "{text}");
        });
    }
}

#[test]
fn a_replica_without_traffic_tells_what_others_have_seen() {
    let store = TestStore::new(Kind::Postgres);
    let servers = [Server::start(&store), Server::start(&store)];
    block_on(async {
        let mut audit = servers[0].audit().await;
        let mut producers = servers[1].producers().await;
        append(&mut audit, batch("p", vec![hold("x")])).await;
        told(&servers[1], &get(&mut producers, "p").await.producer.expect("a producer")).await;
        append(&mut audit, batch("p", vec![hold("x")])).await;
        told(&servers[1], &get(&mut producers, "p").await.producer.expect("a producer")).await;
    });
}

/// A store that was filled by a program that knew no producers.
#[test]
fn an_upgrade_counts_what_is_there() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let before = block_on(async {
            let mut audit = server.audit().await;
            append(&mut audit, batch("one", vec![hold("a"), hold("b"), token("NO_SUCH_TYPE")])).await;
            append(&mut audit, batch("two", vec![token("NO_SUCH_TYPE")])).await;
            list(&mut server.producers().await, all()).await
        });
        drop(server);
        block_on(async {
            let mut database = Database::open(&store).await;
            for table in ["producers", "producer_epochs", "producer_gaps"] {
                database.run(&format!("DROP TABLE {table}")).await;
            }
            database.run("DELETE FROM _sqlx_migrations WHERE version = 3").await;
        });
        let migrated = run(chancery().args(["migrate", "--store", &store.url]), "");
        assert_eq!(migrated.code, 0, "{migrated:?}");
        let server = Server::start(&store);
        block_on(async {
            assert_eq!(list(&mut server.producers().await, all()).await, before);
            append(&mut server.audit().await, batch("one", vec![hold("c")])).await;
            assert_exact(&store).await;
        });
    }
}
