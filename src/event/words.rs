//! Words in the fields of an event that hold several values: whose they are. Called by `person`.
use crate::proto::v1::new_event::Family as Source;

/// The texts of a field that holds several values: a composite of a CMS family, or the parameters of an AS record.
pub fn texts(family: &Source) -> Vec<&str> {
    match family {
        Source::CmsAudit(event) => {
            let all =
                [&event.client_id, &event.operator_id, &event.char1, &event.char2, &event.error_message];
            all.into_iter().flatten().map(String::as_str).collect()
        }
        Source::CmsNotification(event) => {
            let all = [&event.client_id, &event.operator_id, &event.char1, &event.char2, &event.char3];
            all.into_iter().flatten().map(String::as_str).collect()
        }
        Source::AsAudit(event) => {
            let values = event.parameters.iter().map(|each| each.value.as_str());
            values.chain([event.raw_parameters.as_str()]).collect()
        }
        // None of their fields holds more than one value.
        Source::TokenServer(_) | Source::Chancery(_) => Vec::new(),
    }
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
    use super::holds;

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
