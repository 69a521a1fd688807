//! The keys of an issuer (JWKS, RFC 7517), and which of them checks a token.
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Head, Invalid, head::told};

/// Keys of an issuer at most; it has two or three, and some dozens where it serves many.
const MOST_KEYS: usize = 256;
/// Bytes of an RSA modulus: shorter ones can be broken, longer ones take long to check.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// An algorithm with a private and a public key; `None` for every other, `none` among them. With a secret that both
/// sides know, whoever checks tokens could also make them.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    let known = [RSA.as_slice(), &[Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA]].concat();
    known.into_iter().find(|algorithm| format!("{algorithm:?}") == name)
}

/// The keys of an issuer that tokens can be checked by.
#[derive(Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// Keys that are for something else, or of a kind that is not configured.
    pub left_out: usize,
    /// SHA-256 of what they were read from.
    pub digest: [u8; 32],
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why no key checks a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The issuer may have it by now.
    Unknown,
    /// There is such a key, for something else.
    OtherAlgorithm,
    /// The token names no key, and there are several.
    Several,
}

impl Missing {
    /// The same about a token, for the log.
    pub fn told(self, head: &Head) -> Invalid {
        let kid = head.kid.as_deref().map(told);
        Invalid(match (self, kid) {
            (Self::Unknown, Some(kid)) => format!("the issuer has no key {kid}"),
            (Self::Unknown, None) => "it names no key, and the issuer has none of this kind".to_owned(),
            (Self::OtherAlgorithm, kid) => {
                format!("the key {} is not for its algorithm", kid.unwrap_or_default())
            }
            (Self::Several, _) => "it names no key, and the issuer has several of this kind".to_owned(),
        })
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// Reads a set of keys. Those that check none of the configured algorithms are left out.
    ///
    /// # Errors
    /// It is none, none of its keys can be used, or two cannot be told apart.
    pub fn parse(body: &[u8], configured: &[Algorithm]) -> Result<Self, String> {
        let set: Set = serde_json::from_slice(body).map_err(|error| format!("no set of keys: {error}"))?;
        if set.keys.len() > MOST_KEYS {
            return Err(format!("more than {MOST_KEYS} keys"));
        }
        let mut keys: Vec<Key> = Vec::new();
        let all = set.keys.len();
        for key in set.keys.into_iter().filter_map(|key| usable(key, configured)) {
            let twin = |other: &Key| {
                other.id == key.id && other.algorithms.iter().any(|each| key.algorithms.contains(each))
            };
            if key.id.is_some() && keys.iter().any(twin) {
                let kid = key.id.as_deref().unwrap_or_default();
                return Err(format!("two keys have the kid {}", told(kid)));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(format!("none of its {all} keys is for a configured algorithm"));
        }
        Ok(Self { left_out: all - keys.len(), keys, digest: Sha256::digest(body).into() })
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that a token is checked by: the one that it names; when it names none, the only one for its algorithm.
    /// A key without a name checks only tokens that name none.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&DecodingKey, Missing> {
        let mut does = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let Some(kid) = kid else {
            return match (does.next(), does.next()) {
                (Some(key), None) => Ok(&key.key),
                (Some(_), Some(_)) => Err(Missing::Several),
                (None, _) => Err(Missing::Unknown),
            };
        };
        if let Some(key) = does.find(|key| key.id.as_deref() == Some(kid)) {
            return Ok(&key.key);
        }
        let known = self.keys.iter().any(|key| key.id.as_deref() == Some(kid));
        Err(if known { Missing::OtherAlgorithm } else { Missing::Unknown })
    }
}

/// A key that checks one of the configured algorithms.
fn usable(key: serde_json::Value, configured: &[Algorithm]) -> Option<Key> {
    let key: Jwk = serde_json::from_value(key).ok()?;
    let common = &key.common;
    let signs = common.public_key_use.as_ref().is_none_or(|what| *what == PublicKeyUse::Signature);
    let verifies =
        common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !(signs && verifies) {
        return None;
    }
    let can: &[Algorithm] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &RSA,
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => {
            &[Algorithm::EdDSA]
        }
        // A secret, or something unknown.
        _ => &[],
    };
    let named = match common.key_algorithm {
        None => None,
        Some(named) => Some(Algorithm::try_from(named).ok()?),
    };
    let algorithms: Vec<_> = can
        .iter()
        .copied()
        .filter(|each| configured.contains(each) && named.is_none_or(|named| named == *each))
        .collect();
    let decoding = DecodingKey::from_jwk(&key).ok()?;
    if let DecodingKeyKind::RsaModulusExponent { n, .. } = decoding.kind()
        && !MODULUS.contains(&n.len())
    {
        return None;
    }
    (!algorithms.is_empty()).then_some(Key { id: key.common.key_id, algorithms, key: decoding })
}
