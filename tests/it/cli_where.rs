//! `--where` of `query`, `count` and `bench query`: the server joins it to the flags, and its faults name their
//! place.
use crate::harness::{
    KINDS, TestStore, block_on,
    cli::run,
    events::examples,
    log::{append, read_all},
    server::Server,
};

#[test]
fn an_expression_filters_queries_counts_and_measures() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let stored = block_on(async {
            let mut audit = server.audit().await;
            for family in ["cms_audit", "token_server"] {
                append(&mut audit, examples(family)).await;
            }
            read_all(&mut audit).await
        });
        let expected = stored.iter().filter(|it| it.family == 1 && it.outcome != 1 && it.code != "20018");
        let expected: Vec<_> = expected.map(|it| it.position.expect("a position").to_string()).collect();
        assert!(!expected.is_empty() && expected.len() < stored.len());
        let flags = ["--family=cms-audit", "--where=NOT outcome = STARTED AND code != 20018"];
        let ran = run(server.cli(&["query"]).args(flags), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        let read: Vec<_> = ran.ndjson().iter().map(|it| it["position"].as_str().map(str::to_owned)).collect();
        assert_eq!(read, expected.iter().cloned().map(Some).collect::<Vec<_>>(), "{kind:?}");
        assert!(ran.err.contains("\nfilter: ") && ran.err.contains("20018"), "{}", ran.err);
        let counted = run(server.cli(&["count"]).args(flags), "");
        assert_eq!(counted.err, format!("total {}\n", expected.len()), "{counted:?}");
        let measured = run(server.cli(&["bench", "query", "-o", "json"]).args(flags), "").json();
        assert_eq!(measured["events"], expected.len(), "{measured}");
    }
}

#[test]
fn the_printed_command_carries_the_expression_on() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async { append(&mut server.audit().await, examples("cms_audit")).await });
    let flags = ["query", "--where", "outcome = FAILURE OR actor = \"it's\""];
    let whole = run(&mut server.cli(&flags), "").ndjson();
    let mut ran = run(server.cli(&flags).args(["--limit", "2"]), "");
    let mut read = Vec::new();
    loop {
        assert_eq!(ran.code, 0, "{ran:?}");
        read.extend(ran.ndjson());
        let Some(more) = ran.err.lines().find_map(|line| line.strip_prefix("more: ")) else { break };
        let more = more.replacen("chancery", env!("CARGO_BIN_EXE_chancery"), 1);
        ran = run(std::process::Command::new("sh").args(["-c", &more]), "");
    }
    assert!(read.len() > 2, "{} events", read.len());
    assert_eq!(read, whole);
}

#[test]
fn a_faulty_expression_is_told_with_its_place() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    for command in ["query", "count"] {
        let ran = run(&mut server.cli(&[command, "--where", "code = 20018 AND colour = red"]), "");
        assert!(ran.code == 1 && ran.err.contains("where") && ran.err.contains("17"), "{ran:?}");
        assert_eq!(ran.err.matches("at byte").count(), 1, "told once: {ran:?}");
    }
}
