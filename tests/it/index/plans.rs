//! No statement of a query reads more of the log than it has to: what PostgreSQL says it does, about the
//! very statements that a server runs. (For SQLite see `src/store/sqlite/plans_tests.rs`.)
use std::collections::BTreeMap;

use chancery::proto::v1::{AppendRequest, CountEventsRequest, EventFilter, Order, QueryRequest};

use super::{BEGIN, Dice, numbered, range};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, atomic, query},
    database::Database,
    events,
    server::Server,
};

/// Name of every statement that the server has run, with its plans.
fn plans(log: &str) -> BTreeMap<String, Vec<String>> {
    let mut plans: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in log.lines() {
        let Ok(entry) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let Some(text) = entry["message"].as_str() else { continue };
        let Some((_, statement)) = text.split_once("Query Text: -- ") else { continue };
        let name = statement.split(':').next().expect("a name").to_owned();
        plans.entry(name).or_default().push(statement.to_owned());
    }
    plans
}

#[test]
fn every_statement_of_a_query_goes_by_a_key() {
    let test = TestStore::new(Kind::Postgres);
    block_on(async {
        let mut database = Database::open(&test).await;
        let name = database.texts("SELECT current_database()::text").await.remove(0);
        // The server tells each plan to whoever runs a statement, and sqlx writes it to the log.
        for setting in [
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_level = 'notice'",
        ] {
            database.run(&format!("ALTER DATABASE {name} SET {setting}")).await;
        }
        // Two partitions, of which the log itself lies in the first.
        database.pretend("far", 1 << 24).await;
        database.run(&format!("INSERT INTO index_heads (log, indexed) VALUES ('far', {})", 1 << 24)).await;
        // As a role that may not keep plans from being told, as a superuser's sessions do.
        let role = format!("plain_{name}");
        database.run(&format!("CREATE ROLE {role} LOGIN")).await;
        database.run(&format!("GRANT ALL ON SCHEMA public TO {role}")).await;
        let tables = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace";
        for table in database.texts(tables).await {
            database.run(&format!("ALTER TABLE {table} OWNER TO {role}")).await;
        }
        let plain = TestStore::at(Kind::Postgres, &test.url.replace("postgres@", &format!("{role}@")));
        let server = Server::start_with(&plain, &["--log-level", "info"]);
        let mut audit = server.audit().await;
        let far = AppendRequest { log: "far".to_owned(), ..atomic(vec![events::hold("device-1")]) };
        accept(&mut audit, far).await;
        let mut dice = Dice(3);
        for batch in 0..17 {
            let events =
                (batch * 1000..(batch + 1) * 1000).map(|number| numbered(number, &mut dice)).collect();
            accept(&mut audit, atomic(events)).await;
        }
        let begun = std::time::Instant::now();
        while database.number("SELECT coalesce(max(indexed), 0) FROM index_heads WHERE log = 'main'").await
            < 1 << 14
        {
            assert!(begun.elapsed().as_secs() < 120, "the log is not indexed");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let empty = EventFilter::default;
        let hour = |number: i64| Some((BEGIN + number) * 1_000_000);
        let filters = [
            empty(),
            EventFilter { device: "device-7".to_owned(), ..empty() },
            EventFilter { actor: "user-7".to_owned(), occurred: range(hour(5), hour(9000)), ..empty() },
            EventFilter { codes: vec!["20018".to_owned(), "20019".to_owned()], ..empty() },
            EventFilter { text: "device-12".to_owned(), ..empty() },
            EventFilter { occurred: range(hour(5), None), ..empty() },
            EventFilter { received: range(None, hour(5)), ..empty() },
            EventFilter {
                producers: vec!["anonymous".to_owned()],
                outcomes: vec![3],
                families: vec![4],
                ..empty()
            },
        ];
        // Twice the five times after which PostgreSQL may keep one plan for all values.
        for filter in &filters {
            for order in [Order::PositionAsc, Order::PositionDesc, Order::OccurredDesc] {
                for _ in 0..10 {
                    let request = QueryRequest {
                        filter: Some(filter.clone()),
                        order: order as i32,
                        limit: 100,
                        ..QueryRequest::default()
                    };
                    query(&mut audit, request).await;
                }
            }
            for group_by in [vec!["code".to_owned()], Vec::new()] {
                let count = CountEventsRequest {
                    filter: Some(filter.clone()),
                    group_by,
                    ..CountEventsRequest::default()
                };
                for _ in 0..10 {
                    audit.count_events(count.clone()).await.expect("a count");
                }
            }
        }
        let plans = plans(&server.log());
        for name in [
            "page",
            "moments",
            "down",
            "count",
            "rollup",
            "index_live",
            "index_lookup",
            "index_segments",
            "index_events",
            "lock",
        ] {
            assert!(
                plans.get(name).is_some_and(|plans| !plans.is_empty()),
                "{name} was not run: {:?}",
                plans.keys()
            );
        }
        for (name, plans) in plans {
            for plan in plans {
                assert!(!plan.contains("JIT:"), "{name} is compiled first: {plan}");
                // Every commit begins with this one.
                assert!(name != "lock" || !plan.contains("Seq Scan"), "{name}: {plan}");
                for relation in ["events", "event_counts", "index_postings", "index_zones", "event_keys"] {
                    for way in ["Seq Scan", "Bitmap Heap Scan"] {
                        assert!(!plan.contains(&format!("{way} on {relation}")), "{name}: {plan}");
                    }
                }
                let by_time = plan.contains("events_p0_log_occurred_at_position_idx");
                let by_position =
                    plan.contains("AND position >= $") || plan.contains("AND position = wanted.value");
                assert!(!(by_time && by_position), "{name} goes by another key than it says: {plan}");
                let bounded = if by_time {
                    plan.contains("ROW(occurred_at, \"position\") <")
                        || plan.contains("(occurred_at >= ")
                        || plan.contains("(occurred_at < ")
                } else {
                    !plan.contains(" on events_p")
                        || plan.contains("\"position\" >= ")
                        || plan.contains("\"position\" = wanted.value")
                };
                assert!(bounded, "{name} has no bound: {plan}");
                // Positions below 2^24 are in the first partition. Look-ups are pruned one by one, as they run.
                let looked_up = plan.contains("= wanted.value");
                if ["page", "moments", "count", "index_events"].contains(&name.as_str())
                    && !by_time
                    && !looked_up
                {
                    assert!(!plan.contains(" on events_p1"), "{name} is not pruned: {plan}");
                }
            }
        }
    });
}
