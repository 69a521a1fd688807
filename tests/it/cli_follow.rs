//! `chancery query --follow` and `--explain`, against a server that says exactly what a test wants.
use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use chancery::proto::v1::{
    CaughtUp, EndReason, Event, FellBehind, QueryCheckpoint, QueryResponse, QuerySummary,
    query_response::Payload,
};
use tonic::{Code, Status, metadata::MetadataMap};

use crate::harness::{
    cli::{run, run_into_closed_pipe},
    live::Live,
    scripted::{Scripted, Step},
};

fn message(token: &str, payload: Payload) -> QueryResponse {
    QueryResponse { resume_token: token.to_owned(), payload: Some(payload) }
}

fn event(position: u64) -> Step {
    let event = Event { position: Some(position), code: "20018".to_owned(), ..Event::default() };
    Step::Say(message(&format!("token-{position}"), Payload::Event(event)))
}

fn checkpoint(token: &str) -> Step {
    Step::Say(message(token, Payload::Checkpoint(QueryCheckpoint::default())))
}

fn caught_up(head_position: u64) -> Step {
    Step::Say(message("caught", Payload::CaughtUp(CaughtUp { head_position })))
}

fn summary(returned: u64, end: EndReason) -> Step {
    let summary = QuerySummary { returned, end_reason: end as i32, ..QuerySummary::default() };
    Step::Say(message("end", Payload::Summary(summary)))
}

fn position(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).expect("an event");
    value["position"].as_str().expect("a position").to_owned()
}

#[test]
fn the_request_says_what_the_flags_do() {
    let server = Scripted::start(vec![summary(0, EndReason::MaxDuration)]);
    let flags = ["query", "--where", " code = 20018 ", "--failures", "-f", "--for", "1m500ms"];
    assert_eq!(run(&mut server.cli(&flags), "").code, 0);
    let request = server.request();
    assert_eq!((request.r#where.as_str(), request.follow, request.explain), ("code = 20018", true, false));
    let lasting = request.max_duration.expect("a duration");
    assert_eq!((lasting.seconds, lasting.nanos), (60, 500_000_000));
    assert_eq!(request.filter.expect("a filter").outcomes, [3, 4]);
}

#[test]
fn events_show_at_once_and_ctrl_c_ends_well_with_the_command_that_continues() {
    for (signal, format) in [("INT", "ndjson"), ("TERM", "json")] {
        let script = vec![event(7), caught_up(8), event(9), checkpoint("later"), Step::Stay];
        let server = Scripted::start(script);
        let flags = ["query", "--follow", "--where=code = 20018", "--limit=5", "-o", format];
        let live = Live::start(&mut server.cli(&flags));
        if format == "json" {
            assert_eq!(live.line(), "[");
        } else {
            assert_eq!(position(&live.line()), "7");
            assert_eq!(position(&live.line()), "9", "what comes live is not kept back");
        }
        live.notice("caught up: all 8 positions looked at");
        // The checkpoint has no sign of its own; without it the token would be that of position 9.
        std::thread::sleep(std::time::Duration::from_millis(300));
        live.signal(signal);
        let (code, out, err) = live.ended();
        assert_eq!(code, 0, "{err:?}");
        if format == "json" {
            let array: Vec<Event> = serde_json::from_str(&format!("[{}", out.concat())).expect("an array");
            assert_eq!(array.len(), 2);
        }
        assert_eq!(err[0], "2 events, ended by a signal; there may be more");
        let more = "--where='code = 20018' --order=position-asc --limit=3 --follow";
        assert!(err[1].starts_with("more: chancery query ") && err[1].contains(more), "{err:?}");
        assert!(err[1].ends_with("--resume-token=later"), "{err:?}");
    }
}

#[test]
fn a_table_shows_live_events_before_its_page_is_full() {
    let server = Scripted::start(vec![event(7), caught_up(8), event(9), Step::Stay]);
    let live = Live::start(&mut server.cli(&["query", "-f", "-o", "table"]));
    assert!(live.line().starts_with("time (UTC)"));
    assert!(live.line().trim_start().starts_with("7 "));
    assert!(live.line().trim_start().starts_with("9 "));
}

#[test]
fn a_slow_reader_continues_where_the_server_stopped() {
    let mut trailers = MetadataMap::new();
    trailers.insert("chancery-resume-token", "from-the-trailers".parse().expect("ASCII"));
    let status = Status::with_metadata(Code::Aborted, "too slow", trailers);
    let behind = FellBehind { position: 3, head_position: 90 };
    let behind = Step::Say(message("behind", Payload::FellBehind(behind)));
    let server = Scripted::start(vec![event(1), behind, event(3), Step::Fail(status)]);
    let ran = run(&mut server.cli(&["query", "--follow"]), "");
    assert_eq!((ran.code, ran.lines().len()), (5, 2), "{ran:?}");
    assert!(ran.err.contains("fell behind: at position 3 of 90; what was missed follows\n"), "{ran:?}");
    assert!(ran.err.contains("the stream broke off after 2 events: ABORTED: too slow\n"), "{ran:?}");
    assert!(ran.err.trim_end().ends_with("--follow --resume-token=from-the-trailers"), "{ran:?}");
}

#[test]
fn a_server_that_goes_away_and_a_time_that_is_up_print_the_command_that_continues() {
    let cases = [
        (EndReason::Drain, 5, "continue with: ", "broke off after 1 events: the server is shutting down"),
        (EndReason::MaxDuration, 0, "more: ", "1 events, the time is up; there may be more"),
    ];
    for (reason, code, label, told) in cases {
        let server = Scripted::start(vec![event(1), summary(1, reason)]);
        let ran = run(&mut server.cli(&["query", "--follow", "--for=5m"]), "");
        assert!(ran.code == code && ran.err.contains(told), "{ran:?}");
        let command = ran.err.lines().find_map(|line| line.strip_prefix(label)).expect("a command");
        assert!(command.ends_with(" --follow --for=300000ms --resume-token=end"), "{command}");
    }
}

/// Ctrl-C cannot reach a command that waits for the reader of its output; a second one ends it.
#[test]
fn a_second_ctrl_c_ends_a_command_that_hangs_in_a_write() {
    let event = Event { actor: "x".repeat(1 << 20), ..Event::default() };
    let event = Step::Say(message("token", Payload::Event(event)));
    let server = Scripted::start(vec![event; 20]);
    let mut command = server.cli(&["query", "--follow"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    // From here on nobody reads: the second event of a MiB fills the pipe.
    out.read_line(&mut String::new()).expect("a line");
    for _ in 0..2 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(child.try_wait().expect("the child").is_none(), "one is not enough, and it has not ended");
        let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }
    assert_eq!(child.wait().expect("the child").code(), Some(130));
}

#[test]
fn following_into_a_closed_pipe_ends_quietly() {
    let Step::Say(repeated) = event(1) else { unreachable!() };
    let server = Scripted::start(vec![caught_up(0), Step::Repeat(repeated)]);
    let (code, err) = run_into_closed_pipe(&mut server.cli(&["query", "--follow"]));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(err.lines().count(), 1, "caught up, and no complaint: {err}");
}

#[test]
fn explain_prints_the_filter_and_the_plan_and_nothing_else() {
    let explained = QuerySummary {
        filter: "code = \"20018\"".to_owned(),
        plan: "first\nsecond".to_owned(),
        ..QuerySummary::default()
    };
    let server = Scripted::start(vec![Step::Say(message("end", Payload::Summary(explained)))]);
    let ran = run(&mut server.cli(&["query", "--explain", "--code", "20018"]), "");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out, "filter: code = \"20018\"\nplan:\n  first\n  second\n");
    assert!(server.request().explain);
    let ran = run(&mut server.cli(&["query", "--explain", "-o", "json"]), "");
    assert_eq!(ran.json()["plan"], "first\nsecond");
    let ran = Scripted::start(vec![event(1), summary(1, EndReason::Complete)]);
    let ran = run(&mut ran.cli(&["query", "--explain"]), "");
    assert!(ran.code == 1 && ran.out.is_empty() && ran.err.contains("does not explain"), "{ran:?}");
}

#[test]
fn follow_goes_with_the_order_of_positions_only() {
    let server = Scripted::start(Vec::new());
    let ran = run(&mut server.cli(&["query", "-f", "--order", "position-desc"]), "");
    assert!(ran.code == 2 && ran.err.contains("--follow goes with --order position-asc only"), "{ran:?}");
}
