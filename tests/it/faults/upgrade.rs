//! A rollout: a replica of the last release and one of this one append to the same log, on this release's schema and
//! on one that neither knows; then a schema comes that takes neither.
use std::time::Duration;

use chancery::proto::v1::AppendResult;
use tokio::time::sleep;

use super::{
    Random, check,
    ledger::Ledger,
    producers::{Producers, STYLES, Style},
    site::Site,
    verifier::verify,
};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, append, atomic, everything, from_producer, refuse},
    events, previous,
    server::Server,
};

/// What one replica has acked is the other one's duplicate, at the same position.
async fn retry_across(sites: [&Site; 2]) {
    for (at, (one, other)) in [(sites[0], sites[1]), (sites[1], sites[0])].into_iter().enumerate() {
        let (name, batch) = (format!("across-{at}"), vec![events::hold("1"), events::hold("2")]);
        let mut first = one.server.audit().await;
        let positions = accept(&mut first, from_producer(&name, atomic(batch.clone()))).await;
        let mut second = other.server.audit().await;
        let answer = append(&mut second, from_producer(&name, atomic(batch))).await;
        for (result, position) in answer.results.iter().zip(positions) {
            assert_eq!((result.result(), result.position), (AppendResult::Duplicate, Some(position)));
        }
    }
}

/// Waits until a server says that it is not ready.
async fn not_ready(server: &Server) {
    let asking = async {
        while server.admin_get("/readyz").await.0 != 503 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect("a server that is not ready");
}

#[test]
fn replicas_of_two_releases_share_one_log() {
    let store = TestStore::new(Kind::Postgres);
    let wrapper = previous::wrapper();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let mut random = Random::of("upgrade");
    let ledger = Ledger::new();
    block_on(async {
        let mut sites = [
            Site::start_under(store.kind, store.url.clone(), &wrapper),
            Site::start(store.kind, store.url.clone()),
        ];
        let programs = sites.each_ref().map(|site| {
            std::fs::read_link(format!("/proc/{}/exe", site.server.pid())).expect("a running program")
        });
        assert_ne!(programs[0], programs[1]);
        let old = Producers::named("old", &STYLES, &sites[0].address.subscribe(), &ledger, &mut random);
        let few = [Style::Atomic, Style::Stream];
        let new = Producers::named("new", &few, &sites[1].address.subscribe(), &ledger, &mut random);
        ledger.progress(200).await;
        // Under load, as a rollout does it.
        previous::expand(&store).await;
        ledger.progress(100).await;
        // And both start on it.
        for (site, wrapper) in sites.iter_mut().zip([wrapper.as_slice(), &[]]) {
            site.kill();
            site.server = Server::start_under(&site.store, wrapper, &[]);
            site.address.send_replace(site.server.address.clone());
        }
        ledger.progress(100).await;
        old.finish().await;
        new.finish().await;
        check("in the middle of a rollout", &verify(&sites[1].server, &store, &ledger, &mut random).await);
        let stored = everything(&mut sites[1].server.audit().await, "").await;
        assert_eq!(everything(&mut sites[0].server.audit().await, "").await, stored);
        retry_across([&sites[0], &sites[1]]).await;

        previous::contract(&store).await;
        for site in &sites {
            let mut audit = site.server.audit().await;
            let refusal = refuse(&mut audit, atomic(vec![events::hold("late")])).await;
            assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
            not_ready(&site.server).await;
        }
    });
}
