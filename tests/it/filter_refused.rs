//! A filter that no event can match, or that is too large, is refused with the field at fault.
use chancery::proto::v1::{AttributeMatch, CountEventsRequest, EventFilter, QueryRequest, TimeRange};
use pbjson_types::Timestamp;
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, query},
    events,
    server::Server,
};

#[test]
fn a_filter_that_no_event_can_match_is_refused() {
    let empty = EventFilter::default;
    let range =
        |start: i64, end: i64| Some(TimeRange { start: Some(events::at(start)), end: Some(events::at(end)) });
    let nameless = AttributeMatch { name: String::new(), value: "x".to_owned() };
    let bad_time = Timestamp { seconds: 1, nanos: -1 };
    let table = [
        (EventFilter { families: vec![1, 99], ..empty() }, "filter.families"),
        (EventFilter { families: vec![0], ..empty() }, "filter.families"),
        (EventFilter { outcomes: vec![-1], ..empty() }, "filter.outcomes"),
        (EventFilter { outcomes: vec![0], ..empty() }, "filter.outcomes"),
        (EventFilter { codes: vec!["x".to_owned(); 1001], ..empty() }, "filter"),
        (
            EventFilter { codes: vec!["x".to_owned(); 501], producers: vec!["x".to_owned(); 500], ..empty() },
            "filter",
        ),
        (EventFilter { categories: vec!["a\0".to_owned()], ..empty() }, "filter.categories"),
        (EventFilter { text: "\0".to_owned(), ..empty() }, "filter.text"),
        (EventFilter { actor: "a".repeat(8193), ..empty() }, "filter.actor"),
        (EventFilter { attributes: vec![nameless], ..empty() }, "filter.attributes"),
        (EventFilter { occurred: range(2, 1), ..empty() }, "filter.occurred"),
        (EventFilter { received: range(2, 1), ..empty() }, "filter.received"),
        (
            EventFilter { occurred: Some(TimeRange { start: Some(bad_time), end: None }), ..empty() },
            "filter.occurred",
        ),
    ];
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for (filter, field) in &table {
                let request = QueryRequest { filter: Some(filter.clone()), ..QueryRequest::default() };
                let query = audit.query(request).await.map(drop).expect_err("a refused query");
                let count =
                    CountEventsRequest { filter: Some(filter.clone()), ..CountEventsRequest::default() };
                let count = audit.count_events(count).await.map(drop).expect_err("a refused count");
                for refusal in [Refusal::of(&query), Refusal::of(&count)] {
                    assert_eq!(
                        (refusal.code, refusal.reason.as_str()),
                        (Code::InvalidArgument, "INVALID_FILTER")
                    );
                    assert_eq!(refusal.fields(), [*field]);
                }
            }
            let most = EventFilter { codes: vec!["x".to_owned(); 1000], ..empty() };
            let request = QueryRequest { filter: Some(most), ..QueryRequest::default() };
            assert!(query(&mut audit, request).await.events.is_empty());
        });
    }
}
