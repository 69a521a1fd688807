//! Credentials that show nothing: one answer to all of them, the reason in the self-audit, the cause in the server's
//! log alone.
use std::{collections::BTreeMap, net::IpAddr};

use chancery::{
    event::AUDIT_LOG,
    proto::v1::{Outcome, QueryRequest, audit_service_client::AuditServiceClient},
};
use jsonwebtoken::{Algorithm, Header};
use rcgen::DnType;
use serde_json::json;
use tonic::{Code, Status};

use super::{fresh_address, refusals};
use crate::harness::{
    KINDS, TestStore,
    access::{self, token},
    block_on,
    calls::{Refusal, query, try_query},
    certificates::{Authority, Issued, NOW, write},
    issuer::{Signer, claims, encoded, now, set, settings, with},
    server::{Server, Trust},
    until,
};

const ACCESS: &str = "
[reader.ann]
logs = [\"main\"]
families = [\"*\"]
[reader.mapped]
logs = [\"main\"]
families = [\"*\"]
[reader.\"spiffe://example.com/cms\"]
logs = [\"main\"]
families = [\"*\"]
[reader.kim]
logs = [\"audit\"]
families = [\"*\"]
personal = true
[[token]]
name = \"ann\"
sha256 = \"DIGEST\"
expires = 2020-01-01T00:00:00Z
[subject]
\"CN=as-forwarder,O=Example\" = \"mapped\"
";
const URI: &str = "spiffe://example.com/cms";

/// What a call brings, and why it shows nothing; `None`: it does.
struct Case {
    certificate: Option<Issued>,
    token: Option<String>,
    cause: Option<&'static str>,
}

fn by_certificate(certificate: Issued, cause: Option<&'static str>) -> Case {
    Case { certificate: Some(certificate), token: None, cause }
}

fn by_token(token: impl Into<String>, cause: &'static str) -> Case {
    Case { certificate: None, token: Some(token.into()), cause: Some(cause) }
}

fn cases(authority: &Authority, signer: &Signer) -> Vec<Case> {
    let of = |uris: &[&str]| authority.client(uris);
    let named = |name: &str| {
        authority.client_named(&[(DnType::OrganizationName, "Example"), (DnType::CommonName, name)], &[], NOW)
    };
    let said = |claim: &str, value| signer.sign(&with("ann", claim, value));
    let none = format!("{}.{}.", encoded(r#"{"alg":"none"}"#), encoded(claims("ann").to_string()));
    let mut other = Header::new(Algorithm::ES256);
    other.kid = Some("two".to_owned());
    let unmapped = "the certificate has no URI and no mapped subject";
    vec![
        Case { certificate: None, token: None, cause: Some("no credential") },
        by_certificate(of(&[URI]), None),
        by_certificate(named("as-forwarder"), None),
        by_certificate(of(&[]), Some(unmapped)),
        by_certificate(named("another"), Some(unmapped)),
        by_certificate(of(&[URI, "spiffe://example.com/as"]), Some("the certificate has more than one URI")),
        by_certificate(of(&["spiffe://example.com/a b"]), Some("the certificate's URI is no producer name")),
        by_certificate(of(&["group:soc"]), Some("the certificate's name is that of a group")),
        // A token that shows nothing is not made good by a certificate.
        Case {
            certificate: Some(of(&[URI])),
            token: Some("guessed".to_owned()),
            cause: Some("the token is not known"),
        },
        by_token(token("stranger"), "the token is not known"),
        by_token(token("expired"), "the token has expired"),
        by_token("x".repeat(9000), "the authorization is no bearer token"),
        by_token(said("padding", json!("x".repeat(9000))), "the authorization is no bearer token"),
        by_token(said("exp", json!(now() - 61)), "the token: it has expired"),
        by_token(said("aud", json!("another")), "the token: it is for another audience"),
        by_token(none, "the token: the algorithm \"none\" is not configured"),
        by_token(signer.sign_under(&other, &claims("ann")), "the token: the issuer has no key \"two\""),
        by_token(Signer::new("one").token("ann"), "the token: its signature is not of this key"),
    ]
}

async fn call(server: &Server, trust: Trust, from: IpAddr, token: Option<&str>) -> Result<(), Status> {
    let endpoint = trust.endpoint(&server.url()).local_address(Some(from));
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(format!("{error:?}")))?;
    let mut audit = AuditServiceClient::new(channel);
    let request = QueryRequest::default();
    match token {
        Some(token) => try_query(&mut audit, super::bearing(token, request)).await.map(drop),
        None => try_query(&mut audit, request).await.map(drop),
    }
}

#[test]
fn whatever_is_wrong_with_a_credential_the_answer_is_the_same_and_the_cause_is_in_the_log_alone() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let folder = store.folder.path();
        let (authority, signer) = (Authority::new(), Signer::new("one"));
        let (certificate, key) = authority.server(&["127.0.0.1"]).write(folder, "server");
        let (clients, keys) = (folder.join("clients.crt"), folder.join("keys.json"));
        write(&clients, &authority.pem());
        std::fs::write(&keys, set(&[&signer])).expect("a file");
        let expired = access::file("", &["expired"]);
        let digest = expired.split('"').rev().nth(1).expect("a digest");
        let configuration = format!(
            "tls_certificate = {certificate:?}\ntls_key = {key:?}\ntls_client_ca = {clients:?}\n{}",
            settings(keys.to_str().expect("a path"), "")
        );
        let lines = access::file(&ACCESS.replace("DIGEST", digest), &["kim"]);
        let trust = |identity| Trust { ca: authority.pem(), identity };
        let server = access::server(&store, &lines, &configuration).trusting(trust(None));
        let cases = cases(&authority, &signer);
        let mut expected = BTreeMap::new();
        block_on(async {
            let mut answers = Vec::new();
            for Case { certificate, token, cause } in &cases {
                let from = fresh_address();
                let heard = call(&server, trust(certificate.clone()), from, token.as_deref()).await;
                let Some(cause) = cause else {
                    heard.expect("it is read");
                    continue;
                };
                let status = heard.expect_err(cause);
                let refusal = Refusal::of(&status);
                assert_eq!(refusal.code, Code::Unauthenticated, "{cause}");
                let is_none = *cause == "no credential";
                let reason = if is_none { "NO_CREDENTIAL" } else { "CREDENTIAL_REFUSED" };
                assert_eq!(refusal.reason, reason, "{cause}");
                if !is_none {
                    answers.push((status.message().to_owned(), status.details().to_vec()));
                }
                expected.insert(from.to_string(), (*cause, "chancery.v1.AuditService/Query", reason));
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "all alike, to the byte: {answers:?}");
            assert_eq!(answers[0].0, "the credential is not accepted");
            // Of another authority there is not even a call.
            let from = fresh_address();
            let status = call(&server, trust(Some(Authority::new().client(&[URI]))), from, None).await;
            assert_ne!(status.expect_err("another authority").code(), Code::Unauthenticated);
            expected.insert(from.to_string(), ("", "handshake", "CREDENTIAL_REFUSED"));

            let mut audit = server.audit().await;
            let request = QueryRequest {
                log: AUDIT_LOG.to_owned(),
                r#where: "code = CALL_DENIED".to_owned(),
                ..QueryRequest::default()
            };
            let asked = || access::by("kim", request.clone());
            until("all refusals are recorded", || {
                let (mut audit, request, count) = (audit.clone(), asked(), expected.len());
                async move { query(&mut audit, request).await.events.len() >= count }
            })
            .await;
            let entries = query(&mut audit, asked()).await.events;
            assert_eq!(entries.len(), expected.len(), "{kind:?}: one for each: {entries:?}");
            for entry in &entries {
                let details: BTreeMap<_, _> =
                    entry.attributes.iter().map(|each| (each.name.as_str(), each.value.as_str())).collect();
                let (_, method, reason) = expected[details["address"]];
                assert_eq!((entry.outcome(), entry.actor.as_str()), (Outcome::Denied, ""));
                let said = [
                    ("address", details["address"]),
                    ("error_reason", reason),
                    ("method", method),
                    ("status_code", "UNAUTHENTICATED"),
                ];
                // Nothing else: neither the cause nor a name that was claimed.
                assert_eq!(details, BTreeMap::from(said), "{kind:?}");
            }
        });
        let told = expected.iter().filter(|(_, (cause, ..))| !cause.is_empty());
        let told: BTreeMap<_, _> =
            told.map(|(address, (cause, ..))| (address.clone(), (*cause).to_owned())).collect();
        let found = refusals(&server, told.len());
        assert_eq!(found.len(), told.len(), "{found:?}");
        let found = found.into_iter().map(|(from, cause)| {
            let ip =
                from.parse().map_or(from.clone(), |address: std::net::SocketAddr| address.ip().to_string());
            (ip, cause)
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), told, "{kind:?}");
        let log = server.log();
        for token in cases.iter().filter_map(|case| case.token.as_deref()) {
            for part in token.split('.').filter(|part| part.len() > 20) {
                assert!(!log.contains(part), "a token is in the log");
            }
        }
    }
}
