//! The parameter text of an AS record. It is refused at a byte where one of its characters begins, or its pairs are
//! those of the text in their order, with every repeat; written out they read back the same. A JSON text says what a
//! library of JSON reads in it, and is taken whenever it is a flat object of codes.
use std::fmt;

use chancery::catalog::as_parameters::{Parsed, parse, render};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// One text in UTF-8, which is what protobuf lets through.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let json = text.trim_ascii_start().starts_with('{');
    let parsed = parse(text);
    if json {
        against_a_library(text, parsed.as_ref().ok());
    }
    match parsed {
        Err(error) => {
            assert!(text.get(error.offset..).is_some(), "{text:?}: {error}");
            assert!(!error.expected.is_empty(), "{text:?}: {error}");
        }
        Ok(parsed) if json => assert!(!parsed.ambiguous, "{text:?}"),
        Ok(parsed) => {
            in_order(text, &parsed);
            let pairs = parsed.parameters.iter().map(|each| (&*each.code, &*each.value, each.quoted));
            let written = render(parsed.action.as_deref(), pairs);
            let again = parse(&written).unwrap_or_else(|error| panic!("{written:?} of {text:?}: {error}"));
            assert_eq!(
                (&again.action, &again.parameters),
                (&parsed.action, &parsed.parameters),
                "{text:?} is written as {written:?}"
            );
            // An action loses its quotes, and may then look like two pairs.
            let action = again.action.as_deref().is_some_and(|action| action.contains("Action="));
            let clear = !again.ambiguous || parsed.ambiguous || action;
            assert!(clear, "{written:?} has readings that {text:?} has not");
        }
    }
}

/// Every pair stands in the text as it was read, behind the one before it, and nothing but blanks and `Action` is left.
fn in_order(text: &str, parsed: &Parsed) {
    let mut rest = text;
    let mut left = String::new();
    for each in &parsed.parameters {
        let quote = if each.quoted { "\"" } else { "" };
        let pair = format!("{}={quote}{}{quote}", each.code, each.value);
        // Not behind the end of a longer code.
        let begins =
            |at: &usize| !rest[..*at].ends_with(|each: char| each.is_ascii_alphanumeric() || each == '_');
        let at = rest.match_indices(&pair).map(|(at, _)| at).find(begins);
        let at = at.unwrap_or_else(|| panic!("{pair:?} is not in what is left of {text:?}"));
        left.push_str(&rest[..at]);
        rest = &rest[at + pair.len()..];
    }
    left.push_str(rest);
    let action = parsed.action.as_deref().unwrap_or_default();
    // An action may itself look like pairs.
    if !action.contains('=') {
        let marks = |each: char| each.is_ascii_whitespace() || each == '"';
        let mut said = left.split("Action=").map(|each| each.trim_matches(marks));
        let said = said.all(|each| each.is_empty() || each == action.trim_matches(marks));
        assert!(said, "{left:?} of {text:?} is in no parameter");
    }
}

/// The members of an object, as they stand there.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

fn against_a_library(text: &str, parsed: Option<&Parsed>) {
    // ASCII has one blank that JSON does not have.
    if text.contains('\u{c}') {
        return;
    }
    let Ok(Members(members)) = serde_json::from_str(text) else {
        assert!(parsed.is_none(), "{text:?} is no JSON");
        return;
    };
    // The library keeps no spelling of a number, so it cannot say whether two are the same text.
    let numbers = members.iter().filter(|(code, value)| code == "Action" && value.is_number()).count();
    if numbers > 1 {
        return;
    }
    let Some(parsed) = parsed else {
        assert!(!is_parameters(&members), "{text:?} is refused");
        return;
    };
    assert!(is_parameters(&members), "{text:?} is taken");
    let mut wanted = members.iter().filter(|(code, _)| code != "Action");
    for each in &parsed.parameters {
        let (code, value) = wanted.next().unwrap_or_else(|| panic!("{each:?} of {text:?} is made up"));
        assert_eq!((&each.code, each.quoted), (code, true), "{text:?}");
        match value {
            Value::String(value) => assert_eq!(each.value, *value, "{text:?}"),
            value => assert_eq!(serde_json::from_str(&each.value).ok().as_ref(), Some(value), "{text:?}"),
        }
    }
    assert!(wanted.next().is_none(), "{text:?} has more");
    let action = members.iter().find(|(code, _)| code == "Action").map(|(_, value)| said(value));
    assert_eq!(parsed.action.is_some(), action.is_some(), "{text:?}");
}

/// What the grammar asks for besides JSON: codes, flat values, and one action.
fn is_parameters(members: &[(String, Value)]) -> bool {
    let code = |code: &str| {
        code.len() <= 64
            && code.starts_with(|first: char| first.is_ascii_alphabetic())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let actions: Vec<_> =
        members.iter().filter(|(code, _)| code == "Action").map(|(_, value)| said(value)).collect();
    members.iter().all(|(each, value)| code(each) && !value.is_array() && !value.is_object())
        && actions.iter().all(|action| !action.is_empty() && *action == actions[0])
}

/// A value as the text form would have it.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim_ascii().to_owned(),
        value => value.to_string(),
    }
}
