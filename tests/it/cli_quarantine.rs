//! `chancery quarantine`: list, replay and discard from the shell, with the exit codes of the others.
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{append, from_producer, per_event},
    cli::{Ran, run},
    events,
    server::Server,
};

fn quarantine(server: &Server, flags: &[&str]) -> Ran {
    run(server.cli(&["quarantine"]).args(flags), "")
}

#[test]
fn list_replay_and_discard_work_from_the_shell() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let (one, two) = (events::token("NO_SUCH_TYPE"), events::token("NOR_THIS"));
        block_on(async {
            let batch = per_event(vec![one.clone(), two.clone()]);
            append(&mut server.audit().await, from_producer("token-1", batch)).await;
        });
        let list = quarantine(&server, &["list", "-o", "ndjson"]);
        assert_eq!((list.code, list.err.as_str()), (0, "2 events\n"));
        let rows = list.ndjson();
        let id = |event: &str| {
            let row = rows.iter().find(|row| row["eventId"] == event).expect("a row");
            row["id"].as_str().expect("an id").to_owned()
        };
        let (first, second) = (id(&one.event_id), id(&two.event_id));
        assert!(rows[0]["receivedAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{rows:?}");
        let table = quarantine(&server, &["list", "--producer", "token-1", "--limit", "1"]).out;
        assert!(table.contains("UNKNOWN_EVENT_CODE"), "{table}");
        let none = quarantine(&server, &["list", "--reason", "catalog-violation", "-o", "json"]);
        assert_eq!(none.json().as_array().map(Vec::len), Some(0));

        let replayed = quarantine(&server, &["replay", "--all", "-o", "csv"]);
        assert_eq!(replayed.code, 3, "{replayed:?}");
        assert_eq!(replayed.err, "2 events replayed, 0 of them now in the log\n");
        assert_eq!(replayed.out.matches(",QUARANTINED,,UNKNOWN_EVENT_CODE,").count(), 2, "{replayed:?}");

        let flags = ["discard", "--as", "ann", "--reason", "a test", &first, "-o", "json"];
        let discarded = quarantine(&server, &flags);
        assert_eq!((discarded.code, discarded.err.as_str()), (0, "1 events are discarded\n"));
        let record = &discarded.json()[0];
        assert_eq!((&record["discardedBy"], &record["discardReason"]), (&"ann".into(), &"a test".into()));
        assert!(record["discardedAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{record}");
        assert_eq!(quarantine(&server, &["list", "-o", "ndjson"]).ndjson().len(), 1);
        assert_eq!(quarantine(&server, &["list", "--include-discarded", "-o", "ndjson"]).ndjson().len(), 2);

        // Codes: a discarded event, bad flags, an unknown id.
        let refused = quarantine(&server, &["replay", &first]);
        assert!(refused.code == 1 && refused.err.contains("QUARANTINED_EVENT_DISCARDED"), "{refused:?}");
        assert_eq!(quarantine(&server, &["replay"]).code, 2);
        assert_eq!(quarantine(&server, &["replay", "--all", &second]).code, 2);
        assert_eq!(quarantine(&server, &["replay", "--producer", "x", &second]).code, 2);
        assert_eq!(quarantine(&server, &["discard", &second]).code, 2);
        assert_eq!(quarantine(&server, &["replay", "--log", "other", &second]).code, 6);
        drop(server);

        let path = store.folder.path().join("site.toml");
        let site = "[[token_server.event]]\ncode = \"NOR_THIS\"\ncategory = \"Test\"\noutcome = \"success\"\nsummary = \"A test.\"\n";
        std::fs::write(&path, site).expect("a site file");
        let server = Server::start_with(&store, &["--catalog", &path.display().to_string()]);
        let replayed = quarantine(&server, &["replay", &second, "-o", "ndjson"]);
        assert_eq!(replayed.code, 0, "{replayed:?}");
        assert_eq!(replayed.ndjson()[0]["result"]["result"], "APPEND_RESULT_ACCEPTED");
        let nothing = quarantine(&server, &["replay", "--all"]);
        assert_eq!(
            (nothing.code, nothing.err.as_str()),
            (0, "0 events replayed, 0 of them now in the log\n")
        );
    }
}
