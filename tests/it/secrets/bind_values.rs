//! Values of events do not get into the log of a PostgreSQL server, as far as the role may see to it; where it may not,
//! the server says what helps.
use sqlx::{Connection as _, PgConnection};

use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, atomic, query},
    cluster::{Cluster, Options},
    database::Database,
    events,
    server::Server,
};
use chancery::proto::v1::{CmsAuditEvent, NewEvent, QueryRequest, new_event::Family};

/// An event of this actor.
fn by(actor: &str) -> NewEvent {
    let mut event = events::hold("device");
    if let Some(Family::CmsAudit(CmsAuditEvent { operator_id, .. })) = &mut event.family {
        *operator_id = Some(actor.to_owned());
    }
    event
}

/// Appends an event of this actor and looks for it, and has a statement that looks for it fail. What the server said of
/// values that are logged, if it did.
async fn act(cluster: &Cluster, store: &TestStore, actor: &str) -> Vec<serde_json::Value> {
    let server = Server::start(store);
    let mut audit = server.audit().await;
    accept(&mut audit, atomic(vec![by(actor)])).await;
    let wanted = QueryRequest { r#where: format!("actor = \"{actor}\""), ..QueryRequest::default() };
    assert_eq!(query(&mut audit, wanted.clone()).await.events.len(), 1);
    let mut other = Database::open(&TestStore::at(Kind::Postgres, &cluster.url("values"))).await;
    other.run("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE").await;
    let waiting = tokio::spawn(async move {
        let mut answer = audit.query(wanted).await?.into_inner();
        // It says that it is still at it.
        while answer.message().await?.is_some() {}
        Ok::<_, tonic::Status>(())
    });
    let failed = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
                  WHERE wait_event_type = 'Lock' AND application_name = 'chancery'";
    while other.number(failed).await == 0 {
        tokio::task::yield_now().await;
    }
    waiting.await.expect("a task").expect_err("a failed query");
    drop(other);
    let lines = server.log();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter(|line| !line["remedy"].is_null()).collect()
}

fn remedies(warned: &[serde_json::Value]) -> Vec<&str> {
    warned.iter().map(|line| line["remedy"].as_str().expect("text")).collect()
}

#[test]
fn they_are_logged_for_no_role_that_may_say_so() {
    let settings = vec![
        "log_statement=all",
        "log_min_duration_statement=0",
        "log_min_error_statement=error",
        "log_parameter_max_length_on_error=-1",
        "session_preload_libraries=auto_explain",
        "auto_explain.log_min_duration=0",
    ];
    let cluster = Cluster::start(&Options { settings, ..Options::default() });
    let superuser = cluster.store("values");
    let plain = cluster.url("values").replace("postgres@", "plain@");
    let plain = TestStore::at(Kind::Postgres, &plain);
    block_on(async {
        let mut administrator = Database::open(&superuser).await;
        administrator.run("CREATE ROLE plain LOGIN").await;
        for grant in ["ALL ON ALL TABLES IN SCHEMA public", "ALL ON SCHEMA public"] {
            administrator.run(&format!("GRANT {grant} TO plain")).await;
        }
        for table in administrator.texts("SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace").await {
            administrator.run(&format!("ALTER TABLE {table} OWNER TO plain")).await;
        }
        // A superuser's session says so itself.
        assert_eq!(remedies(&act(&cluster, &superuser, "actor-of-superuser").await), [""; 0]);
        assert!(!cluster.log().contains("actor-of-superuser"));

        // Another role may not, and its values are logged: the search does find them.
        let warned = act(&cluster, &plain, "actor-in-the-open").await;
        let remedy = remedies(&warned);
        assert_eq!(
            remedy,
            [
                "ALTER ROLE \"plain\" SET log_parameter_max_length = 0",
                "ALTER ROLE \"plain\" SET auto_explain.log_min_duration = -1",
            ]
        );
        let log = cluster.log();
        assert!(log.contains("parameters: $1 = ") && log.contains("actor-in-the-open"));
        // Of what fails, every role may keep the values back.
        assert!(log.contains("canceling statement due to user request"), "a statement has failed");
        assert!(!log.contains("portal with parameters"), "the values of a statement that failed are logged");
        let mut loud = PgConnection::connect(&cluster.url("values")).await.expect("the database");
        let failed = sqlx::query("SELECT 1 / $1::int").bind(0).execute(&mut loud).await;
        failed.expect_err("no number");
        assert!(cluster.log().contains("portal with parameters"), "those of other sessions are");

        // It helps.
        for remedy in remedy {
            administrator.run(remedy).await;
        }
        assert_eq!(remedies(&act(&cluster, &plain, "actor-after-remedy").await), [""; 0]);
        assert!(!cluster.log().contains("actor-after-remedy"));

        // So does the privilege.
        administrator.run("ALTER ROLE plain RESET ALL").await;
        for setting in ["log_parameter_max_length", "auto_explain.log_min_duration"] {
            administrator.run(&format!("GRANT SET ON PARAMETER {setting} TO plain")).await;
        }
        assert_eq!(remedies(&act(&cluster, &plain, "actor-of-privileged").await), [""; 0]);
        assert!(!cluster.log().contains("actor-of-privileged"));
    });
}

/// One door, so that no connection is forgotten.
#[test]
fn every_connection_is_made_in_one_place() {
    let folder = crate::harness::root().join("src/store/postgres");
    let pattern = regex::Regex::new(r"options\.connect\(|connect_(lazy_)?with\(|PgConnection::connect")
        .expect("a pattern");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        let text = std::fs::read_to_string(entry.path()).expect("a source");
        if name.ends_with(".rs") && pattern.is_match(&text) {
            found.push(name);
        }
    }
    found.sort();
    // Of these `examine.rs` and `pooler.rs` send no values.
    assert_eq!(found, ["examine.rs", "pool.rs", "pooler.rs", "session.rs"]);
}
