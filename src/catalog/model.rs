//! What the catalog holds once its files are checked: plain data, shared and never changed.
//!
//! `file` makes these values, `rows` and the family modules read events with them, and
//! `grpc::catalog` shows them. Nothing here does I/O.
use std::{fmt, sync::Arc};

use crate::proto::v1;

/// A product's audit trail. Codes are unique per family only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Family {
    /// Rows of the ActivID CMS Event table.
    CmsAudit,
    /// Events of the ActivID CMS Event Notification SPI.
    CmsNotification,
    /// Records of the ActivID AS audit log.
    AsAudit,
    /// Events of the Onegini Token Server.
    TokenServer,
    /// Events that Chancery makes itself.
    Chancery,
}

impl Family {
    /// Every family, in the order in which they are listed.
    pub const ALL: [Self; 5] =
        [Self::CmsAudit, Self::CmsNotification, Self::AsAudit, Self::TokenServer, Self::Chancery];

    /// Name in catalog files, field paths and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CmsAudit => "cms_audit",
            Self::CmsNotification => "cms_notification",
            Self::AsAudit => "as_audit",
            Self::TokenServer => "token_server",
            Self::Chancery => "chancery",
        }
    }

    /// Path of the field that holds the code, inside a `NewEvent`.
    pub const fn code_path(self) -> &'static str {
        match self {
            Self::CmsAudit => "cms_audit.code",
            Self::CmsNotification => "cms_notification.code",
            Self::AsAudit => "as_audit.action",
            Self::TokenServer => "token_server.type",
            Self::Chancery => "chancery.type",
        }
    }

    /// The contract's value for this family.
    pub const fn proto(self) -> v1::EventFamily {
        match self {
            Self::CmsAudit => v1::EventFamily::CmsAudit,
            Self::CmsNotification => v1::EventFamily::CmsNotification,
            Self::AsAudit => v1::EventFamily::AsAudit,
            Self::TokenServer => v1::EventFamily::TokenServer,
            Self::Chancery => v1::EventFamily::Chancery,
        }
    }

    /// The family of a submitted event.
    pub const fn of(event: &v1::new_event::Family) -> Self {
        match event {
            v1::new_event::Family::CmsAudit(_) => Self::CmsAudit,
            v1::new_event::Family::CmsNotification(_) => Self::CmsNotification,
            v1::new_event::Family::AsAudit(_) => Self::AsAudit,
            v1::new_event::Family::TokenServer(_) => Self::TokenServer,
            v1::new_event::Family::Chancery(_) => Self::Chancery,
        }
    }

    /// The family of a contract value; `None` for unspecified and unknown numbers.
    pub fn from_proto(value: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.proto() as i32 == value)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Of the server's own family no code is unknown.
        let known = Self::ALL.into_iter().filter(|family| *family != Self::Chancery);
        known.into_iter().find(|family| family.name() == text).ok_or_else(|| {
            format!("unknown family {text:?}; one of cms_audit, cms_notification, as_audit, token_server")
        })
    }
}

/// How a value is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// No restriction.
    Public,
    /// Identifies or describes a person.
    Personal,
    /// Dropped before anything is stored, logged or echoed.
    Secret,
}

/// What a value looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueKind {
    /// Any text.
    Text,
    /// A signed 32-bit integer, as the products' own fields are.
    Integer,
}

/// A column of the event that a value fills, besides being an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Who acted.
    Actor,
    /// The user acted upon.
    Subject,
    /// The device concerned.
    Device,
}

/// A named value: what a positional field of a product means.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// snake_case.
    pub name: String,
    /// What the value looks like.
    pub kind: ValueKind,
    /// How it is treated.
    pub class: Class,
    /// The columns it fills.
    pub roles: Vec<Role>,
    /// Whether a value outside `values` is refused rather than flagged.
    pub closed: bool,
    /// The listed values with their meaning; empty for any value.
    pub values: Vec<(String, String)>,
    /// One sentence.
    pub summary: String,
}

impl Attribute {
    /// Whether `value` is one of the listed ones, or nothing is listed.
    pub fn lists(&self, value: &str) -> bool {
        self.values.is_empty() || self.values.iter().any(|(listed, _)| listed == value)
    }
}

/// An attribute as one row uses it.
#[derive(Clone, Debug)]
pub struct AttributeUse {
    /// The attribute, with the row's own list where it has one.
    pub attribute: Arc<Attribute>,
    /// The value that the row asks for, where it does.
    pub constant: Option<String>,
}

/// A positional field of the CMS families.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    ClientId,
    OperatorId,
    Num1,
    Num2,
    Char1,
    Char2,
    Char3,
    ErrorNumber,
    ErrorMessage,
}

impl Field {
    /// The fields of a family, in the order in which roles are filled and shapes are shown.
    pub const fn of(family: Family) -> &'static [Self] {
        match family {
            Family::CmsAudit => &[
                Self::ClientId,
                Self::OperatorId,
                Self::Num1,
                Self::Num2,
                Self::Char1,
                Self::Char2,
                Self::ErrorNumber,
                Self::ErrorMessage,
            ],
            Family::CmsNotification => &[
                Self::ClientId,
                Self::OperatorId,
                Self::Num1,
                Self::Num2,
                Self::Char1,
                Self::Char2,
                Self::Char3,
            ],
            Family::AsAudit | Family::TokenServer | Family::Chancery => &[],
        }
    }

    /// Name in the family message and in catalog files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientId => "client_id",
            Self::OperatorId => "operator_id",
            Self::Num1 => "num1",
            Self::Num2 => "num2",
            Self::Char1 => "char1",
            Self::Char2 => "char2",
            Self::Char3 => "char3",
            Self::ErrorNumber => "error_number",
            Self::ErrorMessage => "error_message",
        }
    }
}

/// What a row says of one field.
#[derive(Clone, Debug)]
pub enum FieldSpec {
    /// The vendor documents the field as not used here.
    Unused,
    /// The field holds one attribute.
    One(AttributeUse),
    /// The field holds several attributes.
    Composite {
        /// In order.
        parts: Vec<AttributeUse>,
        /// Between the parts.
        separator: char,
        /// Split at the last separators: the first part may contain the separator itself.
        from_end: bool,
    },
}

impl FieldSpec {
    /// The attributes the field holds.
    pub fn uses(&self) -> &[AttributeUse] {
        match self {
            Self::Unused => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Composite { parts, .. } => parts,
        }
    }
}

/// One documented row of a CMS event.
#[derive(Clone, Debug)]
pub struct Row {
    /// CMS audit trail only.
    pub severity: Option<u32>,
    /// CMS notification only.
    pub statuses: Vec<u32>,
    /// Outcome; for CMS notification that of status 0, status 1 being a failure.
    pub outcome: v1::Outcome,
    /// Kind of the row, or empty.
    pub variant: String,
    /// Interfaces that generate it.
    pub interfaces: Vec<String>,
    /// When it is generated.
    pub summary: String,
    /// Every field of the family, in the family's order.
    pub fields: Vec<(Field, FieldSpec)>,
    /// Objects whose keys `credential_values` may hold.
    pub credential_objects: Vec<String>,
}

/// Who the `user_id` of a Token Server event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenUser {
    /// The user acted.
    Actor,
    /// Someone else acted on the user.
    Subject,
}

/// Another spelling of a code.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The spelling.
    pub code: String,
    /// Why it exists.
    pub note: String,
}

/// What the catalog knows of one code.
#[derive(Clone, Debug)]
pub struct EventType {
    /// Which family.
    pub family: Family,
    /// Canonical code.
    pub code: String,
    /// The vendor's name.
    pub name: String,
    /// Other names it goes by.
    pub old_names: Vec<String>,
    /// Other spellings of the code.
    pub aliases: Vec<Alias>,
    /// Category.
    pub category: String,
    /// Further categories that list it.
    pub other_categories: Vec<String>,
    /// One sentence.
    pub summary: String,
    /// Why the code is refused, where the vendor has reserved it.
    pub reserved: Option<String>,
    /// CMS families: the documented rows.
    pub rows: Vec<Row>,
    /// Token Server and Chancery: the outcome of every event of the type. Others: unknown.
    pub outcome: v1::Outcome,
    /// Token Server: who the user is.
    pub user: TokenUser,
    /// AS audit: the documented parameter codes. Chancery: the keys of `details`.
    pub parameter_codes: Vec<String>,
    /// The fields that any row of this code calls secret, each with its attribute. They are dropped
    /// whichever row an event then matches, so that a wrong severity cannot let one through.
    pub secret_fields: Vec<(Field, Arc<Attribute>)>,
}

/// A known key of `credential_values`.
#[derive(Clone, Debug)]
pub struct CredentialValue {
    /// What the value is.
    pub attribute: Arc<Attribute>,
    /// Object the key belongs to.
    pub object: String,
}

/// Request type and reason that give an operation type.
#[derive(Clone, Debug)]
pub struct Operation {
    /// CMS request type.
    pub request_type: String,
    /// Request reasons; empty for any.
    pub request_reasons: Vec<String>,
    /// What the two ask for.
    pub operation_type: String,
}

impl Operation {
    /// Whether some request would be of both operations.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.request_reasons, &other.request_reasons);
        let any = mine.is_empty() || theirs.is_empty();
        self.request_type == other.request_type && (any || mine.iter().any(|each| theirs.contains(each)))
    }
}
