//! Why an event is refused, as data. Rejection is not failure: it is an answer about one event, with a
//! stable reason, the fields at fault and what would have been accepted.

/// Stable reasons, as clients see them in `google.rpc.ErrorInfo.reason`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No event type has this code in this family.
    UnknownEventCode,
    /// The code is known; a value is outside what the catalog allows.
    CatalogViolation,
    /// The event is not one that could ever be accepted: no family, bad UUID, bad time, NUL, too long.
    MalformedEvent,
    /// The event is larger than the limit.
    EventTooLarge,
    /// Events of this family are made by the server only.
    FamilyNotAllowed,
}

impl Reason {
    /// The reason's name on the wire and in the quarantine.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownEventCode => "UNKNOWN_EVENT_CODE",
            Self::CatalogViolation => "CATALOG_VIOLATION",
            Self::MalformedEvent => "MALFORMED_EVENT",
            Self::EventTooLarge => "EVENT_TOO_LARGE",
            Self::FamilyNotAllowed => "FAMILY_NOT_ALLOWED",
        }
    }

    /// Whether a newer catalog could accept the event, so that it is kept in quarantine.
    pub const fn is_quarantined(self) -> bool {
        matches!(self, Self::UnknownEventCode | Self::CatalogViolation)
    }
}

/// One field at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Path inside the event, for example `cms_audit.severity`.
    pub field: String,
    /// What is wrong and what would be accepted. Never holds a value of class secret.
    pub description: String,
}

impl Violation {
    /// A violation at `field`.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Why one event is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The reason.
    pub reason: Reason,
    /// At least one field.
    pub violations: Vec<Violation>,
    /// For an unknown code: the nearest known ones, best first.
    pub nearest: Vec<String>,
}

impl Rejection {
    /// A rejection for one field.
    pub fn at(reason: Reason, field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { reason, violations: vec![Violation::new(field, description)], nearest: Vec::new() }
    }

    /// A rejection of an event that no catalog could accept.
    pub fn malformed(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::at(Reason::MalformedEvent, field, description)
    }

    /// A rejection of a value outside what the catalog allows.
    pub fn violation(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::at(Reason::CatalogViolation, field, description)
    }

    /// One sentence for a person.
    pub fn message(&self) -> String {
        let mut message = String::new();
        for violation in &self.violations {
            if !message.is_empty() {
                message.push_str("; ");
            }
            message.push_str(&violation.field);
            message.push_str(": ");
            message.push_str(&violation.description);
        }
        message
    }
}
