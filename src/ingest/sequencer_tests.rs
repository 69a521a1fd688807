//! Random groups against a model that says what must hold, not how: positions dense and in order, one
//! position per key for ever, all or nothing for atomic submissions, and a row leaves the quarantine exactly
//! when its event is in the log.
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

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

    fn new_salt(&self) -> crate::clock::Salt {
        [7; 16]
    }
}

/// Loaded once: it never changes.
pub static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::load([], std::collections::BTreeSet::new()).expect("the embedded catalog"));

/// What an event is submitted as.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Event,
    Quarantined,
    /// A row of the quarantine that the catalog accepts now, or still refuses.
    Replayed(bool),
}

pub fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Event),
        1 => Just(Kind::Quarantined),
        2 => any::<bool>().prop_map(Kind::Replayed),
    ]
}

/// One submitted event: which of a few ids, which of two contents, as what.
pub type Spec = (u8, bool, Kind);
/// One submission: which of two producers, atomic or not, its events.
pub type SubmissionSpec = (bool, bool, Vec<Spec>);

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
    seal(valid, &Receipt { log: &log, producer, received_at: 1, clock: &Still })
}

pub fn submission(catalog: &Catalog, (first, atomic, events): &SubmissionSpec) -> Arc<Submission> {
    let producer = Producer::parse(if *first { "one" } else { "two" }).unwrap();
    let entries = events.iter().map(|(id, content, kind)| {
        let event = sealed(catalog, &producer, *id, *content);
        match kind {
            Kind::Event => return Entry::Event(Arc::new(event)),
            Kind::Replayed(accepted) => {
                let (event_id, row) = (event.event_id(), *event.content_hash());
                let judged = if *accepted { Ok(event) } else { Err(row) };
                return Entry::Replayed(Box::new(Replayed { event_id, row, judged: judged.map(Arc::new) }));
            }
            Kind::Quarantined => {}
        }
        Entry::Quarantined(Box::new(Quarantined {
            event_id: event.event_id(),
            content_hash: *event.content_hash(),
            received_at: 1,
            sequence: None,
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
                (any::<bool>(), any::<bool>(), prop::collection::vec((0..6_u8, any::<bool>(), kind()), 1..6)),
                1..5,
            ),
            1..5,
        )
    ) {
        let mut stored: HashMap<Key, Known> = HashMap::new();
        let mut tree = Frontier::default();
        // Every row was quarantined before the groups, and every third was discarded.
        let mut released: HashSet<QuarantineKey> = HashSet::new();
        for group in &groups {
            let group: Vec<_> = group.iter().map(|spec| submission(&CATALOG, spec)).collect();
            let wanted = keys(&group);
            let known = stored.iter().filter(|(key, _)| wanted.contains(key));
            let known: HashMap<_, _> = known.map(|(key, known)| (key.clone(), known.clone())).collect();
            let live: HashSet<_> = rows(&group)
                .into_iter()
                .filter(|row| !released.contains(row) && row.content_hash[0] % 3 != 0)
                .collect();
            let plan = plan(tree.size(), &known, &live, &group);

            // Dense: the placed events take exactly the positions from the old head to the new one.
            let positions: Vec<u64> = plan.placed.iter().map(|placed| placed.position).collect();
            prop_assert_eq!(&positions, &(tree.size()..plan.size).collect::<Vec<_>>());

            for placed in &plan.placed {
                let key = Key { producer: placed.producer.clone(), event_id: placed.event.event_id() };
                let row = Known {
                    position: placed.position,
                    content_hash: placed.event.content_hash().to_vec(),
                    leaf_hash: placed.event.leaf_hash().to_vec(),
                };
                prop_assert!(stored.insert(key, row).is_none(), "a key was placed twice");
            }
            // Only what was in quarantine leaves it, and its event is in the log.
            for row in &plan.released {
                prop_assert!(live.contains(row), "a row that is not there is released");
                let stored = stored.get(&row.key);
                prop_assert!(stored.is_some_and(|stored| stored.content_hash == row.content_hash));
                released.insert(row.clone());
            }
            prop_assert_eq!(plan.verdicts.len(), group.len());
            for (submission, verdicts) in group.iter().zip(&plan.verdicts) {
                prop_assert_eq!(submission.entries.len(), verdicts.len());
                let refused = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Conflict { .. }));
                for (entry, verdict) in submission.entries.iter().zip(verdicts) {
                    if submission.mode == Mode::Atomic && refused {
                        match verdict {
                            Verdict::Conflict { position: Some(position) } => {
                                prop_assert!(*position < plan.size, "a position that nothing has");
                            }
                            Verdict::Conflict { position: None } | Verdict::NotAttempted => {}
                            other => prop_assert!(false, "{:?} in a refused atomic submission", other),
                        }
                        continue;
                    }
                    let (event_id, content_hash) = entry.identity();
                    let key = Key { producer: submission.producer.clone(), event_id };
                    if let Entry::Replayed(replayed) = entry {
                        let row = row(&submission.producer, replayed);
                        let (gone, left) = (!live.contains(&row), plan.released.contains(&row));
                        match verdict {
                            Verdict::Quarantined => {
                                prop_assert!(replayed.judged.is_err() && !gone);
                                continue;
                            }
                            Verdict::NotAttempted => {
                                prop_assert!(gone && !left);
                                continue;
                            }
                            Verdict::Accepted { .. } => prop_assert!(replayed.judged.is_ok() && left),
                            Verdict::Duplicate { .. } => prop_assert!(left != gone),
                            Verdict::Conflict { .. } => {}
                        }
                    }
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
                            prop_assert!(same && *position == row.position && *position >= tree.size());
                        }
                        Verdict::Duplicate { position, leaf_hash } => {
                            prop_assert!(same && *position == row.position && *leaf_hash == row.leaf_hash);
                        }
                        Verdict::Conflict { position } => prop_assert!(!same && *position == Some(row.position)),
                        other => prop_assert!(false, "{:?} for an event", other),
                    }
                }
            }
            tree = plan.tree(&tree);
            prop_assert_eq!(tree.size(), plan.size);
        }
    }
}
