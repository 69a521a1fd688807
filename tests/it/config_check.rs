//! `chancery config check` finds what `serve` would find wrong before it opens its store, names the setting and where
//! it came from, and leaves store, ports and folders alone.
use std::{fs, net::TcpListener, path::Path};

use crate::harness::{
    Kind, TestStore,
    cli::{Ran, run},
    server::chancery,
    signing::key,
};

fn check(folder: &Path, flags: &[&str]) -> Ran {
    run(chancery().current_dir(folder).args(["config", "check"]).args(flags), "")
}

const JWT: &str = "[jwt]\njwks = \"keys.json\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = [\"ES256\"]\n";

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_setting_and_its_origin() {
    let store = TestStore::new(Kind::Sqlite);
    let folder = store.folder.path();
    fs::write(folder.join("empty"), "").expect("a file");
    fs::write(folder.join("text"), "no TOML, no PEM").expect("a file");
    let access = "access = \"empty\"\n";
    let jwt = format!("{access}{JWT}");
    let cases = [
        ("catalog = [\"nowhere.toml\"]\n", "catalog file nowhere.toml: No such file"),
        ("catalog = [\"text\"]\n", "catalog file text, line 1"),
        ("access = \"nowhere.toml\"\n", "setting access: nowhere.toml: No such file"),
        ("access = \"text\"\n", "setting access: text: line 1"),
        ("tls_certificate = \"text\"\n", "setting tls_certificate: there is a certificate without its key"),
        ("tls_certificate = \"text\"\ntls_key = \"nowhere\"\n", "setting tls_key: nowhere: No such file"),
        ("signing_key_file = \"nowhere\"\n", "setting signing_key_file: nowhere: No such file"),
        (&jwt, "setting jwt: keys.json: "),
        ("log_level = \"inof\"\n", "setting log_level: "),
        ("[retention.cards]\n", "setting retention: \"cards\": neither keep_days nor families"),
        ("listen = \"0.0.0.0:1\"\n", "setting listen: 0.0.0.0:1 can be reached from other machines"),
        ("min_free_disk = 2251799813685248\n", "setting min_free_disk: is more than"),
    ];
    for (text, said) in cases {
        fs::write(folder.join("chancery.toml"), text).expect("a file");
        let ran = check(folder, &["--config", "chancery.toml"]);
        assert!(ran.code == 2 && ran.err.contains(said) && ran.out.is_empty(), "{text}: {ran:?}");
        if said.starts_with("setting") {
            assert!(ran.err.contains("file chancery.toml)"), "{ran:?}");
        }
        let served = run(chancery().current_dir(folder).args(["serve", "--config", "chancery.toml"]), "");
        let last = |ran: &Ran| ran.err.lines().last().unwrap_or_default().to_owned();
        assert_eq!((served.code, last(&served)), (2, last(&ran)), "serve and check say the same");
    }
    let signer = key(&store);
    let signer = ["--signing-key-file", signer.to_str().expect("a path"), "--signer-state", "text"];
    let ran = check(folder, &signer);
    assert!(ran.code == 2 && ran.err.contains("setting signer_state: text is no folder (flag"), "{ran:?}");
}

#[test]
fn what_would_be_used_is_printed_and_nothing_is_touched() {
    let store = TestStore::new(Kind::Sqlite);
    let folder = store.folder.path();
    let access = "[reader.ann]\nlogs = [\"*\"]\nfamilies = [\"*\"]\n";
    fs::write(folder.join("access.toml"), access).expect("a file");
    let signer = key(&store);
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").to_string();
    let before = fs::read_dir(folder).expect("a folder").count();
    let flags = ["--listen", &port, "--store", "sqlite:made.db", "--access", "access.toml"];
    let flags = [&flags[..], &["--signing-key-file", signer.to_str().expect("a path")]].concat();
    let ran = check(folder, &flags);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    for line in [
        &format!("listen: {port}"),
        "tls: none",
        "store: sqlite:made.db, not opened",
        "access: 0 producers, 1 readers, 0 auditors, 0 admins, 0 tokens",
        "signed tokens: none",
        "retention: of 0 logs",
        "telemetry: not sent",
    ] {
        assert!(ran.lines().contains(&line), "{line}: {ran:?}");
    }
    assert!(ran.out.contains("catalog: 510 event types, version "), "{ran:?}");
    assert!(ran.out.contains("checkpoints: signed as "), "{ran:?}");
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), before, "something was made");

    // Settings that are alike have one hash, whatever says them; others have another.
    let hash = |ran: &Ran| ran.lines()[0].strip_prefix("settings: ").expect("the hash").to_owned();
    let variable = run(
        chancery()
            .current_dir(folder)
            .args(["config", "check"])
            .args(&flags[2..])
            .env("CHANCERY_LISTEN", &port),
        "",
    );
    assert_eq!(hash(&variable), hash(&ran));
    assert_eq!(hash(&ran).len(), 16);
    let other = check(folder, &[&flags[..], &["--drain-seconds", "21"]].concat());
    assert_ne!(hash(&other), hash(&ran));
}
