//! Certificate authorities, and certificates of servers and clients, as PEM files in a folder.
use std::{
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

/// An authority that issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Issued {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
}

/// From when to when, as year, month and day.
pub type Span = ((i32, u8, u8), (i32, u8, u8));

/// A span that is now, whenever now is.
pub const NOW: Span = ((2020, 1, 1), (2099, 1, 1));
/// A span that is over.
pub const OVER: Span = ((2020, 1, 1), (2021, 1, 1));
/// A span that is still to come.
pub const TO_COME: Span = ((2098, 1, 1), (2099, 1, 1));

impl Authority {
    /// An authority with a key of its own.
    pub fn new() -> Self {
        Self::lasting(NOW)
    }

    /// An authority that is valid for so long.
    pub fn lasting(span: Span) -> Self {
        let mut params = params("Test Authority", span);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its own certificate with its key, for a server of these names that has no other.
    pub fn serving_itself(names: &[&str]) -> Issued {
        let mut params = params("Test Authority", NOW);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.subject_alt_names = alternatives(names);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A certificate for a server with these names and addresses.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.server_lasting(names, NOW)
    }

    /// One that is valid for so long.
    pub fn server_lasting(&self, names: &[&str], span: Span) -> Issued {
        let mut params = params("server", span);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = alternatives(names);
        self.issue(params)
    }

    /// A certificate for a client with these URIs among its alternative names.
    pub fn client(&self, uris: &[&str]) -> Issued {
        self.client_lasting(uris, NOW)
    }

    /// One that is valid for so long.
    pub fn client_lasting(&self, uris: &[&str], span: Span) -> Issued {
        self.client_named(&[(DnType::CommonName, "client")], uris, span)
    }

    /// One with a subject of these parts, from the least specific on.
    pub fn client_named(&self, subject: &[(DnType, &str)], uris: &[&str], span: Span) -> Issued {
        let mut params = params("client", span);
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names =
            uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("ASCII"))).collect();
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    /// Writes `NAME.crt` and, for its owner only, `NAME.key`; both paths. What is there is replaced.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        write(&certificate, &self.certificate);
        write(&key, &self.key);
        (certificate, key)
    }
}

/// Writes a file for its owner only, in place of the one that is there.
pub fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    fs::rename(&new, path).expect("renamed");
}

fn alternatives(names: &[&str]) -> Vec<SanType> {
    let alternative = |name: &&str| match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName((*name).try_into().expect("ASCII")),
    };
    names.iter().map(alternative).collect()
}

fn params(name: &str, (from, to): Span) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(to.0, to.1, to.2);
    params
}
