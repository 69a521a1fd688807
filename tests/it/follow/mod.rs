//! A query that follows: history, then everything that is committed, once and in order, whoever commits it
//! and however slowly the client reads.
mod ends;
mod nothing_skipped;
mod slow;

use std::time::Duration;

use chancery::proto::v1::{
    CaughtUp, EventFilter, QueryCheckpoint, QueryRequest, QueryResponse, QuerySummary,
    query_response::Payload,
};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, accept, atomic},
    events,
    server::Server,
};

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(60);

/// A following query.
struct Follower {
    stream: Streaming<QueryResponse>,
    /// Positions of the events that came.
    positions: Vec<u64>,
    caught_up: Vec<CaughtUp>,
    fell_behind: usize,
    checkpoints: Vec<QueryCheckpoint>,
    summary: Option<QuerySummary>,
    token: String,
}

impl Follower {
    async fn open(audit: &mut Audit, request: QueryRequest) -> Self {
        let request = QueryRequest { follow: true, ..request };
        let stream = audit.query(request).await.expect("a query").into_inner();
        Self {
            stream,
            positions: Vec::new(),
            caught_up: Vec::new(),
            fell_behind: 0,
            checkpoints: Vec::new(),
            summary: None,
            token: String::new(),
        }
    }

    /// Takes one message in. False at the end.
    async fn step(&mut self) -> Result<bool, Status> {
        let message = timeout(LONG, self.stream.message()).await.expect("a message in time")?;
        let Some(message) = message else { return Ok(false) };
        assert!(self.summary.is_none(), "the summary is the last message");
        self.token = message.resume_token;
        match message.payload.expect("a payload") {
            Payload::Event(event) => self.positions.push(event.position.expect("a position")),
            Payload::CaughtUp(caught_up) => self.caught_up.push(caught_up),
            Payload::FellBehind(behind) => {
                assert!(behind.position < behind.head_position, "{behind:?}");
                self.fell_behind += 1;
            }
            Payload::Checkpoint(checkpoint) => {
                let last = self.checkpoints.last();
                assert!(last.is_none_or(|last| last.position <= checkpoint.position), "{checkpoint:?}");
                self.checkpoints.push(checkpoint);
            }
            Payload::Summary(summary) => self.summary = Some(summary),
        }
        Ok(true)
    }

    /// Reads until something is so.
    async fn until(&mut self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            assert!(self.step().await.expect("a running query"), "the query ended");
        }
    }

    /// Reads to the end.
    async fn end(&mut self) -> Result<QuerySummary, Status> {
        while self.step().await? {}
        Ok(self.summary.clone().expect("a summary"))
    }
}

fn device(device: &str) -> Option<EventFilter> {
    Some(EventFilter { device: device.to_owned(), ..EventFilter::default() })
}

#[test]
fn history_comes_first_then_caught_up_then_what_is_committed() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for _ in 0..3 {
                accept(&mut audit, atomic((0..700).map(|at| events::hold(&format!("{}", at % 2))).collect()))
                    .await;
            }
            let request = QueryRequest { filter: device("1"), ..QueryRequest::default() };
            let mut follower = Follower::open(&mut server.audit().await, request.clone()).await;
            follower.until(|it| !it.caught_up.is_empty()).await;
            let odd: Vec<u64> = (0..2100).filter(|at| at % 2 == 1).collect();
            assert_eq!(follower.positions, odd, "{kind:?}");
            assert_eq!(follower.caught_up[0].head_position, 2100);
            // Nothing comes, and still it says how far it is.
            let checkpoints = follower.checkpoints.len();
            follower.until(|it| it.checkpoints.len() >= checkpoints + 2).await;
            let [.., before, last] = follower.checkpoints.as_slice() else { panic!("two checkpoints") };
            assert_eq!(last.position, Some(2100));
            let time = |it: &QueryCheckpoint| it.time.map(|time| (time.seconds, time.nanos));
            assert!(time(before) < time(last), "{before:?} {last:?}");
            let token = follower.token.clone();
            // What does not match moves the checkpoint on, and nothing else.
            accept(&mut audit, atomic(vec![events::hold("0"); 1])).await;
            accept(&mut audit, atomic(vec![events::hold("1")])).await;
            accept(&mut audit, atomic((0..999).map(|_| events::token("CONSENT_GIVEN")).collect())).await;
            follower.until(|it| it.checkpoints.last().is_some_and(|it| it.position == Some(3101))).await;
            assert_eq!(follower.positions[odd.len()..], [2101]);
            assert_eq!((follower.caught_up.len(), follower.fell_behind), (1, 0));
            // The token of a checkpoint continues, with or without following.
            let resumed = QueryRequest { resume_token: token, ..request };
            let answer = crate::harness::calls::query(&mut audit, resumed.clone()).await;
            assert_eq!(answer.positions(), [2101]);
            let mut again = Follower::open(&mut audit, resumed).await;
            again.until(|it| !it.caught_up.is_empty()).await;
            assert_eq!(again.positions, [2101]);
        });
    }
}

#[test]
fn a_query_without_follow_tells_how_far_it_is_and_follows_nothing() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("0")])).await;
            let answer = crate::harness::calls::query(&mut audit, QueryRequest::default()).await;
            assert_eq!(answer.positions(), [0]);
        });
    }
}

#[test]
fn a_log_that_does_not_exist_yet_can_be_followed() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let request = QueryRequest { log: "later".to_owned(), ..QueryRequest::default() };
            let mut follower = Follower::open(&mut server.audit().await, request).await;
            follower.until(|it| !it.caught_up.is_empty()).await;
            let mut batch = atomic(vec![events::hold("0"), events::hold("1")]);
            batch.log = "later".to_owned();
            accept(&mut server.audit().await, batch).await;
            // Those of another log are not its.
            accept(&mut server.audit().await, atomic(vec![events::hold("2")])).await;
            follower.until(|it| it.positions.len() >= 2).await;
            assert_eq!(follower.positions, [0, 1]);
        });
    }
}
