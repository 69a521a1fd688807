//! A predicate as a condition on rows of `events`. It says what `Predicate::matches` says: every column is NOT
//! NULL, so that a condition and its negation are never both unknown, and both databases compare texts byte
//! for byte.
use super::{Bind, Dialect, Statement};
use crate::{
    event::{ATTRIBUTE_MARK, attribute_beginning, attribute_escaped},
    query::predicate::{Predicate, SEARCHED, TextColumn},
};

const EVERY_ROW: &str = "1 = 1";
const NO_ROW: &str = "1 = 0";
/// Conditions in a row without parentheses. SQLite takes 1000 levels, and every AND of a row is one.
const ROW: usize = 64;

impl Statement {
    pub(super) fn predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::All(all) => self.joined(all, " AND ", EVERY_ROW),
            Predicate::Any(any) => {
                self.push("(").joined(any, " OR ", NO_ROW);
                self.push(")");
            }
            Predicate::Not(inner) => {
                self.push("NOT (").predicate(inner);
                self.push(")");
            }
            Predicate::Text(column, values) => {
                self.one_of(column.name(), values.iter().map(|value| Bind::Text(value.clone())));
            }
            Predicate::TextPrefix(column, prefix) => self.prefix(*column, prefix),
            Predicate::TextContains(column, text) => {
                let Dialect { find, lower: (before, after), .. } = self.dialect;
                self.push(find).push("(").push(before).push(column.name()).push(after).push(", ");
                self.text(&text.to_ascii_lowercase()).push(") > 0");
            }
            Predicate::Enum(column, values) => {
                self.one_of(column.name(), values.iter().map(|value| Bind::Number(i64::from(*value))));
            }
            // The unary plus keeps the planner on the bounds that the statement has besides: SQLite takes the first
            // of two for its index, and the plan of the query has narrowed those already.
            Predicate::From(column, number) => {
                self.push("+").push(column.name()).push(" >= ").number(*number);
            }
            Predicate::Before(column, number) => {
                self.push("+").push(column.name()).push(" < ").number(*number);
            }
            Predicate::Attribute { name, value } => {
                let value = attribute_escaped(value);
                self.find_attribute(&format!("{}{value}{ATTRIBUTE_MARK}", attribute_beginning(name)));
            }
            Predicate::AttributePrefix { name, prefix } => {
                let prefix = attribute_escaped(prefix);
                self.find_attribute(&format!("{}{prefix}", attribute_beginning(name)));
            }
            Predicate::AttributePresent { name } => self.find_attribute(&attribute_beginning(name)),
            Predicate::AttributeContains { name, text } => self.attribute_contains(name, text),
            Predicate::Contains(text) => self.contains(text),
        }
    }

    /// A long row is cut in two, again and again, so that its depth is that of a tree.
    fn joined(&mut self, predicates: &[Predicate], joint: &str, none: &str) {
        if predicates.is_empty() {
            self.push(none);
        } else if predicates.len() > ROW {
            let (left, right) = predicates.split_at(predicates.len() / 2);
            self.push("(").joined(left, joint, none);
            self.push(")").push(joint).push("(").joined(right, joint, none);
            self.push(")");
        } else {
            for (at, each) in predicates.iter().enumerate() {
                if at > 0 {
                    self.push(joint);
                }
                self.predicate(each);
            }
        }
    }

    fn one_of(&mut self, column: &str, binds: impl ExactSizeIterator<Item = Bind>) {
        match binds.len() {
            0 => drop(self.push(NO_ROW)),
            _ => self.list(column, binds),
        }
    }

    /// As a range, which an index answers, and which is exact: the bytes of UTF-8 are in the order of the code
    /// points, so that what lies between the prefix and its successor begins with it.
    fn prefix(&mut self, column: TextColumn, prefix: &str) {
        self.push(column.name()).push(" >= ").text(prefix);
        if let Some(successor) = successor(prefix) {
            self.push(" AND ").push(column.name()).push(" < ").text(&successor);
        }
    }

    fn find_attribute(&mut self, needle: &str) {
        let find = self.dialect.find;
        self.push(find).push("(attributes, ").text(needle).push(") > 0");
    }

    /// Steps through the attributes of this name (there may be several), each time cutting off what lies
    /// before the value, which ends at the next mark.
    fn attribute_contains(&mut self, name: &str, text: &str) {
        let Dialect { find, lower: (before, after), character, .. } = self.dialect;
        let beginning = attribute_beginning(name);
        let mark = format!("{character}({})", u32::from(ATTRIBUTE_MARK));
        let escaped = attribute_escaped(text).to_ascii_lowercase();
        self.push("(").find_attribute(&beginning);
        self.push(" AND EXISTS (WITH RECURSIVE found (rest) AS (SELECT ");
        self.behind("attributes", &beginning);
        self.push(" UNION ALL SELECT ").behind("rest", &beginning);
        self.push(" FROM found WHERE ").push(find).push("(rest, ").text(&beginning).push(") > 0) ");
        self.push("SELECT 1 FROM found WHERE ").push(find).push("(").push(before);
        self.push(&format!("substr(rest, 1, {find}(rest, {mark}) - 1)")).push(after).push(", ");
        self.text(&escaped).push(") > 0))");
    }

    /// What follows the first occurrence of a text.
    fn behind(&mut self, column: &str, needle: &str) {
        let find = self.dialect.find;
        self.push("substr(").push(column).push(", ").push(find).push("(").push(column).push(", ");
        // At most 3 * 8 KiB of marks and escapes around the name.
        let length = i64::try_from(needle.chars().count()).unwrap_or(i64::MAX);
        self.text(needle).push(&format!(") + {length})"));
    }

    /// The text in any of the columns, or in an attribute. The columns are joined by a mark that the text as it
    /// is searched for does not hold, so that no match spans two of them; a text that holds one is looked for
    /// in each.
    fn contains(&mut self, text: &str) {
        let Dialect { find, lower: (before, after), character, .. } = self.dialect;
        let lower = text.to_ascii_lowercase();
        let escaped = attribute_escaped(&lower);
        let mut columns: Vec<_> = SEARCHED.iter().map(|column| column.name()).collect();
        if *escaped == *lower {
            columns.push("attributes");
            let mark = format!(" || {character}({}) || ", u32::from(ATTRIBUTE_MARK));
            self.push(find).push("(").push(before).push(&columns.join(&mark)).push(after).push(", ");
            self.text(&lower).push(") > 0");
            return;
        }
        self.push("(");
        for column in columns {
            self.push(find).push("(").push(before).push(column).push(after).push(", ");
            self.text(&lower).push(") > 0 OR ");
        }
        self.push(find).push("(").push(before).push("attributes").push(after).push(", ");
        self.text(&escaped).push(") > 0)");
    }
}

/// The least text that is greater than every text with this prefix; `None` when there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            // Surrogates lie between, and are no characters.
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn the_successor_of_a_prefix_is_the_next_text() {
        for (prefix, next) in [
            ("a", Some("b")),
            ("a%", Some("a&")),
            ("ab\u{10ffff}", Some("ac")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("\u{10ffff}\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(successor(prefix).as_deref(), next, "{prefix:?}");
        }
    }
}
