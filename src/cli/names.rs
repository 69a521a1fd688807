//! Short names of families, outcomes, orders and results: what flags accept and tables show.
//!
//! Does: map contract enums to words and back. Called by: `filter.rs`, `output/`, the commands.
use clap::ValueEnum;

use crate::proto::v1::{self, AppendResult, AttributeClass, ValueType};

/// A family, as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Rows of the audit trail of ActivID CMS.
    CmsAudit,
    /// Events of the CMS Event Notification plug-ins.
    CmsNotification,
    /// Records of the ActivID AS audit log.
    AsAudit,
    /// Audit events of the Token Server.
    TokenServer,
    /// Chancery's own events.
    Chancery,
}

impl Family {
    /// The contract's value.
    pub const fn proto(self) -> v1::EventFamily {
        match self {
            Self::CmsAudit => v1::EventFamily::CmsAudit,
            Self::CmsNotification => v1::EventFamily::CmsNotification,
            Self::AsAudit => v1::EventFamily::AsAudit,
            Self::TokenServer => v1::EventFamily::TokenServer,
            Self::Chancery => v1::EventFamily::Chancery,
        }
    }
}

/// An outcome, as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Outcome {
    /// Requested or begun.
    Started,
    /// Carried out.
    Success,
    /// Attempted and failed.
    Failure,
    /// Refused, by a person or by a security check.
    Denied,
    /// The event does not tell.
    Unknown,
}

impl Outcome {
    /// The contract's value.
    pub const fn proto(self) -> v1::Outcome {
        match self {
            Self::Started => v1::Outcome::Started,
            Self::Success => v1::Outcome::Success,
            Self::Failure => v1::Outcome::Failure,
            Self::Denied => v1::Outcome::Denied,
            Self::Unknown => v1::Outcome::Unknown,
        }
    }
}

/// The word of a family as the flags spell it; `?` for a value newer than this client.
pub fn family(value: i32) -> &'static str {
    match v1::EventFamily::try_from(value) {
        Ok(v1::EventFamily::CmsAudit) => "cms-audit",
        Ok(v1::EventFamily::CmsNotification) => "cms-notification",
        Ok(v1::EventFamily::AsAudit) => "as-audit",
        Ok(v1::EventFamily::TokenServer) => "token-server",
        Ok(v1::EventFamily::Chancery) => "chancery",
        Ok(v1::EventFamily::Unspecified) | Err(_) => "?",
    }
}

/// The word of an outcome as the flags spell it; `?` for a value newer than this client.
pub fn outcome(value: i32) -> &'static str {
    match v1::Outcome::try_from(value) {
        Ok(v1::Outcome::Started) => "started",
        Ok(v1::Outcome::Success) => "success",
        Ok(v1::Outcome::Failure) => "failure",
        Ok(v1::Outcome::Denied) => "denied",
        Ok(v1::Outcome::Unknown) => "unknown",
        Ok(v1::Outcome::Unspecified) | Err(_) => "?",
    }
}

/// The word of an append result, for example `QUARANTINED`.
pub fn result(value: i32) -> &'static str {
    AppendResult::try_from(value).map_or("?", |it| {
        let name = it.as_str_name();
        name.strip_prefix("APPEND_RESULT_").unwrap_or(name)
    })
}

/// The word of a value type.
pub fn value_type(value: i32) -> &'static str {
    match ValueType::try_from(value) {
        Ok(ValueType::Text) => "text",
        Ok(ValueType::Integer) => "integer",
        Ok(ValueType::Unspecified) | Err(_) => "?",
    }
}

/// The word of an attribute class.
pub fn class(value: i32) -> &'static str {
    match AttributeClass::try_from(value) {
        Ok(AttributeClass::Public) => "public",
        Ok(AttributeClass::Personal) => "personal",
        Ok(AttributeClass::Secret) => "secret",
        Ok(AttributeClass::Unspecified) | Err(_) => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A continued query is printed as flags, so what tables show must be what flags accept.
    #[test]
    fn words_are_the_words_of_the_flags() {
        for value in Family::value_variants() {
            let word = value.to_possible_value().map(|it| it.get_name().to_owned());
            assert_eq!(word.as_deref(), Some(family(value.proto() as i32)));
        }
        for value in Outcome::value_variants() {
            let word = value.to_possible_value().map(|it| it.get_name().to_owned());
            assert_eq!(word.as_deref(), Some(outcome(value.proto() as i32)));
        }
        assert_eq!(result(AppendResult::NotAttempted as i32), "NOT_ATTEMPTED");
    }
}
