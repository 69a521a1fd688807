//! The log is chosen by the request, and the operator says which logs a producer may append to.
use chancery::proto::v1::{AppendRequest, ReplayQuarantinedRequest};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, accept, atomic, from_producer, per_event, refuse},
    database::assert_empty,
    events,
    server::Server,
    stream::Stream,
};

const FILE: &str = "[producers.bound]\nlogs = [\"cards\", \"main\"]\n[producers.none]\nlogs = []\n";

fn into_log(log: &str, request: AppendRequest) -> AppendRequest {
    AppendRequest { log: log.to_owned(), ..request }
}

fn not_allowed(refusal: &Refusal, log: &str, allowed: &str) {
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::PermissionDenied, "LOG_NOT_ALLOWED"));
    assert_eq!(refusal.metadata["log"], log);
    assert_eq!(refusal.metadata["allowed_logs"], allowed);
}

#[test]
fn a_producer_appends_only_to_the_logs_it_may() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::configured(&store, FILE);
        block_on(async {
            let mut audit = server.audit().await;
            let event = || vec![events::hold("device-1")];
            for request in [atomic(event()), per_event(event())] {
                let dry = AppendRequest { validate_only: true, ..request.clone() };
                for request in [request, dry] {
                    let request = from_producer("bound", into_log("tokens", request));
                    not_allowed(&refuse(&mut audit, request).await, "tokens", "cards, main");
                }
            }
            let refusal = refuse(&mut audit, from_producer("none", atomic(event()))).await;
            not_allowed(&refusal, "main", "");
            let mut stream = Stream::of(&mut audit, "none").await.expect("a stream");
            stream.answer().await.settings.expect("settings");
            stream.send(1, event()).await;
            let status = stream.next().await.expect_err("another log");
            not_allowed(&Refusal::of(&status), "main", "");
            let replay = ReplayQuarantinedRequest { all: true, ..ReplayQuarantinedRequest::default() };
            let answer = server.quarantine().await.replay_quarantined(from_producer("none", replay)).await;
            not_allowed(&Refusal::of(&answer.expect_err("another log")), "main", "");
            assert_empty(&store).await;
            // What it may, and everybody else.
            for log in ["", "cards"] {
                let request = from_producer("bound", into_log(log, atomic(event())));
                assert_eq!(accept(&mut audit, request).await, [0]);
            }
            let request = from_producer("other", into_log("tokens", atomic(event())));
            assert_eq!(accept(&mut audit, request).await, [0]);
        });
    }
}
