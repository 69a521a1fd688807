//! What is not there any more must be told by the log: erased values, removed positions. And a checkpoint whose
//! cosignature is on its way is waited for.
use std::{process::Stdio, time::Duration};

use chancery::{
    event::personal,
    note::{self, Cosigner},
    proto::v1::{NewEvent, TokenServerEvent, new_event::Family},
};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{append, atomic},
    cli::{Ran, run},
    database::Database,
    events,
    server::Server,
    signing::{checkpoint, grow, note as stored_note, signing, verifier},
    until,
};

fn consent(user: &str) -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: "CONSENT_GIVEN".to_owned(),
        user_id: Some(user.to_owned()),
        client_ip: Some("203.0.113.177".to_owned()),
        ..TokenServerEvent::default()
    }))
}

fn sign(store: &TestStore, server: &Server, batch: Vec<NewEvent>) {
    block_on(async {
        let answer = append(&mut server.audit().await, atomic(batch)).await;
        checkpoint(store, "main", answer.tree_size).await;
    });
}

fn verify(store: &TestStore, server: &Server, flags: &[&str]) -> Ran {
    let key = verifier(store, "main").to_string();
    run(server.cli(&["verify", "-o", "json", "--key", &key]).args(flags), "")
}

/// Verdict, first position and field of every finding.
fn found(ran: &Ran) -> Vec<(String, String, String)> {
    let rows = ran.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let row =
        |row: &serde_json::Value| (text(&row["verdict"]), text(&row["firstPosition"]), text(&row["field"]));
    rows.as_array().expect("rows").iter().map(row).collect()
}

/// The administrator writes the erased form over what lies beside a record.
fn forge(store: &TestStore, position: u64) {
    block_on(async {
        let mut database = Database::open(store).await;
        let query = format!("SELECT personal FROM events WHERE log = 'main' AND position = {position}");
        let whole = database.bytes(&query).await.remove(0);
        let erased = personal::erase(&whole, |_| true).expect("values").expect("something to erase").personal;
        let hex: String = erased.iter().map(|byte| format!("{byte:02x}")).collect();
        let bytes = if store.kind == Kind::Sqlite { format!("X'{hex}'") } else { format!("'\\x{hex}'") };
        database.run(&format!("UPDATE events SET personal = {bytes} WHERE position = {position}")).await;
    });
}

#[test]
fn a_value_that_is_erased_without_an_erasure_is_found() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        sign(&store, &server, ["Ann", "Marta", "Quinn", "Ann"].map(consent).to_vec());
        // An erasure that the log tells, looked at before and after its event is signed.
        let ran = run(&mut server.cli(&["erase", "Marta", "--reason", "request 1", "--yes"]), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        for _ in 0..2 {
            let ran = verify(&store, &server, &[]);
            let row = &ran.json()[0];
            assert_eq!(ran.code, 0, "{kind:?} {ran:?}");
            assert_eq!(row["erasedPositions"], serde_json::json!(["1"]), "{ran:?}");
            assert_eq!(row["erasedNotAccountedFor"], "0");
            assert!(ran.err.contains("were erased (positions 1)"), "{ran:?}");
            block_on(checkpoint(&store, "main", 5));
        }
        sign(&store, &server, vec![consent("Simon"), consent("Clara"), consent("Simon")]);
        forge(&store, 6);
        let ran = verify(&store, &server, &[]);
        let expected = [("tampered".to_owned(), "6".to_owned(), "personal".to_owned())];
        assert_eq!((ran.code, &found(&ran)[..]), (7, &expected[..]), "{kind:?} {ran:?}");
        assert_eq!(ran.json()[0]["erasedPositions"], serde_json::json!(["1", "6"]));
        // It is not exported as if nothing were, where the log was read to its end.
        let bundle = store.folder.path().join("bundle");
        let bundle = bundle.to_str().expect("a path");
        let ran = run(&mut server.cli(&["export", "-o", bundle]), "");
        assert!(ran.code == 7 && ran.err.contains("position 6"), "{kind:?} {ran:?}");
        // A part of the log says what it cannot say.
        let ran = run(&mut server.cli(&["export", "--from", "5", "--to", "7", "-o", bundle]), "");
        assert_eq!(ran.code, 0, "{kind:?} {ran:?}");
        let ran = verify(&store, &server, &[bundle]);
        assert_eq!((ran.code, &ran.json()[0]["erasedNotAccountedFor"]), (0, &"1".into()), "{ran:?}");
        assert!(ran.err.contains("not accounted for in this range"), "{ran:?}");
    }
}

#[test]
fn a_log_that_begins_later_without_a_word_lacks_its_beginning() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        // What lies before a full tile can be proven without its records.
        block_on(async {
            let (size, _) = grow(&server, "main", 300).await;
            checkpoint(&store, "main", size).await;
            let mut database = Database::open(&store).await;
            until("a full tile", || async { Database::open(&store).await.rows("tiles").await > 0 }).await;
            database.run("UPDATE log_head SET oldest = 256").await;
            database.run("DELETE FROM events WHERE log = 'main' AND position < 256").await;
        });
        drop(server);
        let server = signing(&store, &[]);
        let ran = verify(&store, &server, &[]);
        assert_eq!(ran.code, 8, "{kind:?} {ran:?}");
        let row = &ran.json()[0];
        assert_eq!((&row["firstPosition"], &row["lastPosition"]), (&"0".into(), &"255".into()), "{ran:?}");
        assert!(row["evidence"].as_str().is_some_and(|text| text.contains("RETENTION_APPLIED")), "{ran:?}");
        let ran = run(&mut server.cli(&["export", "--from", "1"]), "");
        assert!(ran.code == 2 && ran.err.contains("the oldest that is left is 256"), "{kind:?} {ran:?}");
    }
}

#[test]
fn a_cosignature_that_is_on_its_way_is_waited_for() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        let (size, _) = block_on(grow(&server, "main", 3));
        let signed = block_on(stored_note(&store, "main", size, |_| true));
        let witness = Cosigner::new("witness.example.com/w1", &[9; 32]).expect("a key");
        let (key, vouches) = (verifier(&store, "main").to_string(), witness.verifier().to_string());
        let mut command = server.cli(&["verify", "--key", &key, "--witness", &vouches]);
        let verifying =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("chancery verify");
        // Long enough for the first question, and far less than it is patient.
        std::thread::sleep(Duration::from_millis(1500));
        let opened = note::read(&signed).expect("a checkpoint");
        let cosigned = note::joined(&signed, [&*witness.cosign(&opened, 1_800_000_000)]).expect("a note");
        let statement = format!(
            "UPDATE checkpoints SET signed_note = '{cosigned}' WHERE log = 'main' AND tree_size = {size}"
        );
        block_on(async { Database::open(&store).await.run(&statement).await });
        let ended = verifying.wait_with_output().expect("an end");
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && text.contains("cosigned by"), "{kind:?} {text}");
    }
}
