//! Turns catalog files into the model, and refuses a wrong file with its name, line and reason.
//!
//! The embedded files and a site's own go through the same door, in order; a later file may add, never
//! redefine. Called by `Catalog::load` at start-up, never afterwards.
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::{
    FamilyCatalog,
    file::{AttributeFile, Attributes, CatalogFile, FieldFile, KeyFile, KindFile, TokenUserFile},
    model::{
        Attribute, AttributeUse, CredentialValue, EventType, Family, Field, FieldSpec, Operation, Row,
        TokenUser, ValueKind,
    },
    pieces::{aliases, class_of, cms_entry, entry, outcome, role, values_in_order},
};

/// Why a catalog file is refused.
#[derive(Debug, thiserror::Error)]
#[error("catalog file {file}, line {line}: {reason}")]
pub struct CatalogError {
    /// The file as given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// A place and a reason, before the byte offset is turned into a line.
struct Fault {
    offset: usize,
    reason: String,
}

fn fault<T>(offset: usize, reason: impl fmt::Display) -> Result<T, Fault> {
    Err(Fault { offset, reason: reason.to_string() })
}

/// What may generate a row of the CMS audit trail.
const INTERFACES: [&str; 3] = ["gui", "ccm_api", "rest_api"];

type Dictionary = HashMap<String, Arc<Attribute>>;

/// Collects files into family catalogs.
#[derive(Clone, Default)]
pub struct Loader {
    families: BTreeMap<Family, FamilyCatalog>,
    dictionaries: BTreeMap<Family, Dictionary>,
    digest: Sha256,
}

impl Loader {
    /// Adds an embedded file.
    ///
    /// # Errors
    /// The first thing wrong with it. The loader must not be used afterwards.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), CatalogError> {
        self.load(file, text, false)
    }

    /// Adds a file of the site, which says nothing of Chancery's own events.
    ///
    /// # Errors
    /// As above.
    pub fn add_site(&mut self, file: &str, text: &str) -> Result<(), CatalogError> {
        self.load(file, text, true)
    }

    fn load(&mut self, file: &str, text: &str, site: bool) -> Result<(), CatalogError> {
        self.digest.update((text.len() as u64).to_be_bytes());
        self.digest.update(text);
        let at = |offset: usize, reason: String| CatalogError {
            file: file.to_owned(),
            line: 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count(),
            reason,
        };
        let parsed: CatalogFile = toml::from_str(text)
            .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        self.merge(parsed, site).map_err(|Fault { offset, reason }| at(offset, reason))
    }

    /// The families, and a version that changes when any file does.
    pub fn finish(self) -> (BTreeMap<Family, FamilyCatalog>, String) {
        let digest = self.digest.finalize();
        let version = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        (self.families, version)
    }

    fn merge(&mut self, file: CatalogFile, site: bool) -> Result<(), Fault> {
        self.cms_audit(file.cms_audit)?;
        self.cms_notification(file.cms_notification)?;
        self.as_audit(file.as_audit)?;
        self.token_server(file.token_server)?;
        match file.chancery {
            None => Ok(()),
            Some(own) if site => {
                fault(own.span().start, "the family chancery is the server's own; a site adds nothing to it")
            }
            Some(own) => self.chancery(own.into_inner()),
        }
    }

    fn cms_audit(&mut self, file: super::file::CmsAudit) -> Result<(), Fault> {
        let family = Family::CmsAudit;
        self.attributes(family, file.attribute)?;
        for operation in file.operation {
            let offset = operation.span().start;
            let operation = operation.into_inner();
            let operation = Operation {
                request_type: operation.request_type.to_string(),
                request_reasons: operation.request_reasons,
                operation_type: operation.operation_type,
            };
            let known = &mut self.family(family).operations;
            if let Some(other) = known.iter().find(|other| other.overlaps(&operation)) {
                let Operation { request_type, operation_type, .. } = other;
                let reason = format!("request type {request_type} with such a reason is {operation_type:?}");
                return fault(offset, reason);
            }
            known.push(operation);
        }
        for event in file.event {
            let offset = event.span().start;
            let mut event = event.into_inner();
            let mut rows = Vec::new();
            for row in std::mem::take(&mut event.row) {
                let at = row.span().start;
                let row = row.into_inner();
                if ![100, 301, 500, 601].contains(&row.severity) {
                    return fault(at, format!("severity {} is none of 100, 301, 500, 601", row.severity));
                }
                if let Some(other) = row.interfaces.iter().find(|each| !INTERFACES.contains(&each.as_str())) {
                    return fault(at, format!("{other:?} is no interface; one of {}", INTERFACES.join(", ")));
                }
                let fields = [
                    row.client_id,
                    row.operator_id,
                    row.num1,
                    row.num2,
                    row.char1,
                    row.char2,
                    row.error_number,
                    row.error_message,
                ];
                rows.push(Row {
                    severity: Some(row.severity),
                    statuses: Vec::new(),
                    outcome: outcome(row.outcome),
                    variant: row.variant,
                    interfaces: row.interfaces,
                    summary: row.summary,
                    fields: self.fields(family, at, fields)?,
                    credential_objects: Vec::new(),
                });
            }
            self.insert(offset, cms_entry(family, event, rows))?;
        }
        Ok(())
    }

    fn cms_notification(&mut self, file: super::file::CmsNotification) -> Result<(), Fault> {
        let family = Family::CmsNotification;
        self.attributes(family, file.attribute)?;
        for (key, value) in file.credential_value {
            let offset = value.span().start;
            let value = value.into_inner();
            let Some(object) = value.object.clone() else {
                return fault(offset, format!("credential value {key:?} needs an `object`"));
            };
            let attribute = self.key_attribute(family, offset, value)?;
            let key = super::cms_notification::fold_key(&key);
            let known = &mut self.family(family).credential_values;
            if known.insert(key.clone(), CredentialValue { attribute, object }).is_some() {
                return fault(offset, format!("credential value {key:?} is defined twice"));
            }
        }
        for event in file.event {
            let offset = event.span().start;
            let mut event = event.into_inner();
            let mut rows = Vec::new();
            for row in std::mem::take(&mut event.row) {
                let at = row.span().start;
                let row = row.into_inner();
                if row.status.is_empty() || row.status.iter().any(|status| *status > 1) {
                    return fault(at, "`status` lists 0, 1 or both");
                }
                for object in &row.credential_values {
                    if !self.family(family).credential_values.values().any(|known| known.object == *object) {
                        return fault(at, format!("no credential value belongs to the object {object:?}"));
                    }
                }
                let fields =
                    [row.client_id, row.operator_id, row.num1, row.num2, row.char1, row.char2, row.char3];
                rows.push(Row {
                    severity: None,
                    statuses: row.status,
                    outcome: outcome(row.outcome),
                    variant: row.variant,
                    interfaces: Vec::new(),
                    summary: row.summary,
                    fields: self.fields(family, at, fields)?,
                    credential_objects: row.credential_values,
                });
            }
            self.insert(offset, cms_entry(family, event, rows))?;
        }
        Ok(())
    }

    fn as_audit(&mut self, file: super::file::AsAudit) -> Result<(), Fault> {
        let family = Family::AsAudit;
        self.attributes(family, file.attribute)?;
        for (code, value) in file.parameter {
            let offset = value.span().start;
            let attribute = self.key_attribute(family, offset, value.into_inner())?;
            let folded = super::fold_parameter(&code);
            if self.family(family).parameters.insert(folded, attribute).is_some() {
                return fault(offset, format!("parameter code {code:?} is defined twice"));
            }
        }
        for event in file.event {
            let offset = event.span().start;
            let mut event = event.into_inner();
            for code in &mut event.codes {
                *code = super::fold_parameter(code);
                if !self.family(family).parameters.contains_key(code) {
                    return fault(
                        offset,
                        format!("parameter code {code:?} has no [as_audit.parameter.{code}]"),
                    );
                }
            }
            let name = event.name.unwrap_or_else(|| event.code.clone());
            let mut entry = entry(family, event.code, name, event.category, event.summary);
            entry.other_categories = event.categories;
            entry.aliases = aliases(event.aliases);
            entry.reserved = event.reserved;
            entry.parameter_codes = event.codes;
            self.insert(offset, entry)?;
        }
        Ok(())
    }

    fn token_server(&mut self, file: super::file::TokenServer) -> Result<(), Fault> {
        let family = Family::TokenServer;
        self.attributes(family, file.attribute)?;
        for (key, value) in file.detail {
            let offset = value.span().start;
            let attribute = self.key_attribute(family, offset, value.into_inner())?;
            if self.family(family).details.insert(super::token_server::fold_key(&key), attribute).is_some() {
                return fault(offset, format!("detail key {key:?} is defined twice"));
            }
        }
        for event in file.event {
            let offset = event.span().start;
            let event = event.into_inner();
            let name = event.name.unwrap_or_else(|| event.code.clone());
            let mut entry = entry(family, event.code, name, event.category, event.summary);
            entry.outcome = outcome(event.outcome);
            entry.user = match event.user {
                TokenUserFile::Actor => TokenUser::Actor,
                TokenUserFile::Subject => TokenUser::Subject,
            };
            entry.aliases = aliases(event.aliases);
            entry.reserved = event.reserved;
            self.insert(offset, entry)?;
        }
        Ok(())
    }

    fn chancery(&mut self, file: super::file::Chancery) -> Result<(), Fault> {
        let family = Family::Chancery;
        for (key, value) in file.detail {
            let offset = value.span().start;
            let attribute = self.key_attribute(family, offset, value.into_inner())?;
            self.family(family).details.insert(key, attribute);
        }
        for event in file.event {
            let offset = event.span().start;
            let event = event.into_inner();
            for key in &event.details {
                if !self.family(family).details.contains_key(key) {
                    return fault(offset, format!("key {key:?} has no [chancery.detail.{key}]"));
                }
            }
            let mut entry = entry(family, event.code, event.name, event.category, event.summary);
            entry.outcome = outcome(event.outcome);
            entry.parameter_codes = event.details;
            self.insert(offset, entry)?;
        }
        Ok(())
    }

    fn family(&mut self, family: Family) -> &mut FamilyCatalog {
        self.families.entry(family).or_default()
    }

    fn attributes(&mut self, family: Family, file: Attributes) -> Result<(), Fault> {
        for (name, attribute) in file {
            let offset = attribute.span().start;
            let AttributeFile { kind, class, roles, closed, values, summary } = attribute.into_inner();
            if closed && values.is_empty() {
                return fault(offset, format!("attribute {name:?} is closed but lists no values"));
            }
            let attribute = Attribute {
                name: name.clone(),
                kind: match kind {
                    KindFile::Text => ValueKind::Text,
                    KindFile::Integer => ValueKind::Integer,
                },
                class: class_of(class),
                roles: roles.into_iter().map(role).collect(),
                closed,
                values: values_in_order(values),
                summary,
            };
            self.define(family, offset, attribute)?;
        }
        Ok(())
    }

    fn key_attribute(
        &mut self,
        family: Family,
        offset: usize,
        file: KeyFile,
    ) -> Result<Arc<Attribute>, Fault> {
        let attribute = Attribute {
            name: file.attribute,
            kind: ValueKind::Text,
            class: class_of(file.class),
            roles: file.roles.into_iter().map(role).collect(),
            closed: false,
            values: values_in_order(file.values),
            summary: file.summary,
        };
        self.define(family, offset, attribute)
    }

    fn define(
        &mut self,
        family: Family,
        offset: usize,
        attribute: Attribute,
    ) -> Result<Arc<Attribute>, Fault> {
        let name = attribute.name.clone();
        let well_formed = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !well_formed {
            return fault(
                offset,
                format!("attribute name {name:?} is not snake_case of at most 64 characters"),
            );
        }
        let attribute = Arc::new(attribute);
        let dictionary = self.dictionaries.entry(family).or_default();
        if dictionary.insert(name.clone(), Arc::clone(&attribute)).is_some() {
            return fault(offset, format!("attribute {name:?} of {family} is defined twice"));
        }
        self.family(family).attributes.insert(name, Arc::clone(&attribute));
        Ok(attribute)
    }

    fn fields<const N: usize>(
        &self,
        family: Family,
        offset: usize,
        files: [Option<FieldFile>; N],
    ) -> Result<Vec<(Field, FieldSpec)>, Fault> {
        let mut fields = Vec::with_capacity(N);
        for (field, file) in Field::of(family).iter().zip(files) {
            let spec = match file {
                None => FieldSpec::Unused,
                Some(FieldFile::Short(text)) => self.short_field(family, offset, &text)?,
                Some(FieldFile::Listed(listed)) => {
                    let known = self.known(family, offset, &listed.attribute)?;
                    if listed.closed && listed.values.is_empty() {
                        return fault(offset, format!("{} is closed but lists no values", known.name));
                    }
                    let mut attribute = Attribute::clone(&known);
                    attribute.values =
                        listed.values.into_iter().map(|value| (value, String::new())).collect();
                    attribute.closed = listed.closed;
                    FieldSpec::One(AttributeUse { attribute: Arc::new(attribute), constant: None })
                }
            };
            fields.push((*field, spec));
        }
        Ok(fields)
    }

    fn short_field(&self, family: Family, offset: usize, text: &str) -> Result<FieldSpec, Fault> {
        let separator = text.find([';', ',', ':']).and_then(|at| text[at..].chars().next());
        let Some(separator) = separator else {
            return Ok(FieldSpec::One(self.attribute_use(family, offset, text)?));
        };
        let mut from_end = false;
        let mut parts = Vec::new();
        for part in text.split(separator) {
            let part = part.strip_prefix('>').map_or(part, |rest| {
                from_end = true;
                rest
            });
            let part = self.attribute_use(family, offset, part)?;
            if part.constant.is_some() {
                return fault(offset, format!("a part of a composite cannot be a constant, as in {text:?}"));
            }
            parts.push(part);
        }
        Ok(FieldSpec::Composite { parts, separator, from_end })
    }

    fn attribute_use(&self, family: Family, offset: usize, text: &str) -> Result<AttributeUse, Fault> {
        let (name, constant) = match text.split_once('=') {
            Some((name, constant)) => (name, Some(constant.to_owned())),
            None => (text, None),
        };
        Ok(AttributeUse { attribute: self.known(family, offset, name)?, constant })
    }

    fn known(&self, family: Family, offset: usize, name: &str) -> Result<Arc<Attribute>, Fault> {
        match self.dictionaries.get(&family).and_then(|dictionary| dictionary.get(name)) {
            Some(attribute) => Ok(Arc::clone(attribute)),
            None => fault(offset, format!("attribute {name:?} has no [{family}.attribute.{name}]")),
        }
    }

    fn insert(&mut self, offset: usize, mut event: EventType) -> Result<(), Fault> {
        let family = event.family;
        event.code = super::fold_code(family, &event.code);
        if event.code.is_empty() {
            return fault(offset, "an event needs a `code`");
        }
        let cms = matches!(family, Family::CmsAudit | Family::CmsNotification);
        if cms && event.rows.is_empty() && event.reserved.is_none() {
            return fault(offset, format!("event {} needs at least one row", event.code));
        }
        for (what, text) in [("category", &event.category), ("summary", &event.summary)] {
            if text.trim().is_empty() {
                return fault(offset, format!("event {} needs a `{what}`", event.code));
            }
        }
        let catalog = self.family(family);
        let at = catalog.types.len();
        let mut spellings = vec![event.code.clone()];
        spellings.extend(event.aliases.iter().map(|alias| super::fold_code(family, &alias.code)));
        for spelling in spellings {
            if catalog.by_code.insert(spelling.clone(), at).is_some() {
                return fault(offset, format!("code {spelling:?} of {family} is defined twice"));
            }
        }
        catalog.types.push(Arc::new(event));
        Ok(())
    }
}
