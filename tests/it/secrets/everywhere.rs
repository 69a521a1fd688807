//! Secrets on every way into a server, and a search of everything that the server has and says.
use std::{path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memmem;
use sqlx::{Connection as _, PgConnection};

use super::{CONTROL, contents, journey, search, wire::Tee};
use crate::harness::{
    Kind, TestStore, block_on,
    cli::run,
    cluster::{Cluster, Options},
    database::Database,
    server::Server,
    signing::{self, signing, verifier},
    witness::Witness,
};

/// Whatever PostgreSQL can log of a statement, with its bind values where the session lets it.
const LOUD: [&str; 6] = [
    "log_statement=all",
    "log_min_duration_statement=0",
    "log_min_error_statement=error",
    "log_parameter_max_length_on_error=-1",
    "session_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
];

/// Every file below a folder, by path.
pub fn files(folder: &Path, visit: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, visit);
        // A socket is no file, and what is removed meanwhile is gone.
        } else if path.is_file()
            && let Ok(bytes) = std::fs::read(&path)
        {
            visit(&path, &bytes);
        }
    }
}

/// A bundle and what it holds in base64.
fn read_out(bundle: &str) -> Vec<u8> {
    let words = bundle.split_ascii_whitespace();
    let decoded = words.filter_map(|word| STANDARD.decode(word).ok());
    [bundle.as_bytes().to_vec()].into_iter().chain(decoded).collect::<Vec<_>>().join(b"\n".as_slice())
}

/// Searches every file below a folder; those in which the control value is.
fn search_files(folder: &Path) -> Vec<String> {
    let mut with_control = Vec::new();
    files(folder, &mut |path, bytes| {
        search(&path.display().to_string(), bytes);
        if memmem::find(bytes, CONTROL.as_bytes()).is_some() {
            with_control.push(path.display().to_string());
        }
    });
    with_control
}

/// Where a store is.
enum Site {
    Sqlite,
    Postgres(Box<Cluster>),
}

impl Site {
    fn new(kind: Kind) -> (Self, TestStore) {
        match kind {
            Kind::Sqlite => (Self::Sqlite, TestStore::new(kind)),
            Kind::Postgres => {
                let cluster = Cluster::start(&Options { settings: LOUD.to_vec(), ..Options::default() });
                let store = cluster.store("secrets");
                (Self::Postgres(Box::new(cluster)), store)
            }
        }
    }

    /// Searches the database's files, its log among them, and sees to it that they hold what they should.
    fn search(&self, store: &TestStore) {
        let found = search_files(store.folder.path());
        let has = |part: &str| found.iter().any(|path| path.contains(part));
        match self {
            Self::Sqlite => {
                assert!(has("chancery.db"), "{found:?}");
                // Not all of it is in the database itself while the server runs.
                assert!(has("chancery.db-wal"), "{found:?}");
            }
            Self::Postgres(cluster) => {
                // Tables reach their files by then.
                block_on(async { Database::open(store).await.run("CHECKPOINT").await });
                let found = search_files(cluster.folder());
                assert!(found.iter().any(|path| path.contains("/pg_wal/")), "{found:?}");
                assert!(found.iter().any(|path| path.contains("/base/")), "{found:?}");
                let log = cluster.log();
                search("PostgreSQL's log", log.as_bytes());
                assert!(log.contains("INSERT INTO events"), "statements are logged");
            }
        }
    }
}

#[test]
fn no_secret_is_found_anywhere_on_sqlite() {
    no_secret_is_found_anywhere(Kind::Sqlite);
}

#[test]
fn no_secret_is_found_anywhere_on_postgres() {
    no_secret_is_found_anywhere(Kind::Postgres);
}

fn no_secret_is_found_anywhere(kind: Kind) {
    let (site, store) = Site::new(kind);
    let others = tempfile::tempdir().expect("a folder");
    let witness = Witness::start(others.path(), &[verifier(&store, "main")]);
    let vouches = format!("{}={}", witness.url, witness.key);
    let mut server = signing(&store, &["--witness", &vouches, "--log-level", "debug"]);
    let said = block_on(async {
        let tee = Tee::to(&server).await;
        let said = journey::travel(&server, &tee).await;
        journey::look_for(&server).await;
        let heard = tee.heard();
        assert!(memmem::find(&heard, CONTROL.as_bytes()).is_some(), "answers as they came are searched");
        search("an answer as it came", &heard);
        search("the metrics", server.admin_get("/metrics").await.1.as_bytes());
        search("the store", &contents(&store).await);
        said
    });
    search("an answer", said.as_bytes());
    search("what the command line prints", journey::command_line(&server).as_bytes());
    let size = block_on(async {
        let size = Database::open(&store).await.number("SELECT size FROM log_head WHERE log = 'main'").await;
        let size = u64::try_from(size).expect("a size");
        signing::note(&store, "main", size, |note| note.contains("witness.example.com")).await;
        size
    });
    assert!(size > 100, "{size} events");
    let bundle = others.path().join("bundle");
    let ran = run(server.cli(&["export", "-o"]).arg(&bundle), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let bundle = read_out(&std::fs::read_to_string(bundle).expect("a bundle"));
    assert!(memmem::find(&bundle, CONTROL.as_bytes()).is_some(), "{kind:?}: the bundle holds the events");
    search("a bundle", &bundle);
    // While it runs: with its WAL, the signer's state, and whatever lies about.
    site.search(&store);
    search_files(others.path());
    let log = server.log();
    assert!(log.contains("\"level\":\"DEBUG\""), "the log is one for debugging");
    search("the log", log.as_bytes());
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(60)).code(), Some(0));
    search("the log of the end", server.log().as_bytes());
    drop(server);
    // Once more with a log for people, and with families whose unknown codes are accepted.
    let accepted = ["cms_audit", "cms_notification", "as_audit", "token_server"];
    let mut flags = vec!["--log-format", "text", "--log-level", "debug"];
    accepted.iter().for_each(|family| flags.extend(["--accept-unknown", family]));
    let replayed = Server::start_with(&store, &flags);
    search("the answer of a replay", block_on(journey::replay(&replayed)).as_bytes());
    block_on(journey::look_for(&replayed));
    site.search(&store);
    let log = replayed.log();
    assert!(log.contains(" DEBUG "), "{log}");
    search("the log for people", log.as_bytes());
    if let Site::Postgres(cluster) = &site {
        // A session that does not hold its values back is heard.
        block_on(async {
            let mut connection = PgConnection::connect(&store.url).await.expect("the database");
            let said = sqlx::query("SELECT $1::text").bind("kept-loud").execute(&mut connection).await;
            said.expect("an answer");
        });
        assert!(cluster.log().contains("kept-loud"), "bind values are in PostgreSQL's log");
    }
}
