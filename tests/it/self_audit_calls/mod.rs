//! Every method that the self-audit records, called by callers with tokens, and all that is in the log `audit` for it.
mod calls;

use std::collections::{BTreeMap, BTreeSet};

use chancery::{
    auth::rules::RULES,
    event::AUDIT_LOG,
    proto::v1::{
        AppendResult, Event, EventFamily, GetEventRequest, NewEvent, QueryRequest, new_event::Family,
        query_response::Payload,
    },
};

use crate::harness::{
    KINDS, TestStore,
    access::{self, by},
    block_on,
    calls::{Audit, accept, append, atomic, per_event, query, results},
    events::{self},
    server::Server,
    signing::{self},
};

use calls::{administration, cut_off, export, payload, producers, quarantine, reads, refusals, reloads};

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
