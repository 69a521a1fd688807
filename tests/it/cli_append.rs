//! `chancery append`: every line of every input is accounted for, on standard output, on standard error
//! and in the exit code.
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Stdio,
};

use chancery::proto::v1::NewEvent;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    cli::run,
    events::{hold, token},
    log::read_all,
    server::Server,
};

const UNKNOWN: &str = r#"{"occurredAt":"2026-01-07T09:20:03Z","cmsAudit":{"code":"20152","severity":100}}"#;

fn line(event: &NewEvent) -> String {
    serde_json::to_string(event).expect("JSON")
}

fn lines(events: &[NewEvent]) -> String {
    events.iter().map(|event| line(event) + "\n").collect()
}

/// Event ids of the log, in order.
fn ids(server: &Server) -> Vec<String> {
    let read = block_on(async { read_all(&mut server.audit().await).await });
    read.into_iter().map(|event| event.event_id).collect()
}

#[test]
fn files_and_standard_input_are_read_in_the_order_given() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let events: Vec<_> = (0..5).map(|at| hold(&format!("device-{at}"))).collect();
        let (one, other) = (store.folder.path().join("one.ndjson"), store.folder.path().join("other.ndjson"));
        // A byte order mark, blank lines, Windows line ends and a last line without an end.
        let text = format!("\u{feff}{}\r\n\r\n  \n{}", line(&events[0]), line(&events[1]));
        fs::write(&one, text).expect("a file");
        fs::write(&other, lines(&events[4..])).expect("a file");
        let ran = run(server.cli(&["append"]).arg(&one).arg("-").arg(&other), &lines(&events[2..4]));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        let expected = [
            ["accepted", "5"],
            ["with warnings", "0"],
            ["duplicate", "0"],
            ["quarantined", "0"],
            ["rejected", "0"],
            ["conflict", "0"],
            ["not attempted", "0"],
            ["unreadable lines", "0"],
            ["first position", "0"],
            ["last position", "4"],
        ];
        let shown = ran
            .out
            .lines()
            .map(|line| line.trim().split("  ").map(str::trim).filter(|it| !it.is_empty()).collect());
        assert_eq!(shown.collect::<Vec<Vec<_>>>(), expected);
        assert_eq!(ids(&server), events.iter().map(|event| event.event_id.clone()).collect::<Vec<_>>());
        // No file is standard input.
        let ran = run(&mut server.cli(&["append"]), &lines(&events[..1]));
        assert!(ran.code == 0 && ran.out.contains("duplicate         1\n"), "{ran:?}");
    }
}

#[test]
fn a_row_per_line_says_what_became_of_it_in_every_format() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let mut reused = hold("device-2");
    let good = hold("device-1");
    reused.event_id.clone_from(&good.event_id);
    let mut late = token("CONSENT_GIVEN");
    late.occurred_at = None;
    let input = format!("{}\nno json\n{UNKNOWN}\n{}\n{}\n", line(&good), line(&reused), line(&late));
    let results = |first: &'static str| [first, "UNREADABLE", "QUARANTINED", "CONFLICT", "REJECTED"];
    let problems = [
        "(standard input):2: not a NewEvent: ",
        "(standard input):3: QUARANTINED UNKNOWN_EVENT_CODE cms_audit.code: \"20152\" is not a code",
        "(standard input):4: CONFLICT EVENT_ID_REUSED event_id: ",
        "(standard input):5: REJECTED MALFORMED_EVENT occurred_at: ",
    ];
    for (format, first) in [("ndjson", "ACCEPTED"), ("json", "DUPLICATE"), ("csv", "DUPLICATE")] {
        // One event a call, so that the conflict is with a stored event.
        let ran = run(&mut server.cli(&["append", "--batch", "1", "-o", format]), &input);
        assert_eq!(ran.code, 3, "{ran:?}");
        for problem in problems {
            assert!(ran.err.contains(problem), "{problem}: {}", ran.err);
        }
        let rows: Vec<(u64, String, String)> = match format {
            "csv" => csv::Reader::from_reader(ran.out.as_bytes())
                .records()
                .map(|row| row.expect("a row"))
                .map(|row| (row[1].parse().expect("a line"), row[2].to_owned(), row[5].to_owned()))
                .collect(),
            _ => {
                let rows = if format == "json" {
                    ran.json().as_array().expect("an array").clone()
                } else {
                    ran.ndjson()
                };
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                rows.iter()
                    .map(|row| {
                        (row["line"].as_u64().expect("a line"), text(&row["result"]), text(&row["reason"]))
                    })
                    .collect()
            }
        };
        let mut rows = rows;
        rows.sort();
        let shown: Vec<_> = rows.iter().map(|row| row.1.as_str()).collect();
        assert_eq!(shown, results(first), "{format}");
        let reasons: Vec<_> = rows.iter().map(|row| row.2.as_str()).collect();
        assert_eq!(reasons, ["", "", "UNKNOWN_EVENT_CODE", "EVENT_ID_REUSED", "MALFORMED_EVENT"], "{format}");
    }
    assert_eq!(ids(&server), [good.event_id]);
}

#[test]
fn an_atomic_batch_goes_whole_or_not_at_all_and_nothing_follows_it() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let events: Vec<_> = (0..5).map(|at| hold(&format!("device-{at}"))).collect();
    let input = format!("{}{UNKNOWN}\n{}", lines(&events[..3]), lines(&events[3..]));
    let ran = run(&mut server.cli(&["append", "--mode", "atomic", "--batch", "2"]), &input);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.err.contains("chancery: stopped; nothing from (standard input):3 on is acknowledged"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("accepted          2\n") && ran.out.contains("rejected          1\n"),
        "{ran:?}"
    );
    assert_eq!(ids(&server).len(), 2);
    // A line that cannot be read stops its batch too.
    let input = format!("{}\nno json\n", line(&events[4]));
    let ran = run(&mut server.cli(&["append", "--mode", "atomic"]), &input);
    assert!(ran.code == 3 && ran.err.contains("(standard input):2: not a NewEvent"), "{ran:?}");
    assert_eq!(ids(&server).len(), 2);
}

#[test]
fn validate_only_judges_and_stores_nothing() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let input = format!("{}\n{UNKNOWN}\n", line(&hold("device-1")));
    let ran = run(&mut server.cli(&["append", "--validate-only", "-o", "ndjson"]), &input);
    assert_eq!(ran.code, 3, "{ran:?}");
    let results: Vec<_> = ran.ndjson().iter().map(|row| row["result"].clone()).collect();
    assert_eq!(results, ["ACCEPTED", "QUARANTINED"]);
    assert!(ids(&server).is_empty());
}

#[test]
fn the_producer_is_named_by_a_flag_or_the_environment() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let flags: [&[&str]; 4] =
        [&[], &["--as", "cms-1"], &["--producer", "cms-2"], &["--producer", "cms-3", "--as", "x"]];
    for flags in flags {
        let ran = run(server.cli(&["append"]).args(flags), &line(&hold("device-1")));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let ran = run(server.cli(&["append"]).env("CHANCERY_PRODUCER", "cms-4"), &line(&hold("device-1")));
    assert_eq!(ran.code, 0, "{ran:?}");
    let read = block_on(async { read_all(&mut server.audit().await).await });
    let producers: Vec<_> = read.iter().map(|event| event.producer.as_str()).collect();
    assert_eq!(producers, ["anonymous", "cms-1", "cms-2", "cms-3", "cms-4"]);
}

#[test]
fn an_event_without_an_id_gets_one_and_warnings_are_counted() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let mut event = hold("device-1");
    event.event_id.clear();
    let flagged =
        r#"{"occurredAt":"2026-01-07T09:20:03Z","cmsNotification":{"code":"100121","num1":1,"num2":64}}"#;
    let ran = run(&mut server.cli(&["append", "-o", "ndjson"]), &format!("{}\n{flagged}\n", line(&event)));
    assert_eq!(ran.code, 0, "{ran:?}");
    let rows = ran.ndjson();
    assert_eq!(rows[0]["eventId"].as_str().map(str::len), Some(36));
    assert_eq!(rows[1]["warnings"][0]["reason"], "OLD_SPELLING");
    assert!(ran.err.contains("with warnings 1\n"), "{}", ran.err);
}

#[test]
fn a_missing_file_is_told_before_anything_is_sent() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let ran = run(&mut server.cli(&["append", "-", "nowhere.ndjson"]), &line(&hold("device-1")));
    assert!(ran.code == 1 && ran.err.contains("nowhere.ndjson: No such file"), "{ran:?}");
    assert!(ids(&server).is_empty());
}

#[test]
fn a_server_that_dies_leaves_an_exact_account() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let mut command = server.cli(&["append", "--batch", "1", "--max-retries", "1", "-o", "ndjson"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut rows = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    writeln!(stdin, "{}", line(&hold("device-1"))).expect("a line");
    assert!(rows.next().expect("a row").expect("text").contains("ACCEPTED"));
    server.signal("KILL");
    writeln!(stdin, "{}", line(&hold("device-2"))).expect("a line");
    drop(stdin);
    assert!(rows.next().is_none(), "an event without an answer has no row");
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
    assert_eq!(child.wait().expect("the child").code(), Some(4), "{err}");
    assert!(err.contains("(retry 1 of 1)"), "{err}");
    assert!(err.contains("chancery: stopped; nothing from (standard input):2 on is acknowledged"), "{err}");
}
