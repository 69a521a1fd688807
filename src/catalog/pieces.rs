//! The small pieces of catalog files, as the model has them. Called by `loader`.
use std::{collections::BTreeMap, sync::Arc};

use super::{
    file::{AliasFile, ClassFile, CmsEvent, OutcomeFile, RoleFile},
    model::{Alias, Attribute, Class, EventType, Family, Field, Role, Row, TokenUser},
};
use crate::proto::v1::Outcome;

pub fn entry(family: Family, code: String, name: String, category: String, summary: String) -> EventType {
    EventType {
        family,
        code,
        name,
        old_names: Vec::new(),
        aliases: Vec::new(),
        category,
        other_categories: Vec::new(),
        summary,
        reserved: None,
        rows: Vec::new(),
        outcome: Outcome::Unknown,
        user: TokenUser::Actor,
        parameter_codes: Vec::new(),
        secret_fields: Vec::new(),
    }
}

pub fn cms_entry<R>(family: Family, event: CmsEvent<R>, rows: Vec<Row>) -> EventType {
    EventType {
        old_names: event.old_names,
        aliases: aliases(event.aliases),
        reserved: event.reserved,
        secret_fields: secret_fields(&rows),
        rows,
        ..entry(family, event.code, event.name, event.category, event.summary)
    }
}

/// The fields that any of these rows calls secret, each once.
pub fn secret_fields(rows: &[Row]) -> Vec<(Field, Arc<Attribute>)> {
    let mut found: Vec<(Field, Arc<Attribute>)> = Vec::new();
    for (field, spec) in rows.iter().flat_map(|row| &row.fields) {
        let secret = spec.uses().iter().find(|each| each.attribute.class == Class::Secret);
        if let Some(secret) = secret.filter(|_| found.iter().all(|(known, _)| known != field)) {
            found.push((*field, Arc::clone(&secret.attribute)));
        }
    }
    found
}

pub fn aliases(files: Vec<AliasFile>) -> Vec<Alias> {
    files.into_iter().map(|alias| Alias { code: alias.code, note: alias.note }).collect()
}

/// Numbers by value, then texts: the order in which a person expects a list.
pub fn values_in_order(values: BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by_key(|(value, _)| value.parse::<i64>().map_or((1, 0), |number| (0, number)));
    values
}

pub fn class_of(class: ClassFile) -> Class {
    match class {
        ClassFile::Public => Class::Public,
        ClassFile::Personal => Class::Personal,
        ClassFile::Secret => Class::Secret,
    }
}

pub fn role(role: RoleFile) -> Role {
    match role {
        RoleFile::Actor => Role::Actor,
        RoleFile::Subject => Role::Subject,
        RoleFile::Device => Role::Device,
    }
}

pub fn outcome(outcome: OutcomeFile) -> Outcome {
    match outcome {
        OutcomeFile::Started => Outcome::Started,
        OutcomeFile::Success => Outcome::Success,
        OutcomeFile::Failure => Outcome::Failure,
        OutcomeFile::Denied => Outcome::Denied,
        OutcomeFile::Unknown => Outcome::Unknown,
    }
}
