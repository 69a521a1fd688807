//! The header of a signed token: by which key and how it says it is signed. Nothing of it is believed.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::{Invalid, keys};

/// Characters of a text of a token that are told at most.
const MOST_TOLD: usize = 64;

/// The parts of a header that matter.
#[derive(Deserialize, PartialEq, Eq, Debug)]
pub struct Head {
    alg: String,
    /// Which key of the issuer it is signed with.
    pub kid: Option<String>,
    typ: Option<String>,
    #[serde(default)]
    crit: serde_json::Value,
}

impl Head {
    /// Reads the header of a token.
    ///
    /// # Errors
    /// There is none that can be accepted.
    pub fn read(token: &str) -> Result<Self, Invalid> {
        let encoded = token.split_once('.').map_or("", |(head, _)| head);
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "its header is not base64url")?;
        let head: Self = serde_json::from_slice(&bytes).map_err(|_| "its header is malformed")?;
        if !head.crit.is_null() {
            return Err("its header has crit, and no extension is understood here".into());
        }
        // Other kinds of token of the same issuer, such as one that ends a session, show nobody.
        if let Some(kind) = &head.typ
            && !["jwt", "at+jwt", "application/jwt", "application/at+jwt"]
                .iter()
                .any(|known| kind.eq_ignore_ascii_case(known))
        {
            return Err(Invalid(format!("it is of the type {}", told(kind))));
        }
        Ok(head)
    }

    /// How the token is signed, if that is configured.
    ///
    /// # Errors
    /// It is not.
    pub fn algorithm(&self, configured: &[Algorithm]) -> Result<Algorithm, Invalid> {
        let algorithm = keys::algorithm(&self.alg).filter(|algorithm| configured.contains(algorithm));
        algorithm.ok_or_else(|| Invalid(format!("the algorithm {} is not configured", told(&self.alg))))
    }
}

/// A text of somebody unknown, for the log.
pub fn told(text: &str) -> String {
    let cut: String = text.chars().take(MOST_TOLD).flat_map(char::escape_default).collect();
    let rest = if text.chars().nth(MOST_TOLD).is_some() { "..." } else { "" };
    format!("\"{cut}\"{rest}")
}
