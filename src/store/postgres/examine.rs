//! Looks a PostgreSQL database over. Called by: `store::examine`.
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, FromRow, PgConnection};
use tokio::time::{Instant, timeout};

use super::{
    super::{Finding, StoreError, StoreUrl, may_come},
    failed, pooler,
    session::Target,
};
use crate::clock::Clock;

/// How long connecting, and each question, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commits that are measured.
const COMMITS: usize = 20;
/// Seconds by which clocks may differ before it is told, and before it is a fault: times of receipt are then wrong by more
/// than anybody expects.
const SKEW: (f64, f64) = (1.0, 60.0);
/// The oldest server that the statements are made for.
const OLDEST: i32 = 150_000;

/// What a server says of itself.
#[derive(FromRow)]
struct Server {
    version: String,
    version_number: i32,
    encoding: String,
    recovering: bool,
    read_only: bool,
    synchronous_commit: String,
    fsync: bool,
    full_page_writes: bool,
    standbys: String,
}

/// Everything about a database.
pub async fn examine(url: &str, clock: &dyn Clock) -> Vec<Finding> {
    let shown = StoreUrl::Postgres(url.to_owned());
    let opened = async {
        let options = Target::parse(url)?.named("chancery doctor").options;
        let connection = options.connect().await.map_err(failed)?;
        Ok::<_, StoreError>((connection, options))
    };
    let (mut connection, options) = match timeout(PATIENCE, opened).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            let remedy = "start the database, or correct the address, the name or the password in `store`";
            return vec![Finding::bad("store", format!("{shown}: {error}"), remedy)];
        }
        Err(_) => {
            let found = format!("{shown}: no answer within {} s", PATIENCE.as_secs());
            return vec![Finding::bad("store", found, "see to the network between them, and to its rules")];
        }
    };
    let mut found = Vec::new();
    if let Err(error) = pooler::refuse(&mut connection, &options).await {
        let remedy = "name the database itself, or a pooler in session mode";
        return vec![Finding::bad("store", format!("{shown}: {error}"), remedy)];
    }
    if let Err(error) = ask(&mut connection, &shown, clock, &mut found).await {
        let remedy = "see what the database's log says of it";
        found.push(Finding::bad("store", format!("{shown}: {error}"), remedy));
    }
    // It has stored nothing.
    let _ = connection.close().await;
    found
}

async fn ask(
    connection: &mut PgConnection,
    shown: &StoreUrl,
    clock: &dyn Clock,
    found: &mut Vec<Finding>,
) -> Result<(), sqlx::Error> {
    let server: Server = sqlx::query_as(include_str!("server.sql")).fetch_one(&mut *connection).await?;
    found.push(Finding::good("store", format!("{shown} answers: PostgreSQL {}", server.version)));
    of_server(&server, found);
    found.push(match super::schema::ready(connection).await {
        Ok(()) => Finding::good("schema", "as this program needs it"),
        Err(error @ (StoreError::Unavailable(_) | StoreError::Locked(_))) => {
            Finding::bad("schema", error.to_string(), "run it again when the database answers")
        }
        Err(error) if may_come(&error) => {
            Finding::bad("schema", error.to_string(), "`chancery serve` waits until it is migrated")
        }
        Err(error) => {
            Finding::bad("schema", error.to_string(), "install the program that the database belongs to")
        }
    });
    found.push(skew(connection, clock).await?);
    if server.recovering || server.read_only {
        let found_ = "not measured: nothing can be committed here";
        found.push(Finding::doubtful("fsync", found_, "run it on the primary"));
    } else {
        let mut took = Vec::with_capacity(COMMITS);
        for _ in 0..COMMITS {
            let began = Instant::now();
            sqlx::query(include_str!("commit_nothing.sql")).execute(&mut *connection).await?;
            took.push(began.elapsed());
        }
        found.push(Finding::of_writes(
            "fsync",
            "a commit of nothing, with its way there and back",
            &mut took,
        ));
    }
    let logged: (bool, bool, String) =
        sqlx::query_as(include_str!("values_logged.sql")).fetch_one(&mut *connection).await?;
    found.push(values(logged));
    Ok(())
}

fn of_server(server: &Server, found: &mut Vec<Finding>) {
    found.push(match server.version_number >= OLDEST {
        true => Finding::good("version", &*server.version),
        false => Finding::bad("version", &*server.version, "use PostgreSQL 15 or newer"),
    });
    found.push(match server.encoding.as_str() {
        "UTF8" => Finding::good("encoding", "UTF8"),
        other => Finding::bad("encoding", other, "make the database anew with ENCODING 'UTF8'"),
    });
    found.push(match (server.recovering, server.read_only) {
        (true, _) => Finding::bad(
            "primary",
            "this is a standby, which takes no events",
            "name the primary, or several hosts with target_session_attrs=read-write",
        ),
        (false, true) => Finding::bad(
            "primary",
            "sessions are read-only (default_transaction_read_only)",
            "switch that off for this role and database",
        ),
        (false, false) => Finding::good("primary", "takes events"),
    });
    found.push(match (server.fsync, server.full_page_writes) {
        (true, true) => Finding::good("durability", "fsync and full_page_writes are on"),
        (false, _) => {
            Finding::bad("durability", "fsync is off: a power cut loses acked events", "set fsync = on")
        }
        (true, false) => Finding::doubtful(
            "durability",
            "full_page_writes is off: a power cut can damage the database",
            "set full_page_writes = on, unless the file system writes pages whole",
        ),
    });
    let commit = server.synchronous_commit.as_str();
    found.push(match commit {
        "off" | "local" => Finding::doubtful(
            "commits",
            format!("synchronous_commit is {commit}"),
            "the server raises it to on for its own sessions; set it to on, so that nobody wonders",
        ),
        _ if server.standbys.is_empty() => Finding::good(
            "commits",
            format!("synchronous_commit is {commit}, and no standby confirms: a failover can lose the last acked events"),
        ),
        _ => Finding::good("commits", format!("synchronous_commit is {commit}, standbys: {}", server.standbys)),
    });
}

/// By how much the database's clock differs from this one, as it stood half-way between question and answer.
async fn skew(connection: &mut PgConnection, clock: &dyn Clock) -> Result<Finding, sqlx::Error> {
    let asked = clock.now_micros();
    let there: i64 = sqlx::query_scalar(include_str!("clock.sql")).fetch_one(connection).await?;
    let here = i64::midpoint(asked, clock.now_micros());
    // Of clocks that are a century apart a second more or less is nothing.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of some centuries")]
    let seconds = (there - here) as f64 / 1e6;
    let found = format!("the database's clock is {seconds:+.3} s from this one's");
    let remedy = "have both machines keep their time by NTP: times of receipt are this machine's";
    Ok(match seconds.abs() {
        apart if apart > SKEW.1 => Finding::bad("clock", found, remedy),
        apart if apart > SKEW.0 => Finding::doubtful("clock", found, remedy),
        _ => Finding::good("clock", found),
    })
}

fn values((parameters, plans, role): (bool, bool, String)) -> Finding {
    let role = role.replace('"', "\"\"");
    let settings: Vec<_> =
        [(parameters, "log_parameter_max_length = 0"), (plans, "auto_explain.log_min_duration = -1")]
            .into_iter()
            .filter(|(logged, _)| *logged)
            .map(|(_, setting)| format!("ALTER ROLE \"{role}\" SET {setting}"))
            .collect();
    if settings.is_empty() {
        return Finding::good("values", "the database's log does not hold values of statements");
    }
    Finding::doubtful(
        "values",
        "the database's log holds the values of statements, personal ones too, unless the role may switch that off",
        format!("let a superuser run: {}", settings.join("; ")),
    )
}
