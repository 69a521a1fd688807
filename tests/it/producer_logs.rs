//! The log is chosen by the request, and the operator says which logs a producer may append to.
use chancery::proto::v1::{
    AppendRequest, EventFamily, GetProducerRequest, ProducerLimits, ReplayQuarantinedRequest,
};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore,
    access::{self, by},
    block_on,
    calls::{Refusal, accept, atomic, per_event, refuse},
    cli::run,
    database::assert_empty,
    events,
    server::Server,
    stream::Stream,
};

const LIMITS: &str = "[limits]
bytes_per_second = 5_000_000
";
const ACCESS: &str = "[producer.bound]
logs = [\"cards\", \"main\"]
families = [\"cms_audit\"]
events_per_second = 2000
burst_events = 3000
[producer.none]
logs = []
families = []
[producer.other]
logs = [\"*\"]
families = [\"*\"]
[auditor.other]
logs = [\"*\"]
[admin.none]
logs = []
";

fn server(store: &TestStore) -> Server {
    access::server(store, &access::file(ACCESS, &["bound", "none", "other"]), LIMITS)
}

fn into_log(log: &str, request: AppendRequest) -> AppendRequest {
    AppendRequest { log: log.to_owned(), ..request }
}

fn not_allowed(refusal: &Refusal, log: &str) {
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::PermissionDenied, "LOG_NOT_ALLOWED"));
    assert_eq!(refusal.metadata["log"], log);
}

#[test]
fn a_producer_appends_only_to_the_logs_it_may() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = server(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let event = || vec![events::hold("device-1")];
            for request in [atomic(event()), per_event(event())] {
                let dry = AppendRequest { validate_only: true, ..request.clone() };
                for request in [request, dry] {
                    let request = by("bound", into_log("tokens", request));
                    not_allowed(&refuse(&mut audit, request).await, "tokens");
                }
            }
            let refusal = refuse(&mut audit, by("none", atomic(event()))).await;
            not_allowed(&refusal, "main");
            let mut stream = Stream::with(&mut audit, |batches| by("none", batches)).await.expect("a stream");
            stream.answer().await.settings.expect("settings");
            stream.send(1, event()).await;
            let status = stream.next().await.expect_err("another log");
            not_allowed(&Refusal::of(&status), "main");
            let replay = ReplayQuarantinedRequest { all: true, ..ReplayQuarantinedRequest::default() };
            let answer = server.quarantine().await.replay_quarantined(by("none", replay)).await;
            not_allowed(&Refusal::of(&answer.expect_err("another log")), "main");
            assert_empty(&store).await;
            // What it may, and everybody else.
            for log in ["", "cards"] {
                let request = by("bound", into_log(log, atomic(event())));
                assert_eq!(accept(&mut audit, request).await, [0]);
            }
            let request = by("other", into_log("tokens", atomic(event())));
            assert_eq!(accept(&mut audit, request).await, [0]);
        });
    }
}

#[test]
fn a_producer_is_shown_with_its_limits() {
    let store = TestStore::new(KINDS[0]);
    let server = server(&store);
    block_on(async {
        let mut audit = server.audit().await;
        for producer in ["bound", "other"] {
            accept(&mut audit, by(producer, atomic(vec![events::hold("device-1")]))).await;
        }
        let mut producers = server.producers().await;
        let mut limits = async |producer: &str| {
            let request = GetProducerRequest { producer: producer.to_owned(), ..Default::default() };
            let answer = producers.get_producer(by("other", request)).await.expect("a producer").into_inner();
            answer.limits.expect("limits")
        };
        let bound = ProducerLimits {
            events_per_second: 2000,
            burst_events: 3000,
            bytes_per_second: 5_000_000,
            burst_bytes: 5_000_000,
            logs: vec!["cards".to_owned(), "main".to_owned()],
            no_logs: false,
            families: vec![EventFamily::CmsAudit as i32],
            no_families: false,
        };
        assert_eq!(limits("bound").await, bound);
        let other = ProducerLimits {
            events_per_second: 0,
            burst_events: 0,
            logs: Vec::new(),
            families: Vec::new(),
            ..bound
        };
        assert_eq!(limits("other").await, other);
    });
    let shown =
        run(server.cli(&["producers", "show", "bound"]).env("CHANCERY_TOKEN", access::token("other")), "");
    assert!(shown.out.contains("limit: 2000 events per second, 3000 at once"), "{shown:?}");
    assert!(shown.out.contains("may append to: cards, main"), "{shown:?}");
}
