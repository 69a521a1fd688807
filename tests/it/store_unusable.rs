//! A store that cannot be used ends `serve` and `migrate` with exit code 1 and the cause, soon, and
//! without the password. What `serve` waits for is in `startup`.
use std::time::Duration;

use crate::harness::{
    Kind, TestStore,
    cli::{Ran, run_for},
    server::chancery,
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
