//! Requests to erase that are none.
use tonic::Code;

use super::{PERSON, admin, erase, mixed, request};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, accept, atomic, everything, from_producer},
    events,
    server::Server,
};

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_told() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(mixed())).await;
            let before = everything(&mut audit, "").await;
            let mut admin = admin(&server).await;
            let good = || request(&events::fresh_id());
            let cases = [
                (
                    super::EraseSubjectRequest { subject: " ".to_owned(), ..good() },
                    "INVALID_SUBJECT",
                    "subject",
                ),
                (
                    super::EraseSubjectRequest { subject: "a\0".to_owned(), ..good() },
                    "INVALID_SUBJECT",
                    "subject",
                ),
                (
                    super::EraseSubjectRequest { subject: "a".repeat(8193), ..good() },
                    "INVALID_SUBJECT",
                    "subject",
                ),
                (super::EraseSubjectRequest { reason: String::new(), ..good() }, "INVALID_REASON", "reason"),
                (
                    super::EraseSubjectRequest { reason: format!("as {PERSON} asked"), ..good() },
                    "INVALID_REASON",
                    "reason",
                ),
                // However it is written, and as the caller's own name, which stays as that of who asked.
                (
                    super::EraseSubjectRequest {
                        reason: format!("as {} asked", PERSON.to_uppercase()),
                        ..good()
                    },
                    "INVALID_REASON",
                    "reason",
                ),
                (
                    super::EraseSubjectRequest { subject: "Privacy-Officer".to_owned(), ..good() },
                    "INVALID_SUBJECT",
                    "subject",
                ),
                (
                    super::EraseSubjectRequest { reason: "a".repeat(1001), ..good() },
                    "INVALID_REASON",
                    "reason",
                ),
                (request("17"), "INVALID_REQUEST_ID", "request_id"),
                (super::EraseSubjectRequest { log: "A".to_owned(), ..good() }, "INVALID_LOG", "log"),
            ];
            for (request, reason, field) in cases {
                let refusal = Refusal::of(
                    &admin
                        .erase_subject(from_producer("privacy-officer", request.clone()))
                        .await
                        .expect_err("refused"),
                );
                assert_eq!(
                    (refusal.code, refusal.reason.as_str()),
                    (Code::InvalidArgument, reason),
                    "{request:?}"
                );
                assert_eq!(refusal.fields(), [field]);
            }
            assert_eq!(everything(&mut audit, "").await, before, "{kind:?}");
        });
    }
}

#[test]
fn an_id_is_for_one_request() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(mixed())).await;
            let first = request(&events::fresh_id());
            erase(&server, &first).await;
            let other = super::EraseSubjectRequest { reason: "another".to_owned(), ..first.clone() };
            let refused = admin(&server).await.erase_subject(other).await.expect_err("refused");
            let refusal = Refusal::of(&refused);
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
            // Once it is done nothing tells whom it was about, so another person's is answered with what was done.
            let other = super::EraseSubjectRequest { subject: super::OTHER.to_owned(), ..first.clone() };
            let before = everything(&mut audit, "").await;
            assert_eq!(erase(&server, &other).await.erasure_position, Some(8), "{kind:?}");
            assert_eq!(everything(&mut audit, "").await, before);
        });
    }
}
