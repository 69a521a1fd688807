//! A value of class secret is found nowhere, whatever way it came and whatever became of its event.
mod bind_values;
mod denied;
mod everywhere;
mod generated;
mod journey;
mod places;
mod process;
mod wire;

use std::fmt::Write as _;

use chancery::proto::v1::{AppendRequest, AppendResult, GetEventRequest};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{append, atomic, everything, per_event},
    database::Database,
    server::Server,
};

/// Every secret of these tests begins with this.
const CANARY: &str = "CANARY";
/// A value that is no secret, in events with secrets: a search that does not find it where it belongs finds nothing.
const CONTROL: &str = "kept-0123456";

/// Asserts that no canary is in `bytes`.
fn search(place: &str, bytes: &[u8]) {
    if let Some(at) = memchr::memmem::find(bytes, CANARY.as_bytes()) {
        let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + 40)];
        panic!("a secret is in {place}: ...{}...", String::from_utf8_lossy(around));
    }
}

/// Everything that a store holds, as bytes.
async fn contents(store: &TestStore) -> Vec<u8> {
    match store.kind {
        Kind::Sqlite => {
            let mut all = Vec::new();
            everywhere::files(store.folder.path(), &mut |_, bytes| all.extend(bytes));
            all
        }
        Kind::Postgres => {
            let mut database = Database::open(store).await;
            database.run("SET bytea_output = 'escape'").await;
            let tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
            let mut all = String::new();
            for table in database.texts(tables).await {
                for row in database.texts(&format!("SELECT each::text FROM {table} AS each")).await {
                    all.push_str(&row);
                }
            }
            all.into_bytes()
        }
    }
}

#[test]
fn no_secret_is_stored_logged_or_echoed() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start_with(&store, &["--log-level", "debug"]);
        block_on(async {
            let mut audit = server.audit().await;
            let mut echoed = String::new();
            let places = places::all();
            let mut accepted = 0;
            for place in &places {
                let batch = || vec![place.event.clone()];
                for request in [atomic(batch()), per_event(batch())] {
                    let dry = AppendRequest { validate_only: true, ..request };
                    let _ = write!(echoed, "{:?}", audit.append(dry).await);
                }
                let first = append(&mut audit, per_event(batch())).await;
                assert_eq!(first.results[0].result(), place.fate, "{}", place.name);
                accepted += usize::from(place.fate == AppendResult::Accepted);
                let again = append(&mut audit, per_event(batch())).await;
                let _ = write!(echoed, "{first:?}{again:?}{:?}", audit.append(atomic(batch())).await);
            }
            let stored = everything(&mut audit, "").await;
            assert_eq!(stored.len(), accepted);
            let mut stored = stored.into_iter();
            for place in places.iter().filter(|place| place.fate == AppendResult::Accepted) {
                let event = stored.next().expect("an event per accepted place");
                let mut dropped: Vec<_> = event
                    .attributes
                    .iter()
                    .filter(|each| each.dropped)
                    .map(|each| each.name.as_str())
                    .collect();
                dropped.sort_unstable();
                assert_eq!(dropped, place.dropped, "{}", place.name);
                assert!(event.attributes.iter().all(|each| !each.dropped || each.value.is_empty()));
                let get = GetEventRequest { position: event.position, ..GetEventRequest::default() };
                let got = audit.get_event(get).await.expect("the event").into_inner();
                assert_eq!(got.event.as_ref(), Some(&event));
                let _ = write!(echoed, "{event:?}");
            }
            let held = places.iter().filter(|place| place.fate == AppendResult::Quarantined).count();
            assert!(held > 0 && accepted > 0);
            let mut database = Database::open(&store).await;
            assert_eq!(database.rows("quarantine").await, i64::try_from(held).expect("a few"));
            search("an answer", echoed.as_bytes());
            let contents = contents(&store).await;
            // What is no secret is found, so the search does look at the events.
            assert!(memchr::memmem::find(&contents, CONTROL.as_bytes()).is_some(), "{kind:?}");
            search("the store", &contents);
            search("the log", server.log().as_bytes());
        });
    }
}

/// The content of an event is what is left of it: its hash would else be a test for guesses.
#[test]
fn another_secret_does_not_make_another_event() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let first = places::unlock_challenge("20011", 100, "11111111");
            let mut second = places::unlock_challenge("20011", 100, "22222222");
            second.event_id.clone_from(&first.event_id);
            append(&mut audit, atomic(vec![first])).await;
            let answer = append(&mut audit, atomic(vec![second])).await;
            assert_eq!(answer.results[0].result(), AppendResult::Duplicate);
        });
    }
}
