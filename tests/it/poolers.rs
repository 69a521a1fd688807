//! pgbouncer between a server and its database: in session mode all is well; in transaction mode statements of
//! different clients mix, and the server does not use it.
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, atomic, everything, refuse},
    cli::{Ran, run_for},
    cluster::{Cluster, Options},
    database::Database,
    events,
    pooler::Pooler,
    postgres::admin,
    server::{Server, chancery},
    until,
};

/// Clients that ask at the same time, and how often each.
const CLIENTS: u32 = 8;
const QUESTIONS: u32 = 100;

/// Every client asks for a number of its own, in a text of its own, as plain sqlx does it. How often the answer was
/// another client's.
async fn mixed(url: &str) -> u32 {
    let mut asking = Vec::new();
    for client in 0..CLIENTS {
        let url = url.to_owned();
        asking.push(tokio::spawn(async move {
            let options: sqlx::postgres::PgConnectOptions = url.parse().expect("a URL");
            let mut connection =
                PgConnection::connect_with(&options.extra_float_digits(None)).await.expect("a connection");
            let mut wrong = 0;
            for _ in 0..QUESTIONS {
                let question = AssertSqlSafe(format!("SELECT {client}"));
                let answer = sqlx::query_scalar::<_, i32>(question).persistent(false);
                // Errors are seen; it is answers that are not.
                if let Ok(answer) = answer.fetch_one(&mut connection).await {
                    wrong += u32::from(u32::try_from(answer) != Ok(client));
                }
            }
            wrong
        }));
    }
    let mut wrong = 0;
    for asked in asking {
        wrong += asked.await.expect("a client");
    }
    wrong
}

fn run(arguments: &[&str], url: &str) -> Ran {
    let mut command = chancery();
    command.args(arguments).args(["--store", url]);
    run_for(&mut command, "", Duration::from_secs(30)).unwrap_or_else(|err| panic!("still running: {err}"))
}

const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

fn assert_refused(ran: &Ran, how: &str) {
    assert_eq!(ran.code, 1, "{how}: {ran:?}");
    assert!(
        ran.err.contains("transaction pooling") && ran.err.contains("docs/postgres.md"),
        "{how}: {ran:?}"
    );
}

#[test]
fn a_transaction_pooler_is_refused_because_it_mixes_statements() {
    let cluster = Cluster::start(&Options::default());
    let direct = cluster.store("mixed");
    admin(&cluster.url("postgres"), "CREATE DATABASE empty");
    let start = |settings: &str| Pooler::start(&cluster, &format!("pool_mode = transaction\n{settings}"));

    // One session of the database for all, and nobody else is there.
    let pooler = start("default_pool_size = 1");
    assert_refused(&run(&SERVE, &pooler.url("mixed")), "one session");
    // Each transaction gets the session that has rested longest.
    let pooler = start("default_pool_size = 3\nserver_round_robin = 1");
    assert_refused(&run(&SERVE, &pooler.url("mixed")), "three sessions");

    // The control: the danger is real. And while others are there.
    let pooler = start("default_pool_size = 20\nignore_startup_parameters = options");
    let url = pooler.url("mixed");
    block_on(async {
        let wrong = mixed(&url).await;
        assert!(wrong > 0, "no statement was mixed up");
        println!("{wrong} of {} answers are another client's", CLIENTS * QUESTIONS);
        let others = tokio::spawn(async move {
            loop {
                mixed(&url).await;
            }
        });
        let empty = pooler.url("empty");
        let ran = tokio::task::spawn_blocking(move || run(&["migrate"], &empty)).await.expect("a run");
        others.abort();
        assert_refused(&ran, "twenty sessions");
    });
    block_on(async {
        let mut database = Database::open(&TestStore::at(Kind::Postgres, &cluster.url("empty"))).await;
        assert_eq!(database.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, 0);
        assert_eq!(Database::open(&direct).await.rows("events").await, 0);
    });
}

#[test]
fn a_session_pooler_serves_until_it_pools_transactions() {
    let cluster = Cluster::start(&Options::default());
    admin(&cluster.url("postgres"), "CREATE DATABASE behind");
    let session = "pool_mode = session\ndefault_pool_size = 40";
    let mut pooler = Pooler::start(&cluster, session);
    let store = TestStore::at(Kind::Postgres, &pooler.url("behind"));
    let ran = run(&["migrate"], &store.url);
    assert_eq!(ran.code, 0, "{ran:?}");
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        let batch = || atomic(vec![events::hold("1"), events::hold("2")]);
        accept(&mut audit, batch()).await;
        assert_eq!(everything(&mut audit, "").await.len(), 2);

        let direct = TestStore::at(Kind::Postgres, &cluster.url("behind"));
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chancery%'";
        assert!(Database::open(&direct).await.number(sessions).await > 2);

        pooler.restart("pool_mode = transaction\ndefault_pool_size = 40");
        let refusal = refuse(&mut audit, batch()).await;
        assert_eq!(refusal.reason, "STORE_UNAVAILABLE");
        until("503", async || server.admin_get("/readyz").await.0 == 503).await;
        assert!(server.log().contains("transaction pooling"), "{}", server.log());

        pooler.restart(session);
        until("200", async || server.admin_get("/readyz").await.0 == 200).await;
        accept(&mut audit, batch()).await;
        assert_eq!(everything(&mut audit, "").await.len(), 4);
    });
}
