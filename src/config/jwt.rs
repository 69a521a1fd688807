//! `[jwt]`: which signed tokens are believed.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::jwt::{Settings, Source, algorithm};

const DEFAULT_LEEWAY: u64 = 60;
/// Clocks that differ by more are wrong, and every second is one more for a stolen token.
const MOST_LEEWAY: u64 = 300;
const MOST_AUDIENCES: usize = 100;

/// `[jwt]` of the configuration file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    jwks: String,
    issuer: String,
    audience: Texts,
    algorithms: Vec<String>,
    leeway_seconds: Option<u64>,
    name_claim: Option<String>,
    groups_claim: Option<String>,
}

/// One text, or several.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl Table {
    /// What is asked of a token.
    ///
    /// # Errors
    /// The first key that is wrong.
    pub fn settings(self) -> Result<Settings, String> {
        let source = Source::parse(&self.jwks).map_err(|reason| format!("jwks {reason}"))?;
        if self.issuer.is_empty() {
            return Err("issuer is empty".to_owned());
        }
        let audience = match self.audience {
            Texts::One(one) => vec![one],
            Texts::Several(several) => several,
        };
        if audience.is_empty() || audience.len() > MOST_AUDIENCES || audience.iter().any(String::is_empty) {
            return Err(format!("audience is not one to {MOST_AUDIENCES} texts that are not empty"));
        }
        let mut algorithms = Vec::new();
        for name in &self.algorithms {
            let known = algorithm(name).ok_or_else(|| {
                format!(
                    "algorithms: {name:?} is none of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
                )
            })?;
            algorithms.push(known);
        }
        if algorithms.is_empty() {
            return Err("algorithms is empty".to_owned());
        }
        let leeway = self.leeway_seconds.unwrap_or(DEFAULT_LEEWAY);
        if leeway > MOST_LEEWAY {
            return Err(format!("leeway_seconds is not between 0 and {MOST_LEEWAY}"));
        }
        let name_claim = self.name_claim.unwrap_or_else(|| "sub".to_owned());
        if name_claim.is_empty() || self.groups_claim.as_deref() == Some("") {
            return Err("name_claim or groups_claim is empty".to_owned());
        }
        Ok(Settings {
            source,
            issuer: self.issuer,
            audience,
            algorithms,
            leeway: Duration::from_secs(leeway),
            name_claim,
            groups_claim: self.groups_claim,
        })
    }
}
