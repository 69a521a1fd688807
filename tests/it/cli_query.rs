//! `chancery query`: what is stored, in every format, harmless for terminals and spreadsheets, and
//! continued where it broke off.
use chancery::proto::v1::{CmsAuditEvent, Event, new_event::Family};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    cli::{Ran, run, run_into_closed_pipe},
    events::event,
    log::filled,
    server::Server,
};

fn query(server: &Server, flags: &[&str]) -> Ran {
    run(server.cli(&["query"]).args(flags), "")
}

fn events(ran: &Ran) -> Vec<Event> {
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.ndjson().into_iter().map(|value| serde_json::from_value(value).expect("an Event")).collect()
}

#[test]
fn every_format_shows_the_same_events() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (server, stored) = filled(&store);
        // Without a terminal the default is NDJSON: the contract's own JSON.
        let ran = query(&server, &[]);
        assert_eq!(events(&ran), stored);
        let total = stored.len();
        assert!(
            ran.err.starts_with(&format!(
                "{total} events, complete; looked at {total} of the {total} positions"
            )),
            "{}",
            ran.err
        );
        assert_eq!(ran.out, query(&server, &["-o", "ndjson"]).out);
        let array: Vec<Event> =
            serde_json::from_value(query(&server, &["-o", "json"]).json()).expect("events");
        assert_eq!(array, stored);

        let ran = query(&server, &["-o", "csv"]);
        let mut csv = csv::Reader::from_reader(ran.out.as_bytes());
        let header: Vec<String> = csv.headers().expect("a header").iter().map(str::to_owned).collect();
        let at = |name: &str| header.iter().position(|each| each == name).expect("a column");
        let rows: Vec<_> = csv.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), total);
        for (row, event) in rows.iter().zip(&stored) {
            assert_eq!(row[at("position")], event.position.expect("a position").to_string());
            assert_eq!(
                (&row[at("code")], &row[at("event_id")]),
                (event.code.as_str(), event.event_id.as_str())
            );
            assert!(row[at("occurred_at")].ends_with('Z'), "{row:?}");
        }

        let table = query(&server, &["-o", "table"]).out;
        let rows = table.lines().filter(|line| !line.is_empty() && !line.starts_with("time (UTC)"));
        for (row, event) in rows.zip(&stored) {
            assert!(row.contains(&event.code), "{row}");
        }
        assert_eq!(table.lines().filter(|line| line.starts_with("20")).count(), total);
    }
}

#[test]
fn every_filter_flag_filters() {
    type Keep = fn(&Event) -> bool;
    let cases: [(&[&str], Keep); 14] = [
        (&["--family", "cms-audit"], |it| it.family == 1),
        (&["--family", "cms-audit,as-audit", "--outcome", "failure"], |it| {
            [1, 3].contains(&it.family) && it.outcome == 3
        }),
        (&["--code", "20151", "--code", "10012"], |it| it.code == "20151" || it.code == "10012"),
        (&["--category", "Device"], |it| it.category == "Device"),
        (&["--outcome", "denied,unknown"], |it| [4, 5].contains(&it.outcome)),
        (&["--producer", "anonymous"], |_| true),
        (&["--producer", "nobody"], |_| false),
        (&["--actor", "cms-admin-01"], |it| it.actor == "cms-admin-01"),
        (&["--subject", "anna.visser"], |it| it.subject == "anna.visser"),
        (&["--device", "5000000000148213"], |it| it.device == "5000000000148213"),
        (&["--correlation-id", "request-4102"], |it| it.correlation_id == "request-4102"),
        (&["--since", "2026-01-12", "--until", "2026-01-14T00:00:00Z"], |it| {
            let seconds = it.occurred_at.as_ref().map_or(0, |at| at.seconds);
            (1_768_176_000..1_768_348_800).contains(&seconds)
        }),
        (&["--attribute", "device_type=ActivID PIV Card", "--attribute", "request_type=64"], |it| {
            let has = |name: &str, value: &str| {
                it.attributes.iter().any(|each| each.name == name && each.value == value)
            };
            has("device_type", "ActivID PIV Card") && has("request_type", "64")
        }),
        (&["--received-until", "2026-01-01"], |_| false),
    ];
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (server, stored) = filled(&store);
        for (flags, keep) in &cases {
            let expected: Vec<_> = stored.iter().filter(|event| keep(event)).cloned().collect();
            let nothing = flags.contains(&"nobody") || flags.contains(&"--received-until");
            assert_eq!(expected.is_empty(), nothing, "{flags:?} shows nothing");
            assert_eq!(events(&query(&server, flags)), expected, "{flags:?}");
        }
        let text = events(&query(&server, &["--text", "CONSENT_g"]));
        assert!(!text.is_empty() && text.iter().all(|it| it.code.contains("CONSENT_G")), "{text:?}");
    }
}

#[test]
fn the_printed_command_continues_a_limited_query_in_every_order() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, stored) = filled(&store);
    for order in ["position-asc", "position-desc", "occurred-desc"] {
        let whole = events(&query(&server, &["--order", order]));
        assert_eq!(whole.len(), stored.len());
        let mut read = Vec::new();
        let mut ran = query(&server, &["--order", order, "--limit", "100"]);
        loop {
            let page = events(&ran);
            assert!(page.len() <= 100);
            read.extend(page);
            assert!(read.len() <= whole.len(), "{order}: it begins again");
            let more = ran.err.lines().find_map(|line| line.strip_prefix("more: "));
            let Some(more) = more.map(|more| more.replacen("chancery", env!("CARGO_BIN_EXE_chancery"), 1))
            else {
                break;
            };
            ran = run(std::process::Command::new("sh").args(["-c", &more]), "");
        }
        assert_eq!(read, whole, "{order}");
    }
}

/// An event whose texts would drive a terminal, reorder a line or run in a spreadsheet.
fn hostile() -> chancery::proto::v1::NewEvent {
    event(Family::CmsAudit(CmsAuditEvent {
        code: "20018".to_owned(),
        severity: 100,
        client_id: Some("=HYPERLINK(\"http://x\")\u{1b}[2J".to_owned()),
        operator_id: Some("@SUM(1)\u{9b}31m\u{202e}".to_owned()),
        char1: Some("a\nb\tc\r\u{7f}".to_owned()),
        char2: Some("ON_HOLD".to_owned()),
        ..CmsAuditEvent::default()
    }))
}

#[test]
fn control_characters_and_formulas_are_harmless_in_every_format() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let read =
        block_on(async { crate::harness::log::stored(&mut server.audit().await, vec![hostile()]).await });
    let dangerous =
        |each: char| (each.is_control() && each != '\n') || ('\u{202a}'..='\u{202e}').contains(&each);
    for format in ["table", "json", "ndjson", "csv"] {
        let ran = query(&server, &["-o", format]);
        assert!(!ran.out.contains(dangerous) && !ran.err.contains(dangerous), "{format}: {ran:?}");
        let escaped = if format.ends_with("json") { "\\u001b[2J" } else { "\\u{1b}[2J" };
        assert!(ran.out.contains(escaped), "{format}: {}", ran.out);
    }
    assert_eq!(events(&query(&server, &[])), read, "JSON reads back the same");
    let ran = query(&server, &["-o", "csv"]);
    let rows: Vec<_> =
        csv::Reader::from_reader(ran.out.as_bytes()).records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 1);
    for cell in &rows[0] {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell}");
    }
    let kept = rows[0].iter().any(|cell| cell.contains("a\nb\\u{9}c\\u{d}\\u{7f}"));
    assert!(kept, "line feeds stay, inside quotes: {rows:?}");
    assert!(rows[0].iter().any(|cell| cell.starts_with("'=HYPERLINK")), "{rows:?}");
    // Filters are echoed on standard error.
    let ran = query(&server, &["--actor", "a\u{1b}[2Jb"]);
    assert!(ran.code == 0 && !ran.err.contains(dangerous), "{ran:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, stored) = filled(&store);
    for format in ["table", "json", "ndjson", "csv"] {
        let (code, err) = run_into_closed_pipe(&mut server.cli(&["query", "-o", format]));
        assert_eq!(code, Some(0), "{format}: {err}");
        assert!(!err.contains("panicked") && !err.contains("Broken pipe"), "{format}: {err}");
    }
    assert!(stored.len() > 300, "more than fits a pipe");
}
