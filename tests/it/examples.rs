//! The examples are real input: every line is valid, and together they show every family, success and
//! failure, and every notification id.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use chancery::proto::v1::{Event, EventFamily, NewEvent, Outcome, new_event::Family};

use crate::harness::{KINDS, Kind, TestStore, block_on, cli::run, events, root, server::Server, types};

const FAMILIES: [(&str, EventFamily); 4] = [
    ("cms_audit", EventFamily::CmsAudit),
    ("cms_notification", EventFamily::CmsNotification),
    ("as_audit", EventFamily::AsAudit),
    ("token_server", EventFamily::TokenServer),
];

fn family(event: &NewEvent) -> Option<EventFamily> {
    Some(match event.family.as_ref()? {
        Family::CmsAudit(_) => EventFamily::CmsAudit,
        Family::CmsNotification(_) => EventFamily::CmsNotification,
        Family::AsAudit(_) => EventFamily::AsAudit,
        Family::TokenServer(_) => EventFamily::TokenServer,
        Family::Chancery(_) => EventFamily::Chancery,
    })
}

/// The examples as stored, and the ids of the notification events of the catalog.
fn stored(kind: Kind) -> (Vec<Event>, BTreeSet<String>) {
    let store = TestStore::new(kind);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        for (name, _) in FAMILIES {
            crate::harness::log::append(&mut audit, events::examples(name)).await;
        }
        let ids = types::all(&mut server.catalog().await, &[EventFamily::CmsNotification], 1000).await;
        let ids = ids.into_iter().map(|each| each.code).collect();
        (crate::harness::log::read_all(&mut audit).await, ids)
    })
}

#[test]
fn there_is_one_file_per_family_and_each_line_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for (name, expected) in FAMILIES {
        let examples = events::examples(name);
        assert!(examples.len() >= 50, "{name}: {} lines", examples.len());
        for (at, event) in examples.iter().enumerate() {
            assert_eq!(family(event), Some(expected), "{name}:{}", at + 1);
            let id = uuid::Uuid::parse_str(&event.event_id)
                .unwrap_or_else(|error| panic!("{name}:{}: {error}", at + 1));
            assert!(ids.insert(id), "{name}:{}: {id} twice", at + 1);
        }
    }
    let files = fs::read_dir(root().join("examples")).expect("examples");
    let mut names: Vec<_> = files.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names.retain(|name| name.to_string_lossy().ends_with(".ndjson"));
    assert_eq!(
        names,
        ["as_audit.ndjson", "cms_audit.ndjson", "cms_notification.ndjson", "token_server.ndjson"]
    );
}

#[test]
fn together_they_show_every_family_outcome_and_notification() {
    let (events, notifications) = stored(Kind::Sqlite);
    let mut outcomes: BTreeMap<i32, BTreeSet<Outcome>> = BTreeMap::new();
    let mut codes: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
    for event in &events {
        outcomes.entry(event.family).or_default().insert(event.outcome());
        codes.entry(event.family).or_default().insert(event.code.clone());
    }
    for (name, family) in FAMILIES {
        let shown = &outcomes[&(family as i32)];
        assert!(
            shown.is_superset(&BTreeSet::from([Outcome::Success, Outcome::Failure])),
            "{name}: {shown:?}"
        );
    }
    let all: BTreeSet<_> = outcomes.values().flatten().copied().collect();
    assert_eq!(all.len(), 5, "every outcome: {all:?}");
    assert_eq!(codes[&(EventFamily::CmsNotification as i32)], notifications);
    // The rows of the audit trail differ by severity.
    let severities: BTreeSet<_> = events.iter().filter_map(|event| event.severity).collect();
    assert_eq!(severities, BTreeSet::from([100, 301, 500, 601]));
    let people = [
        events.iter().filter(|event| !event.actor.is_empty()).count(),
        events.iter().filter(|event| !event.subject.is_empty()).count(),
        events.iter().filter(|event| !event.device.is_empty()).count(),
    ];
    assert!(people.iter().all(|count| *count > 50), "actors, subjects and devices: {people:?}");
}

/// Warnings mark what the documents do not say. Each that an example has is there on purpose.
#[test]
fn few_examples_have_warnings() {
    let (events, _) = stored(Kind::Sqlite);
    let flagged: Vec<_> = events.iter().filter(|event| !event.warnings.is_empty()).collect();
    let text: Vec<_> = flagged.iter().map(|event| format!("{} {:?}", event.code, event.warnings)).collect();
    assert!(
        flagged.len() * 20 <= events.len(),
        "{} of {}:\n{}",
        flagged.len(),
        events.len(),
        text.join("\n")
    );
}

#[test]
fn the_command_line_takes_them_all_at_once_and_a_second_time_as_duplicates() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let files = FAMILIES.map(|(name, _)| root().join("examples").join(format!("{name}.ndjson")));
        let total: usize = FAMILIES.iter().map(|(name, _)| events::examples(name).len()).sum();
        for result in ["ACCEPTED", "DUPLICATE"] {
            let ran = run(server.cli(&["append", "--output", "ndjson"]).args(&files), "");
            assert_eq!(ran.code, 0, "{ran:?}");
            let rows = ran.ndjson();
            assert_eq!(rows.len(), total);
            for (at, row) in rows.iter().enumerate() {
                assert_eq!(
                    (&row["result"], &row["position"]),
                    (&result.into(), &at.to_string().into()),
                    "{row}"
                );
            }
        }
    }
}
