//! What a query asks for, narrowed to what its caller sees. A query is made of nothing else, so none is made without
//! a scope:
//!
//! ```compile_fail
//! use chancery::{event::LogName, query::{Order, Query, predicate::Predicate}};
//! let predicate = Predicate::All(Vec::new());
//! let log = LogName::parse("main").unwrap();
//! Query { log, predicate, order: Order::PositionAsc, limit: 0, resume: None, follow: false, max_duration: None, explain: false };
//! ```
use super::predicate::{EnumColumn, Predicate, TextColumn};
use crate::{auth::Scope, catalog::Catalog};

/// A condition that holds for nothing outside of a scope.
#[derive(Clone, PartialEq, Debug)]
pub struct Scoped(Predicate);

/// A condition over values that its caller does not see: what is found would tell them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} holds personal values, which this caller does not see")]
pub struct Personal(pub String);

impl Scoped {
    /// Narrows a condition.
    ///
    /// # Errors
    /// It is about personal values, and the scope is without them.
    pub fn new(predicate: Predicate, scope: &Scope, catalog: &Catalog) -> Result<Self, Personal> {
        if !scope.personal() {
            public(&predicate, catalog)?;
        }
        let Some(families) = scope.families() else { return Ok(Self(predicate)) };
        let families = families.iter().map(|family| family.proto() as i32).collect();
        let only = Predicate::Enum(EnumColumn::Family, families);
        Ok(Self(match predicate {
            Predicate::All(mut all) => {
                all.insert(0, only);
                Predicate::All(all)
            }
            other => Predicate::All(vec![only, other]),
        }))
    }

    /// The whole condition.
    pub const fn predicate(&self) -> &Predicate {
        &self.0
    }
}

/// Nothing that a condition is about is personal.
fn public(predicate: &Predicate, catalog: &Catalog) -> Result<(), Personal> {
    match predicate {
        Predicate::All(children) | Predicate::Any(children) => {
            children.iter().try_for_each(|child| public(child, catalog))
        }
        Predicate::Not(child) => public(child, catalog),
        Predicate::Text(column, _)
        | Predicate::TextPrefix(column, _)
        | Predicate::TextContains(column, _) => match column {
            TextColumn::Code
            | TextColumn::Name
            | TextColumn::Category
            | TextColumn::Producer
            | TextColumn::CorrelationId => Ok(()),
            TextColumn::Actor | TextColumn::Subject | TextColumn::Device => {
                Err(Personal(column.name().to_owned()))
            }
        },
        Predicate::Enum(..) | Predicate::From(..) | Predicate::Before(..) => Ok(()),
        Predicate::Attribute { name, .. }
        | Predicate::AttributePrefix { name, .. }
        | Predicate::AttributeContains { name, .. }
        | Predicate::AttributePresent { name } => match catalog.is_public(name) {
            true => Ok(()),
            false => Err(Personal(format!("attributes.{name}"))),
        },
        Predicate::Contains(_) => Err(Personal("text".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_about_people_is_refused_wherever_it_stands() {
        let catalog = Catalog::load([], BTreeSet::new()).expect("the embedded catalog");
        let scope = Scope::everything().without_personal();
        for refused in [
            "actor = \"ann\"",
            "code = \"1\" AND NOT subject = \"ann\"",
            "NOT (code = \"1\" OR device:\"7\")",
            "attributes.user_id:*",
            "attributes.no_such_name = \"1\"",
            // Public where the Token Server says it, and unlisted in rows of the CMS.
            "attributes.client_id = \"a*\"",
            "attributes.status_description:\"x\"",
        ] {
            let predicate = Predicate::of(None, refused).expect("a condition");
            assert!(Scoped::new(predicate.clone(), &scope, &catalog).is_err(), "{refused}");
            assert!(Scoped::new(predicate, &Scope::everything(), &catalog).is_ok(), "{refused}");
        }
        for accepted in
            ["code = \"1\"", "severity >= 300 AND NOT outcome = SUCCESS", "attributes.interface = \"1\""]
        {
            let predicate = Predicate::of(None, accepted).expect("a condition");
            assert!(Scoped::new(predicate, &scope, &catalog).is_ok(), "{accepted}");
        }
    }
}
