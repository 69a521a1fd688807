//! How a following query ends: with OK where that was asked for or the server goes away, so that a command
//! in a script succeeds; with an error and the place to continue where something failed.
use std::time::Duration;

use chancery::proto::v1::{EndReason, Order, QueryRequest};
use pbjson_types::Duration as Span;
use tonic::Code;

use super::Follower;
use crate::{
    documents::shell,
    harness::{
        KINDS, TestStore, block_on,
        calls::{Refusal, accept, atomic, query},
        cluster::{Cluster, Options},
        events,
        server::Server,
    },
};

fn span(seconds: i64, nanos: i32) -> Option<Span> {
    Some(Span { seconds, nanos })
}

#[test]
fn the_limit_ends_it_in_the_past_and_in_the_present() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic((0..10).map(|at| events::hold(&at.to_string())).collect())).await;
            let request = QueryRequest { limit: 7, ..QueryRequest::default() };
            let mut past = Follower::open(&mut audit, request).await;
            assert_eq!(past.end().await.expect("an end").end_reason(), EndReason::Limit);
            assert_eq!(past.positions, (0..7).collect::<Vec<_>>());
            let request = QueryRequest { limit: 13, ..QueryRequest::default() };
            let mut present = Follower::open(&mut audit, request).await;
            present.until(|it| !it.caught_up.is_empty()).await;
            accept(&mut audit, atomic((0..9).map(|at| events::hold(&at.to_string())).collect())).await;
            let summary = present.end().await.expect("an end");
            assert_eq!((summary.end_reason(), summary.returned), (EndReason::Limit, 13));
            assert_eq!(present.positions, (0..13).collect::<Vec<_>>());
            let resumed = QueryRequest { resume_token: present.token, ..QueryRequest::default() };
            assert_eq!(query(&mut audit, resumed).await.positions(), (13..19).collect::<Vec<_>>());
        });
    }
}

#[test]
fn the_time_ends_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("0")])).await;
            let request = QueryRequest { max_duration: span(0, 300_000_000), ..QueryRequest::default() };
            let mut follower = Follower::open(&mut audit, request.clone()).await;
            let summary = follower.end().await.expect("an end");
            assert_eq!((summary.end_reason(), summary.returned), (EndReason::MaxDuration, 1));
            // One that is complete before its time is complete.
            assert_eq!(query(&mut audit, request).await.summary.end_reason(), EndReason::Complete);
        });
    }
}

#[test]
fn what_cannot_be_followed_or_lasts_no_time_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let follow =
                |order: Order| QueryRequest { follow: true, order: order as i32, ..QueryRequest::default() };
            let lasts = |seconds, nanos| QueryRequest {
                max_duration: span(seconds, nanos),
                ..QueryRequest::default()
            };
            for (request, reason, field) in [
                (follow(Order::PositionDesc), "INVALID_FOLLOW", "follow"),
                (follow(Order::OccurredDesc), "INVALID_FOLLOW", "follow"),
                (lasts(0, 0), "INVALID_MAX_DURATION", "max_duration"),
                (lasts(-1, 0), "INVALID_MAX_DURATION", "max_duration"),
                (lasts(1, -1), "INVALID_MAX_DURATION", "max_duration"),
                (lasts(1, 1_000_000_000), "INVALID_MAX_DURATION", "max_duration"),
            ] {
                let refusal = Refusal::of(&audit.query(request).await.expect_err("a refusal"));
                assert_eq!((refusal.code, refusal.reason.as_str()), (Code::InvalidArgument, reason));
                assert_eq!(refusal.fields(), [field]);
            }
            // The longest there is, which no clock reaches.
            assert_eq!(query(&mut audit, lasts(i64::MAX, 999_999_999)).await.positions(), [0_u64; 0]);
        });
    }
}

#[test]
fn a_server_that_goes_away_ends_it_with_ok_and_says_where_to_continue() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("0"), events::hold("1")])).await;
            let mut follower = Follower::open(&mut audit, QueryRequest::default()).await;
            follower.until(|it| !it.caught_up.is_empty()).await;
            server.signal("TERM");
            let summary = follower.end().await.expect("an end");
            assert_eq!(summary.end_reason(), EndReason::Drain);
            assert!(server.wait(Duration::from_secs(10)).success(), "{kind:?}");
            let next = Server::start(&store);
            let mut audit = next.audit().await;
            accept(&mut audit, atomic(vec![events::hold("2")])).await;
            let request = QueryRequest { resume_token: follower.token, ..QueryRequest::default() };
            let mut resumed = Follower::open(&mut audit, request).await;
            resumed.until(|it| !it.caught_up.is_empty()).await;
            assert_eq!(resumed.positions, [2]);
        });
    }
}

#[test]
fn grpcurl_follows_and_exits_with_0() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            accept(&mut server.audit().await, atomic(vec![events::hold("0")])).await;
        });
        let (output, text) = shell(
            "grpcurl -plaintext -d '{\"follow\": true, \"max_duration\": \"1.5s\"}' \\
            localhost:50051 chancery.v1.AuditService/Query",
            &server,
        );
        assert!(output.status.success(), "{text}");
        for part in ["\"event\"", "\"caughtUp\"", "\"checkpoint\"", "END_REASON_MAX_DURATION"] {
            assert!(text.contains(part), "{kind:?}: no {part} in {text}");
        }
    }
}

#[test]
fn a_store_that_stays_away_ends_it_with_the_place_to_continue() {
    let mut cluster = Cluster::start(&Options::default());
    let store = cluster.store("follow");
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        accept(&mut audit, atomic(vec![events::hold("0")])).await;
        let mut follower = Follower::open(&mut audit, QueryRequest::default()).await;
        follower.until(|it| !it.caught_up.is_empty()).await;
        cluster.kill();
        let status = follower.end().await.expect_err("a failure");
        let refusal = Refusal::of(&status);
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
        let token = status.metadata().get("chancery-resume-token").expect("the place to continue");
        let token = token.to_str().expect("ASCII").to_owned();
        cluster.resume();
        let request = QueryRequest { resume_token: token, ..QueryRequest::default() };
        let mut resumed = Follower::open(&mut audit, request).await;
        resumed.until(|it| !it.caught_up.is_empty()).await;
        assert_eq!(resumed.positions, [0_u64; 0], "what was read is not read again");
        accept(&mut audit, atomic(vec![events::hold("1")])).await;
        resumed.until(|it| !it.positions.is_empty()).await;
        assert_eq!(resumed.positions, [1]);
    });
}
