//! A query whose server is killed says how to go on, and going on misses and repeats nothing.
use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use chancery::proto::v1::{CmsAuditEvent, NewEvent, new_event::Family};

use crate::harness::{KINDS, TestStore, block_on, cli::run, events::event, log::append, server::Server};

/// 17 KiB each when read: 2,000 of them are more than pipes and windows hold, so that a reader that
/// pauses stops the stream.
fn large(at: usize) -> NewEvent {
    event(Family::CmsAudit(CmsAuditEvent {
        code: "20018".to_owned(),
        severity: 100,
        client_id: Some(format!("device-{at}")),
        char1: Some("x".repeat(8000)),
        char2: Some("ON_HOLD".to_owned()),
        ..CmsAuditEvent::default()
    }))
}

#[test]
fn a_query_cut_off_by_a_killed_server_is_continued_by_its_token() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for batch in 0..5 {
                append(&mut audit, (0..400).map(|at| large(batch * 400 + at)).collect()).await;
            }
        });
        let mut command = server.cli(&["query", "--since", "2026-01-01", "-o", "ndjson"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        out.read_line(&mut first).expect("a line");
        server.signal("KILL");
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("text");
        let mut err = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
        assert_eq!(child.wait().expect("the child").code(), Some(5), "{err}");

        let positions = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a whole line"))
                .map(|value| value["position"].as_str().expect("a position").to_owned())
                .collect()
        };
        let mut read = positions(&(first + &rest));
        assert!(!read.is_empty() && read.len() < 2000, "{kind:?}: {} of 2000 before the end", read.len());
        assert!(err.contains(&format!("the stream broke off after {} events: ", read.len())), "{err}");
        let command = err.lines().find_map(|line| line.strip_prefix("continue with: chancery query "));
        let command = command.unwrap_or_else(|| panic!("{err}"));

        // The new server has another address; everything else is as printed.
        let server = Server::start(&store);
        let flags = command.split(' ').filter(|flag| !flag.starts_with("--server="));
        let ran = run(server.cli(&["query"]).args(flags), "");
        assert_eq!(ran.code, 0, "{}", ran.err);
        read.extend(positions(&ran.out));
        assert_eq!(read, (0..2000).map(|at| at.to_string()).collect::<Vec<_>>(), "{kind:?}");
    }
}

/// Whoever reads the file later must not take a part for the whole.
#[test]
fn a_json_array_that_was_cut_off_stays_open() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        for batch in 0..5 {
            append(&mut audit, (0..400).map(|at| large(batch * 400 + at)).collect()).await;
        }
    });
    let mut command = server.cli(&["query", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    out.read_line(&mut text).expect("a line");
    server.signal("KILL");
    out.read_to_string(&mut text).expect("text");
    assert_eq!(child.wait().expect("the child").code(), Some(5));
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "the part is no whole array");
    let closed = format!("{}]", text.trim_end().trim_end_matches(','));
    assert!(serde_json::from_str::<serde_json::Value>(&closed).is_ok(), "it ends after a whole event");
}
