//! An erasure that is cut off anywhere goes on when it is asked for again, and does everything once.
use std::time::Duration;

use chancery::proto::v1::AppendRequest;

use super::{OTHER, PERSON, admin, consent, erase, request, stored, tells, values};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic, everything},
    events,
    server::Server,
};
use chancery::event::personal::Value;

/// Events, every other one the person's.
const EVENTS: u64 = 1200;

fn batch(count: u64) -> AppendRequest {
    let user = |number: u64| if number.is_multiple_of(2) { PERSON } else { OTHER };
    let event = |number| consent(user(number), "198.51.100.9", "agent/2", &format!("+31-{number}"));
    atomic((0..count).map(event).collect())
}

#[test]
fn a_killed_server_goes_on_where_it_was() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        // One id for all calls: it is one erasure.
        let asked = request(&events::fresh_id());
        let mut server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for _ in 0..EVENTS / 400 {
                accept(&mut audit, batch(400)).await;
            }
        });
        for cut in 0..4_u64 {
            block_on(async {
                let mut admin = admin(&server).await;
                let asked = asked.clone();
                let call = tokio::spawn(async move { admin.erase_subject(asked).await });
                // The first is hardly told when the server dies, later ones get further.
                tokio::time::sleep(Duration::from_millis(15 + 60 * cut)).await;
                server.signal("KILL");
                let _ = call.await;
            });
            drop(server);
            server = Server::start(&store);
            block_on(async {
                // Whatever was done, no event is half erased.
                for (wire, _) in stored(&store).await {
                    let left = values(&wire);
                    assert!(!left.contains(&Value::Altered), "{left:?}");
                }
            });
        }
        block_on(async {
            let mut audit = server.audit().await;
            let answer = erase(&server, &asked).await;
            assert_eq!(
                (answer.events_erased, answer.values_erased),
                (EVENTS / 2, EVENTS / 2 * 4),
                "{kind:?}"
            );
            let read = everything(&mut audit, "").await;
            assert!(!read.iter().any(tells));
            let told = read.iter().filter(|event| event.code == "SUBJECT_ERASED").count();
            assert_eq!(told, 1, "told once, however often it was asked for");
            assert_eq!(read.iter().filter(|event| event.subject == OTHER).count() as u64, EVENTS / 2);
        });
    }
}

/// Two officers at once, for two people who stand in the same events.
#[test]
fn two_at_once_lose_nothing_of_each_other() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let events = (0..300).map(|_| super::moved(PERSON, OTHER)).collect();
            accept(&mut audit, atomic(events)).await;
            let first = request(&events::fresh_id());
            let second =
                super::EraseSubjectRequest { subject: OTHER.to_owned(), ..request(&events::fresh_id()) };
            tokio::join!(erase(&server, &first), erase(&server, &second));
            let read = everything(&mut audit, "").await;
            assert_eq!(read.len(), 302);
            for event in &read {
                let text = format!("{event:?}");
                assert!(!text.contains(PERSON) && !text.contains(OTHER), "{kind:?} {text}");
            }
        });
    }
}

/// The same request twice at once is done once.
#[test]
fn one_request_twice_at_once_is_one() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, batch(400)).await;
            let one = request(&events::fresh_id());
            let (left, right) = tokio::join!(erase(&server, &one), erase(&server, &one));
            let last = erase(&server, &one).await;
            assert_eq!((last.events_erased, last.values_erased), (200, 800), "{kind:?} {left:?} {right:?}");
            assert!(!everything(&mut audit, "").await.iter().any(tells));
        });
    }
}
