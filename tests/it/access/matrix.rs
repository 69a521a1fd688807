//! Every method with every kind of caller. The table is written out and not taken from the rules, so that a rule that
//! changes by mistake is seen; a method that is not in it fails the test.
use std::collections::BTreeSet;

use chancery::auth::rules::RULES;
use tonic::{Code, Request, Status, Streaming, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use super::bearing;
use crate::{
    documents,
    harness::{Kind, TestStore, access, block_on, server::Server},
};

/// The callers, each with a token. `idle` is known and has no role; `stranger` has a token that nobody knows; the
/// empty one has none.
const CALLERS: [&str; 8] = ["producer", "reader", "blind", "auditor", "admin", "idle", "stranger", ""];

/// Everybody is it for the log main; `blind` is a reader who sees no personal values.
const ACCESS: &str = "
[producer.producer]
logs = [\"main\"]
families = [\"*\"]
[reader.reader]
logs = [\"main\"]
families = [\"*\"]
personal = true
[reader.blind]
logs = [\"main\"]
families = [\"*\"]
[auditor.auditor]
logs = [\"main\"]
[admin.admin]
logs = [\"main\"]
";

/// Answers that are no refusal of the caller: what an all but empty request gets.
const OK: (Code, &str) = (Code::Ok, "");
/// Of reflection, which gives no reasons.
const NO_QUESTION: (Code, &str) = (Code::InvalidArgument, "");
const fn bad(reason: &'static str) -> (Code, &'static str) {
    (Code::InvalidArgument, reason)
}
const fn absent(reason: &'static str) -> (Code, &'static str) {
    (Code::NotFound, reason)
}

/// What answers a caller with a role, and in whose line. `log`: the first field of its request is a log.
struct Row {
    method: &'static str,
    callers: &'static [&'static str],
    answer: (Code, &'static str),
    log: bool,
}

const READERS: &[&str] = &["reader", "blind"];
const PROVERS: &[&str] = &["reader", "blind", "auditor"];
const KNOWERS: &[&str] = &["reader", "blind", "auditor", "admin"];
const KNOWN: &[&str] = &["producer", "reader", "blind", "auditor", "admin", "idle"];

const fn row(
    method: &'static str,
    callers: &'static [&'static str],
    answer: (Code, &'static str),
    log: bool,
) -> Row {
    Row { method, callers, answer, log }
}

const TABLE: [Row; 24] = [
    row("/chancery.v1.AdminService/EraseSubject", &["admin"], bad("INVALID_SUBJECT"), true),
    row("/chancery.v1.AuditService/Append", &["producer"], bad("EMPTY_BATCH"), true),
    row("/chancery.v1.AuditService/AppendStream", &["producer"], bad("BATCH_OUT_OF_ORDER"), true),
    row("/chancery.v1.AuditService/CountEvents", READERS, OK, true),
    row("/chancery.v1.AuditService/GetEvent", READERS, bad("INVALID_EVENT_REFERENCE"), true),
    row("/chancery.v1.AuditService/Query", READERS, OK, true),
    row("/chancery.v1.CatalogService/GetEventType", KNOWN, bad("INVALID_FAMILY"), false),
    row("/chancery.v1.CatalogService/ListEventTypes", KNOWN, OK, false),
    row(
        "/chancery.v1.ProducerService/GetProducer",
        &["producer", "reader", "blind", "auditor", "admin"],
        bad("INVALID_PRODUCER"),
        false,
    ),
    row("/chancery.v1.ProducerService/ListProducers", KNOWERS, OK, true),
    row("/chancery.v1.ProofService/GetCheckpoint", PROVERS, absent("NO_CHECKPOINT"), true),
    row("/chancery.v1.ProofService/GetConsistencyProof", PROVERS, bad("INVALID_TREE_SIZE"), true),
    row("/chancery.v1.ProofService/GetInclusionProof", PROVERS, absent("NO_CHECKPOINT"), true),
    row("/chancery.v1.QuarantineService/DiscardQuarantined", &["admin"], bad("INVALID_IDS"), true),
    row("/chancery.v1.QuarantineService/ListQuarantined", &["reader"], OK, true),
    row("/chancery.v1.QuarantineService/ReplayQuarantined", &["admin"], bad("INVALID_IDS"), true),
    row("/chancery.v1.RetentionService/ApplyRetention", &["admin"], OK, true),
    row("/chancery.v1.RetentionService/GetRetention", KNOWERS, OK, true),
    row("/chancery.v1.RetentionService/PlaceLegalHold", &["admin"], bad("INVALID_HOLD_ID"), true),
    row("/chancery.v1.RetentionService/ReleaseLegalHold", &["admin"], bad("INVALID_HOLD_ID"), true),
    row("/grpc.health.v1.Health/Check", &CALLERS, OK, false),
    row("/grpc.health.v1.Health/Watch", &CALLERS, OK, false),
    row("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", KNOWN, NO_QUESTION, false),
    row("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", KNOWN, NO_QUESTION, false),
];

/// Calls a method with a message of which the first field is this text; what it is answered with first.
async fn call(channel: Channel, method: &'static str, caller: &str, text: &str) -> (Code, String) {
    let mut client = Grpc::new(channel);
    client.ready().await.expect("a connection");
    let message = tokio_stream::once(text.to_owned());
    let request =
        if caller.is_empty() { Request::new(message) } else { bearing(&access::token(caller), message) };
    // On the wire a text alone is a message whose first field it is, and an empty message takes any answer.
    let codec = ProstCodec::<String, ()>::default();
    let answered = match client.streaming(request, method.parse().expect("a path"), codec).await {
        Ok(answer) => ended(answer.into_inner(), method.ends_with("/Watch")).await,
        Err(status) => Err(status),
    };
    let reason = |status: &Status| {
        status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
    };
    answered.map_or_else(|status| (status.code(), reason(&status)), |()| (Code::Ok, String::new()))
}

/// Reads an answer to its end, or its first message when it has none.
async fn ended(mut answer: Streaming<()>, has_no_end: bool) -> Result<(), Status> {
    while answer.message().await?.is_some() && !has_no_end {}
    Ok(())
}

fn server(store: &TestStore) -> Server {
    let known: Vec<_> = CALLERS.into_iter().filter(|name| !["stranger", ""].contains(name)).collect();
    access::server(store, &access::file(ACCESS, &known), "")
}

#[test]
fn every_method_answers_those_who_may_call_it_and_nobody_else() {
    let methods: BTreeSet<_> = TABLE.iter().map(|row| row.method).collect();
    assert_eq!(methods, RULES.iter().map(|(path, _)| *path).collect(), "a method is missing in the table");
    let store = TestStore::new(Kind::Sqlite);
    let server = server(&store);
    block_on(async {
        for Row { method, callers, answer, log } in &TABLE {
            for caller in CALLERS {
                let may = callers.contains(&caller);
                let expected = match caller {
                    _ if may => *answer,
                    "" => (Code::Unauthenticated, "NO_CREDENTIAL"),
                    "stranger" => (Code::Unauthenticated, "CREDENTIAL_REFUSED"),
                    // What was not understood cannot be shown in part.
                    "blind" if method.ends_with("/ListQuarantined") => {
                        (Code::PermissionDenied, "PERSONAL_NOT_ALLOWED")
                    }
                    _ => (Code::PermissionDenied, "ROLE_REQUIRED"),
                };
                let text = if *log { "main" } else { "" };
                let found = call(server.channel().await, method, caller, text).await;
                assert_eq!((found.0, found.1.as_str()), expected, "{method} by {caller:?}");
                // The same for a log of others, and for the self-audit.
                for other in ["other", "audit"] {
                    if may && *log {
                        let found = call(server.channel().await, method, caller, other).await;
                        let denied = (Code::PermissionDenied, "LOG_NOT_ALLOWED");
                        assert_eq!((found.0, found.1.as_str()), denied, "{method} by {caller:?} on {other}");
                    }
                }
            }
        }
        // There is nothing else to call.
        let found = call(server.channel().await, "/chancery.v1.AuditService/Delete", "admin", "main").await;
        assert_eq!(found, (Code::Unimplemented, "UNKNOWN_METHOD".to_owned()));
    });
}

#[test]
fn who_has_every_role_for_all_logs_has_none_for_the_self_audit() {
    let store = TestStore::new(Kind::Sqlite);
    let lines = ACCESS.replace("[\"main\"]", "[\"*\"]");
    let named = "[producer.named]\nlogs = [\"audit\"]\nfamilies = [\"*\"]\n[reader.named]\nlogs = [\"audit\"]\nfamilies = [\"*\"]\n";
    let names = ["producer", "reader", "blind", "auditor", "admin", "named"];
    let server = access::server(&store, &access::file(&(lines + named), &names), "");
    block_on(async {
        for Row { method, callers, .. } in TABLE.iter().filter(|row| row.log) {
            for caller in *callers {
                let found = call(server.channel().await, method, caller, "audit").await;
                let denied = (Code::PermissionDenied, "LOG_NOT_ALLOWED".to_owned());
                assert_eq!(found, denied, "{method} by {caller}");
            }
        }
        // Who is named reads it, and still nobody appends.
        let query = "/chancery.v1.AuditService/Query";
        assert_eq!(call(server.channel().await, query, "named", "audit").await, (Code::Ok, String::new()));
        for method in ["/chancery.v1.AuditService/Append", "/chancery.v1.AuditService/AppendStream"] {
            let found = call(server.channel().await, method, "named", "audit").await;
            assert_eq!(found, (Code::PermissionDenied, "LOG_RESERVED".to_owned()), "{method}");
        }
    });
}

#[test]
fn the_page_lists_every_method_with_its_roles() {
    let mut listed = BTreeSet::new();
    for cells in documents::table("docs/access.md", "## What each method needs") {
        for method in documents::code_words(&cells[0]) {
            assert!(listed.insert(method.to_owned()), "{method} stands twice");
            let row = TABLE.iter().find(|row| row.method.rsplit('/').next() == Some(method));
            let row = row.unwrap_or_else(|| panic!("there is no method {method}"));
            for role in ["producer", "reader", "auditor", "admin"] {
                let any = cells[1].contains("any credential");
                assert_eq!(cells[1].contains(role) || any, row.callers.contains(&role), "{method}: {role}");
            }
        }
    }
    let ours = TABLE.iter().filter(|row| row.method.starts_with("/chancery."));
    let ours: BTreeSet<_> = ours.filter_map(|row| row.method.rsplit('/').next()).map(str::to_owned).collect();
    assert_eq!(listed, ours);
}
