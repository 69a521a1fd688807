//! One order: positions are dense, a call's events lie together in the order of the request, and a
//! reader sees a prefix without gaps at any moment, whoever writes.
use std::collections::{HashMap, HashSet};

use chancery::proto::v1::{
    AppendResult::{Accepted, Duplicate},
    NewEvent,
};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Audit, append, atomic, everything, results},
    events,
    server::Server,
};

const WRITERS: usize = 16;
const CALLS: usize = 15;

fn batch(writer: usize, call: usize) -> Vec<NewEvent> {
    (0..(writer + call) % 9 + 1).map(|each| events::hold(&format!("{writer}.{call}.{each}"))).collect()
}

/// Appends batch after batch; returns the device and position of every event.
async fn write(mut audit: Audit, writer: usize) -> Vec<(String, u64)> {
    let mut places = Vec::new();
    for call in 0..CALLS {
        let answer = append(&mut audit, atomic(batch(writer, call))).await;
        let first = answer.results[0].position.expect("a position");
        for (each, result) in answer.results.iter().enumerate() {
            assert_eq!(result.result(), Accepted);
            assert_eq!(result.position, Some(first + each as u64), "the events of a call lie together");
            places.push((format!("{writer}.{call}.{each}"), first + each as u64));
        }
        assert!(answer.tree_size >= first + answer.results.len() as u64);
    }
    places
}

/// Reads the log again and again until it holds `until` events. `everything` checks that positions
/// run from 0 to the head without a hole.
async fn watch(mut audit: Audit, until: usize) -> usize {
    let (mut reads, mut last) = (0, 0);
    while last < until {
        let now = everything(&mut audit, "").await.len();
        assert!(now >= last, "the log shrank from {last} to {now}");
        last = now;
        reads += 1;
    }
    reads
}

fn total() -> usize {
    (0..WRITERS).flat_map(|writer| (0..CALLS).map(move |call| batch(writer, call).len())).sum()
}

async fn check(servers: &[&Server]) {
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let audit = servers[writer % servers.len()].audit().await;
        writers.push(tokio::spawn(write(audit, writer)));
    }
    let mut readers = Vec::new();
    for server in servers {
        readers.push(tokio::spawn(watch(server.audit().await, total())));
    }
    let mut places = HashMap::new();
    for writer in writers {
        places.extend(writer.await.expect("a writer"));
    }
    for reader in readers {
        assert!(reader.await.expect("a reader") > 1, "the log was read while it grew");
    }
    for server in servers {
        let stored = everything(&mut server.audit().await, "").await;
        assert_eq!(stored.len(), total());
        for event in stored {
            assert_eq!(places.get(&event.device).copied(), event.position);
        }
    }
}

#[test]
fn sixteen_writers_on_one_server() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(check(&[&server]));
    }
}

#[test]
fn sixteen_writers_on_two_servers_of_one_database() {
    let store = TestStore::new(Kind::Postgres);
    let (first, second) = (Server::start(&store), Server::start(&store));
    block_on(check(&[&first, &second]));
}

#[test]
fn the_same_events_sent_to_two_servers_at_once_are_stored_once() {
    let store = TestStore::new(Kind::Postgres);
    let servers = [Server::start(&store), Server::start(&store)];
    block_on(async {
        let (mut first, mut second) = (servers[0].audit().await, servers[1].audit().await);
        let mut sent = HashSet::new();
        for call in 0..60 {
            let batch = batch(call, call);
            let (one, other) = tokio::join!(
                append(&mut first, atomic(batch.clone())),
                append(&mut second, atomic(batch.clone()))
            );
            let places = |answer: &chancery::proto::v1::AppendResponse| -> Vec<_> {
                answer.results.iter().map(|each| (each.position, each.leaf_hash.clone())).collect()
            };
            assert_eq!(places(&one), places(&other), "both name the one place");
            let (accepted, duplicate) = (vec![Accepted; batch.len()], vec![Duplicate; batch.len()]);
            let fates = [results(&one), results(&other)];
            assert!(
                fates == [accepted.clone(), duplicate.clone()] || fates == [duplicate, accepted],
                "{fates:?}"
            );
            sent.extend(batch.into_iter().map(|event| event.event_id));
        }
        let stored: Vec<_> =
            everything(&mut first, "").await.into_iter().map(|event| event.event_id).collect();
        assert_eq!(stored.len(), sent.len());
        assert_eq!(stored.into_iter().collect::<HashSet<_>>(), sent);
    });
}
