//! Who does not speak HTTP/2 is told so before anything else, and handshakes are full ones, in the newest two
//! versions of TLS only.
use std::sync::Arc;

use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, AlertDescription, ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore,
        SupportedProtocolVersion,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};

use super::Site;
use crate::harness::{KINDS, TestStore, block_on, metrics::metrics};

fn client(ca: &str, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

#[test]
fn only_http_2_is_spoken() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let server = site.start();
    let name = ServerName::try_from("localhost").expect("a name");
    block_on(async {
        let cases: [(&[&[u8]], bool); 4] =
            [(&[], false), (&[b"http/1.1"], false), (&[b"h2"], true), (&[b"http/1.1", b"h2"], true)];
        for (alpn, taken) in cases {
            let connector = TlsConnector::from(client(&site.authority.pem(), &[&TLS13, &TLS12], alpn));
            let stream = TcpStream::connect(&server.address).await.expect("connected");
            match connector.connect(name.clone(), stream).await {
                Ok(stream) => {
                    assert!(taken, "{alpn:?}");
                    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
                }
                Err(error) => {
                    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
                    let alert = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
                    assert_eq!(cause, Some(&alert), "{alpn:?}: {error:?}");
                    assert!(!taken, "{alpn:?}");
                }
            }
        }
        let failed = "chancery_connections_refused_total{reason=\"handshake_failed\"}";
        assert_eq!(metrics(&server).await[failed], 2.0);
    });
}

#[test]
fn every_handshake_is_a_full_one() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let server = site.start();
    let name = ServerName::try_from("localhost").expect("a name");
    block_on(async {
        for (version, spoken) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
            // The same configuration for both, so that the second could take up the session of the first.
            let connector = TlsConnector::from(client(&site.authority.pem(), &[version], &[b"h2"]));
            for _ in 0..2 {
                let stream = TcpStream::connect(&server.address).await.expect("connected");
                let mut stream = connector.connect(name.clone(), stream).await.expect("a handshake");
                // A ticket would come with the server's first words.
                tokio::io::AsyncWriteExt::write_all(
                    &mut stream,
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
                )
                .await
                .expect("written");
                let _ = stream.read_u8().await.expect("the server's settings");
                let session = stream.get_ref().1;
                assert_eq!(session.protocol_version(), Some(spoken));
                assert_eq!(session.handshake_kind().map(|kind| kind == HandshakeKind::Resumed), Some(false));
            }
        }
    });
}
