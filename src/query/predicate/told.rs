//! A condition as it may be kept: who searches for a secret has it in the condition.
use super::Predicate;

/// Stands for a value that is not told.
const HIDDEN: &str = "\u{2026}";

impl Predicate {
    /// The condition in the filter language, without the values that are compared with attributes of which `shown` does
    /// not know that they hold no secrets. Texts that are looked for in whole events stay as they are.
    pub fn told(&self, shown: &impl Fn(&str) -> bool) -> String {
        self.hidden(shown).to_string()
    }

    fn hidden(&self, shown: &impl Fn(&str) -> bool) -> Self {
        let all = |children: &[Self]| children.iter().map(|child| child.hidden(shown)).collect();
        let value = || HIDDEN.to_owned();
        match self {
            Self::All(children) => Self::All(all(children)),
            Self::Any(children) => Self::Any(all(children)),
            Self::Not(child) => Self::Not(Box::new(child.hidden(shown))),
            Self::Attribute { name, .. } if !shown(name) => {
                Self::Attribute { name: name.clone(), value: value() }
            }
            Self::AttributePrefix { name, prefix } if !prefix.is_empty() && !shown(name) => {
                Self::AttributePrefix { name: name.clone(), prefix: value() }
            }
            Self::AttributeContains { name, .. } if !shown(name) => {
                Self::AttributeContains { name: name.clone(), text: value() }
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn no_value_of_an_attribute_that_may_be_secret_is_told() {
        let catalog = Catalog::load([], Default::default()).expect("the embedded catalog");
        for (expression, told) in [
            (r#"attributes.challenge_code = "12345678""#, r#"attributes.challenge_code = "…""#),
            (r#"attributes.challenge_code != "12345678""#, r#"attributes.challenge_code != "…""#),
            (
                r#"actor = "ann" AND (attributes.challenge_code:"1234" OR attributes.no_such = "12*")"#,
                r#"actor = "ann" AND (attributes.challenge_code:"…" OR attributes.no_such = "…*")"#,
            ),
            ("attributes.challenge_code:*", "attributes.challenge_code:*"),
            (r#"attributes.device_policy = "OP_2.0""#, r#"attributes.device_policy = "OP_2.0""#),
        ] {
            let predicate = Predicate::of(None, expression).expect("an expression");
            assert_eq!(predicate.told(&|name| catalog.holds_no_secret(name)), told);
        }
    }
}
