//! An erasure takes values and no proof: what was exported before it and what is verified after it is valid, what was
//! erased is counted, and a value that was put in another's place is found.
use std::path::Path;

use chancery::{
    event::personal,
    proto::v1::{AsAuditEvent, NewEvent, TokenServerEvent, new_event::Family},
    verify::Arrived,
};

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{append, atomic},
    cli::{Ran, run},
    database::Database,
    events,
    server::{Server, chancery},
    signing::{checkpoint, signing, verifier},
};

const PERSON: &str = "Quillon.Zephyrine";

fn consent(user: &str) -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        user_id: Some(user.to_owned()),
        client_ip: Some("203.0.113.177".to_owned()),
        user_agent: Some("agent/7".to_owned()),
        details: [("phone_number".to_owned(), "+31-555-0177".to_owned())].into(),
        ..TokenServerEvent::default()
    }))
}

fn moved(user: &str) -> NewEvent {
    events::event(Family::AsAudit(AsAuditEvent {
        raw_parameters: format!("GRC=\"OLD\" USN=\"{user}\" GRC=\"NEW\"Action=moveUserSubGroup"),
        indirect_external_reference: Some(user.to_owned()),
        ..AsAuditEvent::default()
    }))
}

fn sign(store: &TestStore, server: &Server, batch: Vec<NewEvent>) {
    block_on(async {
        let answer = append(&mut server.audit().await, atomic(batch)).await;
        checkpoint(store, "main", answer.tree_size).await;
    });
}

fn verify(server: &Server, key: &str, flags: &[&str]) -> Ran {
    run(server.cli(&["verify", "-o", "json", "--key", key]).args(flags), "")
}

fn erased(ran: &Ran) -> (i32, serde_json::Value, serde_json::Value) {
    let row = &ran.json()[0];
    (ran.code, row["erasedValues"].clone(), row["eventsWithErasedValues"].clone())
}

fn export(server: &Server, path: &Path, flags: &[&str]) {
    let ran = run(server.cli(&["export", "-o"]).arg(path).args(flags), "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn records_stay_valid_and_what_was_erased_is_counted() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        let key = verifier(&store, "main").to_string();
        let everyone = ["Marta", PERSON, "Ann", PERSON];
        sign(&store, &server, everyone.iter().flat_map(|user| [consent(user), moved(user)]).collect());
        let folder = store.folder.path();
        let (last, before, after, without) =
            (folder.join("last"), folder.join("before"), folder.join("after"), folder.join("without"));
        let flags = ["--last", last.to_str().expect("a path")];
        assert_eq!(erased(&verify(&server, &key, &flags)), (0, "0".into(), "0".into()), "{kind:?}");
        export(&server, &before, &[]);

        let erase = ["erase", PERSON, "--reason", "request 1", "--yes"];
        let ran = run(&mut server.cli(&erase), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        sign(&store, &server, vec![consent("Ann")]);
        let ran = verify(&server, &key, &flags);
        let (code, values, events) = erased(&ran);
        assert_eq!((code, events), (0, "4".into()), "{kind:?} {ran:?}");
        let values: u64 = values.as_str().expect("a number").parse().expect("a number");
        assert!(values >= 8, "{ran:?}");
        assert!(ran.err.contains(&format!("{values} personal values of 4 events were erased")), "{ran:?}");

        export(&server, &after, &[]);
        export(&server, &without, &["--without-personal"]);
        for (bundle, erased_events, person) in
            [(&before, "0", true), (&after, "4", false), (&without, "0", false)]
        {
            let ran = run(chancery().args(["verify", "-o", "json", "--key", &key]).arg(bundle), "");
            assert_eq!(
                (ran.code, &ran.json()[0]["eventsWithErasedValues"]),
                (0, &erased_events.into()),
                "{ran:?}"
            );
            let held = bundle_holds(bundle, PERSON.as_bytes());
            assert_eq!(held, person, "{kind:?} {}", bundle.display());
        }
        // What was taken home before the erasure is what a bundle without values does not have.
        assert!(bundle_holds(&after, b"Marta") && !bundle_holds(&without, b"Marta"));
    }
}

/// Whether any record of a bundle, or what lies beside it, holds these bytes.
fn bundle_holds(bundle: &Path, wanted: &[u8]) -> bool {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let text = std::fs::read_to_string(bundle).expect("a bundle");
    text.lines().map(|line| line.strip_prefix("personal ").unwrap_or(line)).any(|line| {
        let bytes = BASE64_STANDARD.decode(line).unwrap_or_default();
        bytes.windows(wanted.len()).any(|bytes| bytes == wanted)
    })
}

#[test]
fn a_value_in_another_ones_place_is_found() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        let key = verifier(&store, "main").to_string();
        sign(&store, &server, vec![consent("Marta"), consent("Quinn"), consent("Simon"), consent("Clara")]);
        // The administrator gives one event the values of another; takes them out; and alters one letter.
        let alter =
            |statement: String| block_on(async { Database::open(&store).await.run(&statement).await });
        let swap = "UPDATE events SET personal = (SELECT personal FROM events WHERE log = 'main' AND position = 0) WHERE log = 'main' AND position = 1";
        alter(swap.to_owned());
        let empty = if kind == crate::harness::Kind::Sqlite { "X''" } else { "''::bytea" };
        alter(format!("UPDATE events SET personal = {empty} WHERE position = 2"));
        let ran = verify(&server, &key, &[]);
        let rows = ran.json();
        let rows: Vec<_> = rows
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| (row["verdict"].as_str(), row["firstPosition"].as_str(), row["field"].as_str()))
            .collect();
        let tampered = |position| (Some("tampered"), Some(position), Some("personal"));
        assert_eq!((ran.code, rows), (7, vec![tampered("1"), tampered("2")]), "{kind:?} {ran:?}");
        let ran = run(server.cli(&["export", "-o"]).arg(store.folder.path().join("bundle")), "");
        assert!(ran.code == 7 && ran.err.contains("personal"), "{ran:?}");
    }
}

/// The reading of values here and the server's own are two, and agree.
#[test]
fn two_readings_of_what_lies_beside_a_record_agree() {
    let store = TestStore::new(crate::harness::Kind::Sqlite);
    let server = signing(&store, &[]);
    sign(&store, &server, vec![consent(PERSON), moved(PERSON), consent("Ann"), events::hold("device-1")]);
    let ran = run(&mut server.cli(&["erase", PERSON, "--reason", "request 1", "--yes"]), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let wire = block_on(async {
        let mut database = Database::open(&store).await;
        let records = database.bytes("SELECT record FROM events WHERE log = 'main' ORDER BY position").await;
        let beside = database.bytes("SELECT personal FROM events WHERE log = 'main' ORDER BY position").await;
        let hashes =
            database.bytes("SELECT leaf_hash FROM events WHERE log = 'main' ORDER BY position").await;
        let tail = |position: usize, record: &[u8], leaf_hash: &[u8]| {
            let event = chancery::proto::v1::Event {
                position: u64::try_from(position).ok(),
                leaf_hash: leaf_hash.to_vec().into(),
                record_size: u32::try_from(record.len()).expect("a record"),
                ..Default::default()
            };
            prost::Message::encode_to_vec(&event)
        };
        let rows = records.iter().zip(&beside).zip(&hashes).enumerate();
        rows.map(|(at, ((record, beside), hash))| [&record[..], beside, &tail(at, record, hash)].concat())
            .collect::<Vec<_>>()
    });
    let mut seen = 0;
    for event in &wire {
        let theirs = personal::open(event).expect("an event");
        let arrived = Arrived::split(event).expect("an event");
        assert_eq!(arrived.record, theirs.record);
        let ours = chancery::verify::Values::all_of(arrived.record, arrived.beside).expect("values");
        let count = |wanted| theirs.values.iter().filter(|each| each.value == wanted).count() as u64;
        assert_eq!(
            (ours.valid, ours.erased),
            (count(personal::Value::Valid), count(personal::Value::Erased))
        );
        seen += ours.valid + ours.erased;
        for at in 0..event.len() * 8 {
            let mut altered = event.clone();
            altered[at / 8] ^= 1 << (at % 8);
            // Wherever the other one finds an alteration, or cannot read, so does this.
            let theirs_bad = personal::open(&altered).map_or(true, |parts| {
                parts.record == theirs.record
                    && parts.values.iter().any(|each| each.value == personal::Value::Altered)
            });
            let ours_good = Arrived::split(&altered).is_some_and(|arrived| {
                arrived.record == theirs.record
                    && chancery::verify::Values::all_of(arrived.record, arrived.beside).is_ok()
            });
            assert!(!(theirs_bad && ours_good), "bit {at} of {event:?}");
        }
    }
    assert!(seen > 8, "{seen}");
}
