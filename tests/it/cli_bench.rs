//! `chancery bench`: what it reports is what the server stored.
use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    time::Duration,
};

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::everything,
    cli::run,
    server::{Server, chancery},
};

#[test]
fn a_load_counts_what_is_stored_by_calls_and_by_streams() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        for (log, flags) in [
            ("calls", vec!["--way", "unary", "--batch", "7", "--in-flight", "3", "--connections", "2"]),
            ("singles", vec!["--way", "unary", "--batch", "1", "--rate", "2000", "--in-flight", "16"]),
            ("streams", vec!["--way", "stream", "--batch", "7", "--in-flight", "3", "--connections", "2"]),
            ("due", vec!["--way", "stream", "--batch", "10", "--rate", "5000"]),
        ] {
            let arguments = [&["bench", "append", "--log", log, "--events", "500", "-o", "json"], &flags[..]];
            let ran = run(&mut server.cli(&arguments.concat()), "");
            assert_eq!(ran.code, 0, "{kind:?} {log}: {ran:?}");
            let report = ran.json();
            assert_eq!((&report["accepted_events"], &report["refused_events"]), (&500.into(), &0.into()));
            let figure = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
            assert!(figure("p50_ms") > 0.0, "{report}");
            assert!(figure("p50_ms") <= figure("p99_ms") && figure("p99_ms") <= figure("max_ms"), "{report}");
            let stored = block_on(async { everything(&mut server.audit().await, log).await });
            assert_eq!(stored.len(), 500, "{kind:?} {log}");
        }
    }
}

#[test]
fn a_ceiling_leaves_three_whole_logs_and_says_the_ratios() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let flags =
            ["--events", "300", "--rounds", "2", "--batch", "50", "--transaction", "70", "-o", "json"];
        let arguments = [&["bench", "ceiling", "--store", &store.url], &flags[..]].concat();
        let ran = run(server.cli(&arguments).current_dir(store.folder.path()), "");
        assert_eq!(ran.code, 0, "{kind:?}: {ran:?}");
        let report = ran.json();
        for ratio in ["sequencer_to_bulk", "server_to_sequencer", "server_to_bulk"] {
            assert!(report[ratio].as_f64().is_some_and(|ratio| ratio > 0.0), "{report}");
        }
        block_on(async {
            let mut audit = server.audit().await;
            for log in ["bench-bulk", "bench-sequencer", "bench-server"] {
                assert_eq!(everything(&mut audit, log).await.len(), 600, "{kind:?} {log}");
            }
        });
    }
}

#[test]
fn proofs_are_timed_all_over_a_log() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let arguments = ["bench", "proof", "--proofs", "200", "--in-flight", "3", "-o", "json"];
        let empty = run(&mut server.cli(&arguments), "");
        assert_eq!(empty.code, 2, "{kind:?}: {empty:?}");
        assert!(empty.err.contains("the log is empty"), "{empty:?}");
        let filled = run(&mut server.cli(&["bench", "append", "--events", "700"]), "");
        assert_eq!(filled.code, 0, "{filled:?}");
        let ran = run(&mut server.cli(&arguments), "");
        assert_eq!(ran.code, 0, "{kind:?}: {ran:?}");
        let report = ran.json();
        assert_eq!((&report["proofs"], &report["tree_size"]), (&200.into(), &700.into()), "{report}");
        let figure = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
        assert!(figure("p50_ms") > 0.0 && figure("p50_ms") <= figure("p99_ms"), "{report}");
    }
}

#[test]
fn a_load_against_no_server_says_so() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    let mut command = server.cli(&["bench", "append", "--way", "stream"]);
    drop(server);
    let ran = run(&mut command, "");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.err.contains("cannot reach"), "{ran:?}");
}

#[test]
fn a_sink_takes_what_telemetry_it_is_sent() {
    let mut sink = chancery()
        .args(["bench", "sink", "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("chancery bench sink");
    let mut said = BufReader::new(sink.stderr.take().expect("its messages"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
    let store = TestStore::new(KINDS[0]);
    let mut server = Server::start_with(&store, &["--otlp-endpoint", &format!("http://{address}")]);
    let filled = run(&mut server.cli(&["bench", "append", "--events", "700"]), "");
    assert_eq!(filled.code, 0, "{filled:?}");
    // What waits is sent before it ends.
    server.signal("TERM");
    assert!(server.wait(Duration::from_secs(30)).success());
    let told = Command::new("kill").args(["-INT", &sink.id().to_string()]).status();
    assert!(told.expect("kill").success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("its messages");
    assert!(sink.wait().expect("its end").success(), "{rest}");
    let counts = rest.trim().strip_prefix("took ").and_then(|rest| rest.split_once(" calls with "));
    let (calls, bytes) = counts.unwrap_or_else(|| panic!("{rest}"));
    let bytes = bytes.strip_suffix(" bytes").unwrap_or_default();
    // Spans, metrics and lines, a call each at the least.
    assert!(calls.parse::<u64>().expect("a number") >= 3, "{rest}");
    assert!(bytes.parse::<u64>().expect("a number") > 1000, "{rest}");
}
