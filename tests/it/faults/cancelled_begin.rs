//! A request that goes away while its BEGIN is on the way leaves the connection inside a transaction that
//! sqlx 0.9.0 does not know of. The next statement on it would be answered with OK and then vanish. The
//! server's own pool, compiled from its source, ends such a transaction; a plain pool shows the defect.
//!
//! No request of the server begins a transaction on a pool. This is what keeps one that does some day
//! from losing somebody else's write.
use std::{str::FromStr as _, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::Random;
use crate::harness::{Kind, TestStore, block_on, database::Database};

#[path = "../../../src/store/postgres/pool.rs"]
mod pool;

/// Begins that are given up. The defect shows after a dozen or so.
const BEGINS: u64 = 600;
/// Few, so that the connections of requests that went away are soon used again.
const CONNECTIONS: u32 = 2;

/// Gives up transactions while they begin, and writes in between; how many writes were answered with OK
/// and are lost.
async fn lost(store: &TestStore, pool: PgPool) -> i64 {
    let mut database = Database::open(store).await;
    database.run("CREATE TABLE marks (number BIGINT PRIMARY KEY)").await;
    let mut random = Random::of("begin");
    let mut answered = 0;
    for number in 0..BEGINS {
        let patience = Duration::from_micros(random.below(600));
        drop(timeout(patience, pool.begin()).await);
        let number = i64::try_from(number).expect("a small number");
        let write = sqlx::query("INSERT INTO marks VALUES ($1)").bind(number).execute(&pool).await;
        answered += i64::from(write.is_ok());
    }
    pool.close().await;
    assert!(answered > 0, "no write was answered");
    answered - database.number("SELECT count(*) FROM marks").await
}

fn options(store: &TestStore) -> PgConnectOptions {
    PgConnectOptions::from_str(&store.url).expect("a URL")
}

#[test]
fn a_begin_that_is_given_up_takes_no_write_with_it() {
    let store = TestStore::new(Kind::Postgres);
    block_on(async {
        let pool = pool::pool((CONNECTIONS, Duration::from_secs(5)), options(&store), |_| {
            Box::pin(async { Ok(()) })
        });
        let pool = pool.await.expect("a pool");
        assert_eq!(lost(&store, pool).await, 0, "seed {}", super::seed());
    });
}

#[test]
fn a_plain_pool_loses_writes() {
    // Which BEGIN is given up at the wrong moment is chance, so there are several rounds of it.
    let seen = (0..40).any(|_| {
        let store = TestStore::new(Kind::Postgres);
        block_on(async {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options(&store)).await;
            lost(&store, pool.expect("a pool")).await > 0
        })
    });
    assert!(seen, "sqlx has mended begin(): the hook in store/postgres/pool.rs may go, and this file");
}
