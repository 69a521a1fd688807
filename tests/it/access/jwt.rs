//! Signed tokens: what is believed, what is not, that no answer says why, and that the log does.
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{causes, heard, refused};
use crate::harness::{
    Kind, TestStore, access, block_on,
    cli::run,
    issuer::{Signer, claims, encoded, now, set, settings, with},
    server::{Server, chancery},
};

const ACCESS: &str = "[reader.ann]
logs = [\"main\"]
families = [\"*\"]
[reader.\"group:soc\"]
logs = [\"main\"]
families = [\"*\"]
";

fn server(store: &TestStore, signers: &[&Signer], more: &str) -> Server {
    let path = store.folder.path().join("keys.json");
    std::fs::write(&path, set(signers)).expect("a file");
    let configuration = settings(path.to_str().expect("a path"), more);
    access::server(store, &access::file(ACCESS, &["ann"]), &configuration)
}

#[test]
fn good_tokens_are_believed_whatever_key_of_the_issuer_has_signed_them() {
    let store = TestStore::new(Kind::Sqlite);
    let (one, two) = (Signer::new("one"), Signer::rsa("two", Algorithm::RS256));
    let server = server(&store, &[&one, &two], "groups_claim = \"groups\"");
    block_on(async {
        for signer in [&one, &two] {
            heard(&server, &signer.token("ann")).await.expect("ann reads");
            // The second time it is known.
            heard(&server, &signer.token("ann")).await.expect("ann reads");
        }
        for groups in [json!(["cooks", "soc"]), json!("cooks soc")] {
            let token = one.sign(&with("bob", "groups", groups));
            heard(&server, &token).await.expect("everybody of the group reads");
        }
        let token = one.sign(&with("bob", "groups", json!(["cooks"])));
        let status = heard(&server, &token).await.expect_err("no role");
        assert_eq!(crate::harness::calls::Refusal::of(&status).reason, "ROLE_REQUIRED");
        // Tokens of the access file go on.
        heard(&server, &access::token("ann")).await.expect("ann reads");
    });
    assert_eq!(causes(&server, 0), [""; 0], "{}", server.log());
}

#[test]
fn other_tokens_are_refused_without_a_word_and_the_log_has_the_cause() {
    let store = TestStore::new(Kind::Sqlite);
    let (signer, rsa) = (Signer::new("one"), Signer::rsa("two", Algorithm::RS256));
    let server = server(&store, &[&signer, &rsa], "groups_claim = \"groups\"");
    let good = signer.token("ann");
    let (_, behind_head) = good.split_once('.').expect("a token");
    let (signed, _) = good.rsplit_once('.').expect("a token");
    let mut hmac = Header::new(Algorithm::HS256);
    hmac.kid = Some("two".to_owned());
    let forged = jsonwebtoken::encode(&hmac, &claims("ann"), &EncodingKey::from_secret(&rsa.public()))
        .expect("a token");
    let none = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(claims("ann").to_string()));
    let mut extended = Header::new(Algorithm::ES256);
    (extended.kid, extended.crit) = (Some("one".to_owned()), Some(vec!["exp".to_owned()]));
    let without = |claim: &str| {
        let mut claims = claims("ann");
        claims.as_object_mut().expect("an object").remove(claim);
        signer.sign(&claims)
    };
    let said = |claim: &str, value: Value| signer.sign(&with("ann", claim, value));
    let unknown = Signer::new("line\nbreak \u{1b}[31m");
    let name = "the token: the claim \"sub\", which is to be the caller's name, ";
    let cases = [
        (said("exp", json!(now() - 61)), "the token: it has expired".to_owned()),
        (said("nbf", json!(now() + 600)), "the token: it is not valid yet".to_owned()),
        (said("aud", json!("another")), "the token: it is for another audience".to_owned()),
        (said("iss", json!("https://id.example.com")), "the token: it is of another issuer".to_owned()),
        (without("exp"), "the token: it has no exp that can be read".to_owned()),
        (without("iss"), "the token: it has no iss that can be read".to_owned()),
        (without("aud"), "the token: it has no aud that can be read".to_owned()),
        (without("sub"), format!("{name}is not there")),
        (said("sub", json!("chancery")), format!("{name}is the server's own")),
        (said("sub", json!("group:soc")), format!("{name}is that of a group")),
        (said("sub", json!("ann bob")), format!("{name}is no producer name")),
        (said("groups", json!([1])), "the token: the claim \"groups\", which is to be the caller's groups, holds something that is no text".to_owned()),
        (none, "the token: the algorithm \"none\" is not configured".to_owned()),
        (forged, "the token: the algorithm \"HS256\" is not configured".to_owned()),
        (signer.sign_under(&extended, &claims("ann")), "the token: its header has crit, and no extension is understood here".to_owned()),
        (unknown.token("ann"), "the token: the issuer has no key \"line\\nbreak \\u{1b}[31m\"".to_owned()),
        (Signer::new("one").token("ann"), "the token: its signature is not of this key".to_owned()),
        (format!("{signed}.{}", encoded([0; 64])), "the token: its signature is not of this key".to_owned()),
        (format!("{}.{behind_head}", encoded(r#"{"alg":"RS256","kid":"one"}"#)), "the token: the key \"one\" is not for its algorithm".to_owned()),
        ("..".to_owned(), "the token: its header is malformed".to_owned()),
        ("a.b.c".to_owned(), "the token: its header is not base64url".to_owned()),
        // Not of three parts, so a token of the access file, which it is not.
        (format!("{good}.more"), "the token is not known".to_owned()),
        ("garbage".to_owned(), "the token is not known".to_owned()),
        (said("padding", json!("x".repeat(9000))), "the authorization is no bearer token".to_owned()),
    ];
    block_on(async {
        heard(&server, &good).await.expect("the good one");
        for (token, _) in &cases {
            refused(&heard(&server, token).await.expect_err("refused"));
        }
    });
    assert_eq!(causes(&server, cases.len()), cases.each_ref().map(|(_, cause)| cause.as_str()));
    // Of no token is there a part in the log.
    let log = server.log();
    for token in cases.iter().map(|(token, _)| token).chain([&good]) {
        for part in token.split('.').filter(|part| part.len() > 20) {
            assert!(!log.contains(part), "{part}");
        }
    }
}

#[test]
fn clocks_may_differ_by_what_is_configured_and_no_more() {
    let signer = Signer::new("one");
    for (leeway, old, is_believed) in
        [("leeway_seconds = 0", 1, false), ("", 30, true), ("leeway_seconds = 300", 250, true)]
    {
        let store = TestStore::new(Kind::Sqlite);
        let server = server(&store, &[&signer], leeway);
        let token = signer.sign(&with("ann", "exp", json!(now() - old)));
        assert_eq!(block_on(heard(&server, &token)).is_ok(), is_believed, "{leeway}");
    }
}

#[test]
fn another_claim_can_be_the_name() {
    let store = TestStore::new(Kind::Sqlite);
    let signer = Signer::new("one");
    let server = server(&store, &[&signer], "name_claim = \"azp\"");
    block_on(async {
        heard(&server, &signer.sign(&with("7f2a", "azp", json!("ann")))).await.expect("ann reads");
        refused(&heard(&server, &signer.token("ann")).await.expect_err("no such claim"));
    });
}

#[test]
fn settings_that_would_let_anybody_in_are_refused() {
    let store = TestStore::new(Kind::Sqlite);
    let folder = store.folder.path();
    let signer = Signer::new("one");
    std::fs::write(folder.join("keys.json"), set(&[&signer])).expect("a file");
    std::fs::write(folder.join("useless.json"), "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}")
        .expect("a file");
    std::fs::write(folder.join("access.toml"), ACCESS).expect("a file");
    let good = "jwks = \"keys.json\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = [\"ES256\"]\n";
    let cases = [
        (good.replace("\"ES256\"", "\"HS256\""), "algorithms: \"HS256\" is none of RS256"),
        (good.replace("\"ES256\"", "\"none\""), "algorithms: \"none\" is none of RS256"),
        (good.replace("[\"ES256\"]", "[]"), "algorithms is empty"),
        (good.replace("\"a\"", "[]"), "audience is not one to 100 texts that are not empty"),
        (good.replace("\"a\"", "\"\""), "audience is not one to 100 texts that are not empty"),
        (good.replace("\"i\"", "\"\""), "issuer is empty"),
        (good.replace("issuer = \"i\"\n", ""), "missing field `issuer`"),
        (good.replace("audience = \"a\"\n", ""), "missing field `audience`"),
        (good.replace("algorithms = [\"ES256\"]\n", ""), "missing field `algorithms`"),
        (good.replace("keys.json", "http://id.example.org/keys"), "jwks is http"),
        (good.replace("keys.json", "nowhere.json"), "nowhere.json: No such file"),
        (good.replace("keys.json", "access.toml"), "access.toml: no set of keys"),
        (
            good.replace("keys.json", "useless.json"),
            "useless.json: none of its 1 keys is for a configured algorithm",
        ),
        (format!("{good}leeway_seconds = 301\n"), "leeway_seconds is not between 0 and 300"),
        (format!("{good}name_claim = \"\"\n"), "name_claim or groups_claim is empty"),
        (format!("{good}secret = \"x\"\n"), "unknown field `secret`"),
    ];
    let serve = |text: &str| {
        std::fs::write(folder.join("chancery.toml"), text).expect("a file");
        let flags = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", &store.url];
        let mut command = chancery();
        run(command.current_dir(folder).args(["serve", "--config", "chancery.toml"]).args(flags), "")
    };
    for (table, why) in cases {
        let ran = serve(&format!("access = \"access.toml\"\n[jwt]\n{table}"));
        assert!(ran.code == 2 && ran.err.contains(why), "{table}: {ran:?}");
    }
    let ran = serve(&format!("[jwt]\n{good}"));
    assert!(ran.code == 2 && ran.err.contains("setting jwt: needs an access file"), "{ran:?}");
}
