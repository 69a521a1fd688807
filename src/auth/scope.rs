//! Which events of a log somebody sees. No query is made without one.
use std::collections::BTreeSet;

use crate::catalog::model::Family;

/// The rows of a log that a reader sees, and whether with the personal values. Only grants make it, so whoever has one
/// is a reader of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    families: Option<BTreeSet<Family>>,
    personal: bool,
}

impl Scope {
    /// `families`: only these; `None` for all.
    pub(super) const fn new(families: Option<BTreeSet<Family>>, personal: bool) -> Self {
        Self { families, personal }
    }

    /// All of a log, for tests of what takes a scope.
    #[cfg(test)]
    pub const fn everything() -> Self {
        Self { families: None, personal: true }
    }

    /// The same without personal values.
    #[cfg(test)]
    pub fn without_personal(self) -> Self {
        Self { personal: false, ..self }
    }

    /// The only families to be seen; `None` for all.
    pub const fn families(&self) -> Option<&BTreeSet<Family>> {
        self.families.as_ref()
    }

    /// Whether a family is to be seen.
    pub fn sees(&self, family: Option<Family>) -> bool {
        match (&self.families, family) {
            (None, _) => true,
            (Some(families), Some(family)) => families.contains(&family),
            (Some(_), None) => false,
        }
    }

    /// Whether personal values are to be seen.
    pub const fn personal(&self) -> bool {
        self.personal
    }
}
