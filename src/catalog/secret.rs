//! The secret policy: takes values of class secret out of an event before anything else sees them.
//!
//! It runs on every event that could be stored anywhere, accepted or refused, whether or not its code
//! is known. What stays is that the field was present: an empty value in its place.
use super::{
    Catalog, FamilyCatalog,
    as_parameters::{self, ParseError, Parsed},
    cms_notification,
    model::{Class, Family, Field},
    reading::not_null,
    token_server,
};
use crate::proto::v1::{AsAuditEvent, NewEvent, new_event};

/// The parameters of an AS record once their secrets are out, parsed once.
pub type Parameters = Result<Parsed, ParseError>;

/// Takes the secrets out of `event`. For an AS record with raw parameters, returns what they say.
pub fn drop_secrets(catalog: &Catalog, event: &mut NewEvent) -> Option<Parameters> {
    match event.family.as_mut()? {
        new_event::Family::CmsAudit(event) => {
            for field in secret_fields(catalog, Family::CmsAudit, &event.code) {
                match field {
                    Field::ClientId => empty(&mut event.client_id),
                    Field::OperatorId => empty(&mut event.operator_id),
                    Field::Char1 => empty(&mut event.char1),
                    Field::Char2 => empty(&mut event.char2),
                    Field::ErrorMessage => empty(&mut event.error_message),
                    Field::Num1 => event.num1 = event.num1.map(|_| 0),
                    Field::Num2 => event.num2 = event.num2.map(|_| 0),
                    Field::ErrorNumber => event.error_number = event.error_number.map(|_| 0),
                    Field::Char3 => {}
                }
            }
            None
        }
        new_event::Family::CmsNotification(event) => {
            for field in secret_fields(catalog, Family::CmsNotification, &event.code) {
                match field {
                    Field::ClientId => empty(&mut event.client_id),
                    Field::OperatorId => empty(&mut event.operator_id),
                    Field::Char1 => empty(&mut event.char1),
                    Field::Char2 => empty(&mut event.char2),
                    Field::Char3 => empty(&mut event.char3),
                    Field::Num1 => event.num1 = event.num1.map(|_| 0),
                    Field::Num2 => event.num2 = event.num2.map(|_| 0),
                    Field::ErrorNumber | Field::ErrorMessage => {}
                }
            }
            let known = &catalog.family(Family::CmsNotification).credential_values;
            for (key, value) in &mut event.credential_values {
                // The vendor does not encrypt these objects, so a key that the catalog does not know
                // is taken for key material.
                let kept = known
                    .get(&cms_notification::fold_key(key))
                    .is_some_and(|known| known.attribute.class != Class::Secret);
                if !kept {
                    value.clear();
                }
            }
            None
        }
        // The server's own, which holds what the server wrote.
        new_event::Family::Chancery(_) => None,
        new_event::Family::AsAudit(event) => as_audit(catalog.family(Family::AsAudit), event),
        new_event::Family::TokenServer(event) => {
            let known = &catalog.family(Family::TokenServer).details;
            let secret = |word: &str| {
                known
                    .get(&token_server::fold_key(word))
                    .is_some_and(|attribute| attribute.class == Class::Secret)
            };
            for (key, value) in &mut event.details {
                let listed = known.contains_key(&token_server::fold_key(key));
                if secret(key) || (!listed && token_server::sounds_secret(key)) {
                    value.clear();
                } else {
                    cut(value, secret);
                }
            }
            None
        }
    }
}

/// The fields of a code that any of its rows calls secret. A code that its own family does not have is
/// looked up in the sibling family: an unlock challenge sent under the wrong family is still one.
fn secret_fields<'a>(
    catalog: &'a Catalog,
    family: Family,
    code: &str,
) -> impl Iterator<Item = Field> + use<'a> {
    let sibling = match family {
        Family::CmsAudit => Family::CmsNotification,
        _ => Family::CmsAudit,
    };
    let found = catalog.find(family, code).or_else(|| catalog.find(sibling, code));
    found.into_iter().flat_map(|(event_type, _)| &event_type.secret_fields).map(|(field, _)| *field)
}

/// Leaves an empty text where there was a value, and nothing where there was none.
fn empty(value: &mut Option<String>) {
    *value = value.take().and_then(|text| not_null(&text).map(|_| String::new()));
}

fn as_audit(catalog: &FamilyCatalog, event: &mut AsAuditEvent) -> Option<Parameters> {
    let secret = |code: &str| catalog.parameter(code).is_some_and(|known| known.class == Class::Secret);
    for parameter in &mut event.parameters {
        if secret(&parameter.code) {
            parameter.value.clear();
        }
        cut(&mut parameter.value, secret);
    }
    cut(&mut event.action, secret);
    let columns = [
        &mut event.domain,
        &mut event.channel,
        &mut event.user_id,
        &mut event.target_user_id,
        &mut event.direct_external_reference,
        &mut event.indirect_external_reference,
        &mut event.host_address,
        &mut event.status,
        &mut event.response,
        &mut event.message,
        &mut event.authentication_type_code,
        &mut event.correlation_type,
        &mut event.entity_id,
        &mut event.entity_type,
        &mut event.event_type,
    ];
    for column in columns.into_iter().flatten() {
        cut(column, secret);
    }
    if event.raw_parameters.is_empty() {
        return None;
    }
    let mut parsed = match as_parameters::parse(&event.raw_parameters) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Nobody can say where a secret begins and ends in a text that cannot be read.
            event.raw_parameters.clear();
            return Some(Err(error));
        }
    };
    let mut dropped = false;
    for parameter in &mut parsed.parameters {
        if secret(&parameter.code) && !parameter.value.is_empty() {
            parameter.value.clear();
            parameter.quoted = true;
            dropped = true;
        }
        if cut(&mut parameter.value, secret) {
            parameter.quoted = true;
            dropped = true;
        }
    }
    if let Some(action) = &mut parsed.action {
        dropped |= cut(action, secret);
    }
    if dropped {
        event.raw_parameters = as_parameters::render(
            parsed.action.as_deref(),
            parsed.parameters.iter().map(|each| (each.code.as_str(), each.value.as_str(), each.quoted)),
        );
    }
    Some(Ok(parsed))
}

/// Cuts a text where a secret begins inside it, and says whether it did. The vendor escapes nothing:
/// `FAC="told TRA="S""` holds a secret inside another value.
fn cut(text: &mut String, secret: impl Fn(&str) -> bool) -> bool {
    match hidden_secret(text, secret) {
        Some(at) => {
            text.truncate(at);
            true
        }
        None => false,
    }
}

/// Where the name of a secret begins inside a text: a word that is one, then `=` or `:`, with blanks and a
/// quote allowed between, so that `TRA ="x"` and `{"TRA":"x"}` count.
fn hidden_secret(text: &str, secret: impl Fn(&str) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let begin = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        // A separator can only be a few bytes away; looking further would be quadratic.
        let mut after =
            bytes[at..].iter().take(8).skip_while(|byte| byte.is_ascii_whitespace() || **byte == b'"');
        if matches!(after.next(), Some(b'=' | b':')) && secret(&text[begin..at]) {
            return Some(begin);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::hidden_secret;

    #[test]
    fn a_secret_code_inside_a_value_is_found_where_it_begins() {
        let secret = |code: &str| code == "TRA";
        for (value, found) in [
            ("told TRA=x", Some(5)),
            ("TRA=x", Some(0)),
            ("éTRA=", Some(2)),
            ("XTRA=x", None),
            ("TRA", None),
            ("a=b", None),
        ] {
            assert_eq!(hidden_secret(value, secret), found, "{value}");
        }
    }
}
