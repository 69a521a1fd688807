//! Which keys vouch for a bundle's checkpoint, as the one who exported it knows them: a C2SP tlog-policy.
use std::fmt;

use super::VerifierKey;
use crate::note::Kind;

/// Keys of each kind at most: what the specification asks for.
const MOST: usize = 32;
/// Name of the group of all witnesses.
const GROUP: &str = "witnesses";

/// Logs' keys, witnesses' keys, and how many of the witnesses are needed. Its text is a policy file of which every
/// line has one possible form.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    quorum: usize,
}

impl Policy {
    /// A policy of these keys. Without a quorum all witnesses are needed.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(
        logs: Vec<VerifierKey>,
        witnesses: Vec<VerifierKey>,
        quorum: Option<usize>,
    ) -> Result<Self, String> {
        for (keys, kind, what) in [(&logs, Kind::Log, "log"), (&witnesses, Kind::Witness, "witness")] {
            if keys.len() > MOST {
                return Err(format!("{} keys of a {what}; at most {MOST}", keys.len()));
            }
            for (at, key) in keys.iter().enumerate() {
                if key.kind() != kind {
                    return Err(format!("{key} is not the key of a {what}"));
                }
                // The same key under two names would count twice.
                if keys[..at].iter().any(|other| bytes_of(other) == bytes_of(key)) {
                    return Err(format!("the key of {key} is there twice"));
                }
            }
        }
        let quorum = quorum.unwrap_or(witnesses.len());
        if quorum > witnesses.len() {
            return Err(format!("a quorum of {quorum} out of {} witnesses", witnesses.len()));
        }
        Ok(Self { logs, witnesses, quorum })
    }

    /// Reads its text; none when it is not what [`Policy`]'s own text would be.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut logs, mut witnesses, mut quorum) = (Vec::new(), Vec::new(), 0);
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["log", key] => logs.push(VerifierKey::parse(key).ok()?),
                ["witness", _, key] => witnesses.push(VerifierKey::parse(key).ok()?),
                ["group", _, count, ..] => quorum = count.parse().ok()?,
                ["quorum", _] => {}
                _ => return None,
            }
        }
        Self::new(logs, witnesses, Some(quorum)).ok().filter(|policy| policy.to_string() == text)
    }

    /// The keys of logs alone.
    #[must_use]
    pub fn without_witnesses(&self) -> Self {
        Self { logs: self.logs.clone(), ..Self::default() }
    }

    /// The keys of logs.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Every key.
    pub fn keys(&self) -> Vec<VerifierKey> {
        [&self.logs[..], &self.witnesses].concat()
    }

    /// How many witnesses must have cosigned.
    pub const fn quorum(&self) -> usize {
        self.quorum
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in &self.logs {
            writeln!(f, "log {key}")?;
        }
        for (number, key) in (1..).zip(&self.witnesses) {
            writeln!(f, "witness w{number} {key}")?;
        }
        if self.quorum == 0 {
            return writeln!(f, "quorum none");
        }
        write!(f, "group {GROUP} {}", self.quorum)?;
        for number in 1..=self.witnesses.len() {
            write!(f, " w{number}")?;
        }
        write!(f, "\nquorum {GROUP}\n")
    }
}

/// The part of a key's text that is the key: behind the second `+`. A name has none, base64 may have some.
fn bytes_of(key: &VerifierKey) -> String {
    key.to_string().splitn(3, '+').nth(2).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Cosigner;

    /// Keys whose base64 has a `+` are compared as a whole: none is taken for another one that ends like it, and none
    /// counts twice under two names.
    #[test]
    fn keys_are_compared_as_keys() {
        let key = |name: &str, seed: u8| Cosigner::new(name, &[seed; 32]).expect("a key").verifier();
        let mut with_plus = 0;
        for seed in 0..=255 {
            let (one, other) = (key("a.example.com", seed), key("b.example.com", seed));
            assert_eq!(bytes_of(&one), bytes_of(&other));
            assert!(Policy::new(Vec::new(), vec![one.clone(), other], None).is_err());
            assert_eq!(bytes_of(&one).len(), 44, "a kind byte and 32 bytes in base64");
            with_plus += u32::from(bytes_of(&one).contains('+'));
        }
        assert!(with_plus > 50, "{with_plus}");
    }
}
