//! Reads everything back, and compares it with what the producers were told.
use std::collections::HashMap;

use chancery::{
    proto::v1::{Event, GetEventRequest, ListQuarantinedRequest, QueryRequest},
    tree::Frontier,
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;

use super::{Random, ledger::Ledger};
use crate::harness::{
    TestStore,
    calls::{Audit, try_query},
    database::Database,
    metrics::unconserved,
    server::Server,
};

/// Events of a sample.
const SAMPLE: u64 = 10;

/// Everything that is wrong. No producer may be running. `store` leads to the database itself.
pub async fn verify(server: &Server, store: &TestStore, ledger: &Ledger, random: &mut Random) -> Vec<String> {
    let mut audit = server.audit().await;
    let request = QueryRequest::default();
    let answer = match try_query(&mut audit, request).await {
        Ok(answer) => answer,
        Err(status) => return vec![format!("the log cannot be read: {status:?}")],
    };
    let head = answer.summary.head_position;
    let mut wrong = log(&answer.events, head, ledger);
    wrong.extend(samples(&mut audit, &answer.events, random).await);
    wrong.extend(tables(store, head).await);
    wrong.extend(trees(store, head, ledger).await);
    wrong.extend(quarantine(server, ledger).await);
    wrong.extend(unconserved(server).await);
    wrong
}

/// None lost, none doubled, none moved, none that nobody has sent; positions dense.
fn log(stored: &[Event], head: u64, ledger: &Ledger) -> Vec<String> {
    let book = ledger.book();
    let mut wrong = book.wrong.clone();
    if stored.len() as u64 != head {
        wrong.push(format!("the head is {head}, and {} events are read", stored.len()));
    }
    let mut places = HashMap::with_capacity(stored.len());
    for (at, event) in stored.iter().enumerate() {
        let id = (event.producer.clone(), event.event_id.clone());
        if event.position != Some(at as u64) {
            wrong.push(format!("event {at} has position {:?}", event.position));
        }
        match book.acked.get(&id) {
            Some(ack) if event.position != Some(ack.position) || event.leaf_hash != ack.leaf_hash => {
                wrong.push(format!("{id:?}, acked as {ack:?}, is at {:?}", event.position));
            }
            Some(_) => {}
            None if book.refused.contains(&id) => wrong.push(format!("{id:?} was refused and is stored")),
            None => wrong.push(format!("{id:?} is stored at {at} and never acked")),
        }
        if let Some(first) = places.insert(id.clone(), at) {
            wrong.push(format!("{id:?} is stored twice, at {first} and {at}"));
        }
    }
    let lost = book.acked.iter().filter(|(id, _)| !places.contains_key(*id));
    wrong.extend(lost.map(|(id, ack)| format!("{id:?}, acked as {ack:?}, is lost")));
    wrong
}

/// The other ways to an event lead to the same one.
async fn samples(audit: &mut Audit, stored: &[Event], random: &mut Random) -> Vec<String> {
    let mut wrong = Vec::new();
    for _ in 0..SAMPLE.min(stored.len() as u64) {
        let event = &stored[random.below(stored.len() as u64) as usize];
        let by_id = GetEventRequest {
            producer: event.producer.clone(),
            event_id: event.event_id.clone(),
            ..GetEventRequest::default()
        };
        let by_position = GetEventRequest { position: event.position, ..GetEventRequest::default() };
        for request in [by_id, by_position] {
            let found = audit.get_event(request).await.map(|found| found.into_inner().event);
            if !matches!(&found, Ok(Some(found)) if found == event) {
                wrong.push(format!("GetEvent of {:?} says {found:?}", event.event_id));
            }
        }
    }
    wrong
}

/// Every tree that an ack has named is the tree of the records that are stored now, and so is that of the head.
async fn trees(store: &TestStore, head: u64, ledger: &Ledger) -> Vec<String> {
    let mut database = Database::open(store).await;
    let records = database.bytes("SELECT record FROM events WHERE log = 'main' ORDER BY position").await;
    let mut acked = ledger.book().trees.clone();
    let frontier = database.bytes("SELECT frontier FROM log_head WHERE log = 'main'").await;
    let frontier = frontier.first().map(Vec::as_slice).unwrap_or_default();
    let mut wrong = Vec::new();
    match Frontier::restore(head, frontier) {
        Ok(tree) => drop(acked.entry(head).or_insert_with(|| tree.root().to_vec())),
        Err(what) => wrong.push(what),
    }
    // By a library that the server does not build its trees with.
    let mut tree = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    let mut records = records.into_iter();
    for (size, root) in acked {
        while tree.len() < size
            && let Some(record) = records.next()
        {
            tree.push(record);
        }
        if tree.len() != size || tree.root().as_bytes()[..] != root[..] {
            wrong.push(format!("an ack named the tree of size {size} by a root that it does not have"));
        }
    }
    wrong
}

/// Head, events, keys and what is counted of producers are of one size, and every event has its key.
async fn tables(store: &TestStore, head: u64) -> Vec<String> {
    let mut database = Database::open(store).await;
    let mut wrong = Vec::new();
    for query in [
        "SELECT coalesce(max(size), 0) FROM log_head WHERE log = 'main'",
        "SELECT count(*) FROM events WHERE log = 'main'",
        "SELECT coalesce(max(position) + 1, 0) FROM events WHERE log = 'main'",
        "SELECT count(*) FROM event_keys WHERE log = 'main'",
        "SELECT count(*) FROM events e JOIN event_keys k
         ON k.log = e.log AND k.position = e.position AND k.producer = e.producer WHERE e.log = 'main'",
        "SELECT CAST(coalesce(sum(events), 0) AS BIGINT) FROM producers WHERE log = 'main'",
    ] {
        let number = database.number(query).await;
        if u64::try_from(number) != Ok(head) {
            wrong.push(format!("{query}: {number}, and the head is {head}"));
        }
    }
    wrong
}

/// What was quarantined is there.
async fn quarantine(server: &Server, ledger: &Ledger) -> Vec<String> {
    let mut client = server.quarantine().await;
    let list = client.list_quarantined(ListQuarantinedRequest::default()).await;
    let mut list = list.expect("the quarantine").into_inner();
    let mut kept = std::collections::HashSet::new();
    while let Some(row) = list.message().await.expect("a row") {
        let event = row.event.expect("an event");
        kept.insert((event.producer, event.event_id));
    }
    let book = ledger.book();
    let lost = book.quarantined.difference(&kept).map(|id| format!("{id:?} is not in quarantine"));
    let strange = kept.difference(&book.quarantined).map(|id| format!("{id:?} is in quarantine unasked"));
    lost.chain(strange).collect()
}
