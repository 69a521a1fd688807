//! Words in the fields of an event that hold several values: whose they are. Called by `person`.
use std::borrow::Cow;

use crate::{catalog::as_parameters, proto::v1::new_event::Family as Source};

/// The texts of a field that holds several values: a composite of a CMS family, or the parameters of an AS record.
/// A parameter text is read first: in JSON a letter can be written as its number.
pub fn texts(family: &Source) -> Vec<Cow<'_, str>> {
    match family {
        Source::CmsAudit(event) => {
            let all =
                [&event.client_id, &event.operator_id, &event.char1, &event.char2, &event.error_message];
            borrowed(all.into_iter().flatten())
        }
        Source::CmsNotification(event) => {
            let all = [&event.client_id, &event.operator_id, &event.char1, &event.char2, &event.char3];
            borrowed(all.into_iter().flatten())
        }
        Source::AsAudit(event) => {
            let mut texts = borrowed(event.parameters.iter().map(|each| &each.value));
            match as_parameters::parse(&event.raw_parameters) {
                Ok(read) => texts.extend(read.parameters.into_iter().map(|each| Cow::Owned(each.value))),
                Err(_) => texts.push(Cow::Borrowed(&event.raw_parameters)),
            }
            texts
        }
        // None of their fields holds more than one value.
        Source::TokenServer(_) | Source::Chancery(_) => Vec::new(),
    }
}

fn borrowed<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<Cow<'a, str>> {
    texts.map(|text| Cow::Borrowed(text.as_str())).collect()
}

/// Whether a text holds a word: not as a part of a longer one, so that `ann` is in `CN=ann,O=x` and not in `joanna`.
pub fn holds(text: &str, word: &str) -> bool {
    let joins = |each: Option<char>| each.is_some_and(char::is_alphanumeric);
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let (front, back) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
            !joins(front) && !joins(back)
        })
}

#[cfg(test)]
mod tests {
    use super::{Source, holds, texts};
    use crate::proto::v1::AsAuditEvent;

    #[test]
    fn parameters_are_read_before_they_are_compared() {
        for (raw_parameters, found) in [
            (r#"{"USN":"J\u00f8rgen","GRC":"x"}"#, true),
            (r#"USN="Jørgen"Action=a"#, true),
            (r#"{"USN":"J\u00f8rgensen"}"#, false),
            // What cannot be read is compared as it is.
            (r#"USN="Jørgen"#, true),
        ] {
            let event = AsAuditEvent { raw_parameters: raw_parameters.to_owned(), ..AsAuditEvent::default() };
            let texts = texts(&Source::AsAudit(event)).iter().any(|text| holds(text, "Jørgen"));
            assert_eq!(texts, found, "{raw_parameters}");
        }
    }

    #[test]
    fn a_word_is_found_whole() {
        for (text, word, found) in [
            ("CN=ann,O=x", "ann", true),
            ("ann", "ann", true),
            ("joanna", "ann", false),
            ("anna ann", "ann", true),
            ("USN=\"ann.b\"", "ann", true),
            ("x", "", false),
            ("é1", "1", false),
        ] {
            assert_eq!(holds(text, word), found, "{word:?} in {text:?}");
        }
    }
}
