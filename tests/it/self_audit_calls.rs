//! Every method that the self-audit records, called by callers with tokens, and all that is in the log `audit` for it.
use std::collections::{BTreeMap, BTreeSet};

use chancery::{
    auth::rules::RULES,
    event::AUDIT_LOG,
    proto::v1::{
        AppendRequest, AppendResult, ApplyRetentionRequest, CmsAuditEvent, CountEventsRequest,
        DiscardQuarantinedRequest, EraseSubjectRequest, Event, EventFamily, GetEventRequest,
        GetProducerRequest, ListProducersRequest, ListQuarantinedRequest, NewEvent, PlaceLegalHoldRequest,
        QueryRequest, QueryResponse, ReleaseLegalHoldRequest, ReplayQuarantinedRequest,
        admin_service_client::AdminServiceClient, audit_service_client::AuditServiceClient,
        new_event::Family, query_response::Payload, retention_service_client::RetentionServiceClient,
    },
};
use tonic::{Code, Request, Status, Streaming, transport::Endpoint};

use crate::harness::{
    KINDS, TestStore,
    access::{self, by, token},
    block_on,
    calls::{Audit, Refusal, accept, append, atomic, per_event, query, refuse, results, try_query},
    cli::run,
    events::{self, fresh_id},
    server::Server,
    signing::{self, until},
    stream::Stream,
};

/// What is not recorded, save when it is denied: it tells of no event of anybody, or it is in the log itself.
const EXEMPT: [&str; 12] = [
    "/chancery.v1.AuditService/Append",
    "/chancery.v1.AuditService/AppendStream",
    "/chancery.v1.CatalogService/GetEventType",
    "/chancery.v1.CatalogService/ListEventTypes",
    "/chancery.v1.ProofService/GetCheckpoint",
    "/chancery.v1.ProofService/GetConsistencyProof",
    "/chancery.v1.ProofService/GetInclusionProof",
    "/chancery.v1.RetentionService/GetRetention",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

const ACCESS: &str = "
[producer.open]
logs = [\"main\", \"bulk\"]
families = [\"*\"]
[producer.cards]
logs = [\"main\"]
families = [\"cms_audit\"]
[producer.keys]
logs = [\"main\"]
families = [\"cms_audit\"]
[reader.ann]
logs = [\"main\", \"bulk\"]
families = [\"*\"]
personal = true
[reader.exporter]
logs = [\"main\"]
families = [\"*\"]
personal = true
[reader.kim]
logs = [\"audit\"]
families = [\"*\"]
personal = true
[admin.ops]
logs = [\"main\"]
";
const NAMES: [&str; 8] = ["open", "cards", "keys", "ann", "exporter", "kim", "ops", "idle"];
/// Large enough that a client that does not read them holds up the server.
const BULK: usize = 300;

fn started(store: &TestStore) -> Server {
    let key = signing::key(store);
    access::server(store, &access::file(ACCESS, &NAMES), &format!("signing_key_file = {key:?}"))
}

/// Ends a server, which writes what waits, and starts it again.
fn restarted(store: &TestStore, mut server: Server) -> Server {
    server.signal("TERM");
    assert_eq!(server.wait(std::time::Duration::from_secs(60)).code(), Some(0), "{}", server.log());
    drop(server);
    started(store)
}

/// All of the log `audit`, as an allowed reader has it.
async fn recorded(server: &Server) -> Vec<Event> {
    let request = QueryRequest { log: AUDIT_LOG.to_owned(), ..QueryRequest::default() };
    query(&mut server.audit().await, by("kim", request)).await.events
}

/// An entry as a line: type, outcome, actor, and every detail by its name.
fn line(event: &Event) -> String {
    assert_eq!((event.producer.as_str(), event.family()), ("chancery", EventFamily::Chancery));
    assert!(event.warnings.is_empty(), "{event:?}");
    let details = event.attributes.iter().map(|each| (each.name.clone(), each.value.clone())).collect();
    written(&event.code, event.outcome().as_str_name(), &event.actor, &details)
}

fn written(code: &str, outcome: &str, actor: &str, details: &BTreeMap<String, String>) -> String {
    let details: Vec<_> = details.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{code} {outcome} {actor:?} {}", details.join("|"))
}

/// The line of a call of somebody with a token, and of nobody for an empty name.
fn told(code: &str, outcome: &str, caller: &str, method: &str, more: &[(&str, &str)]) -> String {
    let method = RULES.iter().find(|(path, _)| path.ends_with(&format!("/{method}"))).expect("a method").0;
    let mut details = vec![("address", "127.0.0.1"), ("method", &method[1..])];
    if !caller.is_empty() {
        details.extend([("caller", caller), ("credential", "token")]);
    }
    details.extend(more);
    let details = details.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    written(code, &format!("OUTCOME_{outcome}"), caller, &details)
}

fn denied(caller: &str, method: &str, reason: &str, more: &[(&str, &str)]) -> String {
    let code = if caller.is_empty() { "UNAUTHENTICATED" } else { "PERMISSION_DENIED" };
    let details = [&[("status_code", code), ("error_reason", reason)], more].concat();
    told("CALL_DENIED", "DENIED", caller, method, &details)
}

fn unknown(device: &str) -> NewEvent {
    let mut event = events::hold(device);
    if let Some(Family::CmsAudit(it)) = &mut event.family {
        it.code = "29999".to_owned();
    }
    event
}

async fn audit_of(server: &Server) -> Audit {
    server.audit().await
}

/// Events, counts and one event are read, in every way that a read can end.
async fn reads(server: &Server) -> Vec<String> {
    let mut audit = audit_of(server).await;
    let asked = QueryRequest {
        r#where: "code = \"20018\"".to_owned(),
        limit: 10,
        purpose: "ticket 7".to_owned(),
        ..QueryRequest::default()
    };
    assert_eq!(query(&mut audit, by("ann", asked)).await.positions(), [0, 1]);
    let refused = QueryRequest { r#where: "code = (".to_owned(), ..QueryRequest::default() };
    try_query(&mut audit, by("ann", refused)).await.expect_err("no expression");

    let follow = QueryRequest { follow: true, ..QueryRequest::default() };
    let mut stream = audit.query(by("ann", follow)).await.expect("a query").into_inner();
    while !matches!(payload(&mut stream).await, Payload::CaughtUp(_)) {}
    drop(stream);

    for position in [1, 99] {
        let get = GetEventRequest { position: Some(position), ..GetEventRequest::default() };
        assert_eq!(audit.get_event(by("ann", get)).await.is_ok(), position == 1);
    }
    for group in ["family", "colour"] {
        let count = CountEventsRequest {
            group_by: vec![group.to_owned()],
            r#where: "outcome = SUCCESS".to_owned(),
            ..CountEventsRequest::default()
        };
        assert_eq!(audit.count_events(by("ann", count)).await.is_ok(), group == "family");
    }
    let order = ("order", "position_asc");
    let bad = |reason| [("log", "main"), ("status_code", "INVALID_ARGUMENT"), ("error_reason", reason)];
    vec![
        told(
            "QUERY_STARTED",
            "STARTED",
            "ann",
            "Query",
            &[
                ("log", "main"),
                ("filter", "code = \"20018\""),
                order,
                ("limit", "10"),
                ("purpose", "ticket 7"),
            ],
        ),
        told(
            "QUERY_ENDED",
            "SUCCESS",
            "ann",
            "Query",
            &[
                ("log", "main"),
                ("returned", "2"),
                ("scanned", "3"),
                ("first_returned", "0"),
                ("last_returned", "1"),
            ],
        ),
        told("READ_FAILED", "FAILURE", "ann", "Query", &bad("INVALID_WHERE")),
        told("QUERY_STARTED", "STARTED", "ann", "Query", &[("log", "main"), order, ("follow", "true")]),
        told(
            "QUERY_ENDED",
            "SUCCESS",
            "ann",
            "Query",
            &[
                ("log", "main"),
                ("returned", "3"),
                ("scanned", "0"),
                ("first_returned", "0"),
                ("last_returned", "2"),
            ],
        ),
        told("EVENT_READ", "SUCCESS", "ann", "GetEvent", &[("log", "main"), ("position", "1")]),
        told(
            "READ_FAILED",
            "FAILURE",
            "ann",
            "GetEvent",
            &[
                ("log", "main"),
                ("position", "99"),
                ("status_code", "NOT_FOUND"),
                ("error_reason", "EVENT_NOT_FOUND"),
            ],
        ),
        told(
            "EVENTS_COUNTED",
            "SUCCESS",
            "ann",
            "CountEvents",
            &[
                ("log", "main"),
                ("filter", "outcome = OUTCOME_SUCCESS"),
                ("group_by", "family"),
                ("returned", "2"),
            ],
        ),
        told("READ_FAILED", "FAILURE", "ann", "CountEvents", &bad("INVALID_GROUP")),
    ]
}

async fn payload(stream: &mut Streaming<QueryResponse>) -> Payload {
    stream.message().await.expect("no error").expect("a message").payload.expect("a payload")
}

/// A query that its client leaves in the middle. Its start; what its end tells depends on how far the server came.
async fn cut_off(server: &Server) -> String {
    let event = |at| {
        events::event(Family::CmsAudit(CmsAuditEvent {
            code: "20018".to_owned(),
            severity: 100,
            client_id: Some(format!("device-{at}")),
            operator_id: Some("operator-1".to_owned()),
            char1: Some("OP_2.0".to_owned()),
            char2: Some("ON_HOLD".to_owned()),
            description: "x".repeat(8000),
            ..CmsAuditEvent::default()
        }))
    };
    let batch = AppendRequest { log: "bulk".to_owned(), ..atomic((0..BULK).map(event).collect()) };
    accept(&mut audit_of(server).await, by("open", batch)).await;
    let narrow = Endpoint::from_shared(server.url()).expect("a URL").initial_stream_window_size(1 << 16);
    let mut audit = AuditServiceClient::new(narrow.connect().await.expect("a connection"));
    let request = QueryRequest { log: "bulk".to_owned(), ..QueryRequest::default() };
    let mut stream = audit.query(by("ann", request)).await.expect("a query").into_inner();
    while !matches!(payload(&mut stream).await, Payload::Event(_)) {}
    drop(stream);
    told("QUERY_STARTED", "STARTED", "ann", "Query", &[("log", "bulk"), ("order", "position_asc")])
}

/// The quarantine is listed, replayed and discarded.
async fn quarantine(server: &Server) -> Vec<String> {
    let mut quarantine = server.quarantine().await;
    let list = by("ann", ListQuarantinedRequest::default());
    let mut rows = quarantine.list_quarantined(list).await.expect("a list").into_inner();
    let mut ids = Vec::new();
    while let Some(row) = rows.message().await.expect("a row") {
        ids.push(row.event.expect("a row").id);
    }
    assert_eq!(ids.len(), 3);
    let replay = ReplayQuarantinedRequest { ids: ids[..1].to_vec(), ..ReplayQuarantinedRequest::default() };
    quarantine.replay_quarantined(by("ops", replay)).await.expect("a replay");
    let discard = DiscardQuarantinedRequest {
        ids: ids[1..].to_vec(),
        reason: "tests of the shim".to_owned(),
        ..DiscardQuarantinedRequest::default()
    };
    quarantine.discard_quarantined(by("ops", discard)).await.expect("discarded");
    let main = ("log", "main");
    vec![
        told("QUARANTINE_READ", "SUCCESS", "ann", "ListQuarantined", &[main, ("returned", "3")]),
        told("QUARANTINE_REPLAYED", "SUCCESS", "ops", "ReplayQuarantined", &[main, ("count", "1")]),
        told(
            "QUARANTINE_DISCARDED",
            "SUCCESS",
            "ops",
            "DiscardQuarantined",
            &[main, ("count", "2"), ("reason", "tests of the shim")],
        ),
    ]
}

/// Producers are looked up.
async fn producers(server: &Server) -> Vec<String> {
    let mut producers = server.producers().await;
    let list = ListProducersRequest { log: "main".to_owned(), ..ListProducersRequest::default() };
    let listed = producers.list_producers(by("ann", list)).await.expect("producers").into_inner();
    assert_eq!(listed.producers.len(), 1);
    let get = GetProducerRequest { producer: "open".to_owned(), ..GetProducerRequest::default() };
    producers.get_producer(by("ann", get)).await.expect("a producer");
    let (main, one) = (("log", "main"), ("returned", "1"));
    vec![
        told("PRODUCERS_READ", "SUCCESS", "ann", "ListProducers", &[main, one]),
        told("PRODUCERS_READ", "SUCCESS", "ann", "GetProducer", &[main, one, ("producer", "open")]),
    ]
}

/// Somebody is erased, the oldest events go, and are held.
async fn administration(server: &Server) -> Vec<String> {
    let (request_id, hold_id) = (fresh_id(), fresh_id());
    let mut admin = AdminServiceClient::new(server.channel().await);
    let erase = EraseSubjectRequest {
        subject: "somebody-else".to_owned(),
        reason: "request 9".to_owned(),
        request_id: request_id.clone(),
        ..EraseSubjectRequest::default()
    };
    admin.erase_subject(by("ops", erase)).await.expect("an erasure");
    let mut retention = RetentionServiceClient::new(server.channel().await);
    let apply =
        ApplyRetentionRequest { reason: "a full disk".to_owned(), ..ApplyRetentionRequest::default() };
    retention.apply_retention(by("ops", apply)).await.expect("retention");
    let place = PlaceLegalHoldRequest {
        hold_id: hold_id.clone(),
        reason: "case 12".to_owned(),
        ..PlaceLegalHoldRequest::default()
    };
    retention.place_legal_hold(by("ops", place)).await.expect("a hold");
    let release = ReleaseLegalHoldRequest { hold_id: hold_id.clone(), ..ReleaseLegalHoldRequest::default() };
    retention.release_legal_hold(by("ops", release)).await.expect("released");
    let (main, hold) = (("log", "main"), ("hold_id", hold_id.as_str()));
    let erased = [main, ("request_id", &request_id), ("reason", "request 9")];
    let applied = [main, ("reason", "a full disk")];
    vec![
        told("ERASURE_REQUESTED", "STARTED", "ops", "EraseSubject", &erased),
        told("RETENTION_REQUESTED", "STARTED", "ops", "ApplyRetention", &applied),
        told("LEGAL_HOLD_PLACED", "SUCCESS", "ops", "PlaceLegalHold", &[main, hold, ("reason", "case 12")]),
        told("LEGAL_HOLD_RELEASED", "SUCCESS", "ops", "ReleaseLegalHold", &[main, hold]),
    ]
}

/// Calls of those who may not make them.
async fn refusals(server: &Server) -> Vec<String> {
    let mut audit = audit_of(server).await;
    let everything = |log: &str| QueryRequest { log: log.to_owned(), ..QueryRequest::default() };
    let reason = |status: Status| Refusal::of(&status).reason;
    // The second and the third of one kind are counted.
    for _ in 0..3 {
        let status = try_query(&mut audit, by("idle", everything(""))).await.expect_err("no role");
        assert_eq!(reason(status), "ROLE_REQUIRED");
    }
    let status = try_query(&mut audit, by("nobody", everything(""))).await.expect_err("no such token");
    assert_eq!(reason(status), "CREDENTIAL_REFUSED");
    let get = audit.get_event(Request::new(GetEventRequest::default())).await.expect_err("no token");
    assert_eq!((get.code(), reason(get)), (Code::Unauthenticated, "NO_CREDENTIAL".to_owned()));
    let status = try_query(&mut audit, by("ann", everything("other"))).await.expect_err("another log");
    assert_eq!(reason(status), "LOG_NOT_ALLOWED");
    // Events of another family, whole, each for itself, and on a stream.
    let others = || vec![events::token("CONSENT_GIVEN")];
    assert_eq!(refuse(&mut audit, by("cards", atomic(others()))).await.reason, "FAMILY_NOT_ALLOWED");
    let answer = append(&mut audit, by("keys", per_event(others()))).await;
    assert_eq!(results(&answer), [AppendResult::Rejected]);
    let mut stream = Stream::with(&mut audit, |batches| by("cards", batches)).await.expect("a stream");
    stream.answer().await.settings.expect("settings");
    stream.send(1, others()).await;
    while stream.answer().await.acked_through != 1 {}
    vec![
        denied("idle", "Query", "ROLE_REQUIRED", &[]),
        denied("idle", "Query", "ROLE_REQUIRED", &[("count", "2")]),
        denied("", "Query", "CREDENTIAL_REFUSED", &[]),
        denied("", "GetEvent", "NO_CREDENTIAL", &[]),
        denied("ann", "Query", "LOG_NOT_ALLOWED", &[]),
        denied("cards", "Append", "FAMILY_NOT_ALLOWED", &[]),
        denied("keys", "Append", "FAMILY_NOT_ALLOWED", &[]),
        denied("cards", "AppendStream", "FAMILY_NOT_ALLOWED", &[]),
    ]
}

/// The access file is read again, and once more when it is none.
async fn reloads(store: &TestStore, server: &Server) -> Vec<String> {
    server.signal("HUP");
    until("it was read", || async { server.log().contains("the access file was read again") }).await;
    let path = store.folder.path().join("access.toml");
    std::fs::write(&path, "[reader").expect("a file");
    server.signal("HUP");
    until("it was not", || async { server.log().contains("the access file was not taken") }).await;
    std::fs::write(&path, access::file(ACCESS, &NAMES)).expect("a file");
    let details = |of: &[(&str, &str)]| {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let refused = [("file", "access"), ("error_reason", "see the server's log")];
    vec![
        written("CONFIGURATION_RELOADED", "OUTCOME_SUCCESS", "", &details(&refused[..1])),
        written("CONFIGURATION_REFUSED", "OUTCOME_FAILURE", "", &details(&refused)),
    ]
}

/// A bundle is taken home by the command line.
fn export(store: &TestStore, server: &Server) {
    let mut command = server.cli(&["export", "--key", &signing::verifier(store, "main").to_string(), "-o"]);
    let ran =
        run(command.arg(store.folder.path().join("bundle")).env("CHANCERY_TOKEN", token("exporter")), "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn detail<'a>(event: &'a Event, name: &str) -> &'a str {
    event.attributes.iter().find(|each| each.name == name).map_or("", |each| each.value.as_str())
}

/// The two entries of every query, by what they have in common.
fn paired(events: &[Event]) -> Vec<[&Event; 2]> {
    let mut calls: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.code.starts_with("QUERY_")) {
        calls.entry(&event.correlation_id).or_default().push(event);
    }
    calls.into_values().map(|pair| <[&Event; 2]>::try_from(pair).expect("a start and an end")).collect()
}

#[test]
fn every_method_is_recorded_or_exempt() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        let (bulk, mut expected) = block_on(async {
            let mut audit = audit_of(&server).await;
            let batch = vec![events::hold("one"), events::hold("two"), events::token("CONSENT_GIVEN")];
            accept(&mut audit, by("open", atomic(batch))).await;
            let unknown = ["three", "four", "five"].map(unknown).to_vec();
            assert_eq!(
                results(&append(&mut audit, by("open", per_event(unknown))).await),
                [AppendResult::Quarantined; 3]
            );
            signing::checkpoint(&store, "main", 3).await;
            let bulk = cut_off(&server).await;
            let mut expected = reads(&server).await;
            expected.extend(quarantine(&server).await);
            expected.extend(producers(&server).await);
            expected.extend(refusals(&server).await);
            (bulk, expected)
        });
        export(&store, &server);
        block_on(async {
            expected.extend(administration(&server).await);
            expected.extend(reloads(&store, &server).await);
        });
        let server = restarted(&store, server);
        let all = block_on(recorded(&server));
        // One query says itself when it is recorded, and its end comes behind it.
        let all: Vec<_> = all.into_iter().filter(|event| event.actor != "kim").collect();
        let pairs = paired(&all);
        let of = |name: &str, value: &str| -> Vec<_> {
            pairs.iter().filter(|[start, _]| detail(start, name) == value).copied().collect()
        };
        let cut = of("log", "bulk");
        let [[start, end]] = cut[..] else { panic!("{cut:?}") };
        assert_eq!(line(start), bulk);
        let sent: usize = detail(end, "returned").parse().expect("a number");
        assert!((1..BULK).contains(&sent), "{end:?}");
        let last = (sent - 1).to_string();
        let gone = ["log", "status_code", "error_reason", "first_returned", "last_returned", "caller"];
        assert_eq!(
            (end.code.as_str(), gone.map(|name| detail(end, name))),
            ("QUERY_FAILED", ["bulk", "CANCELLED", "CLIENT_GONE", "0", last.as_str(), "ann"]),
            "{kind:?}"
        );
        // Where the range begins, its hashes, and what is written.
        let exported = of("purpose", "export");
        let mut told = Vec::new();
        for [start, end] in &exported {
            assert_eq!((start.actor.as_str(), detail(start, "log")), ("exporter", "main"));
            assert_eq!(end.code.as_str(), "QUERY_ENDED", "{end:?}");
            told.push((detail(start, "filter"), detail(start, "limit"), detail(end, "returned")));
        }
        told.sort_unstable();
        let range = ("position >= 0 AND position < 3", "", "3");
        assert_eq!(told, [("", "1", "1"), range, range], "{kind:?}");
        let apart: BTreeSet<_> =
            cut.iter().chain(&exported).map(|[start, _]| &start.correlation_id).collect();
        let rest = all
            .iter()
            .filter(|event| event.correlation_id.is_empty() || !apart.contains(&event.correlation_id));
        let mut found: Vec<_> = rest.map(line).collect();
        found.sort_unstable();
        expected.sort_unstable();
        pretty(&found, &expected);
        // Nothing is left out.
        let recorded = all.iter().filter(|event| event.code != "CALL_DENIED");
        let recorded = recorded.map(|event| detail(event, "method")).filter(|method| !method.is_empty());
        let known: BTreeSet<_> = recorded.map(|method| format!("/{method}")).collect();
        let exempt: BTreeSet<_> = EXEMPT.map(str::to_owned).into();
        assert!(known.is_disjoint(&exempt), "{known:?}");
        let ruled = RULES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(known.union(&exempt).cloned().collect::<BTreeSet<_>>(), ruled, "a method is not recorded");
    }
}

fn pretty(found: &[String], expected: &[String]) {
    let lacking: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    let more: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(found == expected, "not there: {lacking:#?}\nthere instead: {more:#?}\nin all: {found:#?}");
}

#[test]
fn who_follows_it_hears_of_the_calls_of_others_and_not_of_itself() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        block_on(async {
            let mut audit = audit_of(&server).await;
            accept(&mut audit, by("open", atomic(vec![events::hold("one")]))).await;
            let request = QueryRequest { log: AUDIT_LOG.to_owned(), follow: true, ..QueryRequest::default() };
            let mut stream = audit.query(by("kim", request)).await.expect("a query").into_inner();
            let mut next = async || loop {
                if let Payload::Event(event) = payload(&mut stream).await {
                    break (event.position, event.code, event.actor);
                }
            };
            let entry =
                |position, code: &str, actor: &str| (Some(position), code.to_owned(), actor.to_owned());
            assert_eq!(next().await, entry(0, "QUERY_STARTED", "kim"));
            for position in 1..=5 {
                let get = GetEventRequest { position: Some(0), ..GetEventRequest::default() };
                audit.get_event(by("ann", get)).await.expect("an event");
                assert_eq!(next().await, entry(position, "EVENT_READ", "ann"), "{kind:?}");
            }
        });
        // What was sent has made no entries, up to the last.
        let server = restarted(&store, server);
        let all = block_on(recorded(&server));
        let codes: Vec<_> = all.iter().map(|event| event.code.as_str()).collect();
        let reads = ["EVENT_READ"; 5];
        assert_eq!(codes[..7], [&["QUERY_STARTED"][..], &reads, &["QUERY_ENDED"]].concat(), "{kind:?}");
        // The reader may have found its own start.
        assert!(codes[7..].is_empty() || codes[7..] == ["QUERY_STARTED"], "{kind:?}: {codes:?}");
    }
}
