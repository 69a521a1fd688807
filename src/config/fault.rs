//! What is wrong with a file, without what is in it: a password or a token may stand on the line, and what is said goes
//! to a log. Callers: what reads TOML here.

/// Half of the letters are where they should be: below that it is another word.
const LEAST_LIKENESS: f64 = 0.5;

/// The message of a fault, with the line and the column where it is.
pub(super) fn toml_fault(text: &str, error: &toml::de::Error) -> String {
    let message = with_nearest(&without_values(error.message()));
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return message };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
    format!("line {line}, column {column}: {message}")
}

/// What is said of an unknown key, with the known key that it resembles instead of the list of all.
fn with_nearest(message: &str) -> String {
    let near = message.strip_prefix("unknown field `").and_then(|rest| {
        let (unknown, known) = rest.split_once("`, expected ")?;
        let likeness = |key: &&str| strsim::normalized_damerau_levenshtein(&unknown.replace('-', "_"), key);
        let nearest =
            known.split('`').skip(1).step_by(2).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        (likeness(&nearest) > LEAST_LIKENESS)
            .then(|| format!("unknown field `{unknown}`, did you mean `{nearest}`?"))
    });
    near.unwrap_or_else(|| message.to_owned())
}

/// The message without the text that it quotes where a value is of another type: only what was expected is said.
fn without_values(message: &str) -> String {
    let message = &in_words(message);
    for found in ["invalid type: string \"", "invalid value: string \""] {
        if let Some(rest) = message.strip_prefix(found) {
            let expected = rest.rsplit_once("\", expected ").map_or("another", |(_, expected)| expected);
            return format!("{} a text, expected {expected}", &found[..found.len() - " string \"".len()]);
        }
    }
    message.to_owned()
}

/// The message with a type in words at its end, where serde has that of Rust.
fn in_words(message: &str) -> String {
    let Some((before, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let expected = match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list: [\"...\"]",
        "a string" | "path string" => "a text: \"...\"",
        "a boolean" => "true or false",
        other => other,
    };
    format!("{before}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[expect(dead_code, reason = "only read")]
        seconds: Option<u64>,
    }

    #[test]
    fn a_fault_says_where_and_nothing_of_the_line() {
        let canary = "hunter2";
        for (text, said) in [
            (
                format!("\nseconds = \"postgres://ann:{canary}@db\""),
                "line 2, column 11: invalid type: a text, expected a whole number",
            ),
            (format!("seconds = \"{canary}\", expected {canary}\""), "line 1, column"),
            (
                format!("store = \"postgres://ann:{canary}@db\""),
                "line 1, column 1: unknown field `store`, expected `seconds`",
            ),
            (
                format!("secnods = \"{canary}\""),
                "line 1, column 1: unknown field `secnods`, did you mean `seconds`?",
            ),
            (format!("# \u{e4}\n\nchy_{canary}"), "line 3, column"),
            (format!("store = \"postgres://ann:{canary}"), "line 1, column"),
            (format!("store = postgres://ann:{canary}@db"), "line 1, column"),
        ] {
            let error = toml::from_str::<File>(&text).expect_err("a fault");
            let fault = toml_fault(&text, &error);
            assert!(fault.starts_with(said) && !fault.contains(canary), "{text}: {fault}");
        }
    }
}
