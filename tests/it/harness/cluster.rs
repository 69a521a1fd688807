//! A PostgreSQL cluster of its own for a test that kills it. It listens on a socket in its folder, so
//! that no port can be taken while it is down.
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};

use super::{
    Kind, TestStore,
    guarded::Guarded,
    postgres::{admin, as_server_user, binaries, is_root},
    server,
};

/// How a cluster is made.
#[derive(Default)]
pub struct Options {
    /// Further settings, as `name=value`.
    pub settings: Vec<&'static str>,
    /// MiB of a disk of its own; takes root.
    pub disk: Option<u32>,
}

/// A cluster. Gone when dropped.
pub struct Cluster {
    guarded: Guarded,
    postmaster: u32,
}

impl Cluster {
    /// Makes and starts a cluster.
    pub fn start(options: &Options) -> Self {
        Self::made(options, |folder| copy(&template().join("data"), &folder.join("data")))
    }

    /// Makes and starts a cluster that follows another one and takes no writes.
    pub fn following(primary: &Self) -> Self {
        Self::made(&Options::default(), |folder| {
            let copied = as_server_user(&binaries().join("pg_basebackup"))
                .args(["-R", "-U", "postgres", "-X", "stream", "--checkpoint=fast", "--no-sync", "-h"])
                .arg(primary.folder())
                .arg("-D")
                .arg(folder.join("data"))
                .output()
                .expect("pg_basebackup");
            assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        })
    }

    fn made(options: &Options, data: impl FnOnce(&Path)) -> Self {
        let program = |folder: &PathBuf| {
            let postgres = as_server_user(&binaries().join("postgres"));
            let mut command = Command::new(postgres.get_program());
            command.args(postgres.get_args());
            command.arg("-D").arg(folder.join("data")).args(["-c", "listen_addresses="]);
            command.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
            let small = ["shared_buffers=16MB", "max_connections=60", "max_wal_size=32MB"];
            for setting in small.iter().chain(&options.settings) {
                command.args(["-c", setting]);
            }
            command
        };
        let guarded = Guarded::new(options.disk, program);
        own(&guarded.folder);
        data(&guarded.folder);
        let mut cluster = Self { guarded, postmaster: 0 };
        cluster.resume();
        cluster
    }

    /// The folder in which it lives.
    pub fn folder(&self) -> &Path {
        &self.guarded.folder
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.guarded.log()
    }

    /// URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.guarded.folder.display())
    }

    /// A migrated, empty database, as a store without anything in between.
    pub fn store(&self, database: &str) -> TestStore {
        admin(&self.url("postgres"), &format!("CREATE DATABASE {database}"));
        let store = TestStore {
            kind: Kind::Postgres,
            url: self.url(database),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        let migrated = server::chancery().args(["migrate", "--store", &store.url]).output();
        let migrated = migrated.expect("chancery migrate");
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        store
    }

    /// Makes one that follows another the primary.
    pub fn promote(&self) {
        admin(&self.url("postgres"), "SELECT pg_promote()");
    }

    /// Cuts one that follows another off from it.
    pub fn unfollow(&self) {
        admin(&self.url("postgres"), "ALTER SYSTEM SET primary_conninfo = ''");
        admin(&self.url("postgres"), "SELECT pg_reload_conf()");
    }

    /// Kills every process of it at once: what only these processes know is gone.
    pub fn kill(&mut self) {
        // A stopped postmaster starts nothing and tells nobody.
        signal("STOP", &[self.postmaster]);
        let all = self.pids();
        signal("KILL", &all);
        self.wait(&all);
    }

    /// Kills one process that serves a server of ours, one inside a transaction if there is any.
    pub async fn kill_backend(&self) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the database");
        let query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'chancery'
                     ORDER BY xact_start NULLS LAST LIMIT 1";
        let pid: i32 = sqlx::query_scalar(query).fetch_one(&mut connection).await.expect("a backend");
        signal("KILL", &[pid.unsigned_abs()]);
    }

    /// Stops without saving anything, as in an emergency.
    pub fn stop_immediately(&mut self) {
        self.stop("QUIT");
    }

    /// Stops as for a restart: ends what is going on, and saves everything.
    pub fn stop_fast(&mut self) {
        self.stop("INT");
    }

    fn stop(&self, name: &str) {
        let all = self.pids();
        signal(name, &[self.postmaster]);
        self.wait(&all);
    }

    /// Stops every process of it where it is.
    pub fn pause(&self) {
        signal("STOP", &self.pids());
    }

    /// Lets them go on.
    pub fn go_on(&self) {
        signal("CONT", &self.pids());
    }

    /// Starts it again, and waits until it takes connections.
    pub fn resume(&mut self) {
        let began = Instant::now();
        self.postmaster = self.guarded.run();
        while !self.answers() {
            assert!(began.elapsed() < Duration::from_secs(60), "no start:\n{}", self.guarded.log());
            if gone(self.postmaster) {
                self.postmaster = self.guarded.run();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts it again if it has ended, as it does when it cannot recover.
    pub fn resume_if_ended(&mut self) {
        let began = Instant::now();
        while !self.answers() {
            if gone(self.postmaster) {
                return self.resume();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "no recovery:\n{}", self.guarded.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Forbids its processes files beyond this size, or lifts that.
    pub fn limit_files(&self, bytes: &str) {
        for pid in self.pids() {
            let mut limit = as_server_user(Path::new("prlimit"));
            limit.args([&format!("--fsize={bytes}:"), "--pid", &pid.to_string()]);
            // A process may have ended just now.
            let _ = limit.stderr(Stdio::null()).status().expect("prlimit");
        }
    }

    fn pids(&self) -> Vec<u32> {
        [children(self.postmaster), vec![self.postmaster]].concat()
    }

    /// Whether it takes connections.
    pub fn answers(&self) -> bool {
        let mut ready = Command::new(binaries().join("pg_isready"));
        ready.args(["-q", "-h"]).arg(&self.guarded.folder);
        ready.status().expect("pg_isready").success()
    }

    fn wait(&self, pids: &[u32]) {
        let began = Instant::now();
        while !pids.iter().all(|pid| gone(*pid)) {
            assert!(began.elapsed() < Duration::from_secs(30), "no end:\n{}", self.guarded.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends a signal by name. Processes that have ended already are left out.
pub fn signal(name: &str, pids: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(pids.iter().map(ToString::to_string));
    let _ = kill.stderr(Stdio::null()).status().expect("kill");
}

/// State and parent of a process.
fn status(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process has ended; somebody may still have to collect it.
fn gone(pid: u32) -> bool {
    status(pid).is_none_or(|(state, _)| state == 'Z' || state == 'X')
}

fn children(of: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| status(*pid).is_some_and(|(_, parent)| parent == of)).collect()
}

/// An initialised data folder, made once.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<Guarded> = OnceLock::new();
    let guarded = TEMPLATE.get_or_init(|| {
        let guarded = Guarded::new(None, |_| Command::new("true"));
        own(&guarded.folder);
        let made = as_server_user(&binaries().join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--no-sync", "--wal-segsize=1", "-D"])
            .arg(guarded.folder.join("data"))
            .output()
            .expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        guarded
    });
    &guarded.folder
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success(), "cp -a");
}

fn own(folder: &Path) {
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(folder).status().expect("chown");
        assert!(owned.success(), "the user postgres is needed to run PostgreSQL as");
    }
}
