//! Makes out who is calling.
use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::{
    Access, Certificate, Credential, GROUP, Grants, Identity, Table,
    jwt::{Invalid, Jwt},
};
use crate::{clock::Clock, event::Producer};

/// Bytes of a bearer token at most: signed ones with many groups have some thousands.
const MAX_TOKEN: usize = 8 * 1024;
const SECOND: i64 = 1_000_000;

/// Why a caller is not let in. What exactly is wrong is for the log, not for the caller.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("no credential")]
    NoCredential,
    /// There is one that shows nothing.
    #[error("{0}")]
    Credential(&'static str),
    /// There is a signed token that shows nothing.
    #[error("the token: {0}")]
    Jwt(#[from] Invalid),
    /// The name that the caller gives itself is none.
    #[error("{0}")]
    Name(&'static str),
    /// It is the server's own.
    #[error("the name {:?} is reserved", .0.as_str())]
    Reserved(Producer),
    /// The caller gives itself another name than its credential.
    #[error("the call names another producer than its credential")]
    OtherName,
}

/// What a call brings to show who makes it.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    pub headers: &'a HeaderMap,
    /// The verified certificate of the connection.
    pub certificate: Option<&'a Certificate>,
}

/// Makes out who is calling, and what they may do.
pub struct Authenticator {
    access: watch::Sender<Arc<Access>>,
    /// None: no signed token is believed.
    jwt: Option<Arc<Jwt>>,
    clock: Arc<dyn Clock>,
}

impl Authenticator {
    /// One that lets in whom `access` knows, by what `jwt` believes among other things.
    pub fn new(access: Access, jwt: Option<Arc<Jwt>>, clock: Arc<dyn Clock>) -> Self {
        Self { access: watch::Sender::new(Arc::new(access)), jwt, clock }
    }

    /// What checks signed tokens.
    pub fn jwt(&self) -> Option<&Arc<Jwt>> {
        self.jwt.as_ref()
    }

    /// What everybody may do now.
    pub fn current(&self) -> Arc<Access> {
        Arc::clone(&self.access.borrow())
    }

    /// The same, and a notice when that changes.
    pub fn access(&self) -> watch::Receiver<Arc<Access>> {
        self.access.subscribe()
    }

    /// Replaces what everybody may do.
    pub fn replace(&self, access: Access) {
        self.access.send_replace(Arc::new(access));
    }

    /// How much longer a credential lasts; `None` for ever.
    pub fn left(&self, identity: &Identity) -> Option<Duration> {
        let left = identity.expires_at?.saturating_sub(self.clock.now_micros());
        Some(Duration::from_micros(u64::try_from(left).unwrap_or(0)))
    }

    /// Who makes a call, and what they may do. Waits only when a signed token names a key of its issuer that is not
    /// known.
    ///
    /// # Errors
    /// Why the caller is nobody.
    pub async fn authenticate(&self, credentials: Credentials<'_>) -> Result<(Identity, Grants), Refused> {
        let access = self.current();
        let identity = self.identify(&access, credentials).await?;
        if identity.name.as_str() == Producer::OWN {
            return Err(Refused::Reserved(identity.name));
        }
        if identity.credential != Credential::Claim
            && claimed(credentials.headers)?.is_some_and(|claimed| claimed != identity.name)
        {
            return Err(Refused::OtherName);
        }
        let grants = access.grants(&identity);
        Ok((identity, grants))
    }

    async fn identify(&self, access: &Access, credentials: Credentials<'_>) -> Result<Identity, Refused> {
        if let Some(token) = bearer(credentials.headers)? {
            let table = access.table().ok_or(Refused::Credential("tokens are not configured"))?;
            return match &self.jwt {
                Some(jwt) if is_signed(token) => Ok(jwt.identify(token).await?),
                _ => self.token(table, token),
            };
        }
        if let Some(certificate) = credentials.certificate {
            return self.certificate(access.table(), certificate);
        }
        match access {
            Access::Table(_) => Err(Refused::NoCredential),
            Access::Open => {
                let name = claimed(credentials.headers)?.unwrap_or_else(Producer::anonymous);
                Ok(Identity { name, credential: Credential::Claim, groups: Vec::new(), expires_at: None })
            }
        }
    }

    fn token(&self, table: &Table, token: &str) -> Result<Identity, Refused> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let found = table.tokens.get(&digest).ok_or(Refused::Credential("the token is not known"))?;
        if found.expires_at.is_some_and(|end| end <= self.clock.now_micros()) {
            return Err(Refused::Credential("the token has expired"));
        }
        Ok(Identity {
            name: found.name.clone(),
            credential: Credential::Token(digest),
            groups: Vec::new(),
            expires_at: found.expires_at,
        })
    }

    /// The name of a certificate: its only URI, or what its subject is mapped to.
    fn certificate(&self, table: Option<&Table>, certificate: &Certificate) -> Result<Identity, Refused> {
        // It was valid at the handshake; connections are older than that.
        let expires_at = certificate.not_after.saturating_add(1).saturating_mul(SECOND);
        if expires_at <= self.clock.now_micros() {
            return Err(Refused::Credential("the certificate has expired"));
        }
        let (name, subject) = match certificate.uris.as_slice() {
            [uri] => {
                let name = Producer::parse(uri);
                let name =
                    name.map_err(|_| Refused::Credential("the certificate's URI is no producer name"))?;
                (name, None)
            }
            [] => {
                let name = table.and_then(|table| table.subjects.get(&certificate.subject));
                let name =
                    name.ok_or(Refused::Credential("the certificate has no URI and no mapped subject"))?;
                (name.clone(), Some(certificate.subject.clone()))
            }
            _ => return Err(Refused::Credential("the certificate has more than one URI")),
        };
        if name.as_str().starts_with(GROUP) {
            return Err(Refused::Credential("the certificate's name is that of a group"));
        }
        let credential = Credential::Certificate { subject };
        Ok(Identity { name, credential, groups: Vec::new(), expires_at: Some(expires_at) })
    }
}

/// The bearer token of a call.
///
/// # Errors
/// There are several, or something else.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refused::Credential("there are several tokens"));
    }
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token =
        token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let token = token.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN);
    token.map(Some).ok_or(Refused::Credential("the authorization is no bearer token"))
}

/// Whether a token has the three parts of a signed one.
fn is_signed(token: &str) -> bool {
    memchr::memchr_iter(b'.', token.as_bytes()).take(3).count() == 2
}

/// The producer that a call names itself.
fn claimed(headers: &HeaderMap) -> Result<Option<Producer>, Refused> {
    let Some(name) = headers.get("x-chancery-producer") else { return Ok(None) };
    let name = name.to_str().map_err(|_| Refused::Name("the name is not ASCII"))?;
    Producer::parse(name).map(Some).map_err(Refused::Name)
}
