//! What a token says of its bearer, once its signature is known to be the issuer's.
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use serde_json::{Map, Value};

use super::{Invalid, Settings};
use crate::{
    auth::{Credential, GROUP, Identity},
    event::Producer,
};

/// Groups of one token at most: issuers send up to 200, and instead of more a reference to where they are.
const MOST_GROUPS: usize = 256;
const SECOND: f64 = 1_000_000.0;

/// Checks a token by a key, and whose it is. `now` is in microseconds since 1970.
///
/// # Errors
/// Why it is nobody's.
pub fn check(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    settings: &Settings,
    now: i64,
) -> Result<Identity, Invalid> {
    let mut asked = Validation::new(algorithm);
    asked.set_issuer(&[&settings.issuer]);
    asked.set_audience(&settings.audience);
    asked.set_required_spec_claims(&["exp", "iss", "aud"]);
    // By the server's clock, below.
    asked.validate_exp = false;
    let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, key, &asked);
    let claims = decoded.map_err(|error| refused(error.kind()))?.claims;
    if !claims.get("iss").is_some_and(Value::is_string) {
        return Err("it has several issuers".into());
    }
    let leeway = i64::try_from(settings.leeway.as_micros()).unwrap_or(0);
    let ends = claims.get("exp").and_then(micros).ok_or("exp is no time")?.saturating_add(leeway);
    if ends <= now {
        return Err("it has expired".into());
    }
    if let Some(begins) = claims.get("nbf") {
        let begins = micros(begins).ok_or("nbf is no time")?;
        if begins.saturating_sub(leeway) > now {
            return Err("it is not valid yet".into());
        }
    }
    Ok(Identity {
        name: name(&claims, &settings.name_claim)?,
        credential: Credential::Jwt,
        groups: settings.groups_claim.as_deref().map_or(Ok(Vec::new()), |claim| groups(&claims, claim))?,
        expires_at: Some(ends),
    })
}

fn refused(kind: &ErrorKind) -> Invalid {
    match kind {
        ErrorKind::InvalidSignature => "its signature is not of this key".into(),
        ErrorKind::InvalidIssuer => "it is of another issuer".into(),
        ErrorKind::InvalidAudience => "it is for another audience".into(),
        ErrorKind::MissingRequiredClaim(claim) => Invalid(format!("it has no {claim} that can be read")),
        _ => "it is malformed".into(),
    }
}

/// A time in seconds since 1970, perhaps with a fraction, in microseconds.
fn micros(seconds: &Value) -> Option<i64> {
    // Up to the year 9999, which a float holds exactly enough.
    let seconds = seconds.as_f64().filter(|seconds| (0.0..=253_402_300_799.0).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked above")]
    Some((seconds * SECOND) as i64)
}

fn name(claims: &Map<String, Value>, claim: &str) -> Result<Producer, Invalid> {
    let told = |what: &str| Invalid(format!("the claim {claim:?}, which is to be the caller's name, {what}"));
    let name = claims.get(claim).ok_or_else(|| told("is not there"))?;
    let name = name.as_str().ok_or_else(|| told("is no text"))?;
    let name = Producer::parse(name).map_err(|_| told("is no producer name"))?;
    if name.as_str().starts_with(GROUP) {
        return Err(told("is that of a group"));
    }
    if name.as_str() == Producer::OWN {
        return Err(told("is the server's own"));
    }
    Ok(name)
}

/// A list of texts, or a text with spaces between them.
fn groups(claims: &Map<String, Value>, claim: &str) -> Result<Vec<String>, Invalid> {
    let told =
        |what: &str| Invalid(format!("the claim {claim:?}, which is to be the caller's groups, {what}"));
    let groups: Vec<String> = match claims.get(claim) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(list)) => {
            let texts: Option<_> = list.iter().map(|each| each.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(|| told("holds something that is no text"))?
        }
        Some(_) => return Err(told("is neither a list nor a text")),
    };
    if groups.len() > MOST_GROUPS {
        return Err(told("has more than 256 entries"));
    }
    Ok(groups)
}
