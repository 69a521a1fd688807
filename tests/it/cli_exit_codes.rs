//! The exit codes are those that `chancery --help` documents: scripts depend on them.
use crate::harness::{
    Kind, TestStore,
    cli::{Ran, run},
    events::hold,
    server::{Server, chancery},
};

/// A port that nothing listens on: the one that discards.
const NOBODY: &str = "http://127.0.0.1:9";

fn plain(arguments: &[&str]) -> Ran {
    run(chancery().args(arguments), "")
}

#[test]
fn help_documents_0_to_11() {
    let ran = plain(&["--help"]);
    let (_, codes) = ran.out.split_once("Exit codes:\n").expect("exit codes");
    let numbers: Vec<_> = codes.lines().filter_map(|line| line.trim().split("  ").next()).collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"], "{codes}");
    assert!(codes.lines().all(|line| line.len() > 6), "{codes}");
}

#[test]
fn done_is_0() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let event = serde_json::to_string(&hold("device-1")).expect("JSON");
    let commands: [&[&str]; 7] = [
        &["append"],
        &["query"],
        &["count"],
        &["producers"],
        &["producers", "list"],
        &["catalog", "list"],
        &["catalog", "show", "cms-audit", "20018"],
    ];
    for command in commands {
        let ran = run(&mut server.cli(command), &event);
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
    }
    for command in [&["--help"][..], &["--version"], &["serve", "--help"], &["completions", "bash"]] {
        assert_eq!(plain(command).code, 0, "{command:?}");
    }
    assert_eq!(plain(&["migrate", "--store", &store.url]).code, 0);
    // Nothing to send and nothing to read is no failure.
    assert_eq!(run(&mut server.cli(&["append"]), "").code, 0);
    assert_eq!(run(&mut server.cli(&["query", "--actor", "nobody"]), "").code, 0);
}

#[test]
fn a_failed_call_or_store_is_1() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let cases: [(&[&str], &str); 3] = [
        (&["query", "--resume-token", "nonsense"], "resume_token"),
        (&["query", "--log", "No Such Log"], "log"),
        (&["append", "nowhere.ndjson"], "nowhere.ndjson"),
    ];
    for (command, named) in cases {
        let ran = run(&mut server.cli(command), "");
        assert!(ran.code == 1 && ran.err.contains(named), "{command:?}: {ran:?}");
    }
    let ran = plain(&["migrate", "--store", "sqlite:/nonexistent/chancery.db"]);
    assert!(ran.code == 1 && ran.err.contains("sqlite:/nonexistent/chancery.db"), "{ran:?}");
    let ran = plain(&["serve", "--store", "sqlite:/nonexistent/chancery.db"]);
    assert!(ran.code == 1 && ran.err.contains("No such file or directory"), "{ran:?}");
}

#[test]
fn flags_that_make_no_sense_are_2() {
    let cases: [(&[&str], &str); 20] = [
        (&[], "Usage: chancery"),
        (&["nonsense"], "nonsense"),
        (&["query", "--nonsense"], "--nonsense"),
        (&["query", "--family", "cms"], "cms-audit"),
        (&["query", "--since", "yesterday"], "--since: 'yesterday' is no time"),
        (&["query", "--since", "1h", "--until", "2h"], "is not after --since"),
        (&["query", "--attribute", "novalue"], "NAME=VALUE"),
        (&["query", "--device", ""], "--device is empty"),
        (&["query", "--timeout", "5"], "'5' is no span"),
        (&["query", "--server", "http://127.0.0.1", "--ca", "ca.crt"], "https:// servers only"),
        (&["query", "--server", "not a url"], "--server"),
        (
            &["query", "--server", "localhost:7604"],
            "'--server <URL>': the address of a server begins with http:// or",
        ),
        (&["producers", "list", "--server", "grpc://localhost:7604"], "begins with http:// or https://"),
        (&["query", "--timeout", "0s"], "'0s' is no time at all"),
        (&["query", "--as", "é\n"], "printable ASCII"),
        (&["count", "--by", "colour"], "colour"),
        (&["count", "--bucket", "1500ms"], "whole seconds"),
        (&["append", "--batch", "1001"], "1..=1000"),
        (&["catalog", "show", "cms-audit"], "<CODE>"),
        (&["completions", "dos"], "bash"),
    ];
    for (command, named) in cases {
        let ran = plain(command);
        assert!(ran.code == 2 && ran.err.contains(named) && ran.out.is_empty(), "{command:?}: {ran:?}");
    }
}

#[test]
fn a_refused_event_is_3() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    for line in ["no json", "{}", r#"{"occurredAt":"2026-01-07T09:20:03Z","asAudit":{"action":"noAction"}}"#]
    {
        for mode in ["atomic", "per-event"] {
            let ran = run(&mut server.cli(&["append", "--mode", mode]), line);
            assert_eq!(ran.code, 3, "{line} {mode}: {ran:?}");
        }
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_4() {
    let commands: [&[&str]; 7] = [
        &["append"],
        &["query"],
        &["count"],
        &["producers"],
        &["producers", "list"],
        &["catalog", "list"],
        &["catalog", "show", "cms-audit", "20018"],
    ];
    for command in commands {
        let ran = plain(&[command, &["--server", NOBODY]].concat());
        assert_eq!(ran.code, 4, "{command:?}: {ran:?}");
        assert!(ran.err.contains(&format!("cannot reach {NOBODY}: Connection refused")), "{ran:?}");
    }
}

/// 5, a stream that broke off, is `cli_query_resume`'s.
#[test]
fn what_is_not_there_is_6() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    assert_eq!(run(&mut server.cli(&["catalog", "show", "as-audit", "noAction"]), "").code, 6);
}
