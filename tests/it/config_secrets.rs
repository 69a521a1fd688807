//! The address of the store comes from a file that others may not read, and is given once. No password and no key is in
//! what `config show` prints, in an error, or in the log.
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use crate::harness::{
    KINDS, Kind, TestStore,
    cli::{Ran, run},
    server::chancery,
    signing::key,
};

const CANARY: &str = "hunter2canary";

/// A file with the address of a store.
fn store_file(store: &TestStore, text: &str, mode: u32) -> PathBuf {
    let path = store.folder.path().join("store-address");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    path
}

fn command(store: &TestStore, arguments: &[&str]) -> Command {
    let mut command = chancery();
    command.current_dir(store.folder.path()).args(arguments);
    command
}

/// A server that waits for a database that never comes, and is told to end then.
fn waiting(store: &TestStore) -> Command {
    let serve = command(store, &["serve", "--admin-listen", "127.0.0.1:0"]);
    let mut command = Command::new("timeout");
    command.args(["--preserve-status", "3"]).arg(serve.get_program()).args(serve.get_args());
    command.current_dir(store.folder.path());
    for (name, _) in serve.get_envs() {
        command.env_remove(name);
    }
    command
}

#[test]
fn every_command_takes_the_address_from_a_file() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let path = store_file(&store, &format!("  {}\n", store.url), 0o400);
        for arguments in [&["migrate"][..], &["partition", "cards"]] {
            let by_flag = run(command(&store, arguments).arg("--store-file").arg(&path), "");
            assert_eq!(by_flag.code, 0, "{by_flag:?}");
            let by_variable = run(command(&store, arguments).env("CHANCERY_STORE_FILE", &path), "");
            assert_eq!((by_variable.code, &by_variable.out), (0, &by_flag.out), "{by_variable:?}");
        }
        // A port that cannot be bound comes behind the store.
        let mut serve = command(
            &store,
            &["serve", "--listen", "192.0.2.1:1", "--insecure", "--admin-listen", "127.0.0.1:0"],
        );
        let ran = run(serve.env("CHANCERY_STORE_FILE", &path), "");
        assert!(ran.code == 1 && ran.err.contains("cannot listen on 192.0.2.1:1"), "{ran:?}");
        let default = store.folder.path().join("chancery.db");
        assert!(kind == Kind::Sqlite || !default.exists(), "the default was used");
    }
}

#[test]
fn an_address_that_is_given_twice_or_in_an_unfit_file_is_refused() {
    let store = TestStore::new(Kind::Sqlite);
    let secret = format!("postgres://ann:{CANARY}@127.0.0.1:1/x");
    let cases = [
        (secret.as_str(), 0o640, "others than its owner may use this secret (mode 640); run: chmod 600"),
        (&secret, 0o604, "others than its owner may use this secret (mode 604); run: chmod 600"),
        ("", 0o600, "is empty"),
        (" \n", 0o600, "is empty"),
        (CANARY, 0o600, "a store is sqlite:PATH or postgres://"),
    ];
    for arguments in [&["serve"][..], &["migrate"], &["partition", "cards"], &["config", "check"]] {
        let refused = |flags: &[&str], said: &str| {
            let ran = run(command(&store, arguments).args(flags), "");
            assert!(ran.code == 2 && ran.err.contains(said), "{arguments:?}: {said}: {ran:?}");
            assert!(ran.err.contains("setting store_file: ") && !ran.err.contains(CANARY), "{ran:?}");
        };
        for (text, mode, said) in cases {
            let path = store_file(&store, text, mode);
            refused(&["--store-file", path.to_str().expect("a path")], said);
        }
        refused(&["--store-file", "nowhere"], "nowhere: No such file");
        refused(&["--store-file", &secret], "is an address and not the path of a file");
        refused(
            &["--store-file", "x", "--store", &secret],
            "the store is given twice, as store (flag --store) and as store_file (flag --store-file)",
        );
        let ran =
            run(command(&store, arguments).env("CHANCERY_STORE", &secret).args(["--store-file", "x"]), "");
        assert!(ran.code == 2 && ran.err.contains("as store (variable CHANCERY_STORE) and"), "{ran:?}");
    }
}

#[test]
fn no_secret_is_shown_logged_or_in_an_error() {
    let store = TestStore::new(Kind::Sqlite);
    let key_file = key(&store);
    let private = fs::read_to_string(&key_file).expect("a key").trim_end().to_owned();
    let secret = private.rsplit('+').next().expect("a key").to_owned();
    let clean = |ran: &Ran, what: &str| {
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains(CANARY) && !said.contains(&secret), "{what}: {said}");
    };
    let addresses = [
        format!("postgres://ann:{CANARY}@127.0.0.1:1/x"),
        format!("postgres://127.0.0.1:1/x?user=ann&password={CANARY}"),
        format!("postgres://ann:@/?{CANARY}@127.0.0.1:1/x"),
    ];
    for address in &addresses {
        for arguments in [
            &["serve"][..],
            &["config", "show"],
            &["config", "show", "--redacted"],
            &["config", "check"],
            &["migrate"],
        ] {
            let mut command = match arguments {
                ["serve"] => waiting(&store),
                _ => command(&store, arguments),
            };
            command.env("CHANCERY_STORE", address).env("CHANCERY_SIGNING_KEY", &private);
            command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={CANARY}"));
            let ran = run(&mut command, "");
            clean(&ran, &format!("{arguments:?} {address}"));
            let has_waited = ran.err.contains("waiting for the store");
            assert!(arguments[0] != "serve" || has_waited || ran.code != 0, "{ran:?}");
            if arguments[0] == "config" && arguments[1] == "show" {
                assert!(
                    ran.out.contains("# CHANCERY_SIGNING_KEY: *** (variable CHANCERY_SIGNING_KEY)"),
                    "{ran:?}"
                );
                assert!(ran.out.contains("# OTEL_EXPORTER_OTLP_HEADERS: ***"), "{ran:?}");
                assert!(ran.out.contains("***") && ran.out.contains("store = \"postgres://"), "{ran:?}");
            }
        }
        let shown = run(
            command(&store, &["config", "show", "--with-secrets", "--store", address])
                .arg("--log-level=info"),
            "",
        );
        assert!(shown.out.contains(&format!("store = {address:?}")), "{shown:?}");
        let both = run(&mut command(&store, &["config", "show", "--with-secrets", "--redacted"]), "");
        assert_eq!(both.code, 2, "{both:?}");
    }
    // What was given in the wrong place.
    for flags in [
        ["--signing-key-file", &private],
        ["--witness", &format!("https://ann:{CANARY}@w.example.com=x")],
        ["--otlp-endpoint", &format!("https://{CANARY}@collector")],
        ["--otlp-endpoint", &format!("ann:{CANARY}@collector:4317")],
        ["--store", &format!("postgres:ann:{CANARY}@db/x")],
        ["--store", CANARY],
    ] {
        for arguments in [&["config", "show"][..], &["config", "check"], &["serve"]] {
            let mut command = command(&store, arguments);
            command.args(flags);
            if flags[0] == "--witness" {
                command.env("CHANCERY_SIGNING_KEY", &private);
            }
            let ran = run(&mut command, "");
            assert_eq!(ran.code == 0, arguments[1..] == ["show"], "{flags:?}: {ran:?}");
            if flags[1] != CANARY || ran.code != 0 {
                clean(&ran, &format!("{arguments:?} {flags:?}"));
            }
        }
    }
}
