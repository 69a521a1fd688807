//! Unit tests of the checking of signed tokens, with a clock and keys of their own.
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::clock::Salt;

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

struct Set(AtomicI64);

impl Clock for Set {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed) * 1_000_000
    }

    fn new_id(&self) -> Uuid {
        Uuid::nil()
    }

    fn new_salt(&self) -> Salt {
        Salt::default()
    }
}

/// A key of an issuer.
struct Signer {
    key: KeyPair,
    algorithm: Algorithm,
    kid: &'static str,
}

impl Signer {
    fn new(algorithm: Algorithm, kid: &'static str) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &PKCS_ECDSA_P384_SHA384,
            _ => &PKCS_ED25519,
        };
        Self { key: KeyPair::generate_for(kind).expect("a key"), algorithm, kid }
    }

    /// The public half.
    fn jwk(&self) -> Value {
        let raw = self.key.public_key_raw();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        if self.algorithm == Algorithm::EdDSA {
            return json!({"kty": "OKP", "crv": "Ed25519", "x": text(raw), "kid": self.kid});
        }
        let (x, y) = raw[1..].split_at(raw.len() / 2);
        let curve = if self.algorithm == Algorithm::ES256 { "P-256" } else { "P-384" };
        json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y), "kid": self.kid, "use": "sig"})
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(Some(self.kid), claims)
    }

    fn sign_as(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        let der = self.key.serialize_der();
        let key = match self.algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        jsonwebtoken::encode(&header, claims, &key).expect("a token")
    }
}

fn claims() -> Value {
    json!({"iss": "https://issuer", "aud": "chancery", "sub": "ann", "exp": NOW + 600})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn write(path: &Path, keys: &[Value]) {
    fs::write(path, json!({ "keys": keys }).to_string()).expect("a file");
}

/// A checker of tokens that reads its keys from a file, and its clock.
async fn jwt(path: &Path, algorithms: &[Algorithm]) -> (Arc<Jwt>, Arc<Set>) {
    let clock = Arc::new(Set(AtomicI64::new(NOW)));
    let settings = Settings {
        source: Source::File(path.to_owned()),
        issuer: "https://issuer".to_owned(),
        audience: vec!["chancery".to_owned(), "audit".to_owned()],
        algorithms: algorithms.to_vec(),
        leeway: Duration::from_secs(60),
        name_claim: "sub".to_owned(),
        groups_claim: Some("groups".to_owned()),
    };
    let shared: Arc<dyn Clock> = clock.clone();
    let jwt = Arc::new(Jwt::new(settings, shared).expect("a checker"));
    jwt.fetch().await.expect("keys");
    tokio::spawn(Arc::clone(&jwt).run());
    (jwt, clock)
}

async fn refused(jwt: &Jwt, token: &str) -> String {
    jwt.identify(token).await.expect_err("refused").to_string()
}

#[tokio::test]
async fn tokens_of_every_kind_of_key_are_believed_when_their_algorithm_is_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let kinds = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
    let signers: Vec<_> =
        kinds.iter().zip(["a", "b", "c"]).map(|(kind, kid)| Signer::new(*kind, kid)).collect();
    write(&path, &signers.iter().map(Signer::jwk).collect::<Vec<_>>());
    let (all, _) = jwt(&path, &kinds).await;
    for signer in &signers {
        let found = all.identify(&signer.sign(&claims())).await.expect("believed");
        assert_eq!(found.name.as_str(), "ann");
        assert_eq!(found.expires_at, Some((NOW + 660) * 1_000_000), "with the leeway");
        let (only, _) = jwt(&path, &[signer.algorithm]).await;
        for other in &signers {
            let is_believed = only.identify(&other.sign(&claims())).await.is_ok();
            assert_eq!(is_believed, other.algorithm == signer.algorithm, "{:?}", other.algorithm);
        }
    }
}

#[tokio::test]
async fn what_a_token_says_is_checked_claim_by_claim() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let signer = Signer::new(Algorithm::ES256, "a");
    write(&path, &[signer.jwk()]);
    let (jwt, _) = jwt(&path, &[Algorithm::ES256]).await;
    let good = [
        with("exp", json!(NOW - 59)),
        with("exp", json!(f64::from(1_767_225_600) - 59.5)),
        with("nbf", json!(NOW + 60)),
        with("aud", json!(["other", "audit"])),
        with("groups", json!(["soc", "on call"])),
        with("groups", json!("soc admins")),
        with("groups", Value::Null),
        with("extra", json!({"nested": [1, 2]})),
    ];
    for claims in good {
        jwt.identify(&signer.sign(&claims)).await.unwrap_or_else(|error| panic!("{claims}: {error}"));
    }
    let missing = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        claims
    };
    let bad = [
        (with("exp", json!(NOW - 60)), "it has expired"),
        (with("exp", json!(-1)), "it has no exp that can be read"),
        (with("exp", json!("tomorrow")), "it has no exp that can be read"),
        (with("exp", json!(1e300)), "it has no exp that can be read"),
        (with("exp", json!(1e15)), "exp is no time"),
        (missing("exp"), "it has no exp that can be read"),
        (with("nbf", json!(NOW + 61)), "it is not valid yet"),
        (with("nbf", json!("now")), "nbf is no time"),
        (with("iss", json!("https://issuer/")), "it is of another issuer"),
        (with("iss", json!(["https://issuer"])), "it has several issuers"),
        (missing("iss"), "it has no iss that can be read"),
        (with("aud", json!("Chancery")), "it is for another audience"),
        (with("aud", json!([])), "it is for another audience"),
        (with("aud", json!({"chancery": true})), "it has no aud that can be read"),
        (missing("aud"), "it has no aud that can be read"),
        (missing("sub"), "the claim \"sub\", which is to be the caller's name, is not there"),
        (with("sub", json!(7)), "the claim \"sub\", which is to be the caller's name, is no text"),
        (with("sub", json!("")), "the claim \"sub\", which is to be the caller's name, is no producer name"),
        (
            with("sub", json!("a b")),
            "the claim \"sub\", which is to be the caller's name, is no producer name",
        ),
        (
            with("sub", json!("chancery")),
            "the claim \"sub\", which is to be the caller's name, is the server's own",
        ),
        (
            with("sub", json!("group:soc")),
            "the claim \"sub\", which is to be the caller's name, is that of a group",
        ),
        (
            with("groups", json!(["a", 1])),
            "the claim \"groups\", which is to be the caller's groups, holds something that is no text",
        ),
        (
            with("groups", json!({"a": 1})),
            "the claim \"groups\", which is to be the caller's groups, is neither a list nor a text",
        ),
        (
            with("groups", json!(vec!["a"; 257])),
            "the claim \"groups\", which is to be the caller's groups, has more than 256 entries",
        ),
        (json!(["no", "object"]), "it is malformed"),
    ];
    for (claims, why) in bad {
        assert_eq!(refused(&jwt, &signer.sign(&claims)).await, why, "{claims}");
    }
}

#[tokio::test]
async fn what_a_header_says_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let signer = Signer::new(Algorithm::ES256, "a");
    write(&path, &[signer.jwk()]);
    let (jwt, _) = jwt(&path, &[Algorithm::ES256]).await;
    let token = signer.sign(&claims());
    let (_, rest) = token.split_once('.').expect("a token");
    let under = |head: &Value| format!("{}.{rest}", URL_SAFE_NO_PAD.encode(head.to_string()));
    let long = "k".repeat(100);
    let cases = [
        (json!({"alg": "none"}), "the algorithm \"none\" is not configured".to_owned()),
        (json!({"alg": "HS256", "kid": "a"}), "the algorithm \"HS256\" is not configured".to_owned()),
        (json!({"alg": "es256", "kid": "a"}), "the algorithm \"es256\" is not configured".to_owned()),
        (json!({"alg": "ES384", "kid": "a"}), "the algorithm \"ES384\" is not configured".to_owned()),
        (json!({"kid": "a"}), "its header is malformed".to_owned()),
        (json!({"alg": ["ES256"], "kid": "a"}), "its header is malformed".to_owned()),
        (json!([]), "its header is malformed".to_owned()),
        (
            json!({"alg": "ES256", "kid": "a", "crit": ["exp"]}),
            "its header has crit, and no extension is understood here".to_owned(),
        ),
        (
            json!({"alg": "ES256", "kid": "a", "crit": []}),
            "its header has crit, and no extension is understood here".to_owned(),
        ),
        (
            json!({"alg": "ES256", "kid": "a", "typ": "logout+jwt"}),
            "it is of the type \"logout+jwt\"".to_owned(),
        ),
        (
            json!({"alg": "ES256", "kid": "a\nb\u{202e}"}),
            "the issuer has no key \"a\\nb\\u{202e}\"".to_owned(),
        ),
        (json!({"alg": "ES256", "kid": long}), format!("the issuer has no key \"{}\"...", "k".repeat(64))),
        // The right key, and a header that was not signed.
        (json!({"alg": "ES256", "kid": "a", "x": 1}), "its signature is not of this key".to_owned()),
    ];
    for (head, why) in cases {
        assert_eq!(refused(&jwt, &under(&head)).await, why, "{head}");
    }
    for garbage in ["..", "a.b.c", ".e30.", "e30.e30.e30", "!.!.!"] {
        refused(&jwt, garbage).await;
    }
    // Signed by somebody else under a key's name.
    let other = Signer::new(Algorithm::ES256, "a");
    assert_eq!(refused(&jwt, &other.sign(&claims())).await, "its signature is not of this key");
    let cut = &token[..token.len() - 2];
    assert_eq!(refused(&jwt, cut).await, "its signature is not of this key");
}

#[tokio::test]
async fn a_token_without_a_kid_is_checked_by_the_only_key_of_its_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let (one, two) = (Signer::new(Algorithm::ES256, "a"), Signer::new(Algorithm::ES256, "b"));
    let other = Signer::new(Algorithm::EdDSA, "c");
    let nameless = |signer: &Signer| {
        let mut key = signer.jwk();
        key.as_object_mut().expect("an object").remove("kid");
        key
    };
    let kinds = [Algorithm::ES256, Algorithm::EdDSA];
    for key in [one.jwk(), nameless(&one)] {
        write(&path, &[key, other.jwk()]);
        let (jwt, _) = jwt(&path, &kinds).await;
        jwt.identify(&one.sign_as(None, &claims())).await.expect("the only one");
        assert_eq!(refused(&jwt, &two.sign_as(None, &claims())).await, "its signature is not of this key");
    }
    // One that names a key is not checked by one that has no name.
    write(&path, &[nameless(&one), other.jwk()]);
    let (checks, _) = jwt(&path, &kinds).await;
    assert_eq!(refused(&checks, &one.sign(&claims())).await, "the issuer has no key \"a\"");
    write(&path, &[nameless(&one), two.jwk(), other.jwk()]);
    let (checks, _) = jwt(&path, &kinds).await;
    let why = "it names no key, and the issuer has several of this kind";
    assert_eq!(refused(&checks, &two.sign_as(None, &claims())).await, why);
    // A key and what it is for.
    let mut key = one.jwk();
    key["alg"] = json!("ES256");
    write(&path, &[key, other.jwk()]);
    let (checks, _) = jwt(&path, &kinds).await;
    checks.identify(&one.sign(&claims())).await.expect("believed");
    let why = "the key \"a\" is not for its algorithm";
    assert_eq!(refused(&checks, &other.sign_as(Some("a"), &claims())).await, why);
}

#[test]
fn keys_that_check_nothing_are_left_out_and_sets_without_others_refused() {
    let signer = Signer::new(Algorithm::ES256, "a");
    let key = |name: &str, value: Value| {
        let mut key = signer.jwk();
        key[name] = value;
        key
    };
    let useless = [
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"}),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "", "y": ""}),
        json!({"kty": "new"}),
        json!("text"),
        key("use", json!("enc")),
        key("key_ops", json!(["sign"])),
        key("alg", json!("ES384")),
        key("alg", json!("ECDH-ES")),
        Signer::new(Algorithm::EdDSA, "e").jwk(),
    ];
    let configured = [Algorithm::ES256, Algorithm::RS256];
    let parse = |keys: &[Value]| Keys::parse(json!({ "keys": keys }).to_string().as_bytes(), &configured);
    for each in &useless {
        assert!(parse(std::slice::from_ref(each)).is_err(), "{each}");
    }
    let all = [&useless[..], &[signer.jwk()]].concat();
    let keys = parse(&all).expect("one that can be used");
    assert_eq!((keys.len(), keys.left_out), (1, useless.len()));
    assert!(parse(&[]).is_err());
    assert!(parse(&[signer.jwk(), Signer::new(Algorithm::ES256, "a").jwk()]).is_err(), "twins");
    assert!(parse(&vec![signer.jwk(); 257]).is_err());
    for body in ["", "[]", "{}", "{\"keys\": 1}"] {
        assert!(Keys::parse(body.as_bytes(), &configured).is_err(), "{body}");
    }
}

#[test]
fn only_algorithms_with_a_public_key_can_be_configured() {
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        assert!(algorithm(name).is_some(), "{name}");
    }
    for name in ["none", "None", "HS256", "HS384", "HS512", "rs256", "ES512", ""] {
        assert!(algorithm(name).is_none(), "{name}");
    }
}

#[test]
fn keys_come_from_files_https_and_this_machine_only() {
    for good in [
        "keys.json",
        "/etc/keys.json",
        "https://id.example.org/keys",
        "http://127.0.0.1:80/",
        "http://[::1]/",
        "http://localhost/k",
    ] {
        assert!(Source::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "http://id.example.org/keys",
        "http://10.0.0.1/",
        "ftp://127.0.0.1/",
        "https://",
        "https://a:b@example.org/",
        "http://127.0.0.1.example.org/",
    ] {
        assert!(Source::parse(bad).is_err(), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_but_not_for_every_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let signers = ["a", "b", "c"].map(|kid| Signer::new(Algorithm::ES256, kid));
    write(&path, &[signers[0].jwk()]);
    let (jwt, _) = jwt(&path, &[Algorithm::ES256]).await;
    // The keys were fetched just now.
    write(&path, &[signers[1].jwk()]);
    assert_eq!(refused(&jwt, &signers[1].sign(&claims())).await, "the issuer has no key \"b\"");
    jwt.identify(&signers[0].sign(&claims())).await.expect("still there");
    sleep(AGAIN).await;
    let new = signers[1].sign(&claims());
    let (one, other) = tokio::join!(jwt.identify(&new), jwt.identify(&new));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(refused(&jwt, &signers[0].sign(&claims())).await, "the issuer has no key \"a\"");
    // A source that has nothing to give takes nothing away.
    fs::remove_file(&path).expect("removed");
    sleep(AGAIN).await;
    assert_eq!(refused(&jwt, &signers[2].sign(&claims())).await, "the issuer has no key \"c\"");
    jwt.identify(&new).await.expect("the last good keys");
    // Nobody asks, and yet they are fetched.
    write(&path, &[signers[2].jwk()]);
    sleep(REFRESH + AGAIN).await;
    assert_eq!(refused(&jwt, &new).await, "the issuer has no key \"b\"");
}

#[tokio::test]
async fn a_checked_token_is_remembered_until_it_ends_or_its_key_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    let signer = Signer::new(Algorithm::ES256, "a");
    write(&path, &[signer.jwk()]);
    let (jwt, clock) = jwt(&path, &[Algorithm::ES256]).await;
    let token = signer.sign(&claims());
    let digest: [u8; 32] = Sha256::digest(&token).into();
    let known = || jwt.remembered.find(&digest, clock.now_micros()).is_some();
    assert!(!known());
    jwt.identify(&token).await.expect("believed");
    assert!(known());
    // The same keys again.
    jwt.fetch().await.expect("keys");
    assert!(known());
    clock.0.store(NOW + 660, Ordering::Relaxed);
    assert_eq!(refused(&jwt, &token).await, "it has expired");
    clock.0.store(NOW, Ordering::Relaxed);
    assert!(known());
    write(&path, &[Signer::new(Algorithm::ES256, "a").jwk()]);
    jwt.fetch().await.expect("keys");
    assert!(!known());
    assert_eq!(refused(&jwt, &token).await, "its signature is not of this key");
    // What was found out before all was forgotten is not kept.
    let found = Identity { expires_at: Some(i64::MAX), ..all_of(&token) };
    let age = jwt.remembered.age();
    jwt.forget();
    jwt.remembered.keep(age, digest, &found);
    assert!(!known());
    // However many there are.
    for number in 0..10_001_u32 {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        jwt.remembered.keep(jwt.remembered.age(), digest, &found);
    }
    assert_eq!(jwt.remembered.len(), 1);
}

fn all_of(token: &str) -> Identity {
    Identity {
        name: crate::event::Producer::parse("ann").expect(token),
        credential: crate::auth::Credential::Jwt,
        groups: Vec::new(),
        expires_at: None,
    }
}
