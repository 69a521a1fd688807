//! `grpc.health.v1`, overall and per service, from the start to the end of a server.
use std::time::Duration;

use chancery::proto::v1::GetEventRequest;
use tonic::{Code, Streaming};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus::{self, NotServing, Serving},
    health_client::HealthClient,
};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Refusal, accept, atomic, refuse},
    database::Database,
    events,
    server::Server,
};

const SERVICES: [&str; 8] = [
    "",
    "chancery.v1.AdminService",
    "chancery.v1.AuditService",
    "chancery.v1.CatalogService",
    "chancery.v1.ProducerService",
    "chancery.v1.ProofService",
    "chancery.v1.QuarantineService",
    "chancery.v1.RetentionService",
];

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let message = stream.message().await.expect("a healthy stream");
    message.map(|message| message.status())
}

#[test]
fn every_service_is_serving_and_others_are_unknown() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut health = HealthClient::new(server.channel().await);
            for service in SERVICES {
                let answer = health.check(of(service)).await.expect("a known service").into_inner();
                assert_eq!(answer.status(), Serving, "{service:?}");
            }
            let status = health.check(of("no.such.Service")).await.expect_err("an unknown service");
            assert_eq!(status.code(), Code::NotFound);
        });
    }
}

/// A load balancer watches; the server says that it is going away, and does not wait for the watcher.
#[test]
fn watchers_hear_of_the_end_and_do_not_delay_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        block_on(async {
            let mut health = HealthClient::new(server.channel().await);
            let mut watchers = Vec::new();
            for service in SERVICES {
                let mut watcher = health.watch(of(service)).await.expect("a watch").into_inner();
                assert_eq!(next(&mut watcher).await, Some(Serving), "{service:?}");
                watchers.push(watcher);
            }
            server.signal("TERM");
            for watcher in &mut watchers {
                assert_eq!(next(watcher).await, Some(NotServing));
            }
            // Well below the 20 seconds after which the server would end by force, with code 1.
            assert_eq!(server.wait(Duration::from_secs(10)).code(), Some(0), "{}", server.log());
        });
    }
}

#[test]
fn a_database_that_takes_no_connections_is_not_ready_until_it_does() {
    let store = TestStore::new(Kind::Postgres);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        accept(&mut audit, atomic(vec![events::hold("before")])).await;
        let mut watcher =
            HealthClient::new(server.channel().await).watch(of("")).await.expect("a watch").into_inner();
        assert_eq!(next(&mut watcher).await, Some(Serving));
        let mut database = Database::open(&store).await;
        let allow = "UPDATE pg_database SET datallowconn = true WHERE datname = current_database()";
        database.run(&allow.replace("true", "false")).await;
        database
            .run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        assert_eq!(next(&mut watcher).await, Some(NotServing));
        assert_eq!(server.admin_get("/readyz").await.0, 503);
        assert_eq!(server.admin_get("/livez").await.0, 200, "a restart would not help");
        let during = vec![events::hold("during")];
        let get = GetEventRequest { position: Some(0), ..GetEventRequest::default() };
        let read = Refusal::of(&audit.get_event(get.clone()).await.expect_err("no database"));
        for refusal in [refuse(&mut audit, atomic(during.clone())).await, read] {
            assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
            assert!(refusal.retry_after.is_some(), "{refusal:?}");
        }
        database.run(allow).await;
        assert_eq!(next(&mut watcher).await, Some(Serving));
        assert_eq!(server.admin_get("/readyz").await.0, 200);
        assert_eq!(accept(&mut audit, atomic(during)).await, [1]);
        audit.get_event(get).await.expect("the event");
    });
}
