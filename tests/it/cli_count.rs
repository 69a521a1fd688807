//! `chancery count`: the counts of the events that a query would return.
use std::collections::BTreeMap;

use chancery::proto::v1::{Event, EventFamily};

use crate::harness::{
    KINDS, Kind, TestStore,
    cli::{Ran, run},
    log::filled,
    server::Server,
};

const DAY: i64 = 86_400;

fn count(server: &Server, flags: &[&str]) -> Ran {
    let ran = run(server.cli(&["count"]).args(flags), "");
    assert_eq!(ran.code, 0, "{flags:?}: {ran:?}");
    ran
}

/// Cells of a CSV answer without its header.
fn cells(ran: &Ran) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(ran.out.as_bytes());
    reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
}

/// Events by a key, as CSV rows in the order of the key.
fn grouped<K: Ord>(
    events: &[Event],
    key: impl Fn(&Event) -> K,
    row: impl Fn(&K) -> Vec<String>,
) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<K, usize> = BTreeMap::new();
    for event in events {
        *groups.entry(key(event)).or_default() += 1;
    }
    let line = |(key, count): (K, usize)| {
        let mut cells = row(&key);
        cells.push(count.to_string());
        cells
    };
    groups.into_iter().map(line).collect()
}

fn family(value: i32) -> &'static str {
    match EventFamily::try_from(value).expect("a family") {
        EventFamily::CmsAudit => "cms-audit",
        EventFamily::CmsNotification => "cms-notification",
        EventFamily::AsAudit => "as-audit",
        EventFamily::TokenServer => "token-server",
        EventFamily::Chancery => "chancery",
        EventFamily::Unspecified => panic!("unspecified"),
    }
}

#[test]
fn groups_are_counted_as_the_events_are() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (server, events) = filled(&store);
        let by = |keys: &str| cells(&count(&server, &["--by", keys, "-o", "csv"]));
        assert_eq!(by("code"), grouped(&events, |it| it.code.clone(), |code| vec![code.clone()]), "{kind:?}");
        assert_eq!(by("name"), grouped(&events, |it| it.name.clone(), |name| vec![name.clone()]));
        assert_eq!(by("category"), grouped(&events, |it| it.category.clone(), |it| vec![it.clone()]));
        assert_eq!(by("producer"), [["anonymous".to_owned(), events.len().to_string()]]);
        let outcomes = ["?", "started", "success", "failure", "denied", "unknown"];
        let expected = grouped(
            &events,
            |it| (it.family, it.outcome),
            |(of, outcome)| vec![family(*of).to_owned(), outcomes[*outcome as usize].to_owned()],
        );
        assert_eq!(by("family,outcome"), expected);
    }
}

#[test]
fn buckets_begin_at_whole_multiples_of_their_width() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (server, events) = filled(&store);
        let rows = cells(&count(&server, &["--bucket", "1d", "--by", "family", "-o", "csv"]));
        let day = |event: &Event| event.occurred_at.as_ref().map_or(0, |at| at.seconds) / DAY * DAY;
        let text = |seconds: i64| jiff::Timestamp::from_second(seconds).expect("a time").to_string();
        let expected =
            grouped(&events, |it| (day(it), it.family), |(day, of)| vec![text(*day), family(*of).to_owned()]);
        assert_eq!(rows, expected, "{kind:?}");
        assert!(rows.len() > 50, "{} rows", rows.len());
    }
}

#[test]
fn every_format_has_the_rows_and_the_total() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, events) = filled(&store);
    let total = events.len().to_string();
    let table = count(&server, &["--by", "family"]);
    assert_eq!(table.err, format!("total {total}\n"));
    let rows: Vec<Vec<_>> = table.out.lines().take(5).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["family", "count"]);
    let csv = count(&server, &["--by", "family", "-o", "csv"]);
    assert_eq!(csv.err, format!("total {total}\n"), "not among the rows, where it would be added up");
    assert_eq!(rows[1..], cells(&csv));
    let ndjson = count(&server, &["--by", "family", "-o", "ndjson"]);
    let answer = count(&server, &["--by", "family", "-o", "json"]).json();
    assert_eq!(answer["total"], total.as_str());
    assert_eq!(answer["rows"].as_array(), Some(&ndjson.ndjson()));
    assert_eq!(ndjson.ndjson()[0]["group"]["family"], "EVENT_FAMILY_CMS_AUDIT");
    // Nothing to group by: one row.
    assert_eq!(cells(&count(&server, &["-o", "csv"])), [[total]]);
}

#[test]
fn filters_are_those_of_a_query() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (server, events) = filled(&store);
        let cases: [&[&str]; 5] = [
            &["--family", "as-audit", "--outcome", "failure"],
            &["--since", "2026-02-01", "--until", "2026-03-01"],
            &["--text", "consent"],
            &["--attribute", "device_type=ActivID PIV Card"],
            &["--actor", "nobody"],
        ];
        for flags in cases {
            let queried = run(server.cli(&["query"]).args(flags), "").ndjson().len();
            assert_eq!(count(&server, flags).err, format!("total {queried}\n"), "{flags:?}");
            assert!(queried < events.len(), "{flags:?} filters");
        }
    }
}
