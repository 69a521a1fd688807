//! The self-audit: what is recorded is in the log `audit`, once and in order, and what was lost is told of.
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use chancery::{
    catalog::Catalog,
    clock::SystemClock,
    event::{AUDIT_LOG, LogName},
    ingest::Ingest,
    journal::{Entry, Journal, Sent, Who},
    proto::v1::{EraseSubjectRequest, Event, EventFamily, Outcome, admin_service_client::AdminServiceClient},
    query::live::Live,
    store::{self, Store, StoreUrl},
    telemetry::Metrics,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::everything,
    database::Database,
    events::{fresh_id, in_order},
    server::Server,
};

const METHOD: &str = "chancery.v1.AuditService/Query";

/// A journal as the server has one, on a store.
struct Site {
    store: Arc<dyn Store>,
    ingest: Arc<Ingest>,
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
}

impl Site {
    async fn open(test_store: &TestStore) -> Self {
        let url: StoreUrl = test_store.url.parse().expect("a store");
        let store = store::connect(&url).await.expect("a store");
        let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::default()));
        let live = Arc::new(Live::new(Arc::clone(&store), clock.clone()));
        let runtime = tokio::runtime::Handle::current();
        let ingest = Ingest::new(Arc::clone(&store), live, Arc::default(), Arc::clone(&metrics), runtime);
        let journal = Arc::new(Journal::new(clock, Arc::clone(&metrics)));
        Self { store, ingest: Arc::new(ingest), journal, metrics }
    }

    fn run(&self) {
        let catalog = Arc::new(Catalog::load([], Default::default()).expect("a catalog"));
        tokio::spawn(Arc::clone(&self.journal).run(Arc::clone(&self.ingest), catalog));
    }

    async fn close(self) {
        self.journal.drain().await;
        self.ingest.drain().await;
        self.store.close().await;
    }
}

fn who(name: &str) -> Who {
    let address: SocketAddr = "192.0.2.7:40000".parse().expect("an address");
    Who { name: name.to_owned(), credential: "certificate", address: Some(address) }
}

/// One of each.
fn entries(call: Uuid) -> Vec<Entry> {
    let (ann, log) = (who("ann"), LogName::parse("").expect("a log"));
    let (ann, log, hold) = (&ann, &log, Uuid::nil());
    let sent = Sent { returned: 2, scanned: 9, between: Some((3, 7)) };
    vec![
        Entry::query_started(ann, METHOD, call, log, "actor = \"bob\"")
            .with("order", "ORDER_POSITION_ASC")
            .with_number("limit", 100)
            .with("follow", "true")
            .with("purpose", "ticket 7"),
        Entry::query_ended(ann, METHOD, call, log, sent),
        Entry::query_failed(ann, METHOD, call, log, Sent::default(), ("UNAVAILABLE", "SLOW_READER")),
        Entry::event_read(ann, METHOD, log).with_number("position", 3),
        Entry::event_read(ann, METHOD, log).with("producer", "cms-1").with("event_id", "7"),
        Entry::events_counted(ann, METHOD, log, "code = \"20018\"", "family code", 12),
        Entry::quarantine_read(ann, METHOD, log, 4).with("producer", "cms-1"),
        Entry::quarantine_replayed(ann, METHOD, log, 5),
        Entry::quarantine_discarded(ann, METHOD, log, 6, "tests of the shim"),
        Entry::producers_read(ann, METHOD, Some(log), 2),
        Entry::denied(ann, METHOD, ("PERMISSION_DENIED", "NOT_ALLOWED")),
        Entry::configuration_reloaded("access.toml"),
        Entry::configuration_refused("access.toml", "line 3: no such role"),
        Entry::erasure_requested(ann, METHOD, log, hold, "request 7"),
        Entry::retention_requested(ann, METHOD, log, "a full disk"),
        Entry::hold_placed(ann, METHOD, log, hold, "case 12"),
        Entry::hold_released(ann, METHOD, log, hold),
    ]
}

/// What was recorded, without what this test asks the server for.
async fn audit(server: &Server) -> Vec<Event> {
    let mut events = everything(&mut server.audit().await, AUDIT_LOG).await;
    events.retain(|event| event.actor != "anonymous");
    events
}

fn details(event: &Event) -> HashMap<&str, &str> {
    event.attributes.iter().map(|each| (each.name.as_str(), each.value.as_str())).collect()
}

fn codes(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.code.as_str()).collect()
}

#[test]
fn what_is_recorded_is_in_the_log_once_and_in_order() {
    for kind in KINDS {
        let test_store = TestStore::new(kind);
        let call = Uuid::parse_str(&fresh_id()).expect("an id");
        block_on(async {
            let site = Site::open(&test_store).await;
            // What comes before it runs is not lost.
            for entry in entries(call) {
                site.journal.record(entry);
            }
            site.run();
            site.close().await;
        });
        let server = Server::start(&test_store);
        let events = block_on(audit(&server));
        assert_eq!(
            codes(&events),
            [
                "QUERY_STARTED",
                "QUERY_ENDED",
                "QUERY_FAILED",
                "EVENT_READ",
                "EVENT_READ",
                "EVENTS_COUNTED",
                "QUARANTINE_READ",
                "QUARANTINE_REPLAYED",
                "QUARANTINE_DISCARDED",
                "PRODUCERS_READ",
                "CALL_DENIED",
                "CONFIGURATION_RELOADED",
                "CONFIGURATION_REFUSED",
                "ERASURE_REQUESTED",
                "RETENTION_REQUESTED",
                "LEGAL_HOLD_PLACED",
                "LEGAL_HOLD_RELEASED",
            ],
            "{kind:?}"
        );
        for event in &events {
            assert!(event.warnings.is_empty(), "{event:?}");
            assert_eq!((event.producer.as_str(), event.family()), ("chancery", EventFamily::Chancery));
            if !event.code.starts_with("CONFIGURATION") {
                assert_eq!(event.actor, "ann", "{}", event.code);
                let details = details(event);
                let of_all = ["address", "credential", "method"].map(|key| details[key]);
                assert_eq!(of_all, ["192.0.2.7", "certificate", METHOD], "{}", event.code);
            }
        }
        let (started, ended) = (details(&events[0]), details(&events[1]));
        assert_eq!(
            ["log", "filter", "order", "limit", "follow", "purpose"].map(|key| started[key]),
            ["main", "actor = \"bob\"", "ORDER_POSITION_ASC", "100", "true", "ticket 7"]
        );
        assert_eq!(
            ["returned", "scanned", "first_returned", "last_returned"].map(|key| ended[key]),
            ["2", "9", "3", "7"]
        );
        for event in &events[..3] {
            assert_eq!(event.correlation_id, call.to_string(), "the entries of one call");
        }
        let outcomes: Vec<_> = events.iter().map(Event::outcome).collect();
        assert_eq!(outcomes[..3], [Outcome::Started, Outcome::Success, Outcome::Failure]);
        assert_eq!((outcomes[10], outcomes[12]), (Outcome::Denied, Outcome::Failure));
        // In the order in which they were given, personal ones put back between the others.
        let names: Vec<_> = in_order(&events[10]).iter().map(|each| each.name.as_str()).collect();
        assert_eq!(names, ["address", "caller", "credential", "error_reason", "method", "status_code"]);
    }
}

/// Keeps everybody from appending until it is dropped.
async fn lock(test_store: &TestStore) -> Database {
    let mut database = Database::open(test_store).await;
    match test_store.kind {
        crate::harness::Kind::Sqlite => database.run("BEGIN IMMEDIATE").await,
        crate::harness::Kind::Postgres => {
            database.run("BEGIN; LOCK TABLE log_head IN ACCESS EXCLUSIVE MODE").await;
        }
    }
    database
}

#[test]
fn what_finds_no_room_is_counted_and_told_of_where_it_would_stand() {
    for kind in KINDS {
        let test_store = TestStore::new(kind);
        let recorded = 10_000_u64;
        block_on(async {
            let site = Site::open(&test_store).await;
            let locked = lock(&test_store).await;
            site.run();
            let log = LogName::parse("").expect("a log");
            for position in 0..recorded {
                site.journal
                    .record(Entry::event_read(&who("ann"), METHOD, &log).with_number("position", position));
            }
            // Longer than the store is waited for at a time.
            sleep(Duration::from_secs(3)).await;
            drop(locked);
            while !site.metrics.text().contains("chancery_self_audit_written_total 8193") {
                sleep(Duration::from_millis(20)).await;
            }
            site.journal
                .record(Entry::event_read(&who("ann"), METHOD, &log).with_number("position", recorded));
            let lost =
                format!("chancery_self_audit_lost_total{{reason=\"queue_full\"}} {}\n", recorded - 8192);
            assert!(site.metrics.text().contains(&lost), "{}", site.metrics.text());
            site.close().await;
        });
        let server = Server::start(&test_store);
        let events = block_on(audit(&server));
        let (mut next, mut lost) = (0, 0);
        for event in &events {
            let details = details(event);
            match event.code.as_str() {
                "EVENT_READ" => {
                    assert_eq!(details["position"], next.to_string(), "{kind:?}");
                    next += 1;
                }
                code => {
                    assert_eq!((code, details["error_reason"]), ("SELF_AUDIT_GAP", "queue_full"));
                    let count: u64 = details["count"].parse().expect("a number");
                    assert!(details["lost_from"] <= details["lost_until"]);
                    (next, lost) = (next + count, lost + count);
                }
            }
        }
        assert_eq!((next, lost), (recorded + 1, recorded - 8192), "{kind:?}: each is there or counted");
    }
}

#[test]
fn a_flood_of_refused_calls_is_two_entries() {
    let test_store = TestStore::new(KINDS[0]);
    block_on(async {
        let site = Site::open(&test_store).await;
        site.run();
        for _ in 0..5000 {
            site.journal.record(Entry::denied(&who("mallory"), METHOD, ("PERMISSION_DENIED", "NOT_ALLOWED")));
        }
        site.close().await;
    });
    let server = Server::start(&test_store);
    let events = block_on(audit(&server));
    assert_eq!(codes(&events), ["CALL_DENIED", "CALL_DENIED"]);
    assert_eq!((details(&events[0]).get("count"), details(&events[1])["count"]), (None, "4999"));
    assert_eq!(events[1].actor, "mallory");
}

#[test]
fn the_server_writes_what_waits_before_it_ends_and_says_what_it_could_not() {
    let test_store = TestStore::new(KINDS[0]);
    block_on(async {
        let site = Site::open(&test_store).await;
        let log = LogName::parse("").expect("a log");
        site.journal.record(Entry::producers_read(&who("ann"), METHOD, Some(&log), 1));
        site.journal.abandon();
        let lost = "chancery_self_audit_lost_total{reason=\"shutdown\"} 1\n";
        assert!(site.metrics.text().contains(lost), "{}", site.metrics.text());
        site.journal.record(Entry::producers_read(&who("ann"), METHOD, Some(&log), 1));
        let lost = "chancery_self_audit_lost_total{reason=\"shutdown\"} 2\n";
        assert!(site.metrics.text().contains(lost), "{}", site.metrics.text());
        site.store.close().await;
    });
}

/// Callers are people, and so are those whom they look for.
#[test]
fn a_person_can_be_erased_from_it() {
    for kind in KINDS {
        let test_store = TestStore::new(kind);
        block_on(async {
            let site = Site::open(&test_store).await;
            let log = LogName::parse("").expect("a log");
            let call = Uuid::nil();
            for (name, filter) in [
                ("ann", "code = \"1\""),
                ("bob", "actor = \"ann\" AND code = \"2\""),
                ("bob", "actor = \"joanna\""),
            ] {
                site.journal.record(Entry::query_started(&who(name), METHOD, call, &log, filter));
            }
            site.run();
            site.close().await;
        });
        let server = Server::start(&test_store);
        block_on(async {
            let request = EraseSubjectRequest {
                log: AUDIT_LOG.to_owned(),
                subject: "ann".to_owned(),
                reason: "request 9".to_owned(),
                request_id: fresh_id(),
                ..EraseSubjectRequest::default()
            };
            let mut admin = AdminServiceClient::new(server.channel().await);
            admin.erase_subject(request).await.expect("an erasure");
            let events = audit(&server).await;
            let value = |at: usize, name: &str| {
                let attribute = in_order(&events[at]).into_iter().find(|each| each.name == name);
                attribute.filter(|each| !each.erased).map(|each| each.value.clone())
            };
            assert_eq!((events[0].actor.as_str(), value(0, "filter")), ("", Some("code = \"1\"".to_owned())));
            assert_eq!((events[1].actor.as_str(), value(1, "filter")), ("bob", None), "{kind:?}");
            assert_eq!(value(2, "filter").as_deref(), Some("actor = \"joanna\""));
            // What was asked for may come before it.
            assert!(events[3..].iter().any(|event| event.code == "SUBJECT_ERASED"), "{kind:?}");
        });
    }
}
