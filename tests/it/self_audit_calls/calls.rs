//! The calls themselves, and what the self-audit must say of each.

use chancery::proto::v1::{
    AppendRequest, AppendResult, ApplyRetentionRequest, CmsAuditEvent, CountEventsRequest,
    DiscardQuarantinedRequest, EraseSubjectRequest, GetEventRequest, GetProducerRequest,
    ListProducersRequest, ListQuarantinedRequest, PlaceLegalHoldRequest, QueryRequest, QueryResponse,
    ReleaseLegalHoldRequest, ReplayQuarantinedRequest, admin_service_client::AdminServiceClient,
    audit_service_client::AuditServiceClient, new_event::Family, query_response::Payload,
    retention_service_client::RetentionServiceClient,
};
use tonic::{Code, Request, Status, Streaming, transport::Endpoint};

use crate::harness::{
    TestStore,
    access::{self, by, token},
    calls::{Refusal, accept, append, atomic, per_event, query, refuse, results, try_query},
    cli::run,
    events::{self, fresh_id},
    server::Server,
    signing,
    stream::Stream,
    until,
};

use super::{ACCESS, BULK, NAMES, audit_of, denied, told, written};

/// Events, counts and one event are read, in every way that a read can end.
pub async fn reads(server: &Server) -> Vec<String> {
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

pub async fn payload(stream: &mut Streaming<QueryResponse>) -> Payload {
    stream.message().await.expect("no error").expect("a message").payload.expect("a payload")
}

/// A query that its client leaves in the middle. Its start; what its end tells depends on how far the server came.
pub async fn cut_off(server: &Server) -> String {
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
pub async fn quarantine(server: &Server) -> Vec<String> {
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
pub async fn producers(server: &Server) -> Vec<String> {
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
pub async fn administration(server: &Server) -> Vec<String> {
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
pub async fn refusals(server: &Server) -> Vec<String> {
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
pub async fn reloads(store: &TestStore, server: &Server) -> Vec<String> {
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
pub fn export(store: &TestStore, server: &Server) {
    let mut command = server.cli(&["export", "--key", &signing::verifier(store, "main").to_string(), "-o"]);
    let ran =
        run(command.arg(store.folder.path().join("bundle")).env("CHANCERY_TOKEN", token("exporter")), "");
    assert_eq!(ran.code, 0, "{ran:?}");
}
