//! A store that came back from an older backup is not signed: the signer stops, for good, and says so
//! everywhere.
use std::{collections::BTreeMap, fs, time::Duration};

use chancery::note;
use tonic_health::pb::{
    HealthCheckRequest,
    health_check_response::ServingStatus::{self, NotServing, Serving},
    health_client::HealthClient,
};

use crate::harness::{
    KINDS, Kind, TestStore,
    backup::Backup,
    block_on,
    database::Database,
    metrics::metrics,
    server::Server,
    signing::{checkpoint, file, grow, signing, sizes, state, verifier},
    until,
};

async fn health(server: &Server, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut client = HealthClient::new(server.channel().await);
    client.check(request).await.expect("a known service").into_inner().status()
}

fn end(mut server: Server) {
    server.signal("TERM");
    server.wait(Duration::from_secs(30));
}

/// Everything that tells of a halted log, and that nothing but its signing has stopped.
async fn is_halted(store: &TestStore, server: &Server, signed: u64) {
    let evidence = file(&state(store).join("main.fork"), |_| true).await;
    // The signed head, as it was signed, and the one that was found.
    let (found, before) = evidence.split_once("Signed before:\n\n").expect("two parts");
    let opened = note::open(before, &[verifier(store, "main")]).expect("the signed head");
    assert_eq!(opened.checkpoint.head.size, signed, "{evidence}");
    assert!(found.contains("size in the store: ") && found.contains("root in the store: "), "{evidence}");
    until("health", || async { health(server, "chancery.v1.ProofService").await == NotServing }).await;
    assert_eq!(health(server, "").await, Serving);
    assert_eq!(health(server, "chancery.v1.AuditService").await, Serving);
    let ready = server.admin_get("/readyz").await;
    assert_eq!(ready, (200, "ok\nsigning has stopped: main\n".to_owned()));
    assert_eq!(metrics(server).await["chancery_checkpoint_halted_logs"], 1.0);
    // Appends go on, other logs are signed, and this one is not.
    let (size, _) = grow(server, "main", 1).await;
    for round in 0..2 {
        let (cards, _) = grow(server, "cards", 1).await;
        checkpoint(store, "cards", cards).await;
        assert!(!sizes(store, "main").await.contains(&size.to_string()), "{round}");
    }
    assert_eq!(fs::read_to_string(state(store).join("main.fork")).expect("evidence"), evidence);
    until("lag", || async { metrics(server).await["chancery_checkpoint_lag_seconds"] > 1.0 }).await;
}

#[test]
fn a_restored_backup_stops_the_signer_for_good() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = signing(&store, &[]);
            let (early, _) = grow(&server, "main", 300).await;
            checkpoint(&store, "main", early).await;
            end(server);
            let backup = Backup::take(&store);
            let server = signing(&store, &[]);
            let (signed, _) = grow(&server, "main", 20).await;
            checkpoint(&store, "main", signed).await;
            end(server);
            let newest = Backup::take_as(&store, "newest");
            backup.restore(&store);

            // The store is shorter than what was signed.
            let server = signing(&store, &[]);
            is_halted(&store, &server, signed).await;
            let said = "the log does not extend what was signed";
            assert_eq!(server.log().matches(said).count(), 1, "{}", server.log());
            end(server);

            // The halt outlives restarts, and says so again.
            let server = signing(&store, &[]);
            is_halted(&store, &server, signed).await;
            assert!(server.log().contains("it was found not to extend"), "{}", server.log());
            end(server);

            // Nor is the store that was signed enough to lift it, unless a person does. The other log is newer
            // than that store, and not what this is about.
            let forget = || fs::remove_file(state(&store).join("cards.checkpoint")).expect("removed");
            forget();
            newest.restore(&store);
            let server = signing(&store, &[]);
            is_halted(&store, &server, signed).await;
            end(server);
            forget();
            newest.restore(&store);
            fs::remove_file(state(&store).join("main.fork")).expect("removed");
            let server = signing(&store, &[]);
            let (size, _) = grow(&server, "main", 1).await;
            checkpoint(&store, "main", size).await;
            assert_eq!(health(&server, "chancery.v1.ProofService").await, Serving);
        });
    }
}

#[test]
fn a_restored_log_that_has_grown_past_the_signed_size_is_found_too() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = signing(&store, &[]);
            let (early, _) = grow(&server, "main", 10).await;
            checkpoint(&store, "main", early).await;
            end(server);
            let backup = Backup::take(&store);
            let server = signing(&store, &[]);
            let (signed, _) = grow(&server, "main", 3).await;
            checkpoint(&store, "main", signed).await;
            end(server);
            backup.restore(&store);
            // Behind the signer's back: to the very size, and then past it.
            for more in [3, 400] {
                let server = Server::start(&store);
                grow(&server, "main", more).await;
                end(server);
                let server = signing(&store, &[]);
                is_halted(&store, &server, signed).await;
                end(server);
                fs::remove_file(state(&store).join("main.fork")).expect("removed");
            }
        });
    }
}

#[test]
fn a_row_that_was_changed_stops_the_signer_and_an_empty_database_does_too() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = signing(&store, &[]);
            let (signed, _) = grow(&server, "main", 5).await;
            checkpoint(&store, "main", signed).await;
            let hash = match kind {
                Kind::Sqlite => "zeroblob(32)",
                Kind::Postgres => "decode(repeat('00', 32), 'hex')",
            };
            // The server runs on: what is found does not depend on a restart.
            let change = format!("UPDATE events SET leaf_hash = {hash} WHERE log = 'main' AND position = 2");
            Database::open(&store).await.run(&change).await;
            grow(&server, "main", 1).await;
            is_halted(&store, &server, signed).await;
            end(server);
        });
        let other = TestStore::new(kind);
        let state = state(&store);
        fs::remove_file(state.join("main.fork")).expect("removed");
        fs::copy(store.folder.path().join("chancery.key"), other.folder.path().join("chancery.key"))
            .expect("a copy");
        let server = signing(&other, &["--signer-state", state.to_str().expect("a path")]);
        block_on(async {
            let evidence = file(&state.join("main.fork"), |_| true).await;
            assert!(evidence.contains("size in the store: 0\n"), "{evidence}");
            until("the metric", || async {
                metrics(&server).await["chancery_checkpoint_halted_logs"] >= 1.0
            })
            .await;
        });
    }
}

#[test]
fn a_store_that_does_not_answer_is_no_fork() {
    let store = TestStore::new(Kind::Postgres);
    let server = signing(&store, &[]);
    block_on(async {
        let (size, _) = grow(&server, "main", 2).await;
        checkpoint(&store, "main", size).await;
        let mut database = Database::open(&store).await;
        let allow = "UPDATE pg_database SET datallowconn = true WHERE datname = current_database()";
        database.run(&allow.replace("true", "false")).await;
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.run(kill).await;
        until("it is noticed", || async { server.log().contains("no checkpoint can be signed for now") })
            .await;
        database.run(allow).await;
        until("it is over", || async { server.log().contains("signing goes on") }).await;
        let (size, _) = grow(&server, "main", 2).await;
        checkpoint(&store, "main", size).await;
        let samples: BTreeMap<_, _> = metrics(&server).await;
        assert_eq!(samples["chancery_checkpoint_halted_logs"], 0.0);
        assert!(!state(&store).join("main.fork").exists());
    });
}
