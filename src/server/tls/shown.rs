//! Whether who listens has this server's certificate and its key, for `chancery doctor`: it is the server then, or
//! another one of the same settings.
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{
            CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
            verify_tls13_signature,
        },
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::{
    Settings,
    load::{Contents, certificates},
};

/// Begins a handshake, and breaks it off once the other side has shown who it is: there is no connection, and no
/// client's certificate is asked for.
pub async fn is_shown(settings: &Settings, stream: TcpStream) -> bool {
    let Ok(contents) = Contents::read(settings) else { return false };
    let Some(wanted) = certificates(contents.certificate()).ok().and_then(|chain| chain.into_iter().next())
    else {
        return false;
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let seen = Arc::new(Seen { wanted, algorithms, proved: AtomicBool::new(false) });
    let Some(config) = config(provider, Arc::clone(&seen)) else { return false };
    // Nobody looks at the name.
    let name = ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into());
    let _ = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    seen.proved.load(Ordering::Relaxed)
}

fn config(provider: Arc<CryptoProvider>, seen: Arc<Seen>) -> Option<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(seen).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Some(config)
}

/// Refuses everybody, and remembers whether it was shown the certificate that it wanted and a signature of its key.
#[derive(Debug)]
struct Seen {
    wanted: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
    proved: AtomicBool,
}

impl Seen {
    fn end(&self, signed: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
        self.proved.store(signed.is_ok(), Ordering::Relaxed);
        Err(Error::General("enough was seen".to_owned()))
    }
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *own == self.wanted {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::General("another certificate".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.end(verify_tls12_signature(message, certificate, signature, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.end(verify_tls13_signature(message, certificate, signature, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
