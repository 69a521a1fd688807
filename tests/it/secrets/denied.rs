//! Secrets in events that their producer may not send, and beside the texts that callers may write as they like.
use std::{fmt::Write as _, time::Duration};

use chancery::proto::v1::{
    ApplyRetentionRequest, DiscardQuarantinedRequest, EraseSubjectRequest, ListQuarantinedRequest, NewEvent,
    PlaceLegalHoldRequest, QueryRequest, ReleaseLegalHoldRequest, admin_service_client::AdminServiceClient,
    retention_service_client::RetentionServiceClient,
};

use super::{CANARY, CONTROL, contents, places, search};
use crate::harness::{
    KINDS, TestStore,
    access::{self, by},
    block_on,
    calls::{append, atomic, per_event, query},
    database::{Database, assert_empty},
    events::fresh_id,
    server::Server,
    stream::Stream,
};

const ACCESS: &str = "
[producer.none]
logs = [\"main\"]
families = []
[producer.open]
logs = [\"main\"]
families = [\"*\"]
[reader.ann]
logs = [\"main\"]
families = [\"*\"]
personal = true
[admin.ops]
logs = [\"main\"]
";
/// Stands wherever a caller writes what it likes, and is kept there.
const FREE: &str = "kept-free-text";

fn secrets() -> Vec<NewEvent> {
    places::all().into_iter().map(|place| place.event).collect()
}

/// Every way to append, for a producer that may send none of these families.
async fn denied(server: &Server, said: &mut String) {
    let mut audit = server.audit().await;
    let refused = audit.append(by("none", atomic(secrets()))).await.expect_err("another family");
    let _ = write!(said, "{refused:?}");
    let _ = write!(said, "{:?}", append(&mut audit, by("none", per_event(secrets()))).await);
    let mut stream = Stream::with(&mut audit, |batches| by("none", batches)).await.expect("a stream");
    let mut refused = 0;
    let batches: Vec<_> = secrets().chunks(10).map(<[_]>::to_vec).collect();
    let count = batches.len() as u64;
    let events: usize = batches.iter().map(Vec::len).sum();
    for (number, batch) in (1..).zip(batches) {
        stream.send(number, batch).await;
    }
    loop {
        let answer = stream.answer().await;
        let _ = write!(said, "{answer:?}");
        refused += answer.results.len();
        if answer.acked_through == count {
            break;
        }
    }
    assert_eq!(refused, events, "none is accepted");
    assert!(said.contains("FAMILY_NOT_ALLOWED"));
}

/// Calls with texts of their callers, on a log of events that had secrets.
async fn administered(server: &Server, said: &mut String) {
    let mut audit = server.audit().await;
    let _ = write!(said, "{:?}", append(&mut audit, by("open", per_event(secrets()))).await);
    let asked = QueryRequest { purpose: FREE.to_owned(), ..QueryRequest::default() };
    let _ = write!(said, "{:?}", query(&mut audit, by("ann", asked)).await);
    let mut quarantine = server.quarantine().await;
    let list = by("ann", ListQuarantinedRequest::default());
    let mut rows = quarantine.list_quarantined(list).await.expect("a list").into_inner();
    let mut ids = Vec::new();
    while let Some(row) = rows.message().await.expect("a row") {
        let _ = write!(said, "{row:?}");
        ids.push(row.event.expect("a row").id);
    }
    let reason = || FREE.to_owned();
    let discard = DiscardQuarantinedRequest { ids, reason: reason(), ..DiscardQuarantinedRequest::default() };
    let _ =
        write!(said, "{:?}", quarantine.discard_quarantined(by("ops", discard)).await.expect("discarded"));
    let mut retention = RetentionServiceClient::new(server.channel().await);
    let hold_id = fresh_id();
    let hold = PlaceLegalHoldRequest {
        hold_id: hold_id.clone(),
        reason: reason(),
        ..PlaceLegalHoldRequest::default()
    };
    let _ = write!(said, "{:?}", retention.place_legal_hold(by("ops", hold)).await.expect("a hold"));
    let hold = ReleaseLegalHoldRequest { hold_id, ..ReleaseLegalHoldRequest::default() };
    let _ = write!(said, "{:?}", retention.release_legal_hold(by("ops", hold)).await.expect("released"));
    let apply = ApplyRetentionRequest { reason: reason(), ..ApplyRetentionRequest::default() };
    let _ = write!(said, "{:?}", retention.apply_retention(by("ops", apply)).await.expect("applied"));
    let erase = EraseSubjectRequest {
        subject: "ann".to_owned(),
        reason: reason(),
        request_id: fresh_id(),
        ..EraseSubjectRequest::default()
    };
    let mut admin = AdminServiceClient::new(server.channel().await);
    let _ = write!(said, "{:?}", admin.erase_subject(by("ops", erase)).await.expect("an erasure"));
}

#[test]
fn events_of_a_family_that_is_not_allowed_and_texts_of_callers_hold_no_secret() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let file = access::file(ACCESS, &["none", "open", "ann", "ops"]);
        let mut server = access::server(&store, &file, "log_level = \"debug\"");
        assert!(format!("{:?}", secrets()).contains(CANARY), "there is something to find");
        let mut said = String::new();
        block_on(async {
            denied(&server, &mut said).await;
            assert_empty(&store).await;
            search("an answer to who may not", said.as_bytes());
            search("the store after that", &contents(&store).await);
            administered(&server, &mut said).await;
            search("the metrics", server.admin_get("/metrics").await.1.as_bytes());
        });
        search("an answer", said.as_bytes());
        // All that waits is written then.
        server.signal("TERM");
        assert_eq!(server.wait(Duration::from_secs(60)).code(), Some(0));
        let stored = block_on(contents(&store));
        search("the store", &stored);
        for kept in [CONTROL, FREE] {
            assert!(memchr::memmem::find(&stored, kept.as_bytes()).is_some(), "{kind:?}: {kept}");
        }
        let log = server.log();
        assert!(log.contains("\"level\":\"DEBUG\""), "the log is one for debugging");
        search("the log", log.as_bytes());
        // Each of the five calls with a text is in the self-audit.
        let told = "SELECT count(*) FROM events WHERE log = 'audit' AND producer = 'chancery'";
        assert!(block_on(async { Database::open(&store).await.number(told).await }) >= 7);
    }
}
