//! `chancery catalog`: what the server's catalog says, listed and laid out for reading.
use chancery::proto::v1::{EventFamily, EventType};

use crate::harness::{
    Kind, TestStore, block_on,
    cli::{Ran, run},
    server::Server,
    types,
};

fn with_server(test: impl FnOnce(&Server, Vec<EventType>)) {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let all = block_on(async { types::all(&mut server.catalog().await, &[], 1000).await });
    test(&server, all);
}

fn catalog(server: &Server, flags: &[&str]) -> Ran {
    run(server.cli(&["catalog"]).args(flags), "")
}

#[test]
fn the_list_is_the_whole_catalog_in_every_format() {
    with_server(|server, all| {
        let ran = catalog(server, &["list", "-o", "ndjson"]);
        assert!(ran.code == 0 && ran.err.starts_with("510 event types, catalog "), "{}", ran.err);
        let read: Vec<EventType> =
            ran.ndjson().into_iter().map(|value| serde_json::from_value(value).expect("a type")).collect();
        assert_eq!(read, all);
        let array: Vec<EventType> =
            serde_json::from_value(catalog(server, &["list", "-o", "json"]).json()).expect("types");
        assert_eq!(array, all);
        let ran = catalog(server, &["list", "-o", "csv"]);
        let rows: Vec<_> =
            csv::Reader::from_reader(ran.out.as_bytes()).records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), all.len());
        for (row, each) in rows.iter().zip(&all) {
            assert_eq!((&row[1], &row[3], &row[5]), (&*each.code, &*each.name, &*each.summary));
        }
        let table = catalog(server, &["list"]).out;
        for each in &all {
            let shown = if each.reserved_reason.is_empty() { &each.summary } else { &each.reserved_reason };
            let row =
                table.lines().find(|line| line.contains(&format!(" {} ", each.code)) && line.contains(shown));
            assert!(row.is_some_and(|row| row.contains(&each.category)), "{} is not in the table", each.code);
        }
    });
}

#[test]
fn the_list_can_be_narrowed() {
    with_server(|server, all| {
        let codes = |flags: &[&str]| -> Vec<String> {
            let ran = catalog(server, &[&["list", "-o", "ndjson"], flags].concat());
            ran.ndjson().iter().map(|it| it["code"].as_str().expect("a code").to_owned()).collect()
        };
        let of = |family: EventFamily| all.iter().filter(|each| each.family() == family).count();
        assert_eq!(codes(&["--family", "as-audit"]).len(), of(EventFamily::AsAudit));
        let both = of(EventFamily::CmsAudit) + of(EventFamily::TokenServer);
        assert_eq!(codes(&["--family", "cms-audit,token-server"]).len(), both);
        assert_eq!(codes(&["--text", "100121"]), ["10012"]);
        assert!(codes(&["--text", "no such text"]).is_empty());
    });
}

#[test]
fn one_type_is_shown_with_every_row_field_and_value() {
    with_server(|server, all| {
        let of = |family: EventFamily, code: &str| {
            all.iter().find(|each| each.family() == family && each.code == code).expect("a type")
        };
        let cases = [
            ("cms-audit", "20110", of(EventFamily::CmsAudit, "20110")),
            ("cms-notification", "100121", of(EventFamily::CmsNotification, "10012")),
            ("cms-notification", "20008", of(EventFamily::CmsNotification, "20008")),
            ("as-audit", "createUser", of(EventFamily::AsAudit, "createUser")),
            ("token-server", "consent given", of(EventFamily::TokenServer, "CONSENT_GIVEN")),
            ("cms-audit", "20512", of(EventFamily::CmsAudit, "20512")),
        ];
        for (family, code, expected) in cases {
            let json: EventType =
                serde_json::from_value(catalog(server, &["show", family, code, "-o", "json"]).json())
                    .expect("a type");
            assert_eq!(&json, expected);
            let ran = catalog(server, &["show", family, code]);
            assert_eq!(ran.code, 0, "{ran:?}");
            let page = ran.out;
            assert!(page.starts_with(&format!("{family} {}  {}\n", expected.code, expected.name)), "{page}");
            assert_eq!(page.matches("\n== ").count(), expected.shapes.len(), "{page}");
            assert!(page.contains(&expected.summary) && page.contains(&expected.category), "{page}");
            assert!(page.contains(&expected.reserved_reason), "{page}");
            for each in expected.aliases.iter().chain(&expected.old_names) {
                assert!(page.contains(each), "{each}: {page}");
            }
            for attribute in expected.shapes.iter().flat_map(|it| &it.fields).flat_map(|it| &it.attributes) {
                assert!(page.contains(&attribute.name) && page.contains(&attribute.summary), "{page}");
                let values = &attribute.allowed_values;
                assert!(
                    values.iter().all(|it| page.contains(&it.value) && page.contains(&it.meaning)),
                    "{page}"
                );
            }
        }
        let page = catalog(server, &["show", "cms-audit", "20011"]).out;
        assert!(page.contains("challenge_code  text  secret"), "{page}");
        assert!(page.contains("num1           (unused)"), "{page}");
    });
}

#[test]
fn an_unknown_code_is_not_found_and_the_nearest_are_named() {
    with_server(|server, _| {
        let ran = catalog(server, &["show", "token-server", "CONSENT_GIVVEN"]);
        assert_eq!((ran.code, ran.out.as_str()), (6, ""));
        assert!(ran.err.starts_with("chancery: EVENT_TYPE_NOT_FOUND: "), "{}", ran.err);
        assert!(ran.err.contains("nearest: CONSENT_GIVEN, "), "{}", ran.err);
    });
}
