//! The same ids from many callers at once, through two replicas, some with other content: one call wins
//! each id, and everybody else hears of it.
use std::collections::HashMap;

use chancery::proto::v1::{AppendResult, EventResult, NewEvent};
use tonic::Code;

use super::{
    Random, check,
    ledger::{Ack, Ledger},
    verifier::verify,
};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::{Audit, Refusal, atomic, from_producer, per_event},
    events,
    metrics::unconserved,
    server::Server,
};

const ROUNDS: usize = 12;
const CALLERS: usize = 12;
/// Different ids of a round.
const IDS: usize = 20;

/// What one caller heard of each event that it sent.
type Heard = Vec<(NewEvent, Option<EventResult>)>;

/// Sends the events in batches of random sizes, in either mode. `None` is a refused atomic batch.
async fn call(mut audit: Audit, mut events: Vec<NewEvent>, mut random: Random) -> Heard {
    let mut heard = Vec::new();
    for at in (1..events.len()).rev() {
        events.swap(at, random.below(at as u64 + 1) as usize);
    }
    while !events.is_empty() {
        let size = (1 + random.below(6) as usize).min(events.len());
        let batch: Vec<_> = events.drain(..size).collect();
        let request = if random.percent(40) { atomic(batch.clone()) } else { per_event(batch.clone()) };
        match audit.append(from_producer("storm", request)).await {
            Ok(answer) => {
                heard.extend(batch.into_iter().zip(answer.into_inner().results.into_iter().map(Some)))
            }
            Err(status) => {
                let refusal = Refusal::of(&status);
                assert_eq!((refusal.code, refusal.reason.as_str()), (Code::AlreadyExists, "EVENT_ID_REUSED"));
                heard.extend(batch.into_iter().map(|event| (event, None)));
            }
        }
    }
    heard
}

/// One winner per id, whose content, position and hash all others hear.
fn settle(heard: Vec<Heard>, ledger: &Ledger) -> usize {
    let mut winners: HashMap<String, (String, Ack)> = HashMap::new();
    let heard: Vec<_> = heard.into_iter().flatten().collect();
    let ack = |result: &EventResult| Ack {
        position: result.position.expect("a position"),
        leaf_hash: result.leaf_hash.to_vec(),
    };
    for (event, result) in &heard {
        if let Some(result) = result.as_ref().filter(|each| each.result() == AppendResult::Accepted) {
            let won = (event.correlation_id.clone(), ack(result));
            assert!(winners.insert(event.event_id.clone(), won).is_none(), "{} won twice", event.event_id);
        }
    }
    let mut others = 0;
    for (event, result) in &heard {
        let Some(result) = result else { continue };
        let (content, won) = winners.get(&event.event_id).expect("an id that nobody won is answered");
        let same = *content == event.correlation_id;
        match result.result() {
            AppendResult::Accepted => continue,
            AppendResult::Duplicate => assert!(same && ack(result) == *won, "{result:?} of {won:?}"),
            AppendResult::Conflict => assert!(!same, "{result:?} of the same content"),
            other => panic!("{other:?}"),
        }
        others += 1;
    }
    let mut book = ledger.book();
    book.acked.extend(winners.into_iter().map(|(id, (_, ack))| (("storm".to_owned(), id), ack)));
    others
}

fn run(kind: Kind, replicas: usize) {
    let store = TestStore::new(kind);
    let servers: Vec<_> = (0..replicas).map(|_| Server::start(&store)).collect();
    let mut random = Random::of("storm");
    let ledger = Ledger::new();
    block_on(async {
        let mut clients = Vec::new();
        for caller in 0..CALLERS {
            clients.push(servers[caller % replicas].audit().await);
        }
        let mut others = 0;
        for _ in 0..ROUNDS {
            let ids: Vec<_> = (0..IDS).map(|_| events::hold("device-1")).collect();
            let calls = clients.iter().map(|audit| {
                let mut numbers = random.branch();
                let chosen = ids.iter().map(|event| {
                    let correlation_id =
                        if numbers.percent(20) { "changed".to_owned() } else { String::new() };
                    NewEvent { correlation_id, ..event.clone() }
                });
                let events = chosen.collect();
                tokio::spawn(call(audit.clone(), events, numbers))
            });
            let mut heard = Vec::new();
            for call in calls.collect::<Vec<_>>() {
                heard.push(call.await.expect("a caller"));
            }
            others += settle(heard, &ledger);
        }
        assert!(others > ROUNDS * IDS, "only {others} met an event that was there");
        for server in &servers {
            check(format!("{kind:?} after a storm"), &verify(server, &store, &ledger, &mut random).await);
            check("metrics", &unconserved(server).await);
        }
    });
}

#[test]
fn the_same_ids_through_two_replicas() {
    run(Kind::Postgres, 2);
}

#[test]
fn the_same_ids_through_one_server() {
    run(Kind::Sqlite, 1);
}
