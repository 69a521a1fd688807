//! A site adds its own event types with `--catalog FILE` and without a rebuild; a wrong file is refused
//! with its name, the line and the reason, and the server does not start.
use std::fs;

use chancery::proto::v1::{
    AsAuditEvent, EventFamily, ListEventTypesRequest, Outcome, TokenServerEvent, new_event::Family,
};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    cli::{Ran, run},
    events::{event, token},
    log::{judged, stored, values, warned},
    root,
    server::{Server, chancery},
    types,
};

/// The block of docs/catalog.md under a heading.
fn documented(heading: &str) -> String {
    let text = fs::read_to_string(root().join("docs/catalog.md")).expect("docs/catalog.md");
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let (_, block) = section.split_once("```toml\n").expect("a block");
    block.split_once("```").expect("its end").0.to_owned()
}

/// Writes a site file and returns its path.
fn written(store: &TestStore, name: &str, text: &str) -> String {
    let path = store.folder.path().join(name);
    fs::write(&path, text).expect("a site file");
    path.display().to_string()
}

/// Runs a server that must not start.
fn refused(store: &TestStore, flags: &[&str]) -> Ran {
    let mut command = chancery();
    command.current_dir(store.folder.path()).args(["serve", "--store", &store.url]);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(flags);
    let ran = run(&mut command, "");
    assert_eq!(ran.code, 2, "{flags:?}: {ran:?}");
    assert!(!ran.err.contains("serving"), "{ran:?}");
    ran
}

#[test]
fn the_documented_site_file_works_without_a_rebuild() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let site = written(&store, "site.toml", &documented("A site file in full"));
        let server = Server::start_with(&store, &["--catalog", &site]);
        let custom = event(Family::AsAudit(AsAuditEvent {
            raw_parameters: r#"VDN="12" param=NOTMatched Action=vaultDoorOpened"#.to_owned(),
            ..AsAuditEvent::default()
        }));
        block_on(async {
            let mut audit = server.audit().await;
            let read = stored(&mut audit, vec![custom, token("Passkey registration success")]).await;
            let named = [&read[0], &read[1]].map(|event| {
                (event.code.as_str(), event.name.as_str(), event.category.as_str(), event.outcome())
            });
            assert_eq!(named[0], ("vaultDoorOpened", "Vault door opened", "Custom", Outcome::Unknown));
            let code = "PASSKEY_REGISTRATION_SUCCESS";
            assert_eq!(named[1], (code, code, "Passkey", Outcome::Success));
            assert_eq!(values(&read[0], "vault_door_number"), ["12"]);
            assert_eq!(warned(&read[0]), ["UNKNOWN_KEY"], "param is no code of the catalog's");
            let mut catalog = server.catalog().await;
            let shown =
                types::get(&mut catalog, EventFamily::TokenServer, "passkey registration success").await;
            assert_eq!(shown.expect("a type").summary, "A passkey was registered for a user.");
            assert_eq!(types::all(&mut catalog, &[], 1000).await.len(), 512);
        });
    }
}

#[test]
fn without_the_file_its_types_are_unknown_and_the_version_differs() {
    let store = TestStore::new(Kind::Sqlite);
    let site = written(&store, "site.toml", &documented("A site file in full"));
    let version = |server: &Server| {
        block_on(async {
            let answer = server.catalog().await.list_event_types(ListEventTypesRequest::default()).await;
            answer.expect("a page").into_inner().catalog_version
        })
    };
    let plain = Server::start(&store);
    let others = [TestStore::new(Kind::Sqlite), TestStore::new(Kind::Sqlite)];
    let with = Server::start_with(&others[0], &["--catalog", &site]);
    assert_ne!(version(&plain), version(&with));
    assert_eq!(version(&plain), version(&Server::start(&others[1])), "the same files make the same version");
    block_on(async {
        let result = judged(&mut plain.audit().await, token("PASSKEY_REGISTRATION_SUCCESS")).await;
        let error = result.error.expect("an error");
        assert!(error.message.contains("token_server.type"), "{}", error.message);
    });
}

#[test]
fn several_files_are_read_in_order_and_from_the_environment() {
    let store = TestStore::new(Kind::Sqlite);
    let attribute = "[cms_audit.attribute.vault]\nsummary = \"A vault.\"\n";
    let row = r#"
[[cms_audit.event]]
code = "90001"
name = "VaultOpened"
category = "Custom"
summary = "A vault was opened."
[[cms_audit.event.row]]
severity = 100
outcome = "success"
char1 = "vault"
"#;
    let first = written(&store, "first.toml", attribute);
    let second = written(&store, "second.toml", row);
    let flags = ["--catalog", &first, "--catalog", &second];
    let wrong_order = ["--catalog", &second, "--catalog", &first];
    assert!(refused(&store, &wrong_order).err.contains("second.toml, line 7: attribute \"vault\" has no"));
    let server = Server::start_with(&store, &flags);
    let shown = block_on(async {
        types::get(&mut server.catalog().await, EventFamily::CmsAudit, "90001").await.expect("a type")
    });
    assert_eq!(shown.shapes[0].fields[4].attributes[0].name, "vault");
    let mut command = chancery();
    command.current_dir(store.folder.path()).env("CHANCERY_CATALOG", format!("{first},{first}"));
    command.args([
        "serve",
        "--store",
        &store.url,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    let ran = run(&mut command, "");
    assert!(
        ran.code == 2 && ran.err.contains("attribute \"vault\" of cms_audit is defined twice"),
        "{ran:?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let store = TestStore::new(Kind::Sqlite);
    let missing = store.folder.path().join("nowhere.toml").display().to_string();
    let ran = refused(&store, &["--catalog", &missing]);
    assert!(ran.err.contains(&missing) && ran.err.contains("No such file"), "{ran:?}");
    fs::write(store.folder.path().join("bytes.toml"), b"\xff\xfe").expect("a file");
    let ran = refused(&store, &["--catalog", "bytes.toml"]);
    assert!(ran.err.contains("bytes.toml") && ran.err.contains("UTF-8"), "{ran:?}");
}

#[test]
fn a_site_can_take_unknown_codes_of_a_family() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start_with(&store, &["--accept-unknown", "token_server"]);
        let newer = event(Family::TokenServer(TokenServerEvent {
            r#type: "Passkey registered".to_owned(),
            user_id: Some("ann".to_owned()),
            details: [("scope", "profile"), ("access token", "hunter2"), ("colour", "red")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..TokenServerEvent::default()
        }));
        block_on(async {
            let mut audit = server.audit().await;
            let read = stored(&mut audit, vec![newer]).await;
            let event = &read[0];
            assert_eq!(
                (event.code.as_str(), event.category.as_str(), event.outcome()),
                ("PASSKEY_REGISTERED", "Unknown", Outcome::Unknown)
            );
            assert!(warned(event).contains(&"UNKNOWN_CODE_ACCEPTED"), "{:?}", event.warnings);
            assert_eq!(values(event, "user_id"), ["ann"]);
            assert_eq!(values(event, "scope"), ["profile"]);
            assert_eq!(values(event, "detail_colour"), ["red"]);
            assert!(!format!("{event:?}").contains("hunter2"), "secrets go for unknown codes too");
            let other = judged(&mut audit, event_of_no_action()).await;
            assert!(other.error.is_some(), "only the named family is taken");
        });
        assert!(!server.log().contains("hunter2"));
    }
}

fn event_of_no_action() -> chancery::proto::v1::NewEvent {
    event(Family::AsAudit(AsAuditEvent { action: "openVault".to_owned(), ..AsAuditEvent::default() }))
}

#[test]
fn an_unknown_family_to_accept_is_refused() {
    let store = TestStore::new(Kind::Sqlite);
    let ran = refused(&store, &["--accept-unknown", "token-server"]);
    let message =
        "setting accept_unknown: unknown family \"token-server\"; one of cms_audit, cms_notification";
    assert!(ran.err.contains(message), "{ran:?}");
}
