//! A server does not start with certificates that cannot be used, or without any where others can connect.
use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use super::{Site, logged, path};
use crate::harness::{
    KINDS, TestStore,
    certificates::{Authority, OVER, TO_COME, write},
    cli::{Ran, run},
    server::{Server, chancery},
};

/// Tries to start a server that must not start.
fn refused(store: &TestStore, flags: &[&str]) -> Ran {
    let mut command: Command = chancery();
    command.current_dir(store.folder.path());
    command.args(["serve", "--admin-listen", "127.0.0.1:0", "--store", &store.url]).args(flags);
    if !flags.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    run(&mut command, "")
}

#[test]
fn every_file_that_cannot_be_used_is_named_with_its_setting_and_the_reason() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let names = ["localhost"];
    let folder = store.folder.path();
    let place = |name: &str, text: &str| {
        let file = folder.join(name);
        write(&file, text);
        path(&file).to_owned()
    };
    let good = site.authority.server(&names);
    let (certificate, key) = (path(&site.certificate).to_owned(), path(&site.key).to_owned());
    let text = place("text.pem", "these are no certificates");
    let broken = place("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    let no_certificate = place("a-key.pem", &good.key);
    let twice = place("two-keys.pem", &[good.key.as_str(), &good.key].concat());
    let encrypted = place(
        "encrypted.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let no_key = place("no-key.pem", &good.certificate);
    let other_key = place("other.key", &good.key);
    let (expired, its_key) = site.authority.server_lasting(&names, OVER).write(folder, "expired");
    let (early, early_key) = site.authority.server_lasting(&names, TO_COME).write(folder, "early");
    let open = place("open.key", &fs::read_to_string(&site.key).expect("a file"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o640)).expect("set");
    let no_ca = place("no-ca.pem", &good.certificate);
    let old_ca = place("old-ca.pem", &Authority::lasting(OVER).pem());
    let missing = "/no/such/file";

    let pair = |certificate: &str, key: &str| {
        ["--tls-certificate", certificate, "--tls-key", key].map(str::to_owned).to_vec()
    };
    let with_ca =
        |ca: &str| [pair(&certificate, &key), vec!["--tls-client-ca".to_owned(), ca.to_owned()]].concat();
    let only = |flag: &str, file: &str| vec![flag.to_owned(), file.to_owned()];
    let cases = [
        (pair(missing, &key), "tls_certificate", missing, "No such file"),
        (pair(&text, &key), "tls_certificate", &text, "is not PEM"),
        (pair(&broken, &key), "tls_certificate", &broken, "is not PEM"),
        (pair(&no_certificate, &key), "tls_certificate", &no_certificate, "has no certificate in it"),
        (pair(path(&expired), path(&its_key)), "tls_certificate", path(&expired), "expired on 2021-01-01"),
        (
            pair(path(&early), path(&early_key)),
            "tls_certificate",
            path(&early),
            "not valid before 2098-01-01",
        ),
        (pair(&certificate, missing), "tls_key", missing, "No such file"),
        (pair(&certificate, &text), "tls_key", &text, "is not PEM"),
        (pair(&certificate, &no_key), "tls_key", &no_key, "has no private key in it"),
        (pair(&certificate, &twice), "tls_key", &twice, "has several private keys in it"),
        (pair(&certificate, &encrypted), "tls_key", &encrypted, "the key is encrypted"),
        (pair(&certificate, &other_key), "tls_key", &other_key, "is not the key of the certificate in"),
        (pair(&certificate, &open), "tls_key", &open, "mode 640"),
        (only("--tls-key", &key), "tls_key", "a key without a certificate", "set tls_certificate"),
        (only("--tls-certificate", &certificate), "tls_certificate", "without its key", "set tls_key"),
        (
            only("--tls-client-ca", &no_ca),
            "tls_client_ca",
            "without a certificate of its own",
            "set tls_certificate",
        ),
        (with_ca(missing), "tls_client_ca", missing, "No such file"),
        (with_ca(&text), "tls_client_ca", &text, "is not PEM"),
        (with_ca(&no_ca), "tls_client_ca", &no_ca, "has no certificate of an authority"),
        (with_ca(&old_ca), "tls_client_ca", &old_ca, "expired on 2021-01-01"),
    ];
    for (flags, setting, file, reason) in cases {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let ran = refused(&store, &flags);
        assert_eq!(ran.code, 2, "{flags:?}: {ran:?}");
        let said = ran.err.lines().last().unwrap_or_default();
        assert!(said.starts_with(&format!("chancery: setting {setting}: ")), "{flags:?}: {ran:?}");
        assert!(said.contains(file) && said.contains(reason), "{flags:?}: {ran:?}");
        assert!(!ran.err.contains("PRIVATE KEY"), "{ran:?}");
    }
}

#[test]
fn without_tls_only_this_machine_can_connect_unless_that_is_wanted() {
    let store = TestStore::new(KINDS[0]);
    for listen in ["0.0.0.0:0", "[::]:0", "[::ffff:192.0.2.1]:0", "192.0.2.1:0"] {
        let ran = refused(&store, &["--listen", listen]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("setting listen: ") && ran.err.contains("insecure"), "{ran:?}");
    }
    let warning = "events can be read and changed on their way";
    let server = Server::start_with(&store, &["--listen", "0.0.0.0:0", "--insecure"]);
    logged(&server, warning);
    drop(server);
    let local = Server::start_with(&store, &["--listen", "127.0.0.7:0", "--insecure"]);
    assert!(!local.log().contains(warning), "nothing to be warned of");
    drop(local);
    let mut from_file = chancery();
    let ran = run(
        from_file
            .current_dir(store.folder.path())
            .args([
                "serve",
                "--listen",
                "192.0.2.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--store",
                &store.url,
            ])
            .env("CHANCERY_INSECURE", "true"),
        "",
    );
    // The environment undoes what the file says, as with every setting.
    let file = store.folder.path().join("insecure.toml");
    fs::write(&file, "insecure = true\nlisten = \"192.0.2.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n")
        .expect("a file");
    let from = |flag: &str, environment: &str| {
        let mut command = chancery();
        command.current_dir(store.folder.path()).args([
            "serve",
            "--store",
            &store.url,
            "--config",
            path(&file),
        ]);
        command.args((!flag.is_empty()).then_some(flag));
        if !environment.is_empty() {
            command.env("CHANCERY_INSECURE", environment);
        }
        run(&mut command, "").code
    };
    // It starts up to its address, which is nobody's here.
    for (flag, environment, code) in
        [("", "", 1), ("", "false", 2), ("--insecure=false", "true", 2), ("--insecure", "false", 1)]
    {
        assert_eq!(from(flag, environment), code, "{flag} {environment}");
    }
    // The address is nobody's here, which is found when it is bound.
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("cannot listen on 192.0.2.1:0"), "{ran:?}");
    let site = Site::new(&store);
    let others = [&["--listen", "0.0.0.0:0"], &site.flags()[..]].concat();
    // Nobody is asked who they are, over TLS as without it.
    let ran = refused(&store, &others);
    assert!(
        ran.code == 2 && ran.err.contains("setting listen: ") && ran.err.contains("set access"),
        "{ran:?}"
    );
    let server = Server::start_with(&store, &[&others[..], &["--insecure"]].concat());
    logged(&server, "everybody there can do everything");
    assert!(!server.log().contains(warning), "with TLS");
    drop(server);
    let access = store.folder.path().join("access.toml");
    fs::write(&access, "").expect("a file");
    let known = Server::start_with(&store, &[&others[..], &["--access", path(&access)]].concat());
    assert!(!known.log().contains("everybody there can do everything"), "nothing to be warned of");
    let ran = refused(&store, &["--listen", "0.0.0.0:0", "--access", path(&access)]);
    assert!(ran.code == 2 && ran.err.contains("set tls_certificate and tls_key"), "{ran:?}");
}

#[test]
fn limits_of_connections_are_checked() {
    let store = TestStore::new(KINDS[0]);
    for flag in ["--max-connections", "--max-connections-per-address"] {
        for value in ["0", "1000001"] {
            let ran = refused(&store, &[flag, value]);
            assert_eq!(ran.code, 2, "{ran:?}");
            let setting = flag.trim_start_matches("--").replace('-', "_");
            assert!(ran.err.contains(&format!("setting {setting}: is not between 1 and 1000000")), "{ran:?}");
        }
    }
    let server = Server::start_under(&store, &["prlimit", "--nofile=512:512"], &[]);
    logged(&server, "fewer files than it may have connections");
}
