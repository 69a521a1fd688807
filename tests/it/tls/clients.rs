//! Client certificates: only those of the authority that the server trusts, and only while they are valid.
use std::error::Error as _;

use chancery::{
    event::AUDIT_LOG,
    proto::v1::{Event, QueryRequest, audit_service_client::AuditServiceClient},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::Site;
use crate::harness::{
    KINDS, TestStore, access, block_on,
    calls::{Refusal, atomic, query},
    certificates::{Authority, Issued, OVER, TO_COME},
    cli::run,
    events,
    metrics::metrics,
    server::{Server, Trust},
    until,
};

/// An append with a client certificate, or without one.
async fn call(server: &Server, ca: &str, identity: Option<Issued>) -> Result<(), Status> {
    let trust = Trust { ca: ca.to_owned(), identity };
    let channel = trust.endpoint(&server.url()).connect().await;
    let channel = channel.map_err(|error| Status::unavailable(format!("{error:?}")))?;
    AuditServiceClient::new(channel).append(atomic(vec![events::hold("x")])).await.map(drop)
}

#[test]
fn a_client_without_a_certificate_that_is_trusted_now_is_refused() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let site = Site::new(&store);
        let uris = ["spiffe://example.com/cms"];
        let good = site.authority.client(&uris);
        let server = site.start_mutual(good.clone());
        let other = Authority::new();
        let ca = site.authority.pem();
        block_on(async {
            call(&server, &ca, Some(good.clone())).await.expect("an append");
            let refused = [
                ("the server wants a certificate of the caller", None),
                // The name of the authority is the same; its key is not.
                ("the server does not trust the authority", Some(other.client(&uris))),
                ("has expired, says the server", Some(site.authority.client_lasting(&uris, OVER))),
                ("has expired, says the server", Some(site.authority.client_lasting(&uris, TO_COME))),
                // The certificate of a server does not say that its holder may be a client.
                ("UnsupportedCertificate", Some(site.authority.server(&["localhost"]))),
            ];
            let count = refused.len();
            for (says, identity) in refused {
                let status = call(&server, &ca, identity.clone()).await.expect_err(says);
                assert!(status.source().is_some() || status.code() == Code::Unavailable, "{status:?}");
                let mut command = server.cli(&["query", "--limit", "1"]);
                command.env_remove("CHANCERY_CERTIFICATE").env_remove("CHANCERY_CERTIFICATE_KEY");
                if let Some(identity) = identity {
                    let (certificate, key) = identity.write(store.folder.path(), "refused");
                    command.arg("--certificate").arg(certificate).arg("--certificate-key").arg(key);
                }
                let ran = run(&mut command, "");
                assert_eq!(ran.code, 4, "{ran:?}");
                assert!(
                    ran.err.contains("cannot reach https://") && ran.err.contains(says),
                    "{says}: {ran:?}"
                );
            }
            let failed = "chancery_connections_refused_total{reason=\"handshake_failed\"}";
            assert!(metrics(&server).await[failed] >= count as f64);
            call(&server, &ca, Some(good.clone())).await.expect("an append");
            // The self-audit tells of both kinds, and not of every one.
            let trust = Trust { ca: ca.clone(), identity: Some(good.clone()) };
            let audit =
                AuditServiceClient::new(trust.endpoint(&server.url()).connect().await.expect("a connection"));
            let request = QueryRequest {
                log: AUDIT_LOG.to_owned(),
                r#where: "code = CALL_DENIED AND attributes.method = handshake".to_owned(),
                ..QueryRequest::default()
            };
            for reason in ["NO_CREDENTIAL", "CREDENTIAL_REFUSED"] {
                let said = |event: &Event| event.attributes.iter().any(|each| each.value == reason);
                until(reason, || {
                    let (mut audit, request) = (audit.clone(), request.clone());
                    async move { query(&mut audit, request).await.events.iter().any(said) }
                })
                .await;
            }
        });
        let ran = run(&mut server.cli(&["query", "--limit", "1"]), "");
        assert_eq!(ran.code, 0, "{ran:?}");
    }
}

/// Where callers may show who they are by a token, the handshake does without a certificate, and the call does not.
#[test]
fn a_token_stands_in_for_a_certificate_where_the_access_file_has_any() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let uri = "spiffe://example.com/cms";
    let good = site.authority.client(&[uri]);
    let lines = format!(
        "[producer.{uri:?}]\nlogs = [\"main\"]\nfamilies = [\"*\"]\n[producer.forwarder]\nlogs = [\"main\"]\nfamilies = [\"*\"]\n"
    );
    let file = store.folder.path().join("access.toml");
    let write = |names: &[&str]| std::fs::write(&file, access::file(&lines, names)).expect("a file");
    write(&["forwarder"]);
    let flags = [&site.mutual()[..], &["--access", super::path(&file)]].concat();
    let server = Server::start_with(&store, &flags).trusting(site.trust());
    let ca = site.authority.pem();
    block_on(async {
        call(&server, &ca, Some(good.clone())).await.expect("by its certificate");
        let status = call(&server, &ca, None).await.expect_err("nobody");
        assert_eq!(Refusal::of(&status).reason, "NO_CREDENTIAL");
        let forwarder = async || {
            let channel = site.trust().endpoint(&server.url()).connect().await;
            let channel = channel.map_err(|error| Status::unavailable(format!("{error:?}")))?;
            let request = access::by("forwarder", atomic(vec![events::hold("x")]));
            AuditServiceClient::new(channel).append(request).await.map(drop)
        };
        forwarder().await.expect("by its token");
        // One that is not trusted is not passed over.
        call(&server, &ca, Some(Authority::new().client(&[uri]))).await.expect_err("another authority");
        // When the last token is gone, so is the way round.
        write(&[]);
        server.signal("HUP");
        super::logged(&server, "new connections are made with the certificates that were read now");
        let status = forwarder().await.expect_err("no certificate");
        assert!(status.get_error_details().error_info().is_none(), "the handshake says it: {status:?}");
        call(&server, &ca, Some(good)).await.expect("by its certificate");
    });
}
