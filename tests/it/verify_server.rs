//! Whoever has the database can alter it, and is found: every record of a server against what was signed.
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    cli::{Ran, run},
    database::Database,
    server::Server,
    signing::{checkpoint, grow, signing, verifier},
    until,
};

/// Two full tiles and a part of one.
const EVENTS: usize = 600;

/// A log of so many events in two steps, signed after each, with its full tiles written.
fn signed(store: &TestStore) -> Server {
    let server = signing(store, &[]);
    block_on(async {
        for events in [550, EVENTS - 550] {
            let (size, _) = grow(&server, "main", events).await;
            checkpoint(store, "main", size).await;
        }
        until("two full tiles", || async { Database::open(store).await.rows("tiles").await >= 2 }).await;
    });
    server
}

fn key(store: &TestStore) -> String {
    verifier(store, "main").to_string()
}

fn verify(store: &TestStore, server: &Server, flags: &[&str]) -> Ran {
    run(server.cli(&["verify", "-o", "json", "--key", &key(store)]).args(flags), "")
}

/// Verdict, first and last position of every finding.
fn found(ran: &Ran) -> Vec<(String, u64, u64)> {
    let number =
        |value: &serde_json::Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let rows = ran.json();
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| {
        let verdict = row["verdict"].as_str().expect("a verdict").to_owned();
        (verdict, number(&row["firstPosition"]), number(&row["lastPosition"]))
    })
    .collect()
}

/// Statements by the database's own administrator.
fn alter(store: &TestStore, statements: &[String]) {
    block_on(async {
        let mut database = Database::open(store).await;
        for statement in statements {
            database.run(statement).await;
        }
    });
}

/// SQL for the SHA-256 of a record is not to be had everywhere, so a test brings the bytes.
fn bytes(kind: Kind, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match kind {
        Kind::Sqlite => format!("X'{hex}'"),
        Kind::Postgres => format!("'\\x{hex}'"),
    }
}

/// The record at a position with one letter of a text in it changed.
fn altered_record(store: &TestStore, position: u64) -> Vec<u8> {
    let query = format!("SELECT record FROM events WHERE log = 'main' AND position = {position}");
    let mut record = block_on(async { Database::open(store).await.bytes(&query).await.remove(0) });
    let at = record.windows(6).position(|bytes| bytes == b"device").expect("a device");
    record[at] = b'D';
    record
}

#[test]
fn an_untouched_log_is_valid() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signed(&store);
        let ran = verify(&store, &server, &[]);
        assert_eq!((ran.code, found(&ran)), (0, vec![("valid".to_owned(), 0, 599)]), "{kind:?} {ran:?}");
        // From the middle on: the edge of the tree before it comes from a proof, and leads to the signed root.
        let ran = verify(&store, &server, &["--from", "333"]);
        assert_eq!((ran.code, found(&ran)), (0, vec![("valid".to_owned(), 333, 599)]), "{kind:?} {ran:?}");
    }
}

#[test]
fn altered_rows_are_found_by_their_position() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signed(&store);
        // Both in full tiles and behind them.
        for position in [0_u64, 255, 300, 511, 560, 599] {
            let original = block_on(async {
                let query = format!("SELECT record FROM events WHERE log = 'main' AND position = {position}");
                Database::open(&store).await.bytes(&query).await.remove(0)
            });
            let record = altered_record(&store, position);
            let (old, new) = (bytes(kind, &original), bytes(kind, &record));
            let leaf = bytes(kind, &chancery::event::leaf_hash(&record));
            let old_leaf = bytes(kind, &chancery::event::leaf_hash(&original));
            let row = |set: &str| format!("UPDATE events SET {set} WHERE position = {position}");

            // The record alone.
            alter(&store, &[row(&format!("record = {new}"))]);
            let ran = verify(&store, &server, &[]);
            assert_eq!(ran.code, 7, "{kind:?} {position}: {ran:?}");
            assert_eq!(found(&ran), [("tampered".to_owned(), position, position)], "{kind:?} {ran:?}");

            // Record and leaf hash together, as one would who knows what is checked.
            alter(&store, &[row(&format!("leaf_hash = {leaf}"))]);
            let ran = verify(&store, &server, &[]);
            assert_eq!(ran.code, 7, "{kind:?} {position}: {ran:?}");
            let [(verdict, first, last)] = &found(&ran)[..] else { panic!("{kind:?} {position}: {ran:?}") };
            assert_eq!(verdict, "tampered");
            if position < 512 {
                assert_eq!((*first, *last), (position, position), "{kind:?} {ran:?}");
            } else {
                // No tile holds the hash, so nobody can say more than the checkpoints around it.
                // The first one is of 550 events, and 512 is the largest size that the tiles prove.
                let widest = if position < 550 { 512..=549 } else { 550..=599 };
                let told = *first <= position && position <= *last;
                assert!(
                    told && widest.contains(first) && widest.contains(last),
                    "{kind:?} {position}: {ran:?}"
                );
            }

            // The leaf hash alone: the record is what was signed, and what is stored beside it is not.
            alter(&store, &[row(&format!("record = {old}"))]);
            let ran = verify(&store, &server, &[]);
            assert_eq!(
                (ran.code, found(&ran)),
                (7, vec![("tampered".to_owned(), position, position)]),
                "{ran:?}"
            );
            assert_eq!(ran.json()[0]["field"], "leaf_hash");
            alter(&store, &[row(&format!("leaf_hash = {old_leaf}"))]);
        }
        assert_eq!(verify(&store, &server, &[]).code, 0);
    }
}

#[test]
fn deleted_rows_are_missing() {
    for kind in KINDS {
        for range in [(300, 300), (0, 2), (597, 599), (570, 571)] {
            let store = TestStore::new(kind);
            let server = signed(&store);
            let (from, to) = range;
            alter(
                &store,
                &[format!("DELETE FROM events WHERE log = 'main' AND position BETWEEN {from} AND {to}")],
            );
            let ran = verify(&store, &server, &[]);
            assert_eq!(ran.code, 8, "{kind:?} {range:?}: {ran:?}");
            let found = found(&ran);
            assert_eq!(found[0], ("missing".to_owned(), from, to), "{kind:?} {ran:?}");
            assert!(found.iter().all(|(verdict, ..)| verdict == "missing"), "{kind:?} {ran:?}");
        }
    }
}

#[test]
fn rows_that_were_taken_out_and_put_in_again_are_found() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signed(&store);
        let swap = |one: u64, two: u64| {
            vec![
                format!("UPDATE events SET position = 650 WHERE position = {one}"),
                format!("UPDATE events SET position = {one} WHERE position = {two}"),
                format!("UPDATE events SET position = {two} WHERE position = 650"),
            ]
        };
        // Two rows change places: each is a record of the log, and neither is where it was.
        alter(&store, &swap(100, 400));
        let ran = verify(&store, &server, &[]);
        assert_eq!((ran.code, found(&ran)), (7, vec![("tampered".to_owned(), 100, 100)]), "{kind:?} {ran:?}");
        alter(&store, &swap(100, 400));
        assert_eq!(verify(&store, &server, &[]).code, 0);

        // One is deleted and put in again with another record and a leaf hash that fits.
        let record = altered_record(&store, 200);
        let (new, leaf) = (bytes(kind, &record), bytes(kind, &chancery::event::leaf_hash(&record)));
        alter(
            &store,
            &[
                "CREATE TABLE taken AS SELECT * FROM events WHERE log = 'main' AND position = 200".to_owned(),
                "DELETE FROM events WHERE log = 'main' AND position = 200".to_owned(),
                format!("UPDATE taken SET record = {new}, leaf_hash = {leaf}"),
                "INSERT INTO events SELECT * FROM taken".to_owned(),
            ],
        );
        let ran = verify(&store, &server, &[]);
        assert_eq!((ran.code, found(&ran)), (7, vec![("tampered".to_owned(), 200, 200)]), "{kind:?} {ran:?}");
        let row = &ran.json()[0];
        assert_eq!(row["field"], "record");
        assert!(row["evidence"].as_str().is_some_and(|text| !text.contains("another one")), "{row}");
    }
}

#[test]
fn the_last_checkpoint_tells_a_fork_and_an_old_state() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        let grown = |server: &Server, events| {
            block_on(async {
                let (size, _) = grow(server, "main", events).await;
                checkpoint(&store, "main", size).await;
            });
        };
        grown(&server, 20);
        let last = store.folder.path().join("last");
        let flags = ["--last", last.to_str().expect("a path")];
        assert_eq!(verify(&store, &server, &flags).code, 0);
        grown(&server, 20);
        assert_eq!(verify(&store, &server, &flags).code, 0);
        let kept = std::fs::read_to_string(&last).expect("a checkpoint");
        assert!(kept.contains("\n40\n"), "{kept}");
        drop(server);

        // Another log under the same key, first smaller and then larger than what was seen.
        let other = TestStore::new(kind);
        let from = store.folder.path().join("chancery.key");
        std::fs::copy(from, other.folder.path().join("chancery.key")).expect("a key");
        let server = signing(&other, &[]);
        for (events, code, verdict) in [(30, 10, "stale"), (30, 9, "forked")] {
            block_on(async {
                let (size, _) = grow(&server, "main", events).await;
                checkpoint(&other, "main", size).await;
            });
            let ran = verify(&store, &server, &flags);
            assert_eq!((ran.code, &ran.json()[0]["verdict"]), (code, &verdict.into()), "{kind:?} {ran:?}");
            assert_eq!(std::fs::read_to_string(&last).expect("a checkpoint"), kept);
        }
        // Also when what was seen lies before what is read: the server's own proof joins another tree of 40 events.
        let ran = verify(&store, &server, &["--from", "50", "--last", flags[1]]);
        assert_eq!((ran.code, &ran.json()[0]["verdict"]), (9, &"forked".into()), "{kind:?} {ran:?}");
        // A witness that is asked for later does not make the auditor's own file unreadable.
        let vouches = chancery::note::Cosigner::new("witness.example.com/w1", &[9; 32]).expect("a key");
        let vouches = vouches.verifier().to_string();
        let ran = verify(&store, &server, &["--witness", &vouches, "--last", flags[1]]);
        assert_eq!((ran.code, &ran.json()[0]["field"]), (11, &"cosignatures".into()), "{kind:?} {ran:?}");
        let stranger = TestStore::new(Kind::Sqlite);
        assert_eq!(verify(&stranger, &server, &[]).code, 11);
    }
}
