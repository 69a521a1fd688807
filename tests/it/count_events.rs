//! CountEvents counts what Query returns, by any columns and by time buckets.
use std::collections::BTreeMap;

use chancery::proto::v1::{
    CountEventsRequest, CountEventsResponse, Event, EventFamily, EventFilter, NewEvent, Outcome,
};
use pbjson_types::Duration;
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Audit, Refusal, accept, atomic, everything, from_producer},
    events,
    server::Server,
};

const COLUMNS: [&str; 6] = ["family", "code", "name", "category", "outcome", "producer"];

async fn fill(audit: &mut Audit) -> Vec<Event> {
    for family in ["cms_audit", "cms_notification", "as_audit", "token_server"] {
        accept(audit, from_producer(family, atomic(events::examples(family)))).await;
    }
    everything(audit, "").await
}

fn column(event: &Event, name: &str) -> String {
    match name {
        "family" => event.family().as_str_name().to_owned(),
        "outcome" => event.outcome().as_str_name().to_owned(),
        "code" => event.code.clone(),
        "name" => event.name.clone(),
        "category" => event.category.clone(),
        _ => event.producer.clone(),
    }
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

async fn count(audit: &mut Audit, request: CountEventsRequest) -> CountEventsResponse {
    audit.count_events(request).await.expect("a count").into_inner()
}

/// Start of the bucket, values of the group, and how many.
type Row = (Option<i64>, Vec<String>, u64);
/// What rows are ordered by: families and outcomes by their numbers, others by their text.
type RowKey = (Option<i64>, Vec<(i32, String)>);

/// Counts `all` the slow way: by bucket, then by the group's values in the order asked for.
fn counted(all: &[&Event], group_by: &[&str], bucket: i64) -> Vec<Row> {
    let mut counts: BTreeMap<RowKey, u64> = BTreeMap::new();
    for event in all {
        let time = event.occurred_at.as_ref().expect("a time").seconds;
        let start = (bucket > 0).then(|| time / bucket * bucket);
        let key = |name: &&str| {
            let number = match *name {
                "family" => event.family,
                "outcome" => event.outcome,
                _ => 0,
            };
            (number, column(event, name))
        };
        *counts.entry((start, group_by.iter().map(key).collect())).or_default() += 1;
    }
    let rows = counts.into_iter().map(|((start, group), count)| {
        let values = group.into_iter().map(|(_, value)| value).collect();
        (start, values, count)
    });
    rows.collect()
}

#[test]
fn every_grouping_counts_what_is_there() {
    let mut groupings: Vec<Vec<&str>> = COLUMNS.iter().map(|column| vec![*column]).collect();
    groupings.extend([
        vec![],
        vec!["outcome", "family"],
        vec!["category", "outcome", "code"],
        COLUMNS.to_vec(),
    ]);
    let filters = [
        None,
        Some(EventFilter { families: vec![EventFamily::CmsAudit as i32], ..EventFilter::default() }),
        Some(EventFilter { outcomes: vec![Outcome::Failure as i32], ..EventFilter::default() }),
        Some(EventFilter { text: "nothing at all".to_owned(), ..EventFilter::default() }),
    ];
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let all = fill(&mut audit).await;
            for (at, filter) in filters.iter().enumerate() {
                let rule = |event: &&Event| match at {
                    0 => true,
                    1 => event.family() == EventFamily::CmsAudit,
                    2 => event.outcome() == Outcome::Failure,
                    _ => false,
                };
                let matching: Vec<&Event> = all.iter().filter(rule).collect();
                assert_eq!(matching.is_empty(), at == 3);
                for group_by in &groupings {
                    for width in [0, 1, 3600, 86_400, 7 * 86_400] {
                        let request = CountEventsRequest {
                            filter: filter.clone(),
                            group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
                            bucket: if width == 0 { None } else { seconds(width) },
                            ..CountEventsRequest::default()
                        };
                        let answer = count(&mut audit, request).await;
                        assert_eq!(answer.total, matching.len() as u64);
                        let rows: Vec<_> = answer
                            .rows
                            .into_iter()
                            .map(|row| {
                                let start = row.bucket_start.map(|start| start.seconds);
                                let group = group_by.iter().map(|name| row.group[*name].clone()).collect();
                                assert_eq!(row.group.len(), group_by.len());
                                (start, group, row.count)
                            })
                            .collect();
                        assert_eq!(
                            rows,
                            counted(&matching, group_by, width),
                            "{kind:?} {group_by:?} {width}"
                        );
                    }
                }
            }
        });
    }
}

#[test]
fn a_grouping_or_bucket_that_is_none_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            let grouped = |names: &[&str]| CountEventsRequest {
                group_by: names.iter().map(|name| (*name).to_owned()).collect(),
                ..CountEventsRequest::default()
            };
            let bucket = |seconds, nanos| CountEventsRequest {
                bucket: Some(Duration { seconds, nanos }),
                ..CountEventsRequest::default()
            };
            for (request, reason, field) in [
                (grouped(&["code", "colour"]), "INVALID_GROUP", "group_by[1]"),
                (grouped(&["Family"]), "INVALID_GROUP", "group_by[0]"),
                (grouped(&["code; DROP TABLE events"]), "INVALID_GROUP", "group_by[0]"),
                (grouped(&["code", "name", "code"]), "INVALID_GROUP", "group_by[2]"),
                (bucket(0, 0), "INVALID_BUCKET", "bucket"),
                (bucket(-1, 0), "INVALID_BUCKET", "bucket"),
                (bucket(1, 1), "INVALID_BUCKET", "bucket"),
                (bucket(i64::MAX, 0), "INVALID_BUCKET", "bucket"),
            ] {
                let status = audit.count_events(request).await.expect_err("a refused count");
                let refusal = Refusal::of(&status);
                assert_eq!(refusal.code, Code::InvalidArgument);
                assert_eq!((refusal.reason.as_str(), refusal.fields()), (reason, vec![field]));
            }
            let nothing = count(&mut audit, CountEventsRequest::default()).await;
            assert_eq!((nothing.total, nothing.rows.len()), (0, 0));
        });
    }
}

#[test]
fn more_than_10_000_rows_are_refused() {
    let at = |second: i64| NewEvent {
        occurred_at: Some(events::at(1_700_000_000 + second)),
        ..events::token("CONSENT_GIVEN")
    };
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for thousand in 0..10 {
                accept(&mut audit, atomic((0..1000).map(|each| at(thousand * 1000 + each)).collect())).await;
            }
            let by_second = || CountEventsRequest { bucket: seconds(1), ..CountEventsRequest::default() };
            let most = count(&mut audit, by_second()).await;
            assert_eq!((most.rows.len(), most.total), (10_000, 10_000));
            accept(&mut audit, atomic(vec![at(10_000)])).await;
            let refusal = Refusal::of(&audit.count_events(by_second()).await.expect_err("too many rows"));
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::InvalidArgument, "TOO_MANY_GROUPS"));
            assert!(refusal.message.contains("10000"), "{}", refusal.message);
            let wider = CountEventsRequest { bucket: seconds(2), ..CountEventsRequest::default() };
            assert_eq!(count(&mut audit, wider).await.total, 10_001);
        });
    }
}
