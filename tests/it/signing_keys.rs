//! Signing keys: made once, read by their owner only, refused when they are not one; one server to a state.
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use chancery::note::{Kind as KeyKind, VerifierKey};

use crate::harness::{
    Kind, TestStore, block_on,
    cli::run,
    server::{Server, chancery},
    signing::{checkpoint, grow, key, signing, state},
};

fn keys(arguments: &[&str], path: &Path) -> Command {
    let mut command = chancery();
    command.arg("keys").args(arguments).arg(path);
    command
}

/// A server that must not start: what it says.
fn refused(store: &TestStore, flags: &[&str], key: Option<&str>) -> String {
    let mut command = chancery();
    command.current_dir(store.folder.path()).args(["serve", "--store", &store.url]).args(flags);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    if let Some(key) = key {
        command.env("CHANCERY_SIGNING_KEY", key);
    }
    let ran = run(&mut command, "");
    assert_eq!(ran.code, 2, "{ran:?}");
    ran.err
}

#[test]
fn a_key_is_made_once_and_shows_what_verifies_each_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    let made = run(&mut keys(&["generate", "audit.example.com/a", "--out"], &path), "");
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let private = fs::read_to_string(&path).expect("a key");
    assert!(private.starts_with("PRIVATE+KEY+audit.example.com/a+"), "{private}");
    assert!(!made.out.contains("PRIVATE") && !made.err.contains("PRIVATE"), "{made:?}");
    let verifier = VerifierKey::parse(made.out.trim_end()).expect("a verifier key");
    assert_eq!((verifier.name(), verifier.kind()), ("audit.example.com/a/main", KeyKind::Log));
    let again = run(&mut keys(&["generate", "audit.example.com/b", "--out"], &path), "");
    assert_eq!((again.code, fs::read_to_string(&path).expect("a key")), (1, private), "{again:?}");
    let shown = run(&mut keys(&["show", "--log", "main", "--log", "cards"], &path), "");
    assert_eq!(shown.lines()[0], made.out.trim_end());
    assert_eq!(VerifierKey::parse(shown.lines()[1]).expect("a key").name(), "audit.example.com/a/cards");
    assert_eq!(run(&mut keys(&["show", "--log", "No Log"], &path), "").code, 2);
    let bad = run(&mut keys(&["generate", "a+b", "--out"], &folder.path().join("other")), "");
    assert_eq!(bad.code, 2, "{bad:?}");
    assert!(!folder.path().join("other").exists());
    let witness = folder.path().join("witness");
    let made = run(&mut keys(&["generate", "w.example.com", "--witness", "--out"], &witness), "");
    let verifier = VerifierKey::parse(made.out.trim_end()).expect("a verifier key");
    assert_eq!((verifier.name(), verifier.kind()), ("w.example.com", KeyKind::Witness));
    assert_eq!(run(&mut keys(&["show"], &witness), "").out, made.out);
    assert_eq!(run(&mut keys(&["show", "--log", "main"], &witness), "").code, 2);
}

#[test]
fn a_key_that_others_may_read_or_that_is_none_is_refused() {
    let store = TestStore::new(Kind::Sqlite);
    let path = key(&store);
    let flags = ["--signing-key-file", path.to_str().expect("a path")];
    for mode in [0o640, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let said = refused(&store, &flags, None);
        assert!(said.contains("signing_key_file") && said.contains("chmod 600"), "{said}");
        let shown = run(&mut keys(&["show"], &path), "");
        assert!(shown.code == 1 && shown.err.contains("chmod 600"), "{shown:?}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    let good = fs::read_to_string(&path).expect("a key");
    let secret = good.trim_end().splitn(5, '+').last().expect("a key").to_owned();
    for garbage in ["", "garbage", &good[..good.len() - 3], &good.replace("test", "tost")] {
        fs::write(&path, garbage).expect("a file");
        let said = refused(&store, &flags, None);
        assert!(said.contains("signing_key_file") && !said.contains(&secret[..20]), "{said}");
        if !garbage.is_empty() {
            let said = refused(&store, &[], Some(garbage));
            assert!(said.contains("CHANCERY_SIGNING_KEY") && !said.contains(&secret[..20]), "{said}");
        }
    }
    fs::remove_file(&path).expect("removed");
    assert!(refused(&store, &flags, None).contains("signing_key_file"));
    assert!(refused(&store, &flags, Some(&good)).contains("give one of them"));
    let said = refused(&store, &["--witness", "http://127.0.0.1:1=x"], None);
    assert!(said.contains("witness") && said.contains("signing key"), "{said}");
    for wrong in ["", "x", "ftp://a=b", "http://127.0.0.1:1=x", "http://127.0.0.1:1"] {
        assert!(refused(&store, &["--witness", wrong], Some(&good)).contains("setting witness"), "{wrong}");
    }
}

#[test]
fn the_key_can_come_from_the_environment() {
    let store = TestStore::new(Kind::Sqlite);
    let text = fs::read_to_string(key(&store)).expect("a key");
    let wrapper = ["env", &format!("CHANCERY_SIGNING_KEY={}", text.trim_end())];
    let wrapped: Vec<&str> = wrapper.to_vec();
    let server = Server::start_under(
        &store,
        &["sh", "-c", &format!("export '{}'; exec \"$@\"", wrapped[1]), "sh"],
        &[],
    );
    block_on(async {
        let (size, _) = grow(&server, "main", 2).await;
        checkpoint(&store, "main", size).await;
    });
}

#[test]
fn two_servers_on_one_state_and_two_keys_in_one_state_are_refused() {
    let store = TestStore::new(Kind::Postgres);
    let path = key(&store);
    let flags = ["--signing-key-file", path.to_str().expect("a path")];
    let server = signing(&store, &[]);
    let said = refused(&store, &flags, None);
    assert!(said.contains("signer_state") && said.contains("another process"), "{said}");
    block_on(async {
        let (size, _) = grow(&server, "main", 1).await;
        checkpoint(&store, "main", size).await;
    });
    drop(server);
    // The same name, but another key.
    fs::remove_file(&path).expect("removed");
    key(&store);
    let said = refused(&store, &flags, None);
    assert!(said.contains("is not signed by the key") && said.contains("folder of its own"), "{said}");
    assert_eq!(fs::metadata(state(&store)).expect("a folder").permissions().mode() & 0o777, 0o700);
}
