//! Settings as layers that are laid over each other: defaults, the file, variables, flags.
//!
//! Does: a layer of what a value of any shape says, and back. Does not: know any setting. Called by: [`super::given`].
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::origin::Origin;

/// What one place says: by the path of keys to it, each value with where it came from. A list is one value, which a
/// later layer replaces whole; so is an empty table.
pub(super) type Layer = BTreeMap<Vec<String>, (Value, Origin)>;

/// A layer of a value's tables. `origin` tells where a key's value came from; without one it is left out.
pub(super) fn layer(tables: Map<String, Value>, origin: &dyn Fn(&str) -> Option<Origin>) -> Layer {
    let mut layer = Layer::new();
    let mut open: Vec<_> = tables.into_iter().map(|(key, value)| (vec![key], value)).collect();
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                open.extend(
                    inner.into_iter().map(|(key, value)| ([path.as_slice(), &[key]].concat(), value)),
                );
            }
            value => {
                if let Some(origin) = path.last().and_then(|key| origin(key)) {
                    layer.insert(path, (value, origin));
                }
            }
        }
    }
    layer
}

/// The tables that a layer was made of.
pub(super) fn tables(layer: &Layer) -> Value {
    let mut root = Value::Object(Map::new());
    for (path, (value, _)) in layer {
        let mut at = &mut root;
        for key in path {
            // A table's own empty value comes before what is in it, because its path is shorter.
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[key.as_str()];
        }
        *at = value.clone();
    }
    root
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: &Value, origin: &Origin) -> Layer {
        layer(value.as_object().expect("a table").clone(), &|_| Some(origin.clone()))
    }

    #[test]
    fn a_later_layer_wins_key_by_key_and_a_list_whole() {
        let mut all = of(&json!({"a": 1, "t": {"x": 1, "y": [1, 2]}, "e": {}}), &Origin::Default);
        assert_eq!(tables(&all), json!({"a": 1, "t": {"x": 1, "y": [1, 2]}, "e": {}}));
        all.extend(of(&json!({"t": {"y": [3]}, "e": {"z": 4}}), &Origin::flag("t_y")));
        assert_eq!(tables(&all), json!({"a": 1, "t": {"x": 1, "y": [3]}, "e": {"z": 4}}));
        assert_eq!(all[&vec!["t".to_owned(), "y".to_owned()]].1.to_string(), "flag --t-y");
    }
}
