//! `chancery doctor`: a line for everything that a server stands on, with what to do; exit code 1 when something is bad; and
//! nothing is changed.
use std::{
    collections::BTreeMap,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::ToSpan as _;

use crate::harness::{
    KINDS, Kind, TestStore,
    certificates::Authority,
    cli::{Ran, run},
    cluster::{Cluster, Options},
    postgres::{self, admin},
    server::{Server, chancery},
    signing,
};

/// What is found of a server with these settings, on ports that nobody has.
fn doctor(store: &str, flags: &[&str]) -> Ran {
    let mut command = chancery();
    command.args(["doctor", "--store", store, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    run(command.args(flags), "")
}

/// Standing and text of every check, as programs read them.
fn findings(ran: &Ran) -> BTreeMap<String, (String, String)> {
    let line = |line: &str| {
        let read: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| read[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("standing") == "ok", read["remedy"].is_null(), "{line}");
        (text("check"), (text("standing"), format!("{} {}", text("found"), text("remedy"))))
    };
    ran.out.lines().map(line).collect()
}

/// Names, sizes and times of what is in a folder.
fn files(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let about = path.metadata().expect("a file");
            (path, about.len(), about.modified().expect("a time"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_good_server_is_found_good_whether_it_runs_or_not_and_nothing_is_changed() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (certificate, key) = Authority::new().server(&["localhost"]).write(store.folder.path(), "server");
        let (signing_key, state) = (signing::key(&store), store.folder.path().join("signer"));
        let path = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
        let flags =
            ["--tls-certificate", &path(&certificate), "--tls-key", &path(&key), "--signing-key-file"]
                .map(str::to_owned);
        let flags = [&flags[..], &[path(&signing_key), "--signer-state".to_owned(), path(&state)]].concat();
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let before = files(store.folder.path());
        let ran = doctor(&store.url, &flags);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        let mut expected = vec![
            "store",
            "schema",
            "fsync",
            "access",
            "catalog",
            "certificate",
            "signing",
            "signer state",
            "open files",
        ];
        expected.extend(match kind {
            Kind::Sqlite => vec!["disk"],
            Kind::Postgres => {
                vec!["version", "encoding", "primary", "durability", "commits", "clock", "values"]
            }
        });
        for check in expected {
            let line =
                ran.out.lines().find(|line| line.contains(&format!(" {check} "))).unwrap_or_else(|| {
                    panic!("nothing of {check}:\n{}", ran.out);
                });
            // How fast a disk is, and what its server logs, is not this test's to say.
            assert!(line.starts_with("ok ") || ["fsync", "values"].contains(&check), "{line}");
        }
        assert_eq!(files(store.folder.path()), before, "{kind:?}");
        // The same as JSON, of a server that runs: its own ports are no fault.
        let server = Server::start_with(&store, &flags);
        let mut command = chancery();
        command.args(["doctor", "--json", "--store", &store.url, "--listen", &server.address]);
        let ran = run(command.args(["--admin-listen", &server.admin]).args(&flags), "");
        let found = findings(&ran);
        assert_eq!(ran.code, 0, "{}", ran.out);
        for port in ["gRPC port", "admin port"] {
            assert!(found[port].1.contains("a Chancery answers there"), "{}", ran.out);
        }
        assert_eq!(found["schema"].0, "ok", "{}", ran.out);
    }
}

#[test]
fn what_is_bad_is_named_with_what_to_do() {
    let store = TestStore::new(Kind::Sqlite);
    let folder = store.folder.path();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("a file");
        folder.join(name).to_str().expect("UTF-8").to_owned()
    };
    let authority = Authority::new();
    let (certificate, _) = authority.server(&["localhost"]).write(folder, "one");
    let (_, other) = authority.server(&["localhost"]).write(folder, "other");
    let [certificate, other] = [&certificate, &other].map(|path| path.to_str().expect("UTF-8"));
    let open = folder.join("open");
    std::fs::create_dir(&open).expect("a folder");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    let key = signing::key(&store);
    let (key, open) = (key.to_str().expect("UTF-8"), open.to_str().expect("UTF-8"));
    let access = file("access.toml", "[[caller]]\nnmae = \"ann\"\n");
    let catalog = file("catalog.toml", "[[token_server.event]]\n");
    let garbage = format!("sqlite:{}", file("garbage.db", &"no database ".repeat(1000)));
    let (server, _) =
        postgres::database().rsplit_once('/').map(|(server, _)| (server.to_owned(), ())).expect("a URL");
    let sqlite = store.url.as_str();
    let (authority, its_key) = Authority::serving_itself(&["localhost"]).write(folder, "authority");
    let [authority, its_key] = [&authority, &its_key].map(|path| path.to_str().expect("UTF-8"));
    let cases: [(&str, &[&str], &str, &str); 10] = [
        ("postgres://ann:hunter2@127.0.0.1:9/audit", &[], "store", "Connection refused"),
        (&format!("{server}/no_such_database"), &[], "store", "does not exist"),
        (&postgres::database(), &[], "schema", "chancery migrate"),
        (&garbage, &[], "store", "no database"),
        (sqlite, &["--min-free-disk", "1125899906842624"], "disk", "make room"),
        (sqlite, &["--tls-certificate", certificate, "--tls-key", other], "certificate", "is not the key"),
        (
            sqlite,
            &["--tls-certificate", authority, "--tls-key", its_key],
            "chain",
            "one of an authority (CA:TRUE)",
        ),
        (sqlite, &["--access", &access], "access", "unknown field"),
        (sqlite, &["--catalog", &catalog], "catalog", "catalog.toml"),
        (sqlite, &["--signing-key-file", key, "--signer-state", open], "signer state", "chmod 700"),
    ];
    for (store, flags, check, said) in cases {
        let ran = doctor(store, &[flags, &["--json"]].concat());
        assert_eq!(ran.code, 1, "{check}: {ran:?}");
        let found = findings(&ran);
        let (standing, text) = &found[check];
        assert!(standing == "FAIL" && text.contains(said), "{check} {standing}: {text}");
        let bad = found.values().filter(|(standing, _)| standing == "FAIL").count();
        assert_eq!(bad, 1, "and nothing else: {}", ran.out);
        assert!(!ran.out.contains("hunter2"), "{}", ran.out);
        // For people, a line of the same.
        let plain = doctor(store, flags);
        assert!(
            plain.out.lines().any(|line| line.starts_with("FAIL") && line.contains(" -> ")),
            "{}",
            plain.out
        );
    }
}

/// Whoever takes a connection is not for that the server: not a program that says nothing, and not the other port.
#[test]
fn a_port_that_another_program_has_is_bad() {
    let store = TestStore::new(Kind::Sqlite);
    let [other, third] = [(); 2].map(|()| TestStore::new(Kind::Sqlite));
    let server = Server::start(&other);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("an address").to_string();
    let authority = Authority::new();
    let (certificate, key) = authority.server(&["localhost"]).write(store.folder.path(), "server");
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let tls = ["--tls-certificate", certificate, "--tls-key", key];
    let secured = secured(&third, &authority);
    let cases: [(&str, &str, &[&str], &str); 4] = [
        (&silent, &silent, &[], "does not answer another program has it: end that, or change"),
        (&server.admin, &server.address, &[], "is no Chancery with these settings"),
        // Without TLS, and with the certificate of another.
        (&server.address, &server.address, &tls, "is no Chancery with these settings"),
        (&secured.address, &server.address, &tls, "is no Chancery with these settings"),
    ];
    for (listen, admin, flags, said) in cases {
        let mut command = chancery();
        command.args([
            "doctor",
            "--json",
            "--store",
            &store.url,
            "--listen",
            listen,
            "--admin-listen",
            admin,
        ]);
        let ran = run(command.args(flags), "");
        let found = findings(&ran);
        assert_eq!(ran.code, 1, "{ran:?}");
        for (port, setting) in [("gRPC port", "change listen"), ("admin port", "change admin_listen")] {
            let (standing, text) = &found[port];
            assert!(standing == "FAIL" && text.contains(said) && text.ends_with(setting), "{port}: {text}");
        }
    }
}

/// A server with a certificate of its own.
fn secured(store: &TestStore, authority: &Authority) -> Server {
    let (certificate, key) = authority.server(&["localhost"]).write(store.folder.path(), "other");
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    Server::start_with(store, &["--tls-certificate", certificate, "--tls-key", key])
}

#[test]
fn what_is_doubtful_is_told_and_no_failure_and_a_bad_setting_is_one_of_its_own() {
    let store = TestStore::new(Kind::Sqlite);
    let end = jiff::Zoned::now().date() + 10.days();
    let day = |number: i8| number.unsigned_abs();
    let span = ((2020, 1, 1), (end.year().into(), day(end.month()), day(end.day())));
    let issued = Authority::new().server_lasting(&["localhost"], span);
    let (certificate, key) = issued.write(store.folder.path(), "server");
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let ran = doctor(&store.url, &["--json", "--tls-certificate", certificate, "--tls-key", key]);
    let found = findings(&ran);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(found["certificate"].0 == "warn" && found["certificate"].1.contains("replace it"), "{}", ran.out);
    assert_eq!(found["signing"].0, "warn", "{}", ran.out);
    let ran = doctor(&store.url, &["--drain-seconds", "0"]);
    assert!(ran.code == 2 && ran.err.contains("setting drain_seconds"), "{ran:?}");
    // A database that is not there yet is no fault, and is not made.
    let none = store.folder.path().join("none.db");
    let ran = doctor(&format!("sqlite:{}", none.display()), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("is not there yet") && !none.exists(), "{}", ran.out);
}

#[test]
fn commits_without_their_standby_and_a_standby_itself_are_named() {
    let primary = Cluster::start(&Options::default());
    let store = primary.store("audit");
    let failed = |url: &str, flags: &[&str]| {
        let ran = doctor(url, &[flags, &["--json"]].concat());
        assert_eq!(ran.code, 1, "{ran:?}");
        let mut found = findings(&ran);
        found.retain(|_, (standing, _)| standing == "FAIL");
        found
    };
    // Nobody waits for a standby, which is good unless one is required.
    assert_eq!(doctor(&store.url, &[]).code, 0);
    let found = failed(&store.url, &["--require-sync-replica"]);
    assert!(
        found.len() == 1 && found["commits"].1.contains("synchronous_standby_names is empty"),
        "{found:?}"
    );
    let standby = Cluster::following(&primary);
    let found = failed(&standby.url("audit"), &[]);
    assert!(found.len() == 1 && found["primary"].1.contains("this is a standby"), "{found:?}");
    // One that is not there.
    admin(&primary.url("postgres"), "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    admin(&primary.url("postgres"), "SELECT pg_reload_conf()");
    let found = failed(&store.url, &[]);
    assert!(
        found["fsync"].1.contains("did not end within") && found["fsync"].1.contains("nobody"),
        "{found:?}"
    );
    assert!(found["commits"].1.contains("commits hang"), "{found:?}");
    // And nothing of it waits on: this fails where a session is left.
    let left = "DO $$ BEGIN PERFORM pg_sleep(0.5); ASSERT NOT EXISTS (SELECT 1 FROM pg_stat_activity
                WHERE application_name = 'chancery doctor'); END $$";
    admin(&primary.url("postgres"), left);
}

#[test]
fn an_issuer_that_does_not_answer_is_doubtful() {
    let store = TestStore::new(Kind::Sqlite);
    let file = |name: &str, text: &str| {
        std::fs::write(store.folder.path().join(name), text).expect("a file");
        store.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    };
    let access = file("access.toml", "");
    let jwt =
        "jwks = \"http://127.0.0.1:9/keys\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = [\"ES256\"]\n";
    let config = file("chancery.toml", &format!("access = {access:?}\n[jwt]\n{jwt}"));
    let ran = doctor(&store.url, &["--json", "--config", &config]);
    let found = findings(&ran);
    assert!(ran.code == 0 && found["jwt"].0 == "warn" && found["jwt"].1.contains("127.0.0.1:9"), "{ran:?}");
}

#[test]
fn health_asks_where_the_server_of_its_surroundings_listens() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let (_, port) = server.admin.rsplit_once(':').expect("a port");
    let health = |listen: &str| run(chancery().arg("health").env("CHANCERY_ADMIN_LISTEN", listen), "");
    for listen in [server.admin.clone(), format!("0.0.0.0:{port}"), format!("[::]:{port}")] {
        let ran = health(&listen);
        assert_eq!((ran.code, ran.out.as_str()), (0, "ok\n"), "{listen}: {ran:?}");
    }
    let asked = |admin: &str| run(chancery().args(["health", "--admin", admin]), "");
    for (admin, said) in [
        ("http://127.0.0.1:9", "chancery: cannot reach http://127.0.0.1:9/livez: Connection refused"),
        (&server.url(), "the answer is not that of an admin port; gRPC has another one"),
    ] {
        let ran = asked(admin);
        assert!(ran.code == 1 && ran.err.contains(said) && ran.out.is_empty(), "{admin}: {ran:?}");
    }
    let ran = asked(&server.admin);
    assert!(ran.code == 2 && ran.err.contains("an admin URL begins with http://"), "{ran:?}");
    let ran = health("localhost");
    assert!(ran.code == 2 && ran.err.contains("CHANCERY_ADMIN_LISTEN"), "{ran:?}");
}
