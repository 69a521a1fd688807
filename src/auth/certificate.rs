//! What a client's certificate says of who it is. Made by `server`, read by [`super::Authenticator`].

/// The parts of a certificate that matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Its subject alternative names that are URIs.
    pub uris: Vec<String>,
    /// Its subject, as RFC 4514 writes it.
    pub subject: String,
    /// Its last second, since 1970.
    pub not_after: i64,
}
