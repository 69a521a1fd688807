//! A standby that commits wait for is not there: what waits is bounded, and reads go on.
use std::{collections::BTreeSet, time::Duration};

use chancery::proto::v1::{
    AppendResult::Quarantined, CountEventsRequest, DiscardQuarantinedRequest, GetEventRequest,
    ListQuarantinedRequest,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tonic::Code;

use super::failover::{confirmed, wait_for, waits};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, append, atomic, per_event, refuse, results},
    cluster::{Cluster, Options},
    database::Database,
    events,
    server::Server,
    until,
};
use crate::startup::Starting;

/// Two have to confirm, and one is there: every look at the standbys hangs in its commit.
#[test]
fn looks_at_standbys_that_do_not_answer_leave_no_session_behind() {
    block_on(async {
        let (primary, _standby, _store, server) = confirmed("looks").await;
        wait_for(&primary, "ANY 2 (*)").await;
        let mut database = Database::open(&TestStore::at(Kind::Postgres, &primary.url("postgres"))).await;
        let mut seen = BTreeSet::new();
        let looking = async {
            while seen.len() < 4 {
                let sessions = database
                    .texts(
                        "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'chancery-replica'",
                    )
                    .await;
                assert!(sessions.len() <= 2, "{sessions:?} are left");
                seen.extend(sessions);
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(60), looking).await.expect("look after look");
        let refusal = refuse(&mut server.audit().await, atomic(vec![events::hold("2")])).await;
        assert_eq!(refusal.reason, "NO_SYNC_REPLICA");
        wait_for(&primary, "*").await;
        until("accepted again", async || {
            server.audit().await.append(atomic(vec![events::hold("3")])).await.is_ok()
        })
        .await;
    });
}

/// What an administrator changes waits for the standby, and takes no connection from those who read.
#[test]
fn reads_go_on_while_changes_wait_for_a_standby() {
    block_on(async {
        let (primary, standby, _store, server) = confirmed("changes").await;
        let mut audit = server.audit().await;
        let unknown = (0..8).map(|_| events::token("NO_SUCH_TYPE")).collect();
        assert_eq!(results(&append(&mut audit, per_event(unknown)).await), [Quarantined; 8]);
        let mut quarantine = server.quarantine().await;
        let mut listing = quarantine
            .list_quarantined(ListQuarantinedRequest::default())
            .await
            .expect("a list")
            .into_inner();
        let mut discards = JoinSet::new();
        let mut rows = Vec::new();
        while let Some(answer) = listing.message().await.expect("a row") {
            rows.extend(answer.event.map(|event| event.id));
        }
        assert_eq!(rows.len(), 8);
        standby.pause();
        for id in rows {
            let mut quarantine = quarantine.clone();
            let reason = "a test".to_owned();
            let request =
                DiscardQuarantinedRequest { ids: vec![id], reason, ..DiscardQuarantinedRequest::default() };
            discards.spawn(async move { quarantine.discard_quarantined(request).await.map(drop) });
        }
        waits(&primary, "-- quarantine_discard").await;
        // Those that found no connection are told so; two still wait.
        while discards.len() > 2 {
            let status =
                discards.join_next().await.expect("a discard").expect("a call").expect_err("no room");
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            let event = GetEventRequest { position: Some(0), ..GetEventRequest::default() };
            audit.get_event(event).await.expect("an event");
            let counted = audit.count_events(CountEventsRequest::default()).await.expect("a count");
            assert_eq!(counted.into_inner().total, 1);
        }
        standby.go_on();
        let mut done = 0;
        while let Some(discarded) = discards.join_next().await {
            match discarded.expect("a call") {
                Ok(()) => done += 1,
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
            }
        }
        assert!(done > 0, "the standby is back");
        let left = "SELECT count(*) FROM quarantine WHERE discarded_at IS NOT NULL";
        let mut database = Database::open(&TestStore::at(Kind::Postgres, &primary.url("changes"))).await;
        assert_eq!(database.number(left).await, done);
    });
}

/// Nothing of the events is to blame, and they can be sent again.
#[test]
fn a_database_that_lets_nobody_in_any_more_refuses_no_events() {
    let store = TestStore::new(Kind::Postgres);
    block_on(async {
        let mut database = Database::open(&store).await;
        let name = database.texts("SELECT current_database()::text").await.remove(0);
        let role = format!("guest_{name}");
        for statement in [
            format!("CREATE ROLE {role} LOGIN"),
            format!("GRANT ALL ON SCHEMA public TO {role}"),
            format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
            format!("ALTER TABLE events OWNER TO {role}"),
            format!("ALTER TABLE events_shared OWNER TO {role}"),
        ] {
            database.run(&statement).await;
        }
        let plain = TestStore::at(Kind::Postgres, &store.url.replace("postgres@", &format!("{role}@")));
        let server = Server::start(&plain);
        let mut audit = server.audit().await;
        database.run(&format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")).await;
        let refusal = refuse(&mut audit, atomic(vec![events::hold("1")])).await;
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
        database.run(&format!("GRANT CONNECT ON DATABASE {name} TO {role}")).await;
        accept(&mut audit, atomic(vec![events::hold("1")])).await;
    });
}

/// A first start: the database takes commits that no standby confirms, and the process can still be ended.
#[test]
fn a_server_that_waits_for_a_standby_before_it_serves_ends_when_it_is_told() {
    let primary = Cluster::start(&Options::default());
    let store = primary.store("first");
    block_on(async {
        wait_for(&primary, "*").await;
        let server = Starting::on(&store.url);
        waits(&primary, "-- shared_value_propose").await;
        let (code, page) = server.health(&["--ready"]);
        assert!(code == 1 && page.contains("starting"), "{code} {page}");
        assert_eq!(server.end(), Some(0));
    });
}
