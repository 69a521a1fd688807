//! Looks a PostgreSQL database over. Called by: `store::examine`.
use std::{fmt::Display, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, FromRow, PgConnection, Row as _, postgres::PgConnectOptions,
};
use tokio::time::{Instant, timeout};

use super::{
    super::{Finding, StoreError, StoreUrl, may_come},
    append, failed, pooler,
    session::{self, Target},
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
/// What to do about a standby that does not confirm.
const STANDBY: &str = "start that standby, and see to the application_name in its primary_conninfo \
                       (pg_stat_replication on the primary), or name another one";

/// What a server says of itself.
#[derive(FromRow)]
struct Server {
    session: i32,
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
pub async fn examine(url: &str, require_sync_replica: bool, clock: &dyn Clock) -> Vec<Finding> {
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
    let mut asked = Asked { connection: &mut connection, options: &options, shown: &shown };
    if let Err(fault) = asked.ask(clock, require_sync_replica, &mut found).await {
        found.push(fault);
    }
    // It has stored nothing, and need not wait for an answer.
    let _ = timeout(PATIENCE, connection.close()).await;
    found
}

/// A database that is asked.
struct Asked<'a> {
    connection: &'a mut PgConnection,
    options: &'a PgConnectOptions,
    shown: &'a StoreUrl,
}

impl Asked<'_> {
    /// Asks one question after the other. What ends that is found, too.
    async fn ask(
        &mut self,
        clock: &dyn Clock,
        require_sync_replica: bool,
        found: &mut Vec<Finding>,
    ) -> Result<(), Finding> {
        let shown = self.shown;
        let recovering = sqlx::raw_sql(include_str!("recovering.sql")).fetch_one(&mut *self.connection);
        let recovering = answer(shown, "whether it is a standby", recovering).await?;
        let recovering =
            recovering.try_get(0).map_err(|error| refused(shown, "whether it is a standby", &error))?;
        self.sessions(recovering).await?;
        let server = sqlx::query_as(include_str!("server.sql")).fetch_one(&mut *self.connection);
        let server: Server = answer(shown, "its settings", server).await?;
        found.push(Finding::good("store", format!("{shown} answers: PostgreSQL {}", server.version)));
        of_server(&server, found);
        let standbys = sqlx::query_as(include_str!("sync_replica.sql")).fetch_one(&mut *self.connection);
        let standbys = answer(shown, "its standbys", standbys).await?;
        found.push(commits(&server, standbys, require_sync_replica));
        let ready = async { Ok::<_, sqlx::Error>(super::schema::ready(self.connection).await) };
        found.push(of_schema(answer(shown, "its schema", ready).await?));
        found.push(answer(shown, "its clock", skew(self.connection, clock)).await?);
        if server.recovering || server.read_only {
            let found_ = "not measured: nothing can be committed here";
            found.push(Finding::doubtful("fsync", found_, "run it on the primary"));
        } else {
            // As the server commits.
            let durable = append::insist_on_durability(self.connection, require_sync_replica);
            answer(shown, "synchronous_commit", durable).await?;
            found.push(self.measure(&server).await?);
        }
        let logged = session::remedies_of_logging(self.connection);
        found.push(values(&answer(shown, "what it logs", logged).await?));
        Ok(())
    }

    /// Whether each connection has a session of its own. A standby cannot tell: nobody listens there.
    async fn sessions(&mut self, recovering: bool) -> Result<(), Finding> {
        if recovering {
            return Ok(());
        }
        let refusal = async { Ok(pooler::refuse(self.connection, self.options).await) };
        match answer::<_, sqlx::Error>(self.shown, "a notification", refusal).await? {
            Ok(()) => Ok(()),
            Err(error) if pooler::is_pooled(&error) => {
                let remedy = "name the database itself, or a pooler in session mode";
                Err(Finding::bad("store", format!("{}: {error}", self.shown), remedy))
            }
            Err(error) => Err(refused(self.shown, "a notification", &error)),
        }
    }

    /// What commits take.
    async fn measure(&mut self, server: &Server) -> Result<Finding, Finding> {
        let mut took = Vec::with_capacity(COMMITS);
        for _ in 0..COMMITS {
            let began = Instant::now();
            let commit = sqlx::query(include_str!("commit_nothing.sql")).execute(&mut *self.connection);
            match timeout(PATIENCE, commit).await {
                Ok(committed) => committed.map_err(|error| refused(self.shown, "a commit", &error))?,
                Err(_) => {
                    // It would wait on for the standby when this program has gone.
                    let _ = timeout(PATIENCE, session::cancel(self.options, server.session)).await;
                    return Err(hung(server));
                }
            };
            took.push(began.elapsed());
        }
        Ok(Finding::of_writes("fsync", "a commit of nothing, with its way there and back", &mut took))
    }
}

/// The answer to a question, or what became of it.
async fn answer<T, E: Display>(
    shown: &StoreUrl,
    what: &str,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, Finding> {
    match timeout(PATIENCE, question).await {
        Ok(answered) => answered.map_err(|error| refused(shown, what, &error)),
        Err(_) => Err(Finding::bad(
            "store",
            format!("{shown}, asked for {what}: no answer within {} s", PATIENCE.as_secs()),
            "see whether the database's processes run, and in pg_stat_activity what they wait for",
        )),
    }
}

fn refused(shown: &StoreUrl, what: &str, error: &dyn Display) -> Finding {
    let found = format!("{shown}, asked for {what}: {error}");
    Finding::bad("store", found, "see what the database's log says of it")
}

/// A commit that does not end.
fn hung(server: &Server) -> Finding {
    let found = format!("a commit did not end within {} s", PATIENCE.as_secs());
    match server.standbys.is_empty() {
        true => Finding::bad("fsync", found, "see to the database's disk, and to its log"),
        false => {
            let found =
                format!("{found}; it waits for a standby (synchronous_standby_names = {})", server.standbys);
            Finding::bad("fsync", found, STANDBY)
        }
    }
}

fn of_schema(ready: Result<(), StoreError>) -> Finding {
    match ready {
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
    }
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
            "name the primary, or an address that leads to it (docs/postgres.md)",
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
}

/// Whom commits wait for, by whether standbys are named, any is connected, and one is synchronous.
fn commits(server: &Server, (named, connected, synchronous): (bool, bool, bool), required: bool) -> Finding {
    let (commit, standbys) = (server.synchronous_commit.as_str(), &server.standbys);
    match commit {
        // A standby has none to name.
        _ if required && !named && !server.recovering => Finding::bad(
            "commits",
            "synchronous_standby_names is empty: commits wait for no standby, and appends are refused \
             (require_sync_replica)",
            "name the standby in synchronous_standby_names, or set require_sync_replica = false",
        ),
        _ if named && !(connected && synchronous) && !server.recovering => Finding::bad(
            "commits",
            format!("no standby of synchronous_standby_names = {standbys} is connected: commits hang"),
            STANDBY,
        ),
        "off" | "local" => Finding::doubtful(
            "commits",
            format!("synchronous_commit is {commit}"),
            "the server raises it to on for its own sessions; set it to on, so that nobody wonders",
        ),
        _ if !named => Finding::good(
            "commits",
            format!(
                "synchronous_commit is {commit}, and no standby confirms: a failover can lose the last acked events"
            ),
        ),
        _ => Finding::good("commits", format!("synchronous_commit is {commit}, standbys: {standbys}")),
    }
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

fn values(remedies: &[String]) -> Finding {
    if remedies.is_empty() {
        return Finding::good("values", "the database's log does not hold values of statements");
    }
    Finding::doubtful(
        "values",
        "the database's log holds the values of statements, personal ones too, unless the role may switch that off",
        format!("let a superuser run: {}", remedies.join("; ")),
    )
}
