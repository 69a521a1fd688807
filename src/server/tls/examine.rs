//! Looks the certificates over, for `chancery doctor`: what a start checks, and what clients will stumble over.
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    Fault, Settings,
    load::{Contents, Expiry, certificates},
};

/// What was found of certificates that can be used.
#[derive(Debug)]
pub struct Examined {
    pub expiry: Expiry,
    /// What is wrong with the chain. A client has the authority's own certificate, and those in between from the server.
    pub chain: Option<&'static str>,
}

/// Reads the files as a start does, at a time in seconds since 1970.
///
/// # Errors
/// What a start would end with.
pub fn examine(settings: &Settings, required: bool, now: i64) -> Result<Examined, Fault> {
    let contents = Contents::read(settings)?;
    let expiry = contents.load(settings, required, now)?.expiry;
    let chain = certificates(contents.certificate()).unwrap_or_default();
    let read: Vec<_> = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok()).collect();
    let chain = read.windows(2).any(|pair| pair[0].1.issuer() != pair[1].1.subject());
    let own = read.first().is_some_and(|(_, leaf)| leaf.is_ca());
    Ok(Examined {
        expiry,
        chain: match (chain, own) {
            (true, _) => {
                Some("a certificate is not followed by that of its issuer: clients cannot build the chain")
            }
            (_, true) => {
                Some("the server's own certificate is one of an authority, which many clients refuse")
            }
            (false, false) => None,
        },
    })
}
