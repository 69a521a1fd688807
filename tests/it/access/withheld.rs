//! What a reader without personal values can check: every record, and no value; and it is told so.
use std::{fs, path::PathBuf, process::Command};

use chancery::proto::v1::Event;
use prost::Message as _;

use crate::harness::{
    KINDS, Kind, TestStore,
    access::{self, by},
    block_on,
    calls::{append, atomic, query},
    cli::{Ran, run},
    database::Database,
    events,
    server::{Server, chancery},
    signing::{checkpoint, key, verifier},
};

const ACCESS: &str = "
[producer.source]
logs = [\"*\"]
families = [\"*\"]
[reader.all]
logs = [\"*\"]
families = [\"*\"]
personal = true
[reader.blind]
logs = [\"main\"]
families = [\"*\"]
";

fn started(store: &TestStore) -> Server {
    let configuration = format!("signing_key_file = {:?}\n", key(store));
    let server = access::server(store, &access::file(ACCESS, &["source", "all", "blind"]), &configuration);
    block_on(async {
        let batch = (0..4).map(|at| events::hold(&format!("device-{at}"))).collect();
        let answer = append(&mut server.audit().await, by("source", atomic(batch))).await;
        checkpoint(store, "main", answer.tree_size).await;
    });
    server
}

/// A command of the command line in the name of somebody.
fn of(server: &Server, store: &TestStore, name: &str, arguments: &[&str]) -> Command {
    let path: PathBuf = store.folder.path().join(format!("{name}.token"));
    if !path.exists() {
        crate::harness::certificates::write(&path, &access::token(name));
    }
    let mut command = server.cli(arguments);
    command.arg("--token-file").arg(path);
    command
}

fn verify(server: &Server, store: &TestStore, name: &str) -> Ran {
    let key = verifier(store, "main").to_string();
    run(&mut of(server, store, name, &["verify", "-o", "json", "--key", &key]), "")
}

#[test]
fn values_that_are_withheld_are_counted_and_hide_nothing_silently() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        let counted = |ran: &Ran| (ran.code, ran.json()[0]["withheldValues"].as_str().map(str::to_owned));
        assert_eq!(counted(&verify(&server, &store, "all")), (0, Some("0".to_owned())), "{kind:?}");
        let ran = verify(&server, &store, "blind");
        assert_eq!(counted(&ran), (0, Some("4".to_owned())), "{kind:?} {ran:?}");
        assert!(ran.err.contains("; 4 personal values are not there and were not checked"), "{ran:?}");
        // A value that somebody has altered: who sees it finds it, who does not is told what was not looked at.
        let swap = "UPDATE events SET personal = (SELECT personal FROM events WHERE log = 'main' AND position = 0) WHERE log = 'main' AND position = 1";
        block_on(async { Database::open(&store).await.run(swap).await });
        let ran = verify(&server, &store, "all");
        assert_eq!((ran.code, ran.json()[0]["field"].as_str()), (7, Some("personal")), "{ran:?}");
        assert_eq!(counted(&verify(&server, &store, "blind")), (0, Some("4".to_owned())), "{kind:?}");
        // A bundle has the records, and says the same.
        let bundle = store.folder.path().join("bundle");
        let ran = run(of(&server, &store, "blind", &["export"]).arg("-o").arg(&bundle), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.err.contains("the server withholds 4 personal values from this caller"), "{ran:?}");
        assert!(!fs::read_to_string(&bundle).expect("a bundle").contains("\npersonal "));
        let key = verifier(&store, "main").to_string();
        let ran = run(chancery().args(["verify", "-o", "json", "--key", &key]).arg(&bundle), "");
        assert_eq!(counted(&ran), (0, Some("4".to_owned())), "{ran:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A record of version 1 holds the values itself.
#[test]
fn a_record_that_is_not_shown_cannot_be_verified_and_is_not_called_valid() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = started(&store);
        block_on(async {
            let whole = query(&mut server.audit().await, by("all", Default::default())).await;
            let mut old: Event = whole.events[1].clone();
            (old.record_version, old.position, old.record_size) = (1, None, 0);
            old.commitments.clear();
            old.openings.clear();
            old.leaf_hash = Default::default();
            let record = hex(&old.encode_to_vec());
            let (record, none) = match kind {
                Kind::Sqlite => (format!("x'{record}'"), "x''"),
                Kind::Postgres => (format!("'\\x{record}'::bytea"), "''"),
            };
            let statement = format!(
                "UPDATE events SET record = {record}, personal = {none} WHERE log = 'main' AND position = 1"
            );
            Database::open(&store).await.run(&statement).await;
            // What is left of it for whoever sees no persons.
            let seen = query(&mut server.audit().await, by("blind", Default::default())).await;
            let left = &seen.events[1];
            assert!(left.personal_withheld && left.record_size == 0, "{left:?}");
            assert!(left.actor.is_empty() && left.attributes.is_empty() && left.source.is_none(), "{left:?}");
            assert_eq!(left.code, "20018");
        });
        let ran = verify(&server, &store, "blind");
        let row = &ran.json()[0];
        assert_eq!(
            (ran.code, row["verdict"].as_str(), row["firstPosition"].as_str(), row["lastPosition"].as_str()),
            (8, Some("missing"), Some("1"), Some("1")),
            "{kind:?} {ran:?}"
        );
        assert!(
            row["evidence"].as_str().is_some_and(|it| it.starts_with("cannot be verified by this caller"))
        );
        let bundle = store.folder.path().join("bundle");
        let ran = run(of(&server, &store, "blind", &["export"]).arg("-o").arg(&bundle), "");
        assert!(ran.code == 8 && ran.err.contains("cannot be verified by this caller"), "{ran:?}");
        assert!(!bundle.exists());
    }
}
