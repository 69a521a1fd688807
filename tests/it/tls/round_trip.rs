//! Over TLS everything is as without: a tonic client, every kind of command, and what is measured.
use super::Site;
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic, everything},
    certificates::Authority,
    cli::run,
    events,
    metrics::metrics,
    stream::Stream,
};

#[test]
fn events_go_in_and_out_by_a_client_and_by_the_command_line() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let site = Site::new(&store);
        let server = site.start();
        block_on(async {
            let mut audit = server.audit().await;
            assert_eq!(accept(&mut audit, atomic(vec![events::hold("one")])).await, [0]);
            let mut stream = Stream::open(&server).await;
            stream.answer().await.settings.expect("settings");
            stream.send(1, vec![events::hold("two")]).await;
            assert_eq!(stream.answer().await.acked_through, 1);
            assert_eq!(everything(&mut audit, "").await.len(), 2);
        });
        let ran = run(
            &mut server.cli(&["bench", "append", "--log", "bench", "--way", "stream", "--events", "300"]),
            "",
        );
        assert_eq!(ran.code, 0, "{kind:?}: {ran:?}");
        let ran = run(&mut server.cli(&["query", "--log", "bench", "--limit", "5"]), "");
        assert_eq!((ran.code, ran.lines().len()), (0, 5), "{kind:?}: {ran:?}");
        let ran = run(&mut server.cli(&["query"]), "");
        assert_eq!((ran.code, ran.lines().len()), (0, 2), "{kind:?}: {ran:?}");
    }
}

#[test]
fn connections_are_measured_with_tls_and_without() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let secure = site.start();
    let plain = crate::harness::server::Server::start(&TestStore::new(KINDS[0]));
    for (server, tls) in [(&secure, true), (&plain, false)] {
        let arguments = ["bench", "connect", "--for", "1s", "--in-flight", "4", "-o", "json"];
        let ran = run(&mut server.cli(&arguments), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        let report = ran.json();
        assert_eq!((&report["tls"], &report["failed"]), (&tls.into(), &0.into()), "{report}");
        let made = report["connections"].as_f64().expect("a number");
        assert!(made >= 4.0, "{report}");
        block_on(async {
            let samples = metrics(server).await;
            assert_eq!(samples["chancery_connections_accepted_total"], made);
            let handshakes = samples["chancery_tls_handshake_duration_seconds_count"];
            assert_eq!(handshakes, if tls { made } else { 0.0 });
        });
    }
}

#[test]
fn the_command_line_says_why_it_cannot_connect() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let server = site.start();
    let plain_store = TestStore::new(KINDS[0]);
    let plain = crate::harness::server::Server::start(&plain_store);
    let named_store = TestStore::new(KINDS[0]);
    let (of_another, its_key) =
        site.authority.server(&["audit.example.com"]).write(named_store.folder.path(), "server");
    let flags = ["--tls-certificate", super::path(&of_another), "--tls-key", super::path(&its_key)];
    let named = crate::harness::server::Server::start_with(&named_store, &flags);
    let by_name = format!("https://{}", named.address);
    let itself_store = TestStore::new(KINDS[0]);
    let (itself, its_key) =
        Authority::serving_itself(&["127.0.0.1"]).write(itself_store.folder.path(), "server");
    let itself = super::path(&itself);
    let flags = ["--tls-certificate", itself, "--tls-key", super::path(&its_key)];
    let serving_itself = crate::harness::server::Server::start_with(&itself_store, &flags);
    let by_itself = format!("https://{}", serving_itself.address);
    let other = store.folder.path().join("other.crt");
    std::fs::write(&other, Authority::new().pem()).expect("a file");
    let nothing = store.folder.path().join("nothing.crt");
    std::fs::write(&nothing, "hello").expect("a file");
    let (certificate, key) =
        site.authority.client(&["spiffe://example.com/cms"]).write(store.folder.path(), "client");
    let open = store.folder.path().join("open.key");
    std::fs::copy(&key, &open).expect("a copy");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("set");
    let https = format!("https://{}", server.address);
    let to_plain = format!("https://{}", plain.address);
    let to_tls = format!("http://{}", server.address);
    let (other, nothing, open) = (super::path(&other), super::path(&nothing), super::path(&open));
    let (certificate, key, ca) = (super::path(&certificate), super::path(&key), super::path(&site.client_ca));
    let cases: [(i32, &str, &[&str]); 12] = [
        (4, "not trusted here (--ca)", &["--server", &https, "--ca", other]),
        (4, "is for another name", &["--server", &by_name, "--ca", ca]),
        (4, "the answer is no TLS", &["--server", &to_plain, "--ca", ca]),
        (4, "a server with TLS is reached by https:// with --ca", &["--server", &to_tls]),
        (4, "own certificate is one of an authority (CA:TRUE)", &["--server", &by_itself, "--ca", itself]),
        (2, "--ca", &["--server", &https, "--ca", "/no/such/file"]),
        (2, "has no certificate in PEM", &["--server", &https, "--ca", nothing]),
        (2, "--certificate needs its --certificate-key", &["--server", &https, "--certificate", certificate]),
        (2, "--certificate-key needs its --certificate", &["--server", &https, "--certificate-key", key]),
        (2, "chmod 600", &["--server", &https, "--certificate", certificate, "--certificate-key", open]),
        (
            2,
            "no private key in PEM",
            &["--server", &https, "--certificate", certificate, "--certificate-key", nothing],
        ),
        (2, "go with https:// servers only", &["--server", &to_tls, "--ca", other]),
    ];
    std::fs::set_permissions(nothing, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    for (code, says, flags) in cases {
        let mut command = server.cli(&[&["query"], flags].concat());
        if flags[1] == to_tls {
            command.env_remove("CHANCERY_CA");
        }
        let ran = run(&mut command, "");
        assert_eq!(ran.code, code, "{flags:?}: {ran:?}");
        assert!(ran.err.contains(says), "{flags:?}: {ran:?}");
    }
}
