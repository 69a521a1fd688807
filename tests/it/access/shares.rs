//! One caller does not take what all callers need.
use chancery::proto::v1::{CountEventsRequest, QueryRequest};
use tonic::Code;

use crate::harness::{
    KINDS, TestStore,
    access::{self, by},
    block_on,
    calls::{Refusal, try_query},
    server::Server,
};

const READERS: &str = "
[reader.ann]
logs = [\"main\"]
families = [\"*\"]
[reader.bob]
logs = [\"main\"]
families = [\"*\"]
";

#[test]
fn a_reader_runs_a_quarter_of_all_queries_and_counts() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server: Server = access::server(&store, &access::file(READERS, &["ann", "bob"]), "");
        block_on(async {
            let mut audit = server.audit().await;
            let mut following = Vec::new();
            for _ in 0..64 {
                let request = QueryRequest { follow: true, ..QueryRequest::default() };
                let query = audit.query(by("ann", request)).await.expect("a query").into_inner();
                following.push(query);
            }
            for refused in [
                audit.query(by("ann", QueryRequest::default())).await.map(drop),
                audit.count_events(by("ann", CountEventsRequest::default())).await.map(drop),
            ] {
                let refusal = Refusal::of(&refused.expect_err("a refusal"));
                assert_eq!(
                    (refusal.code, refusal.reason.as_str()),
                    (Code::ResourceExhausted, "TOO_MANY_QUERIES")
                );
                assert!(refusal.message.contains("64 of one caller"), "{}", refusal.message);
                assert!(refusal.retry_after.is_some());
            }
            try_query(&mut audit, by("bob", QueryRequest::default())).await.expect("another's share");
            audit.count_events(by("bob", CountEventsRequest::default())).await.expect("and a count");
            drop(following.pop());
            // The server hears of it a moment later.
            while audit.count_events(by("ann", CountEventsRequest::default())).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
    }
}
