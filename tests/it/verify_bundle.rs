//! A bundle of a real server is checked without it: valid as it was exported, and nothing else is.
use std::{fs, path::PathBuf};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    cli::{Ran, run},
    server::{Server, chancery},
    signing::{checkpoint, grow, signing, verifier},
};

/// A log of so many events, signed at this size.
fn signed(store: &TestStore, events: usize) -> Server {
    let server = signing(store, &[]);
    more(store, &server, events);
    server
}

/// Appends more, and waits for the checkpoint.
fn more(store: &TestStore, server: &Server, events: usize) {
    block_on(async {
        let (size, _) = grow(server, "main", events).await;
        checkpoint(store, "main", size).await;
    });
}

fn key(store: &TestStore) -> String {
    verifier(store, "main").to_string()
}

fn path(store: &TestStore, name: &str) -> PathBuf {
    store.folder.path().join(name)
}

/// Exports to a file of the store's folder.
fn export(store: &TestStore, server: &Server, name: &str, flags: &[&str]) -> PathBuf {
    let bundle = path(store, name);
    let ran = run(server.cli(&["export", "--key", &key(store), "-o"]).arg(&bundle).args(flags), "");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    bundle
}

/// Verifies with no server in the environment.
fn verify(bundle: &PathBuf, flags: &[&str]) -> Ran {
    run(chancery().arg("verify").arg(bundle).args(["-o", "json"]).args(flags), "")
}

#[test]
fn a_bundle_is_valid_without_its_server() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signed(&store, 300);
        let all = export(&store, &server, "all", &[]);
        let part = export(&store, &server, "part", &["--from", "250", "--to", "260"]);
        let timed = export(&store, &server, "timed", &["--since", "1h", "--until", "2100-01-01"]);
        // On standard output, as the operator who has no verifier key at hand.
        let ran = run(&mut server.cli(&["export"]), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        drop(server);
        for (bundle, first, last) in [(&all, "0", "299"), (&part, "250", "259"), (&timed, "0", "299")] {
            let verified = verify(bundle, &["--key", &key(&store)]);
            assert_eq!(verified.code, 0, "{kind:?} {verified:?}");
            let row = &verified.json()[0];
            assert_eq!(row["verdict"], "valid");
            assert_eq!((&row["firstPosition"], &row["lastPosition"]), (&first.into(), &last.into()), "{row}");
            assert_eq!(
                (&row["treeSize"], &row["origin"]),
                (&"300".into(), &"audit.example.com/test/main".into())
            );
        }
        let piped = run(chancery().args(["verify", "-", "--key", &key(&store)]), &ran.out);
        assert_eq!(piped.code, 0, "{piped:?}");
        assert!(piped.out.contains("valid") && piped.err.contains("300 events"), "{piped:?}");
    }
}

#[test]
fn an_altered_bundle_is_not_valid_and_the_verdict_says_why() {
    let store = TestStore::new(Kind::Sqlite);
    let server = signed(&store, 20);
    let bundle = export(&store, &server, "bundle", &[]);
    let text = fs::read_to_string(&bundle).expect("a bundle");
    let entry = |position: u64| {
        let start = text.find(&format!("event {position}\n")).expect("an event");
        start..start + text[start..].find("\n\n").expect("its end") + 2
    };
    let record = |position: u64| text[entry(position)].lines().nth(1).expect("a record");
    let other_byte = |text: &str, at: usize| {
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let altered = [
        (text.replace(record(7), &other_byte(record(7), 20)), 7, "tampered", Some(("7", "7"))),
        (format!("{}{}", &text[..entry(4).start], &text[entry(4).end..]), 8, "missing", Some(("4", "4"))),
        (format!("{}{}", &text[..entry(19).start], &text[entry(19).end..]), 8, "missing", Some(("19", "19"))),
        (text[..entry(12).start + 40].to_owned(), 8, "missing", Some(("12", "19"))),
        (text.clone() + "\n", 7, "tampered", None),
        (text.replace("index 3\n", "index 5\n"), 7, "tampered", Some(("3", "3"))),
        (
            text.replace("— audit.example.com/test/main ", "— audit.example.com/test/Main "),
            11,
            "untrusted",
            None,
        ),
    ];
    for (altered, code, verdict, positions) in altered {
        assert_ne!(altered, text);
        let file = path(&store, "altered");
        fs::write(&file, altered).expect("a file");
        let verified = verify(&file, &["--key", &key(&store)]);
        // The sum at its end tells of every change; what is told is what the change is.
        let row = &verified.json()[0];
        assert_eq!((verified.code, &row["verdict"]), (code, &verdict.into()), "{verified:?}");
        if let Some((first, last)) = positions {
            assert_eq!((&row["firstPosition"], &row["lastPosition"]), (&first.into(), &last.into()), "{row}");
        }
    }
    // Another key, and a witness that nobody has asked.
    let stranger = TestStore::new(Kind::Sqlite);
    assert_eq!(verify(&bundle, &["--key", &key(&stranger)]).code, 11);
    let witness = path(&store, "witness.key");
    let made =
        run(chancery().args(["keys", "generate", "w.example.com", "--witness", "--out"]).arg(&witness), "");
    assert_eq!(made.code, 0, "{made:?}");
    let flags = ["--key", &key(&store), "--witness", made.out.trim()];
    assert_eq!(verify(&bundle, &flags).code, 11);
    assert_eq!(verify(&bundle, &[&flags[..], &["--quorum", "0"]].concat()).code, 0);
}

#[test]
fn the_auditors_last_checkpoint_must_be_continued() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signed(&store, 30);
        let first = export(&store, &server, "first", &[]);
        let last = path(&store, "last.checkpoint");
        let last_flag = last.to_str().expect("a path");
        let key = key(&store);
        let flags = ["--key", &key, "--last", last_flag];
        assert_eq!(verify(&first, &flags).code, 0);
        let kept = fs::read_to_string(&last).expect("a checkpoint");
        assert!(kept.starts_with("audit.example.com/test/main\n30\n"), "{kept}");

        more(&store, &server, 15);
        let unjoined = export(&store, &server, "unjoined", &[]);
        let ran = verify(&unjoined, &flags);
        assert!(ran.code == 2 && ran.err.contains("--joins 30"), "{ran:?}");
        assert_eq!(fs::read_to_string(&last).expect("a checkpoint"), kept);
        let second = export(&store, &server, "second", &["--from", "40", "--joins", "30"]);
        assert_eq!(verify(&second, &flags).code, 0);
        assert!(fs::read_to_string(&last).expect("a checkpoint").contains("\n45\n"));
        // The first bundle is now an old state.
        let ran = verify(&first, &flags);
        assert_eq!((ran.code, &ran.json()[0]["verdict"]), (10, &"stale".into()), "{ran:?}");
        assert_eq!(
            fs::read_dir(store.folder.path())
                .expect("a folder")
                .filter(|entry| {
                    entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().contains(".part"))
                })
                .count(),
            0
        );
    }
}

/// The same key signs another history: what a restored backup and an operator with a second set of books look like.
#[test]
fn another_history_under_the_same_key_is_a_fork_and_both_are_kept() {
    let store = TestStore::new(Kind::Sqlite);
    let server = signed(&store, 10);
    let bundle = export(&store, &server, "bundle", &[]);
    let last = path(&store, "last.checkpoint");
    let key = key(&store);
    let flags = ["--key", &key, "--last", last.to_str().expect("a path")];
    assert_eq!(verify(&bundle, &flags).code, 0);
    drop(server);

    let other = TestStore::new(Kind::Sqlite);
    fs::copy(path(&store, "chancery.key"), path(&other, "chancery.key")).expect("a key");
    let server = signed(&other, 10);
    let forked = export(&other, &server, "same size", &[]);
    more(&other, &server, 5);
    let longer = export(&other, &server, "longer", &["--joins", "10"]);
    for bundle in [forked, longer] {
        let ran = verify(&bundle, &flags);
        let row = &ran.json()[0];
        assert_eq!((ran.code, &row["verdict"]), (9, &"forked".into()), "{ran:?}");
        let evidence = row["evidence"].as_str().expect("a sentence");
        let kept = evidence.rsplit(' ').next().expect("a path");
        let kept = fs::read_to_string(kept).expect("the other checkpoint");
        assert!(kept.starts_with("audit.example.com/test/main\n1"), "{kept}");
        assert_ne!(fs::read_to_string(&last).expect("mine"), kept);
    }
}

#[test]
fn what_cannot_be_exported_is_told() {
    let store = TestStore::new(Kind::Sqlite);
    let server = signed(&store, 12);
    let key = key(&store);
    let other = verifier(&store, "other").to_string();
    let bundle = path(&store, "bundle");
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--log", "empty"], 6, "NO_CHECKPOINT"),
        (&["--from", "12"], 6, "12 events"),
        (&["--from", "5", "--to", "5"], 2, "ends before"),
        (&["--to", "13"], 1, "SIZE_NOT_REACHED"),
        (&["--since", "2100-01-01"], 6, "no event was received"),
        (&["--since", "1h", "--until", "2h"], 2, "not after"),
        (&["--joins", "13"], 2, "12 events only"),
        (&["--key", &other[..other.len() - 2]], 2, "--key"),
    ];
    for (flags, code, named) in cases {
        let ran = run(server.cli(&["export", "-o"]).arg(&bundle).args(flags), "");
        assert!(ran.code == code && ran.err.contains(named), "{flags:?}: {ran:?}");
        assert!(!bundle.exists(), "{flags:?}");
    }
    // Signed by another key than the operator thinks.
    let ran = run(server.cli(&["export", "--key", &other, "-o"]).arg(&bundle), "");
    assert!(ran.code == 11 && !bundle.exists(), "{ran:?}");
    // And without a key, what is wanted of a verifier.
    let exported = export(&store, &server, "exported", &[]);
    let ran = run(chancery().arg("verify").arg(&exported), "");
    assert!(ran.code == 2 && ran.err.contains("--key"), "{ran:?}");
    let ran = verify(&exported, &["--key", &key, "--extract", "12"]);
    assert!(ran.code == 2 && ran.err.contains("position 12"), "{ran:?}");
    let ran = verify(&path(&store, "nowhere"), &["--key", &key]);
    assert!(ran.code == 1 && ran.err.contains("nowhere"), "{ran:?}");
}
