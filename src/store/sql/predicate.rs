//! A predicate as a condition on rows of `events`.
use super::{Bind, Dialect, Statement};
use crate::{
    event::{ATTRIBUTE_MARK, attribute_escaped, attribute_needle},
    query::predicate::Predicate,
};

impl Statement {
    pub(super) fn predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::All(all) if all.is_empty() => {
                self.push("1 = 1");
            }
            Predicate::All(all) => {
                for (at, each) in all.iter().enumerate() {
                    if at > 0 {
                        self.push(" AND ");
                    }
                    self.predicate(each);
                }
            }
            Predicate::Text(column, values) => {
                self.list(column.name(), values.iter().map(|value| Bind::Text(value.clone())));
            }
            Predicate::Enum(column, values) => {
                self.list(column.name(), values.iter().map(|value| Bind::Number(i64::from(*value))));
            }
            Predicate::From(column, micros) => {
                self.push(column.name()).push(" >= ").number(*micros);
            }
            Predicate::Before(column, micros) => {
                self.push(column.name()).push(" < ").number(*micros);
            }
            Predicate::Attribute { name, value } => {
                let find = self.dialect.find;
                self.push(find).push("(attributes, ").text(&attribute_needle(name, value)).push(") > 0");
            }
            Predicate::Contains(text) => self.contains(text),
        }
    }

    /// The text in any of the columns, or in an attribute. The columns are joined by a mark that the
    /// text as it is searched for never holds, so that no match spans two of them.
    fn contains(&mut self, text: &str) {
        let Dialect { find, lower: (before, after), character, .. } = self.dialect;
        let columns =
            ["code", "name", "category", "actor", "subject", "device", "correlation_id", "attributes"];
        let mark = format!(" || {character}({}) || ", u32::from(ATTRIBUTE_MARK));
        let searched = attribute_escaped(&text.to_ascii_lowercase());
        self.push(find).push("(").push(before).push(&columns.join(&mark)).push(after).push(", ");
        self.text(&searched).push(") > 0");
    }
}
