//! The sequencer task against a store that fails before, after and during commits, and callers that go
//! away: every answer is true of what is stored, nothing is stored twice, and sending again tells the
//! rest. Time is paused, so that waits of half a minute pass at once.
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use super::{
    Ingest, SubmitError,
    sequencer::{
        Entry, Mode, Submission, Verdict, keys,
        tests::{CATALOG, Kind, SubmissionSpec, kind, submission},
    },
};
use crate::{
    clock::SystemClock,
    event::LogName,
    query::live::Live,
    store::{
        Key, Known, Store,
        memory::{Failure, Fault, MemoryStore, Step, Tables},
    },
    telemetry::Metrics,
};

/// Longer than any wait of the sequencer for one group, and than any late commit.
const EVER: Duration = Duration::from_secs(600);

/// One caller: when it comes, how long it waits, what it sends.
type Caller = (u64, Option<u64>, SubmissionSpec);

fn fault() -> impl Strategy<Value = Option<Fault>> {
    let step = prop::sample::select(vec![
        Step::Connect,
        Step::Begin,
        Step::Known,
        Step::Live,
        Step::Keep,
        Step::Write,
        Step::Rollback,
    ]);
    let failure = prop_oneof![
        4 => Just(Failure::Unavailable),
        2 => Just(Failure::Locked),
        1 => Just(Failure::Broken),
        1 => Just(Failure::Hangs),
    ];
    prop_oneof![
        3 => Just(None),
        3 => (step, failure).prop_map(|(step, failure)| Some(Fault::At(step, failure))),
        1 => Just(Some(Fault::CommitRefused)),
        2 => Just(Some(Fault::CommitLost)),
        2 => Just(Some(Fault::CommitUnanswered)),
        1 => Just(Some(Fault::CommitHangs)),
        2 => (1..40_u64).prop_map(|late| Some(Fault::CommitLate(Duration::from_secs(late)))),
    ]
}

fn caller() -> impl Strategy<Value = Caller> {
    let events = prop::collection::vec((0..24_u8, prop::bool::weighted(0.9), kind()), 1..5);
    let submission = (any::<bool>(), any::<bool>(), events).prop_map(|(producer, atomic, mut events)| {
        // `grpc` lets nothing but events into an atomic submission, save what is stored already.
        for (_, _, kind) in &mut events {
            *kind = if atomic { Kind::Event } else { *kind };
        }
        (producer, atomic, events)
    });
    (0..5_000_u64, prop::option::weighted(0.3, 0..3_000_u64), submission)
}

/// What a caller was told; `None` when it did not wait for it.
type Told = Option<Result<Vec<Verdict>, SubmitError>>;

async fn call(
    ingest: &Ingest,
    log: &LogName,
    submission: Arc<Submission>,
) -> Result<Vec<Verdict>, SubmitError> {
    let admission = ingest.flight.admit(None, 1, 1).await?;
    Ok(ingest.submit(log, submission, &admission).await?.verdicts)
}

/// Runs all callers to their end on one sequencer, and waits for everything that comes late.
async fn run(store: &MemoryStore, log: &LogName, callers: &[Caller]) -> Vec<(Arc<Submission>, Told)> {
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let live = Arc::new(Live::new(Arc::clone(&shared), Arc::new(SystemClock)));
    let metrics = Arc::new(Metrics::default());
    let ingest = Arc::new(Ingest::new(shared, live, Arc::default(), metrics, Handle::current()));
    let calls = callers.iter().map(|(comes, waits, spec)| {
        let (ingest, log, submission) = (Arc::clone(&ingest), log.clone(), submission(&CATALOG, spec));
        let (comes, waits) = (Duration::from_millis(*comes), waits.map(Duration::from_millis));
        tokio::spawn(async move {
            sleep(comes).await;
            let call = call(&ingest, &log, Arc::clone(&submission));
            let told = match waits {
                // The future is dropped at whatever it waits for.
                Some(waits) => timeout(waits, call).await.ok(),
                None => Some(timeout(EVER, call).await.expect("every call is answered")),
            };
            (submission, told)
        })
    });
    let mut done = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        done.push(call.await.expect("a caller"));
    }
    timeout(EVER, ingest.drain()).await.expect("everything queued is answered");
    sleep(EVER).await;
    done
}

fn key(submission: &Submission, entry: &Entry) -> Key {
    Key { producer: submission.producer.clone(), event_id: entry.identity().0 }
}

/// Positions are dense, and every event has one key and every key one event.
fn sound(tables: &Tables) -> Result<(), TestCaseError> {
    prop_assert_eq!(tables.events.len() as u64, tables.size);
    prop_assert!((0..tables.size).all(|position| tables.events.contains_key(&position)));
    let keyed: HashSet<u64> = tables.keys.values().map(|known| known.position).collect();
    prop_assert_eq!(keyed.len() as u64, tables.size);
    prop_assert_eq!(tables.keys.len() as u64, tables.size);
    for known in tables.keys.values() {
        prop_assert_eq!(tables.events[&known.position].leaf_hash.as_slice(), &known.leaf_hash);
    }
    Ok(())
}

/// Whether a verdict is true of what is stored.
fn holds(entry: &Entry, verdict: &Verdict, stored: Option<&Known>) -> bool {
    let same = stored.is_some_and(|stored| stored.content_hash == *entry.identity().1);
    let at = stored.map(|stored| stored.position);
    match verdict {
        Verdict::Accepted { position } => same && at == Some(*position),
        Verdict::Duplicate { position, leaf_hash } => {
            same && at == Some(*position) && stored.is_some_and(|stored| stored.leaf_hash == *leaf_hash)
        }
        Verdict::Conflict { position: Some(position) } => !same && at == Some(*position),
        Verdict::Conflict { position: None } | Verdict::Quarantined | Verdict::NotAttempted => true,
    }
}

/// `before` was stored when the callers came.
fn check(
    tables: &Tables,
    before: &HashMap<Key, Known>,
    done: &[(Arc<Submission>, Told)],
) -> Result<(), TestCaseError> {
    sound(tables)?;
    let mut accepted = HashSet::new();
    // Ids that a submission may have stored of which nobody heard.
    let mut open: HashSet<Key> = before.keys().cloned().collect();
    for (submission, told) in done {
        match told {
            Some(Ok(verdicts)) => {
                prop_assert_eq!(verdicts.len(), submission.entries.len());
                for (entry, verdict) in submission.entries.iter().zip(verdicts) {
                    let key = key(submission, entry);
                    let stored = tables.keys.get(&key);
                    prop_assert!(holds(entry, verdict, stored), "{:?} and stored is {:?}", verdict, stored);
                    if matches!(verdict, Verdict::Accepted { .. }) {
                        let first = !before.contains_key(&key) && accepted.insert(key);
                        prop_assert!(first, "one event is accepted twice");
                    } else if matches!(verdict, Verdict::Duplicate { .. }) {
                        open.insert(key);
                    }
                }
            }
            None | Some(Err(SubmitError::Unknown)) => open.extend(keys(std::slice::from_ref(submission))),
            // Nothing of it is stored.
            Some(Err(_)) => {}
        }
    }
    for key in tables.keys.keys() {
        let known = accepted.contains(key) || open.contains(key);
        prop_assert!(known, "{:?} is stored, and everybody was told that it is not", key);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_true_whatever_fails(
        faults in prop::collection::vec(fault(), 0..16),
        callers in prop::collection::vec(caller(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let log = LogName::parse("main").expect("a name");
            let store = MemoryStore::failing(faults);
            let first = run(&store, &log, &callers).await;
            store.look(&log, |tables| check(tables, &HashMap::new(), &first))?;
            let before: HashMap<Key, Known> = store.look(&log, |tables| tables.keys.clone());

            // Sent again by everybody, to a store that works: all are answered, and nothing moves.
            store.heal();
            let again: Vec<_> = callers.iter().map(|(comes, _, spec)| (*comes, None, spec.clone())).collect();
            let second = run(&store, &log, &again).await;
            store.look(&log, |tables| check(tables, &before, &second))?;
            for (submission, told) in &second {
                let Some(Ok(verdicts)) = told else {
                    return Err(TestCaseError::fail(format!("a store that works, and {told:?}")));
                };
                let refused = verdicts.iter().any(|each| matches!(each, Verdict::Conflict { .. }));
                if submission.mode == Mode::Atomic && refused {
                    continue;
                }
                for (entry, verdict) in submission.entries.iter().zip(verdicts) {
                    let stored = before.get(&key(submission, entry));
                    let same = stored.is_some_and(|stored| stored.content_hash == *entry.identity().1);
                    let duplicate = matches!(verdict, Verdict::Duplicate { .. });
                    prop_assert!(!same || duplicate, "stored before, and {:?}", verdict);
                }
            }
            let moved = store.look(&log, |tables| {
                before.iter().any(|(key, known)| tables.keys.get(key) != Some(known))
            });
            prop_assert!(!moved, "a stored event moved");
            prop_assert!(!store.misused(), "a connection that failed was used again");
            Ok(())
        })?;
    }
}
