//! What the catalog reads out of one event: named attributes, columns, warnings. Each family module
//! fills one; `event::admit` turns it into an event.
use std::borrow::Cow;

use super::{
    model::{Attribute, Class, Family, Field, Role},
    rejection::Violation,
};
use crate::proto::v1;

/// Stable reasons of warnings.
pub mod warning {
    /// A value is outside an open list.
    pub const VALUE_NOT_LISTED: &str = "VALUE_NOT_LISTED";
    /// A field that the vendor documents as unused has a value.
    pub const FIELD_NOT_DOCUMENTED: &str = "FIELD_NOT_DOCUMENTED";
    /// The code or name is an old or misprinted spelling.
    pub const OLD_SPELLING: &str = "OLD_SPELLING";
    /// The event's own name is not the one the code has.
    pub const NAME_DIFFERS: &str = "NAME_DIFFERS";
    /// No operation lists this request type with this reason.
    pub const OPERATION_NOT_LISTED: &str = "OPERATION_NOT_LISTED";
    /// A parameter code or key that the catalog does not know.
    pub const UNKNOWN_KEY: &str = "UNKNOWN_KEY";
    /// The raw parameter text has more than one reading.
    pub const AMBIGUOUS_PARAMETERS: &str = "AMBIGUOUS_PARAMETERS";
    /// The record says success and failure at once; it counts as failure.
    pub const OUTCOME_CONTRADICTORY: &str = "OUTCOME_CONTRADICTORY";
    /// Further warnings were left out.
    pub const MORE_WARNINGS: &str = "MORE_WARNINGS";
    /// The code is unknown and the site accepts unknown codes of this family.
    pub const UNKNOWN_CODE_ACCEPTED: &str = "UNKNOWN_CODE_ACCEPTED";
}

/// Warnings of one event, the last of which may say that there are more.
const MOST_WARNINGS: usize = 16;

/// Where in the submitted event a value stands.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Origin {
    /// Nowhere: it follows from others.
    #[default]
    Derived,
    /// A positional field of a CMS family.
    Field(Field),
    /// Another field, by its name.
    Column(&'static str),
    /// The value of this key in the family's map.
    Key(String),
    /// The parameters of an AS record, as a list or as text.
    Parameters,
}

/// Names of attributes that [`Reading::take_public`] takes.
pub const PUBLIC: [&str; 2] = [INTERFACE, OPERATION_TYPE];
/// CMS: by which way of the product something was done.
pub const INTERFACE: &str = "interface";
/// CMS: what follows from request type and reason.
pub const OPERATION_TYPE: &str = "operation_type";

/// A value that can be erased later: one of class personal, or one that the catalog does not know, of which nobody
/// can say that it is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Personal {
    /// Which of the attributes.
    pub attribute: usize,
    /// The columns that it fills.
    pub roles: Vec<Role>,
    pub origin: Origin,
}

/// The reading of one event.
#[derive(Default, Clone)]
pub struct Reading {
    /// Those of the attributes that can be erased, in their order.
    pub personal: Vec<Personal>,
    pub attributes: Vec<v1::Attribute>,
    pub warnings: Vec<v1::Warning>,
    pub violations: Vec<Violation>,
    pub actor: String,
    pub subject: String,
    pub device: String,
}

impl Reading {
    /// Takes a value as the attribute says: names it, fills columns, checks the list. `path` and `origin` are only
    /// called when something is to be said about the value.
    pub fn take(
        &mut self,
        attribute: &Attribute,
        value: &str,
        path: impl Fn() -> String,
        origin: impl FnOnce() -> Origin,
    ) {
        if attribute.class == Class::Secret {
            self.dropped(&attribute.name);
            return;
        }
        if !attribute.lists(value) {
            let listed =
                attribute.values.iter().map(|(value, _)| value.as_str()).collect::<Vec<_>>().join(", ");
            if attribute.closed {
                let description = format!("{:?} is not a {}; one of {listed}", shown(value), attribute.name);
                self.violations.push(Violation::new(path(), description));
                return;
            }
            // A warning stays when the value is erased.
            let value = match attribute.class {
                Class::Public => format!("{:?}", shown(value)),
                Class::Personal | Class::Secret => "the value".to_owned(),
            };
            let description =
                format!("{value} is not among the documented values of {}: {listed}", attribute.name);
            self.warn(warning::VALUE_NOT_LISTED, path(), description);
        }
        let mut filled = Vec::new();
        for role in &attribute.roles {
            let column = match role {
                Role::Actor => &mut self.actor,
                Role::Subject => &mut self.subject,
                Role::Device => &mut self.device,
            };
            if column.is_empty() {
                value.clone_into(column);
                filled.push(*role);
            }
        }
        if attribute.class == Class::Personal {
            let attribute = self.attributes.len();
            self.personal.push(Personal { attribute, roles: filled, origin: origin() });
        }
        self.attribute(attribute.name.clone(), value);
    }

    /// Takes a value under a name that the catalog does not have.
    pub fn take_unlisted(&mut self, name: String, value: &str, origin: Origin) {
        self.personal.push(Personal { attribute: self.attributes.len(), roles: Vec::new(), origin });
        self.attribute(name, value);
    }

    /// Takes a value of a field that is the same for everybody.
    pub fn take_public(&mut self, name: &'static str, value: &str) {
        self.attribute(name.to_owned(), value);
    }

    /// The value of an origin fills a column, whatever filled it before.
    pub fn fill(&mut self, role: Role, value: &str, origin: &Origin) {
        let column = match role {
            Role::Actor => &mut self.actor,
            Role::Subject => &mut self.subject,
            Role::Device => &mut self.device,
        };
        value.clone_into(column);
        for each in &mut self.personal {
            each.roles.retain(|filled| *filled != role);
            if each.origin == *origin {
                each.roles.push(role);
            }
        }
    }

    fn attribute(&mut self, name: String, value: &str) {
        self.attributes.push(v1::Attribute { name, value: value.to_owned(), ..v1::Attribute::default() });
    }

    /// Records that a secret value was there.
    pub fn dropped(&mut self, name: &str) {
        self.attributes.push(v1::Attribute {
            name: name.to_owned(),
            dropped: true,
            ..v1::Attribute::default()
        });
    }

    /// Adds a warning. From the last on that fits, the rest is only said to exist: 1000 events of a batch
    /// must not make an answer that no client reads.
    pub fn warn(&mut self, reason: &str, field: impl Into<String>, description: impl Into<String>) {
        if self.warnings.len() + 1 >= MOST_WARNINGS {
            if self.warnings.len() < MOST_WARNINGS {
                self.warnings.push(v1::Warning {
                    reason: warning::MORE_WARNINGS.to_owned(),
                    field: String::new(),
                    description: "there is more to say about this event than is kept".to_owned(),
                });
            }
            return;
        }
        self.warnings.push(v1::Warning {
            reason: reason.to_owned(),
            field: field.into(),
            description: description.into(),
        });
    }
}

/// A value, or nothing where the products write nothing: empty text, `null` in any of their spellings.
pub fn not_null(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    let null = trimmed.is_empty() || trimmed.eq_ignore_ascii_case("null") || trimmed == "\"null\"";
    (!null).then_some(text)
}

/// A value without the one pair of quotes that some documents print around it, for comparing and naming.
/// Quotes inside a value, or at one end of it, are its own.
pub fn unquoted(text: &str) -> &str {
    const QUOTES: [char; 3] = ['"', '\u{201c}', '\u{201d}'];
    let text = text.trim();
    let inside = text.strip_prefix(QUOTES).and_then(|rest| rest.strip_suffix(QUOTES));
    inside.filter(|inside| !inside.contains(QUOTES)).unwrap_or(text)
}

/// The name under which a CMS notification's text of its status is taken.
pub const STATUS_DESCRIPTION: &str = "status_description";

/// Whether values that the catalog does not know are taken under this name.
pub fn may_be_unlisted(name: &str) -> bool {
    let mut fields = Family::ALL.into_iter().flat_map(Field::of);
    name == STATUS_DESCRIPTION || fields.any(|field| field.name() == name)
}

/// A name for a key that the catalog does not have: `prefix` and the key in snake_case.
pub fn unlisted_name(prefix: &str, key: &str) -> String {
    let folded: String = key
        .chars()
        .take(48)
        .map(|each| if each.is_ascii_alphanumeric() { each.to_ascii_lowercase() } else { '_' })
        .collect();
    format!("{prefix}_{folded}")
}

/// Text of a field for a description: short enough to be echoed.
pub fn shown(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}...", &value[..end])),
        None => Cow::Borrowed(value),
    }
}

/// A code as it may be echoed: only when it is a word. Anything else is no code, and could be anything.
pub fn word(text: &str) -> Option<&str> {
    let word = text.len() <= 64 && text.chars().all(|each| each.is_alphanumeric() || "_-. ".contains(each));
    word.then_some(text)
}
