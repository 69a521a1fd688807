//! Two replicas are restarted in turn, twice each, under load. Clients know both addresses and do what `docs/errors.md` says
//! under "What to send again", no more: nothing is lost or doubled, and no error comes that the page does not hide.
use std::time::Duration;

use chancery::proto::v1::{
    EndReason, QueryRequest, audit_service_client::AuditServiceClient, query_response::Payload,
};
use tokio::{sync::watch, time::timeout};
use tonic::{Status, transport::Endpoint};

use super::{
    Random, check,
    ledger::Ledger,
    producers::{Producers, STYLES, failed},
    verifier::verify,
};
use crate::harness::{Kind, TestStore, block_on, calls::everything, metrics::unconserved, server::Server};

/// Follows the log, by whichever replica answers, until every position below `end` has come; the positions as they came.
async fn follow(addresses: [String; 2], ledger: Ledger, mut end: watch::Receiver<Option<u64>>) -> Vec<u64> {
    let (mut seen, mut token) = (Vec::new(), String::new());
    for at in 0.. {
        let done = |seen: &[u64], end: Option<u64>| end.is_some_and(|end| seen.len() as u64 >= end);
        if done(&seen, *end.borrow()) {
            break;
        }
        let endpoint = Endpoint::from_shared(format!("http://{}", addresses[at % 2])).expect("a URL");
        let mut client =
            AuditServiceClient::new(endpoint.connect_timeout(Duration::from_secs(5)).connect_lazy());
        let ended = async {
            let request =
                QueryRequest { follow: true, resume_token: token.clone(), ..QueryRequest::default() };
            let mut answers = client.query(request).await?.into_inner();
            loop {
                let message = tokio::select! {
                    message = timeout(Duration::from_secs(60), answers.message()) =>
                        message.map_err(|_| Status::deadline_exceeded("a follower hears nothing"))??,
                    _ = end.wait_for(|end| done(&seen, *end)) => return Ok(()),
                };
                let Some(message) = message else { return Ok(()) };
                token = message.resume_token;
                match message.payload {
                    Some(Payload::Event(event)) => seen.push(event.position.expect("a position")),
                    Some(Payload::Summary(summary)) if summary.end_reason() != EndReason::Drain => {
                        ledger.wrong(format!("a follower ends with {summary:?}"));
                    }
                    _ => {}
                }
            }
        };
        if let Err(status) = ended.await {
            failed(&ledger, &status).await;
        }
    }
    seen
}

#[test]
fn two_replicas_that_are_restarted_in_turn_lose_nothing_and_show_no_error_that_a_retry_does_not_hide() {
    let store = TestStore::new(Kind::Postgres);
    let mut random = Random::of("rolling");
    let ledger = Ledger::new();
    block_on(async {
        let mut replicas = [Server::start(&store), Server::start(&store)];
        let addresses = [replicas[0].address.clone(), replicas[1].address.clone()];
        let known = watch::channel(addresses.join(",")).0;
        let producers = Producers::start(&STYLES, &known.subscribe(), &ledger, &mut random);
        let (end, ends) = watch::channel(None);
        let followers: Vec<_> = (0..2)
            .map(|at| {
                let mut addresses = addresses.clone();
                addresses.rotate_left(at);
                tokio::spawn(follow(addresses, ledger.clone(), ends.clone()))
            })
            .collect();
        for round in 0..4 {
            ledger.progress(60).await;
            let replica = &mut replicas[round % 2];
            replica.signal("TERM");
            assert_eq!(replica.wait(Duration::from_secs(20)).code(), Some(0), "{}", replica.log());
            // The other one serves alone.
            ledger.progress(60).await;
            *replica = Server::start_with(&store, &["--listen", &addresses[round % 2]]);
        }
        ledger.progress(60).await;
        producers.finish().await;
        let stored = everything(&mut replicas[0].audit().await, "").await;
        let stored: Vec<_> = stored.iter().map(|event| event.position.expect("a position")).collect();
        end.send_replace(Some(stored.len() as u64));
        for follower in followers {
            let seen = timeout(Duration::from_secs(60), follower).await.expect("an end").expect("a follower");
            assert_eq!(seen, stored, "a follower misses something, or hears it twice");
        }
        check("after rolling restarts", &verify(&replicas[1], &store, &ledger, &mut random).await);
        for replica in &replicas {
            check("metrics after rolling restarts", &unconserved(replica).await);
        }
        let (broken, unavailable) = {
            let book = ledger.book();
            (book.broken, book.unavailable)
        };
        println!(
            "{} events; {broken} calls without an answer, {unavailable} told to come back",
            stored.len()
        );
        assert!(broken + unavailable > 0, "nobody has noticed anything");
    });
}
