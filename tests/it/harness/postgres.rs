//! One PostgreSQL cluster for the test process, in a temporary folder, from installed binaries; one
//! database per test. `CHANCERY_TEST_DATABASE_URL` (a superuser's URL without a database) uses a server
//! that runs already. Without either the tests fail, and say what to install; they never skip.
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection as _, Executor as _};

/// Ends the cluster when the test process does, however it does: the shell's `read` returns when the
/// pipe from this process closes. Immediate shutdown, because the data is thrown away.
const SUPERVISOR: &str = r#"
trap '' INT TERM HUP
"$@" >"$LOG" 2>&1 &
server=$!
read -r _ || true
kill -QUIT "$server"
wait "$server"
rm -rf "$FOLDER"
"#;

static SERVER: OnceLock<String> = OnceLock::new();
static RUNNING: OnceLock<Child> = OnceLock::new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// URL of a new, empty database.
pub fn database() -> String {
    let server = SERVER.get_or_init(|| match std::env::var("CHANCERY_TEST_DATABASE_URL") {
        Ok(url) => url.trim_end_matches('/').to_owned(),
        Err(_) => start(),
    });
    let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    admin(&format!("{server}/postgres"), &format!("CREATE DATABASE {name}"));
    format!("{server}/{name}")
}

/// Runs one statement as the superuser, in the database of this URL.
pub fn admin(database: &str, statement: &str) {
    let (url, statement) = (database.to_owned(), statement.to_owned());
    // A thread of its own: a test may be inside a runtime already.
    std::thread::spawn(move || {
        super::block_on(async move {
            let mut connection = sqlx::PgConnection::connect(&url).await.expect("the PostgreSQL server");
            connection.execute(sqlx::AssertSqlSafe(statement)).await.expect("an administrator's statement");
        });
    })
    .join()
    .expect("the administrator's thread");
}

/// The folder of the newest installed PostgreSQL's binaries.
pub fn binaries() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(version) = version.filter(|_| entry.path().join("bin/initdb").exists()) {
            found.push((version, entry.path().join("bin")));
        }
    }
    found.sort();
    if let Some((_, newest)) = found.pop() {
        return newest;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists())
        .expect("no PostgreSQL found: install it (./test.sh does) or set CHANCERY_TEST_DATABASE_URL")
}

/// Whether this process runs as root, as which PostgreSQL refuses to run.
pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    String::from_utf8_lossy(&id.stdout).trim() == "0"
}

/// A command as the user that runs PostgreSQL.
pub(super) fn as_server_user(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn start() -> String {
    let binaries = binaries();
    let folder = tempfile::Builder::new().prefix("chancery-postgres-").tempdir().expect("a folder").keep();
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(&folder).status().expect("chown");
        assert!(owned.success(), "the user postgres is needed to run PostgreSQL as");
    }
    let data = folder.join("data");
    let made = as_server_user(&binaries.join("initdb"))
        .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
        .arg(&data)
        .output()
        .expect("initdb");
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let server = as_server_user(&binaries.join("postgres"));
    let supervisor = Command::new("sh")
        .args(["-c", SUPERVISOR, "supervisor"])
        .arg(server.get_program())
        .args(server.get_args())
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"])
        .arg("-c")
        .arg(format!("unix_socket_directories={}", folder.display()))
        .env("LOG", folder.join("log"))
        .env("FOLDER", &folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    // The pipe stays open as long as this process lives.
    let _ = RUNNING.set(supervisor);
    let url = format!("postgres://postgres@127.0.0.1:{port}");
    let began = Instant::now();
    loop {
        let ready = Command::new(binaries.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .expect("pg_isready");
        if ready.success() {
            return url;
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(began.elapsed() < Duration::from_secs(30), "PostgreSQL did not start:\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
