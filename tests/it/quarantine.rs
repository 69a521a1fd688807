//! The quarantine: what the catalog refused is listed, replayed once the catalog knows it, or discarded
//! with who, when and why; nothing is lost or doubled on the way.
use std::collections::BTreeSet;

use chancery::proto::v1::{
    AppendResult::{self, Accepted, Conflict, Duplicate},
    CmsAuditEvent, DiscardQuarantinedRequest, ListQuarantinedRequest, NewEvent, QuarantineFilter,
    QuarantinedEvent, ReplayQuarantinedRequest, ReplayQuarantinedResponse, TokenServerEvent,
    new_event::Family,
    quarantine_service_client::QuarantineServiceClient,
};
use tonic::{Code, Status, transport::Channel};

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, everything, from_producer, per_event, results},
    database::Database,
    events,
    metrics::conserved,
    server::Server,
};

type Quarantine = QuarantineServiceClient<Channel>;

/// A catalog file with one type of the Token Server family.
const SITE: &str = r#"
[[token_server.event]]
code = "VAULT_OPENED"
category = "Vault"
outcome = "success"
summary = "Somebody opened the vault."
"#;

/// A server whose catalog knows VAULT_OPENED.
fn knowing(store: &TestStore) -> Server {
    let path = store.folder.path().join("site.toml");
    std::fs::write(&path, SITE).expect("a site file");
    Server::start_with(store, &["--catalog", &path.display().to_string()])
}

fn vault(user: &str) -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "VAULT_OPENED".to_owned(),
        user_id: Some(user.to_owned()),
        ..TokenServerEvent::default()
    }))
}

async fn list(quarantine: &mut Quarantine, request: ListQuarantinedRequest) -> Vec<QuarantinedEvent> {
    let mut stream = quarantine.list_quarantined(request).await.expect("a list").into_inner();
    let mut listed = Vec::new();
    while let Some(message) = stream.message().await.expect("a message") {
        listed.push(message.event.expect("an event"));
    }
    listed
}

async fn listed(quarantine: &mut Quarantine) -> Vec<QuarantinedEvent> {
    list(quarantine, ListQuarantinedRequest::default()).await
}

async fn replay(quarantine: &mut Quarantine, ids: Vec<String>) -> Result<ReplayQuarantinedResponse, Status> {
    let request = ReplayQuarantinedRequest { ids, ..ReplayQuarantinedRequest::default() };
    Ok(quarantine.replay_quarantined(request).await?.into_inner())
}

fn all() -> ReplayQuarantinedRequest {
    ReplayQuarantinedRequest { all: true, ..ReplayQuarantinedRequest::default() }
}

async fn replay_all(quarantine: &mut Quarantine) -> ReplayQuarantinedResponse {
    quarantine.replay_quarantined(all()).await.expect("a replay").into_inner()
}

async fn discard(
    quarantine: &mut Quarantine,
    ids: &[String],
    reason: &str,
) -> Result<tonic::Response<chancery::proto::v1::DiscardQuarantinedResponse>, Status> {
    let (ids, reason) = (ids.to_vec(), reason.to_owned());
    let request = DiscardQuarantinedRequest { ids, reason, ..DiscardQuarantinedRequest::default() };
    quarantine.discard_quarantined(from_producer("ann", request)).await
}

fn fates(answer: &ReplayQuarantinedResponse) -> Vec<AppendResult> {
    answer.results.iter().map(|each| each.result.as_ref().expect("a result").result()).collect()
}

fn ids(events: &[QuarantinedEvent]) -> Vec<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

#[test]
fn events_are_listed_oldest_first_with_reason_and_without_secrets() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut quarantine = server.quarantine().await;
            assert!(listed(&mut quarantine).await.is_empty());
            let secret = events::event(Family::CmsAudit(CmsAuditEvent {
                code: "20011".to_owned(),
                severity: 500,
                char2: Some("SECRET-CHALLENGE".to_owned()),
                ..CmsAuditEvent::default()
            }));
            append(&mut audit, from_producer("cms-1", per_event(vec![secret.clone()]))).await;
            // More than one page.
            let many: Vec<_> = (0..150).map(|_| vault("ann")).collect();
            append(&mut audit, from_producer("token-1", per_event(many.clone()))).await;
            let read = listed(&mut quarantine).await;
            assert_eq!(read.len(), 151);
            assert_eq!((read[0].event_id.as_str(), read[0].producer.as_str()), (&*secret.event_id, "cms-1"));
            assert_eq!((read[0].reason.as_str(), read[0].log.as_str()), ("CATALOG_VIOLATION", "main"));
            assert!(read[0].description.contains("cms_audit.severity"), "{read:?}");
            assert!(!format!("{:?}", read[0]).contains("SECRET-CHALLENGE"));
            let sent: BTreeSet<_> = many.iter().map(|event| &event.event_id).collect();
            assert_eq!(read[1..].iter().map(|event| &event.event_id).collect::<BTreeSet<_>>(), sent);
            assert!(many.contains(read[1].submitted.as_ref().expect("the event")));
            let order = |event: &QuarantinedEvent| {
                let at = event.received_at.expect("a time");
                (at.seconds, at.nanos, event.producer.clone(), event.event_id.clone())
            };
            assert!(read.is_sorted_by_key(order));
            let some = |producers: &[&str], reasons: &[&str], limit| {
                let [producers, reasons] =
                    [producers, reasons].map(|words| words.iter().map(ToString::to_string).collect());
                let filter = Some(QuarantineFilter { producers, reasons });
                ListQuarantinedRequest { filter, limit, ..ListQuarantinedRequest::default() }
            };
            for (request, expected) in [
                (some(&["cms-1"], &[], 0), 1),
                (some(&["cms-1", "token-1"], &["UNKNOWN_EVENT_CODE"], 0), 150),
                (some(&["nobody"], &[], 0), 0),
                (some(&[], &[], 100), 100),
            ] {
                assert_eq!(list(&mut quarantine, request).await.len(), expected, "{kind:?}");
            }
            let other =
                ListQuarantinedRequest { log: "other".to_owned(), ..ListQuarantinedRequest::default() };
            assert!(list(&mut quarantine, other).await.is_empty());
            conserved(&server).await;
        });
    }
}

#[test]
fn an_event_is_appended_once_the_catalog_knows_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (event, anonymous) = (vault("ann"), NewEvent { event_id: String::new(), ..vault("ben") });
        let server = Server::start(&store);
        let given = block_on(async {
            let mut audit = server.audit().await;
            let mut quarantine = server.quarantine().await;
            accept(&mut audit, atomic(vec![events::hold("before")])).await;
            let sent = per_event(vec![event.clone(), anonymous]);
            let answer = append(&mut audit, from_producer("token-1", sent)).await;
            assert_eq!(results(&answer), [AppendResult::Quarantined; 2]);
            // Still unknown: nothing changes.
            let rows = listed(&mut quarantine).await;
            let answer = replay_all(&mut quarantine).await;
            assert_eq!(fates(&answer), [AppendResult::Quarantined; 2]);
            let refusal = Refusal::of_event(answer.results[1].result.as_ref().expect("a result"));
            assert_eq!(refusal.reason, "UNKNOWN_EVENT_CODE");
            assert_eq!(refusal.fields(), ["events[1].token_server.type"]);
            assert_eq!(listed(&mut quarantine).await, rows);
            assert_eq!(everything(&mut audit, "").await.len(), 1);
            rows
        });
        drop(server);
        let server = knowing(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut quarantine = server.quarantine().await;
            let answer = replay_all(&mut quarantine).await;
            assert_eq!(fates(&answer), [Accepted; 2]);
            assert_eq!((answer.left, answer.next.as_str()), (0, ""));
            assert_eq!(
                answer.results.iter().map(|each| &each.id).collect::<Vec<_>>(),
                ids(&given).iter().collect::<Vec<_>>()
            );
            assert!(listed(&mut quarantine).await.is_empty());
            assert_eq!(Database::open(&store).await.rows("quarantine").await, 0);
            let read = everything(&mut audit, "").await;
            assert_eq!(read.len(), 3);
            for (at, row) in given.iter().enumerate() {
                let stored = &read[at + 1];
                assert_eq!((&stored.event_id, &stored.producer), (&row.event_id, &row.producer));
                assert_eq!((stored.code.as_str(), &stored.source), ("VAULT_OPENED", &row.submitted));
                let result = answer.results[at].result.as_ref().expect("a result");
                assert_eq!((result.position, &result.leaf_hash), (stored.position, &stored.leaf_hash));
            }
            // Again: nothing is left, and by name it is known to be in the log.
            assert!(replay_all(&mut quarantine).await.results.is_empty());
            let answer = replay(&mut quarantine, ids(&given)).await.expect("a replay");
            assert_eq!(fates(&answer), [Duplicate; 2]);
            let again = append(&mut audit, from_producer("token-1", atomic(vec![event.clone()]))).await;
            assert_eq!(results(&again), [Duplicate]);
            assert_eq!(everything(&mut audit, "").await.len(), 3);
            let (_, metrics) = server.admin_get("/metrics").await;
            assert!(metrics.contains("chancery_ingest_received_events_total 5\n"), "{metrics}");
            assert!(metrics.contains("chancery_ingest_events_total{result=\"accepted\"} 2\n"), "{metrics}");
            conserved(&server).await;
        });
    }
}

#[test]
fn what_the_log_has_already_is_a_duplicate_or_a_conflict() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (same, other) = (vault("ann"), vault("ben"));
        let server = Server::start(&store);
        block_on(async {
            append(&mut server.audit().await, per_event(vec![same.clone(), other.clone()])).await;
        });
        drop(server);
        let server = knowing(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let mut quarantine = server.quarantine().await;
            let changed = NewEvent { correlation_id: "changed".to_owned(), ..other };
            accept(&mut audit, atomic(vec![same.clone(), changed])).await;
            let answer = replay_all(&mut quarantine).await;
            for each in answer.results {
                let result = each.result.expect("a result");
                let expected = if result.event_id == same.event_id { Duplicate } else { Conflict };
                assert_eq!(result.result(), expected, "{kind:?}");
            }
            let left = listed(&mut quarantine).await;
            assert_eq!(left.len(), 1, "the conflict stays");
            assert_ne!(left[0].event_id, same.event_id);
            assert_eq!(everything(&mut audit, "").await.len(), 2);
        });
    }
}

#[test]
fn a_call_replays_at_most_1000_and_says_how_to_go_on() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for _ in 0..2 {
                append(&mut audit, per_event((0..600).map(|_| vault("ann")).collect())).await;
            }
            // The first ones stay refused, and do not keep the others from their turn.
            let mut quarantine = server.quarantine().await;
            let first = replay_all(&mut quarantine).await;
            assert_eq!((first.results.len(), first.left), (1000, 200));
            let request = ReplayQuarantinedRequest { after: first.next, ..all() };
            let rest = quarantine.replay_quarantined(request).await.expect("a replay").into_inner();
            assert_eq!((rest.results.len(), rest.left, rest.next.as_str()), (200, 0, ""));
            let replayed = first.results.iter().chain(&rest.results).map(|each| each.id.clone());
            assert_eq!(replayed.collect::<Vec<_>>(), ids(&listed(&mut quarantine).await));
            conserved(&server).await;
        });
    }
}

#[test]
fn a_discarded_event_is_kept_with_who_when_and_why() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let event = vault("ann");
        let server = Server::start(&store);
        block_on(async {
            append(&mut server.audit().await, per_event(vec![event.clone(), vault("ben")])).await;
        });
        drop(server);
        let server = knowing(&store);
        block_on(async {
            let mut quarantine = server.quarantine().await;
            let rows = listed(&mut quarantine).await;
            let mine: Vec<_> = rows.into_iter().filter(|row| row.event_id == event.event_id).collect();
            let records = discard(&mut quarantine, &ids(&mine), "a test").await.expect("a discard");
            let record = records.into_inner().records.remove(0);
            assert_eq!((record.discarded_by.as_str(), record.discard_reason.as_str()), ("ann", "a test"));
            // Again with another reason: what was recorded stays.
            let again = discard(&mut quarantine, &ids(&mine), "another").await.expect("a discard");
            assert_eq!(again.into_inner().records.first(), Some(&record));
            assert_eq!(listed(&mut quarantine).await.len(), 1);
            let request =
                ListQuarantinedRequest { include_discarded: true, ..ListQuarantinedRequest::default() };
            let all = list(&mut quarantine, request).await;
            let kept = all.iter().find(|row| row.event_id == event.event_id).expect("the row");
            assert_eq!((kept.discarded_at, &*kept.discarded_by), (record.discarded_at, "ann"));
            assert_eq!((&*kept.discard_reason, &kept.submitted), ("a test", &mine[0].submitted));
            let refusal = Refusal::of(&replay(&mut quarantine, ids(&mine)).await.expect_err("discarded"));
            assert_eq!(refusal.code, Code::FailedPrecondition);
            assert_eq!(
                (refusal.reason.as_str(), refusal.fields()),
                ("QUARANTINED_EVENT_DISCARDED", vec!["ids[0]"])
            );
            assert_eq!(fates(&replay_all(&mut quarantine).await), [Accepted]);
            assert_eq!(Database::open(&store).await.rows("quarantine").await, 1);
        });
    }
}

#[test]
fn bad_input_has_a_reason_and_a_field() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = knowing(&store);
        block_on(async {
            let mut quarantine = server.quarantine().await;
            append(&mut server.audit().await, per_event(vec![events::token("NO_SUCH_TYPE")])).await;
            let good = ids(&listed(&mut quarantine).await).remove(0);
            // The same row in another log is none.
            let elsewhere = ReplayQuarantinedRequest {
                log: "other".to_owned(),
                ids: vec![good.clone()],
                ..ReplayQuarantinedRequest::default()
            };
            let status = quarantine.replay_quarantined(elsewhere).await.expect_err("no such row");
            let refusal = Refusal::of(&status);
            assert_eq!((refusal.code, refusal.fields()), (Code::NotFound, vec!["ids[0]"]));
            assert_eq!(refusal.reason, "QUARANTINED_EVENT_NOT_FOUND");
            for (ids, reason, field) in [
                (vec![], "INVALID_IDS", "ids"),
                (vec![good.clone(); 1001], "INVALID_IDS", "ids"),
                (vec![good.clone(); 2], "INVALID_IDS", "ids[1]"),
                (vec![good.clone(), "nonsense".to_owned()], "INVALID_QUARANTINE_ID", "ids[1]"),
            ] {
                let one = replay(&mut quarantine, ids.clone()).await.expect_err("a refusal");
                let other = discard(&mut quarantine, &ids, "why").await.expect_err("a refusal");
                for refusal in [Refusal::of(&one), Refusal::of(&other)] {
                    assert_eq!((refusal.reason.as_str(), refusal.fields()), (reason, vec![field]));
                    assert_eq!(refusal.code, Code::InvalidArgument);
                }
            }
            for reason in ["", " ", "\0", &"x".repeat(1001)] {
                let refusal = discard(&mut quarantine, std::slice::from_ref(&good), reason).await;
                let refusal = Refusal::of(&refusal.expect_err("a refusal"));
                assert_eq!(
                    (refusal.reason.as_str(), refusal.fields()),
                    ("INVALID_DISCARD_REASON", vec!["reason"])
                );
            }
            let filter = QuarantineFilter { reasons: vec!["BAD".to_owned()], ..QuarantineFilter::default() };
            let request = ReplayQuarantinedRequest { filter: Some(filter), ..all() };
            let refusal = Refusal::of(&quarantine.replay_quarantined(request).await.expect_err("a refusal"));
            assert_eq!(
                (refusal.reason.as_str(), refusal.fields()),
                ("INVALID_FILTER", vec!["filter.reasons[0]"])
            );
            let request = ReplayQuarantinedRequest { ids: vec![good], ..all() };
            let refusal = Refusal::of(&quarantine.replay_quarantined(request).await.expect_err("a refusal"));
            assert_eq!(refusal.reason, "INVALID_IDS");
            assert_eq!(listed(&mut quarantine).await.len(), 1);
            conserved(&server).await;
        });
    }
}

#[test]
fn a_kill_during_replays_loses_and_doubles_nothing() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        for cycle in 1..=3_u64 {
            let server = Server::start(&store);
            let mut sent = BTreeSet::new();
            block_on(async {
                let mut audit = server.audit().await;
                for _ in 0..3 {
                    let batch: Vec<_> = (0..300).map(|_| vault("ann")).collect();
                    sent.extend(batch.iter().map(|event| event.event_id.clone()));
                    append(&mut audit, per_event(batch)).await;
                }
            });
            drop(server);
            let server = knowing(&store);
            block_on(async {
                // Two at once, so that they also meet each other.
                let mut replays = Vec::new();
                for _ in 0..2 {
                    let mut quarantine = server.quarantine().await;
                    replays.push(tokio::spawn(async move {
                        quarantine.replay_quarantined(all()).await.map(drop)
                    }));
                }
                tokio::time::sleep(std::time::Duration::from_millis(30 * cycle)).await;
                server.signal("KILL");
                for replay in replays {
                    let _ = replay.await.expect("a task");
                }
            });
            drop(server);
            let server = knowing(&store);
            block_on(async {
                let mut audit = server.audit().await;
                let mut quarantine = server.quarantine().await;
                let inside = |events: &[chancery::proto::v1::Event]| -> Vec<String> {
                    let ids = events.iter().map(|event| event.event_id.clone());
                    ids.filter(|id| sent.contains(id)).collect()
                };
                let stored = inside(&everything(&mut audit, "").await);
                let waiting: Vec<_> =
                    listed(&mut quarantine).await.into_iter().map(|row| row.event_id).collect();
                assert_eq!(stored.len() + waiting.len(), sent.len(), "{kind:?} cycle {cycle}");
                assert_eq!(stored.iter().chain(&waiting).cloned().collect::<BTreeSet<_>>(), sent);
                let rest = replay_all(&mut quarantine).await;
                assert_eq!(fates(&rest), vec![Accepted; waiting.len()]);
                let stored = inside(&everything(&mut audit, "").await);
                assert_eq!(stored.len(), sent.len());
                assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), sent);
                assert!(listed(&mut quarantine).await.is_empty());
            });
        }
    }
}
