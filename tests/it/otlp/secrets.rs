//! Nothing of what events hold, and nothing of what callers prove themselves with, is in any telemetry.
use chancery::proto::v1::{NewEvent, QueryRequest, TokenServerEvent, new_event::Family};

use super::{batch, server, traced};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{per_event, query},
    events,
    receiver::{Mood, Receiver},
};

#[test]
fn no_value_of_an_event_is_in_telemetry() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let receiver = Receiver::start(Mood::Well).await;
            // Whatever is logged at all.
            let mut server = server(&store, &receiver, &["--log-level", "debug"]);
            let mut audit = server.audit().await;
            let event = |r#type: &str| NewEvent {
                correlation_id: "CANARY-correlation".to_owned(),
                family: Some(Family::TokenServer(TokenServerEvent {
                    r#type: r#type.to_owned(),
                    user_id: Some("CANARY-user".to_owned()),
                    client_ip: Some("CANARY-address".to_owned()),
                    details: [("CANARY-key".to_owned(), "CANARY-value".to_owned())].into(),
                    ..TokenServerEvent::default()
                })),
                ..events::token("")
            };
            let known = events::token("LOGIN").family;
            let events =
                vec![event("LOGIN"), event("CANARY-type"), NewEvent { family: known, ..event("LOGIN") }];
            audit.append(traced(1, true, per_event(events))).await.expect("answered");
            let mut request = traced(5, true, batch(vec![event("LOGIN")]));
            let proof = "Bearer CANARY-token".parse().expect("a header");
            request.metadata_mut().insert("authorization", proof);
            audit.append(request).await.expect_err("no such caller");
            audit.append(traced(2, true, batch(vec![event("CANARY-type")]))).await.expect_err("refused");
            let question = QueryRequest {
                r#where: "user_id = \"CANARY-where\" AND actor = \"CANARY-actor\"".to_owned(),
                ..QueryRequest::default()
            };
            let _ = audit.query(traced(3, true, question)).await;
            let question =
                QueryRequest { r#where: "actor = \"CANARY-actor\"".to_owned(), ..QueryRequest::default() };
            query(&mut audit, traced(4, true, question)).await;
            server.signal("TERM");
            assert_eq!(server.wait(std::time::Duration::from_secs(30)).code(), Some(0), "{}", server.log());
            let received = receiver.received();
            let raw = String::from_utf8_lossy(&received.raw);
            for there in ["chancery.v1.AuditService/Append", "commit group", "drained", "127.0.0.1"] {
                assert!(raw.contains(there), "{there}");
            }
            let at = raw.find("CANARY").map(|at| &raw[at.saturating_sub(200)..at + 40]);
            assert_eq!(at, None, "{kind:?}");
        });
    }
}
