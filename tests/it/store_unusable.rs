//! A store that cannot be used ends `serve` and `migrate` with exit code 1 and the cause, soon, and
//! without the password. What `serve` waits for is in `startup`.
use std::time::Duration;

use crate::harness::{
    Kind, TestStore, block_on,
    cli::{Ran, run_for},
    database::Database,
    server::{Server, chancery},
};

/// Far less than any pool waits.
const SOON: Duration = Duration::from_secs(4);

fn serve(url: &str) -> Ran {
    let mut command = chancery();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", url]);
    run_for(&mut command, "", SOON).unwrap_or_else(|err| panic!("{url}: still running after {SOON:?}: {err}"))
}

#[test]
fn the_cause_is_told_and_the_password_is_not() {
    let store = TestStore::new(Kind::Postgres);
    // postgres://postgres@127.0.0.1:PORT/DATABASE
    let (server, _) = store.url.rsplit_once('/').expect("a database");
    let cases = [
        ("postgres://ann:hunter2@127.0.0.1:9/audit".to_owned(), "Connection refused", false),
        (format!("{server}/no_such_database"), "database \"no_such_database\" does not exist", true),
        ("sqlite:/nonexistent/chancery.db".to_owned(), "No such file or directory", true),
        ("sqlite:/dev/null".to_owned(), "store sqlite:/dev/null: ", true),
    ];
    for (url, cause, ends) in cases {
        let migrate = run_for(chancery().args(["migrate", "--store", &url]), "", SOON).expect("an end");
        for ran in ends.then(|| serve(&url)).into_iter().chain([migrate]) {
            assert!(ran.code == 1 && ran.err.contains(cause), "{url}: {ran:?}");
            assert!(!ran.err.contains("hunter2") && !ran.out.contains("hunter2"), "{ran:?}");
        }
    }
}

/// What a server holds in memory of its file holds for nobody else.
#[test]
fn a_sqlite_file_has_one_server() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let link = store.folder.path().join("link.db");
    let (_, file) = store.url.split_once(':').expect("a file");
    std::os::unix::fs::symlink(file, &link).expect("a link");
    for url in [store.url.clone(), format!("sqlite:{}", link.display())] {
        let ran = serve(&url);
        assert!(ran.code == 1 && ran.err.contains("is served by another process"), "{ran:?}");
    }
    // Commands that open it for a moment do not mind.
    let migrated = run_for(chancery().args(["migrate", "--store", &store.url]), "", SOON).expect("an end");
    assert_eq!(migrated.code, 0, "{migrated:?}");
    drop(server);
    Server::start(&store);
}

#[test]
fn a_file_of_something_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("addresses.db");
    std::fs::write(&file, "").expect("a file");
    let store = TestStore::at(Kind::Sqlite, &format!("sqlite:{}", file.display()));
    block_on(async { Database::open(&store).await.run("CREATE TABLE addresses (name TEXT)").await });
    let migrated = run_for(chancery().args(["migrate", "--store", &store.url]), "", SOON).expect("an end");
    for ran in [serve(&store.url), migrated] {
        assert!(ran.code == 1 && ran.err.contains("is a database of something else"), "{ran:?}");
    }
    block_on(async {
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
        let mut database = Database::open(&store).await;
        assert_eq!(database.texts(tables).await, ["addresses"]);
        assert_eq!(database.texts("PRAGMA journal_mode").await, ["delete"]);
    });
}
