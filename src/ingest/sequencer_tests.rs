//! Random groups against a model that says what must hold, not how: positions dense and in order, one
//! position per key for ever, all or nothing for atomic submissions.
use std::{collections::HashMap, sync::LazyLock};

use proptest::prelude::*;

use super::*;
use crate::{
    catalog::{Catalog, Suggestions},
    clock::Clock,
    event::{LogName, ParsedEvent, Receipt, admit, seal},
    proto::v1,
};

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now_micros(&self) -> i64 {
        1_800_000_000_000_000
    }

    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(0)
    }
}

/// Loaded once: it never changes.
static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::load([], std::collections::BTreeSet::new()).expect("the embedded catalog"));

/// One submitted event: which of a few ids, which of two contents, quarantined or not.
type Spec = (u8, bool, bool);
/// One submission: which of two producers, atomic or not, its events.
type SubmissionSpec = (bool, bool, Vec<Spec>);

fn sealed(catalog: &Catalog, producer: &Producer, id: u8, content: bool) -> SealedEvent {
    let event = v1::NewEvent {
        event_id: uuid::Uuid::from_u128(u128::from(id) + 1).to_string(),
        occurred_at: Some(pbjson_types::Timestamp { seconds: 1_780_000_000, nanos: 0 }),
        family: Some(v1::new_event::Family::TokenServer(v1::TokenServerEvent {
            r#type: "CONSENT_GIVEN".to_owned(),
            user_id: Some(content.to_string()),
            ..v1::TokenServerEvent::default()
        })),
        ..v1::NewEvent::default()
    };
    let parsed = ParsedEvent::parse(event, &Still).unwrap_or_else(|rejection| panic!("{rejection:?}"));
    let valid = admit(catalog, parsed, &mut Suggestions::default())
        .unwrap_or_else(|refused| panic!("{:?}", refused.rejection));
    let log = LogName::parse("main").unwrap();
    seal(valid, &Receipt { log: &log, producer, received_at: 1 })
}

fn submission(catalog: &Catalog, (first, atomic, events): &SubmissionSpec) -> Arc<Submission> {
    let producer = Producer::parse(if *first { "one" } else { "two" }).unwrap();
    let entries = events.iter().map(|(id, content, quarantined)| {
        let event = sealed(catalog, &producer, *id, *content);
        if !quarantined {
            return Entry::Event(Box::new(event));
        }
        Entry::Quarantined(Box::new(Quarantined {
            event_id: event.event_id(),
            content_hash: *event.content_hash(),
            received_at: 1,
            reason: "UNKNOWN_EVENT_CODE",
            description: String::new(),
            submitted: Vec::new(),
        }))
    });
    let entries = entries.collect();
    Arc::new(Submission { producer, mode: if *atomic { Mode::Atomic } else { Mode::PerEvent }, entries })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_group_keeps_the_promises(
        groups in prop::collection::vec(
            prop::collection::vec(
                (any::<bool>(), any::<bool>(), prop::collection::vec((0..6_u8, any::<bool>(), prop::bool::weighted(0.1)), 1..6)),
                1..5,
            ),
            1..5,
        )
    ) {
        let mut stored: HashMap<Key, Known> = HashMap::new();
        let mut head = Head { size: 0 };
        for group in &groups {
            let group: Vec<_> = group.iter().map(|spec| submission(&CATALOG, spec)).collect();
            let wanted = keys(&group);
            let known = stored.iter().filter(|(key, _)| wanted.contains(key));
            let known: HashMap<_, _> = known.map(|(key, known)| (key.clone(), known.clone())).collect();
            let plan = plan(head, &known, &group);

            // Dense: the placed events take exactly the positions from the old head to the new one.
            let positions: Vec<u64> = plan.placed.iter().map(|placed| placed.position).collect();
            prop_assert_eq!(&positions, &(head.size..plan.head.size).collect::<Vec<_>>());

            for placed in &plan.placed {
                let key = Key { producer: placed.producer.clone(), event_id: placed.event.event_id() };
                let row = Known {
                    position: placed.position,
                    content_hash: placed.event.content_hash().to_vec(),
                    leaf_hash: placed.event.leaf_hash().to_vec(),
                };
                prop_assert!(stored.insert(key, row).is_none(), "a key was placed twice");
            }
            prop_assert_eq!(plan.verdicts.len(), group.len());
            for (submission, verdicts) in group.iter().zip(&plan.verdicts) {
                prop_assert_eq!(submission.entries.len(), verdicts.len());
                let refused = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Conflict { .. }));
                for (entry, verdict) in submission.entries.iter().zip(verdicts) {
                    if submission.mode == Mode::Atomic && refused {
                        match verdict {
                            Verdict::Conflict { position: Some(position) } => {
                                prop_assert!(*position < plan.head.size, "a position that nothing has");
                            }
                            Verdict::Conflict { position: None } | Verdict::NotAttempted => {}
                            other => prop_assert!(false, "{:?} in a refused atomic submission", other),
                        }
                        continue;
                    }
                    let (event_id, content_hash) = entry.identity();
                    let key = Key { producer: submission.producer.clone(), event_id };
                    if *verdict == Verdict::Quarantined {
                        let kept = plan.quarantined.iter().any(|(_, event)| event.event_id == event_id);
                        prop_assert!(matches!(entry, Entry::Quarantined(_)) && kept);
                        prop_assert!(!known.contains_key(&key), "a stored event was refused");
                        continue;
                    }
                    // After the group the key is stored, once, and the verdict tells the truth of it.
                    let row = &stored[&key];
                    let same = row.content_hash == content_hash;
                    match verdict {
                        Verdict::Accepted { position } => {
                            prop_assert!(same && *position == row.position && *position >= head.size);
                        }
                        Verdict::Duplicate { position, leaf_hash } => {
                            prop_assert!(same && *position == row.position && *leaf_hash == row.leaf_hash);
                        }
                        Verdict::Conflict { position } => prop_assert!(!same && *position == Some(row.position)),
                        other => prop_assert!(false, "{:?} for an event", other),
                    }
                }
            }
            head = plan.head;
        }
    }
}
