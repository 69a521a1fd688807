//! `chancery erase`.
use super::{PERSON, mixed, tells};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic, everything},
    cli::run,
    server::Server,
    terminal::run_typing,
};

fn filled(store: &TestStore) -> Server {
    let server = Server::start(store);
    block_on(async {
        accept(&mut server.audit().await, atomic(mixed())).await;
    });
    server
}

fn left(server: &Server) -> usize {
    block_on(async {
        everything(&mut server.audit().await, "").await.iter().filter(|event| tells(event)).count()
    })
}

#[test]
fn it_counts_asks_and_erases() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = filled(&store);
        let dry = run(server.cli(&["erase", PERSON, "--dry-run", "-o", "ndjson"]).args([""; 0]), "");
        assert_eq!((dry.code, left(&server)), (0, 5), "{dry:?}");
        assert_eq!(dry.ndjson()[0]["eventsErased"], "5");
        // Nobody there to ask, and nobody said yes.
        let refused = run(&mut server.cli(&["erase", PERSON, "--reason", "request 1"]), "y\n");
        assert_eq!((refused.code, left(&server)), (2, 5), "{refused:?}");
        assert!(refused.err.contains("--yes"), "{refused:?}");
        let done = run(
            &mut server.cli(&[
                "erase",
                PERSON,
                "--reason",
                "request 1",
                "--yes",
                "--as",
                "officer",
                "-o",
                "csv",
            ]),
            "",
        );
        assert_eq!((done.code, left(&server)), (0, 0), "{done:?}");
        assert!(done.out.starts_with("events_erased,values_erased,"), "{done:?}");
        assert!(done.out.lines().nth(1).is_some_and(|line| line.starts_with("5,")), "{done:?}");
        // What is gone is shown as gone.
        let shown = run(&mut server.cli(&["query", "--limit", "2", "-o", "csv"]), "");
        assert!(shown.out.contains("user_id=(erased)"), "{shown:?}");
    }
}

#[test]
fn a_flag_is_missing_or_wrong() {
    let store = TestStore::new(KINDS[0]);
    let server = filled(&store);
    let ran = run(&mut server.cli(&["erase", PERSON, "--yes"]), "");
    assert!(ran.code == 2 && ran.err.contains("--reason"), "{ran:?}");
    let ran = run(&mut server.cli(&["erase", PERSON, "--yes", "--reason", "one", "--request-id", "17"]), "");
    assert!(ran.code != 0 && ran.err.contains("request_id"), "{ran:?}");
    assert_eq!(left(&server), 5);
    // Somebody who is asked and says no, nothing, or yes.
    for (typed, code, erased) in [("n\n", 1, 5), ("\n", 1, 5), ("y\n", 0, 0)] {
        let seen = run_typing(&mut server.cli(&["erase", PERSON, "--reason", "one"]), 100, Some(typed));
        assert_eq!((seen.code, left(&server)), (code, erased), "{seen:?}");
        assert!(seen.err.contains("cannot be undone") && seen.err.contains("5 events"), "{seen:?}");
    }
}
