//! A server and what it stands on are started together and in any order: it waits for its database and for the schema,
//! says so on the admin port, takes no calls meanwhile, and goes on by itself.
use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chancery::proto::v1::audit_service_client::AuditServiceClient;

use crate::harness::{
    Kind, TestStore, block_on,
    calls::{accept, atomic},
    cli::run,
    events, postgres,
    server::chancery,
};

/// A server that has not got its store yet. Killed when dropped.
pub struct Starting {
    child: Child,
    listen: String,
    admin: String,
    log: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").to_string()
}

impl Starting {
    /// On a store.
    pub fn on(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (listen, admin, log) = (free(), free(), folder.path().join("log"));
        let child = chancery()
            .args(["serve", "--listen", &listen, "--admin-listen", &admin, "--store", url])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a file"))
            .spawn();
        Self { child: child.expect("the binary"), listen, admin, log, _folder: folder }
    }

    /// What `chancery health` says of it, and its exit code.
    pub fn health(&self, flags: &[&str]) -> (i32, String) {
        let ran =
            run(chancery().args(["health", "--admin", &format!("http://{}", self.admin)]).args(flags), "");
        (ran.code, ran.out)
    }

    /// Waits until `chancery health --ready` says this.
    fn until(&self, code: i32, said: &str) {
        let began = Instant::now();
        loop {
            let (now, page) = self.health(&["--ready"]);
            if now == code && page.contains(said) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{now} {page}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }

    /// SIGTERM, and its exit code.
    pub fn end(mut self) -> Option<i32> {
        Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child") {
                return status.code();
            }
            assert!(began.elapsed() < Duration::from_secs(10), "it did not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Replicas of different versions may share a PostgreSQL database, so `serve` never changes its schema.
#[test]
fn a_server_waits_until_its_schema_is_migrated() {
    let url = postgres::database();
    let server = Starting::on(&url);
    server.until(1, "chancery migrate");
    let page = server.health(&["--ready"]).1;
    assert!(page.starts_with("not ready\nstart: waiting for the store"), "{page}");
    assert_eq!(server.health(&[]), (0, "ok\n".to_owned()), "a restart would not help");
    assert!(TcpStream::connect(&server.listen).is_err(), "who balances must find another one");
    assert!(run(chancery().args(["migrate", "--store", &url]), "").code == 0);
    server.until(0, "ok");
    block_on(async {
        let url = format!("http://{}", server.listen);
        let mut audit = AuditServiceClient::connect(url).await.expect("a connection");
        assert_eq!(accept(&mut audit, atomic(vec![events::hold("first")])).await, [0]);
    });
    let waiting = server.log().matches("waiting for the store").count();
    assert!((1..5).contains(&waiting), "told {waiting} times:\n{}", server.log());
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_server_waits_for_a_database_that_is_not_there_yet_and_ends_when_it_is_told() {
    let server = Starting::on(&format!("postgres://ann:hunter2@{}/audit", free()));
    server.until(1, "Connection refused");
    assert_eq!(server.health(&[]).0, 0);
    let log = server.log();
    assert!(log.contains("Connection refused") && !log.contains("hunter2"), "{log}");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn health_is_1_where_nobody_answers() {
    let ran = run(chancery().args(["health", "--admin", &format!("http://{}", free())]), "");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("Connection refused"), "{}", ran.err);
    let store = TestStore::new(Kind::Sqlite);
    let server = crate::harness::server::Server::start(&store);
    let ran = run(
        chancery().args(["health", "--ready"]).env("CHANCERY_ADMIN", format!("http://{}/", server.admin)),
        "",
    );
    assert_eq!((ran.code, ran.out.as_str()), (0, "ok\n"));
    block_on(async {
        let (code, page) = server.admin_get("/livez?verbose").await;
        let parts = "ok\nruntime: ok\nsequencers: ok\ngroups of events: ok\n";
        assert_eq!((code, page.as_str()), (200, parts));
        let (code, page) = server.admin_get("/readyz?verbose").await;
        assert_eq!((code, page.as_str()), (200, "ok\nstart: ok\nstore: ok\ndisk: ok\ndrain: ok\n"));
    });
}
