//! A legal hold keeps everything of a log: nothing of it is erased either.
use chancery::proto::v1::{
    PlaceLegalHoldRequest, ReleaseLegalHoldRequest, retention_service_client::RetentionServiceClient,
};
use tonic::Code;

use super::{ADDRESS, AGENT, PERSON, PHONE, admin, consent, erase, mixed, request, tells};
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Refusal, accept, atomic, everything, from_producer},
    database::Database,
    events,
    server::Server,
};

async fn held(server: &Server, request: &super::EraseSubjectRequest) -> String {
    let status = admin(server).await.erase_subject(request.clone()).await.expect_err("a hold is on the log");
    let refusal = Refusal::of(&status);
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::FailedPrecondition, "LEGAL_HOLD"));
    refusal.metadata["hold_ids"].clone()
}

#[test]
fn a_hold_stops_an_erasure_before_it_is_told() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(mixed())).await;
            let mut legal = RetentionServiceClient::new(server.channel().await);
            let ids = [events::fresh_id(), events::fresh_id()];
            for hold_id in &ids {
                let hold = PlaceLegalHoldRequest {
                    hold_id: hold_id.clone(),
                    reason: "case".to_owned(),
                    ..PlaceLegalHoldRequest::default()
                };
                legal.place_legal_hold(from_producer("legal", hold)).await.expect("a hold");
            }
            let before = everything(&mut audit, "").await;
            let asked = request(&events::fresh_id());
            let dry = super::EraseSubjectRequest { dry_run: true, ..request("") };
            for request in [&asked, &dry] {
                let named = held(&server, request).await;
                assert!(ids.iter().all(|id| named.contains(id)), "{named}");
            }
            for (at, hold_id) in ids.iter().enumerate() {
                let release = ReleaseLegalHoldRequest {
                    hold_id: hold_id.clone(),
                    ..ReleaseLegalHoldRequest::default()
                };
                legal.release_legal_hold(from_producer("judge", release)).await.expect("a release");
                if at == 0 {
                    assert_eq!(held(&server, &asked).await, ids[1], "released ones are not named");
                }
            }
            assert_eq!(everything(&mut audit, "").await, before, "{kind:?}");
            assert_eq!(erase(&server, &asked).await.events_erased, 5);
        });
    }
}

/// A hold that is placed while an erasure runs stops it at the next batch; it goes on when the hold is released.
#[test]
fn a_hold_stops_an_erasure_that_runs() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let events = (0..100).map(|_| consent(PERSON, ADDRESS, AGENT, PHONE)).collect();
            accept(&mut audit, atomic(events)).await;
            let mut database = Database::open(&store).await;
            // The first batch places it.
            let place = |id: &str| {
                format!(
                    "INSERT INTO legal_holds (log, hold_id, reason, placed_at, placed_by) VALUES ('main', {id}, 'case', 1, 'legal');"
                )
            };
            match kind {
                Kind::Sqlite => {
                    let place = place("x'01920000000070008000000000000001'");
                    database
                        .run(&format!("CREATE TRIGGER t AFTER UPDATE OF next ON erasures BEGIN {place} END"))
                        .await;
                }
                Kind::Postgres => {
                    let place = place("'01920000-0000-7000-8000-000000000001'");
                    database
                        .run(&format!(
                            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {place} RETURN NEW; END$$"
                        ))
                        .await;
                    database
                        .run("CREATE TRIGGER t AFTER UPDATE OF next ON erasures FOR EACH ROW EXECUTE FUNCTION f()")
                        .await;
                }
            }
            let asked = request(&events::fresh_id());
            assert_eq!(held(&server, &asked).await, "01920000-0000-7000-8000-000000000001");
            let left = everything(&mut audit, "").await.iter().filter(|event| tells(event)).count();
            assert!((1..100).contains(&left), "one batch is done: {left} {kind:?}");
            let on = if kind == Kind::Postgres { " ON erasures" } else { "" };
            database.run(&format!("DROP TRIGGER t{on}")).await;
            database.run("UPDATE legal_holds SET released_at = 2, released_by = 'judge'").await;
            assert_eq!(erase(&server, &asked).await.events_erased, 100, "{kind:?}");
            assert!(!everything(&mut audit, "").await.iter().any(tells));
        });
    }
}
