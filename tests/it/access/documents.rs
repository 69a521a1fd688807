//! The examples of docs/access.md are taken as they stand.
use std::fs;

use crate::{
    documents::{blocks, read},
    harness::{
        Kind, TestStore, access, block_on,
        cli::run,
        issuer::{Signer, set, with},
        server::chancery,
    },
};

const PAGE: &str = "docs/access.md";

/// The block of the page with these words.
fn example(words: &str) -> String {
    let found = blocks(PAGE).into_iter().find(|block| block.language == "toml" && block.text.contains(words));
    found.unwrap_or_else(|| panic!("{PAGE} has no block with {words}")).text
}

#[test]
fn the_access_file_of_the_page_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.toml");
    fs::write(&path, example("[producer.")).expect("a file");
    let ran = run(chancery().args(["access", "-o", "json"]).arg(&path), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    for role in ["producer", "reader", "auditor", "admin"] {
        assert!(
            ran.out.contains(&format!("\"role\": \"{role}\""))
                || ran.out.contains(&format!("\"role\":\"{role}\"")),
            "{role}: {ran:?}"
        );
    }
}

#[test]
fn the_configuration_of_the_page_believes_tokens_of_its_issuer() {
    let store = TestStore::new(Kind::Sqlite);
    let signer = Signer::new("one");
    let keys = store.folder.path().join("keys.json");
    fs::write(&keys, set(&[&signer])).expect("a file");
    let settings = example("[jwt]");
    let said = |key: &str| {
        let line = settings.lines().find_map(|line| line.strip_prefix(&format!("{key} = "))).expect("a line");
        line.split('"').nth(1).expect("a text").to_owned()
    };
    let (issuer, audience) = (said("issuer"), said("audience"));
    let settings =
        settings.replace(&format!("{:?}", said("jwks")), &format!("{:?}", keys.to_str().expect("a path")));
    let settings = settings.replace(&format!("access = {:?}\n", said("access")), "");
    let server = access::server(&store, &access::file(&example("[producer."), &[]), &settings);
    let mut claims = with("ann@example.org", "iss", issuer.into());
    claims["aud"] = audience.into();
    claims[said("name_claim").as_str()] = "ann@example.org".into();
    block_on(super::heard(&server, &signer.sign(&claims))).expect("ann reads");
}

#[test]
fn the_page_shows_the_commands_as_they_are() {
    let text = read(PAGE);
    for command in ["chancery token ", "chancery access ", "--token-file"] {
        assert!(text.contains(command), "{command}");
    }
}
