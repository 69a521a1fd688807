//! The catalog: every event code that Chancery accepts, what each positional field of it means, which
//! values it allows and which it must never keep.
//!
//! Data files (one per family, under `data/`, format in `docs/catalog.md`) are embedded and loaded
//! once; site files are added at start-up. After that the catalog never changes and needs no lock.
//!
//! * `file`, `loader`, `pieces`: TOML to model, with line and reason when wrong. `model`: the model.
//! * `secret`: the secret policy, which runs first.
//! * `cms_audit`, `cms_notification`, `as_audit`, `token_server`, `chancery`: one family each; `rows` is what the
//!   two CMS families share, `as_parameters` the grammar of AS parameter texts.
//! * `reading`: what is read out of an event. `rejection`: why one is refused.
//!
//! Pure: no I/O after loading, no clock, no randomness. Callers: `event::admit`, `grpc::catalog`.
pub mod as_audit;
pub mod as_parameters;
pub mod chancery;
pub mod cms_audit;
pub mod cms_notification;
mod file;
mod loader;
pub mod model;
mod nearest;
mod pieces;
pub mod reading;
pub mod rejection;
mod rows;
pub mod secret;
pub mod token_server;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub use loader::CatalogError;
use model::{Attribute, CredentialValue, EventType, Family, Operation};
pub use nearest::Suggestions;
use reading::{Reading, warning};
use rejection::{Reason, Rejection, Violation};

use crate::proto::v1::{NewEvent, Outcome, new_event};

/// The embedded files, in the order in which they are loaded.
const EMBEDDED: [(&str, &str); 5] = [
    ("cms_audit.toml", include_str!("data/cms_audit.toml")),
    ("cms_notification.toml", include_str!("data/cms_notification.toml")),
    ("as_audit.toml", include_str!("data/as_audit.toml")),
    ("token_server.toml", include_str!("data/token_server.toml")),
    ("chancery.toml", include_str!("data/chancery.toml")),
];

/// What is known of one family.
#[derive(Clone, Default)]
pub struct FamilyCatalog {
    /// Event types, as in the files.
    pub types: Vec<Arc<EventType>>,
    /// Folded code or alias to index in `types`.
    by_code: HashMap<String, usize>,
    /// The dictionary.
    pub attributes: BTreeMap<String, Arc<Attribute>>,
    /// CMS audit: request type and reason to operation type.
    pub operations: Vec<Operation>,
    /// CMS notification: folded keys of `credential_values`.
    pub credential_values: BTreeMap<String, CredentialValue>,
    /// AS audit: folded parameter codes.
    pub parameters: BTreeMap<String, Arc<Attribute>>,
    /// Token Server: folded keys of `details`. Chancery: its keys.
    pub details: BTreeMap<String, Arc<Attribute>>,
}

impl FamilyCatalog {
    /// AS audit: what a parameter code means. Compared without case and blanks, so that no spelling of a
    /// secret's code slips past the secret policy.
    pub fn parameter(&self, code: &str) -> Option<&Arc<Attribute>> {
        self.parameters.get(code).or_else(|| self.parameters.get(&fold_parameter(code)))
    }
}

/// What the catalog makes of an event that it accepts.
pub struct Classified {
    /// Canonical code.
    pub code: String,
    /// The vendor's name.
    pub name: String,
    /// Category.
    pub category: String,
    /// What was read.
    pub draft: Draft,
}

/// What a family reads out of an event.
pub struct Draft {
    pub reading: Reading,
    pub outcome: Outcome,
    pub variant: String,
    pub severity: Option<u32>,
}

/// The embedded files, read: what every catalog begins with.
#[derive(Clone)]
pub struct Embedded(loader::Loader);

impl Embedded {
    /// Reads them.
    ///
    /// # Errors
    /// The first fault of the first wrong file.
    pub fn load() -> Result<Self, CatalogError> {
        let mut loader = loader::Loader::default();
        for (name, text) in EMBEDDED {
            loader.add(name, text)?;
        }
        Ok(Self(loader))
    }

    /// The catalog with `site_files`, given as (name, text).
    ///
    /// # Errors
    /// The first fault of the first wrong file.
    pub fn with<'a>(
        mut self,
        site_files: impl IntoIterator<Item = (&'a str, &'a str)>,
        accept_unknown: BTreeSet<Family>,
    ) -> Result<Catalog, CatalogError> {
        for (name, text) in site_files {
            self.0.add_site(name, text)?;
        }
        let (families, version) = self.0.finish();
        Ok(Catalog { families, version, accept_unknown })
    }
}

/// The whole catalog.
pub struct Catalog {
    families: BTreeMap<Family, FamilyCatalog>,
    version: String,
    /// Families whose unknown codes are accepted with a warning instead of refused.
    accept_unknown: BTreeSet<Family>,
}

impl Catalog {
    /// Loads the embedded files and then `site_files`, given as (name, text).
    ///
    /// # Errors
    /// The first fault of the first wrong file.
    pub fn load<'a>(
        site_files: impl IntoIterator<Item = (&'a str, &'a str)>,
        accept_unknown: BTreeSet<Family>,
    ) -> Result<Self, CatalogError> {
        Embedded::load()?.with(site_files, accept_unknown)
    }

    /// A digest over all loaded files, 12 hexadecimal digits.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// One family.
    pub fn family(&self, family: Family) -> &FamilyCatalog {
        // Unwrap safety: the embedded files define all five families, and `load` fails without them.
        #[expect(clippy::expect_used, reason = "every family is embedded")]
        self.families.get(&family).expect("embedded family")
    }

    /// Every event type, by family and then as in the files.
    pub fn types(&self) -> impl Iterator<Item = &Arc<EventType>> {
        Family::ALL.into_iter().flat_map(|family| &self.family(family).types)
    }

    /// The type that a code or one of its other spellings names, and whether it was an alias.
    pub fn find(&self, family: Family, code: &str) -> Option<(&EventType, bool)> {
        let catalog = self.family(family);
        let folded = fold_code(family, code);
        let event_type = catalog.types.get(*catalog.by_code.get(&folded)?)?;
        Some((event_type, event_type.code != folded))
    }

    /// Whether no attribute of this name ever holds a personal value. One that the catalog does not have may; so may the
    /// name of a field, under which a family takes what its rows do not name, whatever another family declares by it.
    pub fn is_public(&self, name: &str) -> bool {
        if reading::may_be_unlisted(name) {
            return false;
        }
        let mut classes = self.classes(name).peekable();
        let known = classes.peek().is_some();
        (known && classes.all(|class| class == model::Class::Public)) || reading::PUBLIC.contains(&name)
    }

    /// Whether attributes of this name are known, and none of them is of class secret.
    pub fn holds_no_secret(&self, name: &str) -> bool {
        let mut classes = self.classes(name).peekable();
        let known = classes.peek().is_some();
        (known && classes.all(|class| class != model::Class::Secret)) || reading::PUBLIC.contains(&name)
    }

    /// The classes of the attributes of a name.
    fn classes(&self, name: &str) -> impl Iterator<Item = model::Class> {
        self.families
            .values()
            .flat_map(|family| {
                let dictionary = family.attributes.values().chain(family.parameters.values());
                let values = family.credential_values.values().map(|value| &value.attribute);
                dictionary.chain(family.details.values()).chain(values)
            })
            .filter(move |attribute| attribute.name == name)
            .map(|attribute| attribute.class)
    }

    /// Why `code` is unknown, with the nearest known ones.
    pub fn unknown(&self, family: Family, code: &str, suggestions: &mut Suggestions) -> Rejection {
        let nearest = suggestions.to(self, family, code);
        let mut description = match reading::word(code) {
            Some(code) => format!("{code:?} is not a code of {family}"),
            None => format!("is not a code of {family}"),
        };
        let elsewhere: Vec<_> = Family::ALL
            .into_iter()
            .filter(|other| *other != family)
            .filter_map(|other| self.find(other, code).map(|(known, _)| format!("{other} ({})", known.name)))
            .collect();
        if !elsewhere.is_empty() {
            description.push_str(&format!("; it is one of {}", elsewhere.join(" and ")));
        }
        if !nearest.is_empty() {
            description.push_str(&format!("; nearest: {}", nearest.join(", ")));
        }
        Rejection {
            reason: Reason::UnknownEventCode,
            violations: vec![Violation::new(family.code_path(), description)],
            nearest,
        }
    }

    /// Looks an event up, checks every field and names every field. The secrets must be out, and
    /// `parameters` is what `secret::drop_secrets` returned for the event.
    ///
    /// # Errors
    /// Why the event is refused.
    pub fn classify(
        &self,
        event: &NewEvent,
        parameters: Option<&secret::Parameters>,
        suggestions: &mut Suggestions,
    ) -> Result<Classified, Rejection> {
        let Some(event) = &event.family else {
            return Err(Rejection::malformed(
                "family",
                "none is set; one of cms_audit, cms_notification, as_audit, token_server",
            ));
        };
        let parsed = match parameters {
            None => None,
            Some(Ok(parsed)) if parsed.parameters.len() > as_parameters::MOST => {
                let description =
                    format!("has {} parameters; at most {}", parsed.parameters.len(), as_parameters::MOST);
                return Err(Rejection::malformed("as_audit.raw_parameters", description));
            }
            Some(Ok(parsed)) => Some(parsed),
            Some(Err(error)) => {
                return Err(Rejection::malformed("as_audit.raw_parameters", error.to_string()));
            }
        };
        let (family, code) = match event {
            new_event::Family::CmsAudit(event) => (Family::CmsAudit, event.code.as_str()),
            new_event::Family::CmsNotification(event) => (Family::CmsNotification, event.code.as_str()),
            new_event::Family::AsAudit(event) => (Family::AsAudit, as_audit::action(event, parsed)?),
            new_event::Family::TokenServer(event) => (Family::TokenServer, event.r#type.as_str()),
            new_event::Family::Chancery(event) => (Family::Chancery, event.r#type.as_str()),
        };
        if code.trim().is_empty() {
            return Err(Rejection::malformed(family.code_path(), "is empty"));
        }
        let catalog = self.family(family);
        let Some((event_type, alias)) = self.find(family, code) else {
            if !self.accept_unknown.contains(&family) {
                return Err(self.unknown(family, code, suggestions));
            }
            return Ok(accept_unknown(catalog, family, code, event, parsed));
        };
        if let Some(reason) = &event_type.reserved {
            let description = format!("{} ({}) is reserved: {reason}", event_type.code, event_type.name);
            return Err(Rejection::violation(family.code_path(), description));
        }
        let mut draft = match event {
            new_event::Family::CmsAudit(event) => cms_audit::read(catalog, event_type, event)?,
            new_event::Family::CmsNotification(event) => cms_notification::read(catalog, event_type, event)?,
            new_event::Family::AsAudit(event) => as_audit::read(catalog, event, parsed),
            new_event::Family::TokenServer(event) => token_server::read(catalog, event_type, event),
            new_event::Family::Chancery(event) => chancery::read(catalog, event_type, event),
        };
        if alias {
            let description = format!("{code:?} is another spelling of {}", event_type.code);
            draft.reading.warn(warning::OLD_SPELLING, family.code_path(), description);
        }
        if !draft.reading.violations.is_empty() {
            let violations = std::mem::take(&mut draft.reading.violations);
            return Err(Rejection { reason: Reason::CatalogViolation, violations, nearest: Vec::new() });
        }
        Ok(Classified {
            code: event_type.code.clone(),
            name: event_type.name.clone(),
            category: event_type.category.clone(),
            draft,
        })
    }
}

/// The form in which codes of a family are compared.
fn fold_code(family: Family, code: &str) -> String {
    match family {
        Family::TokenServer => token_server::fold_type(code),
        Family::CmsAudit | Family::CmsNotification | Family::AsAudit | Family::Chancery => {
            code.trim().to_owned()
        }
    }
}

/// The form in which parameter codes are kept and compared.
fn fold_parameter(code: &str) -> String {
    code.trim().to_ascii_uppercase()
}

/// Accepts an event of a code that the catalog does not know, under its own field names.
fn accept_unknown(
    catalog: &FamilyCatalog,
    family: Family,
    code: &str,
    event: &new_event::Family,
    parsed: Option<&as_parameters::Parsed>,
) -> Classified {
    let unnamed =
        |reading| Draft { reading, outcome: Outcome::Unknown, variant: String::new(), severity: None };
    let (name, mut draft) = match event {
        new_event::Family::CmsAudit(event) => (
            event.description.as_str(),
            Draft { severity: Some(event.severity), ..unnamed(cms_audit::read_unknown(event)) },
        ),
        new_event::Family::CmsNotification(event) => {
            (event.description.as_str(), unnamed(cms_notification::read_unknown(event)))
        }
        new_event::Family::AsAudit(event) => ("", as_audit::read(catalog, event, parsed)),
        new_event::Family::TokenServer(event) => ("", unnamed(token_server::read_any(catalog, event))),
        new_event::Family::Chancery(event) => ("", unnamed(chancery::read_any(catalog, event))),
    };
    draft.reading.warn(
        warning::UNKNOWN_CODE_ACCEPTED,
        family.code_path(),
        "the catalog does not know this code; fields keep the product's names",
    );
    draft.reading.violations.clear();
    let code = fold_code(family, code);
    Classified {
        name: if name.is_empty() { code.clone() } else { name.to_owned() },
        code,
        category: "Unknown".to_owned(),
        draft,
    }
}

/// Flags an event whose own name is not the one of its code.
fn check_name(event_type: &EventType, description: &str, path: &str, reading: &mut Reading) {
    let name = description.trim().trim_start_matches('<').trim_end_matches('>').trim();
    if name.is_empty() || name == event_type.name {
        return;
    }
    let (reason, what) = match event_type.old_names.iter().any(|old| old == name) {
        true => (warning::OLD_SPELLING, "an old name"),
        false => (warning::NAME_DIFFERS, "not the name"),
    };
    let description =
        format!("{:?} is {what} of {}, which is {}", reading::shown(name), event_type.code, event_type.name);
    reading.warn(reason, path, description);
}
