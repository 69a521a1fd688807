//! The secret policy: takes values of class secret out of an event before anything else sees them.
//!
//! It runs on every event that could be stored anywhere, accepted or refused, whether or not its code
//! is known. What stays is that the field was present: an empty value in its place.
use super::{
    Catalog, FamilyCatalog,
    as_parameters::{self, ParseError, Parsed},
    cms_notification,
    model::{Class, EventType, Family, Field},
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
            if let Some((event_type, _)) = catalog.find(Family::CmsAudit, &event.code) {
                for field in secret_fields(event_type) {
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
            }
            None
        }
        new_event::Family::CmsNotification(event) => {
            if let Some((event_type, _)) = catalog.find(Family::CmsNotification, &event.code) {
                for field in secret_fields(event_type) {
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
        new_event::Family::AsAudit(event) => as_audit(catalog.family(Family::AsAudit), event),
        new_event::Family::TokenServer(event) => {
            let known = &catalog.family(Family::TokenServer).details;
            for (key, value) in &mut event.details {
                let known = known.get(&token_server::fold_key(key));
                if known.is_some_and(|attribute| attribute.class == Class::Secret) {
                    value.clear();
                }
            }
            None
        }
    }
}

/// The fields of a code that any of its rows calls secret, each once.
fn secret_fields(event_type: &EventType) -> Vec<Field> {
    event_type.secret_fields().map(|(field, _)| field).collect()
}

/// Leaves an empty text where there was a value, and nothing where there was none.
fn empty(value: &mut Option<String>) {
    *value = value.take().and_then(|text| not_null(&text).map(|_| String::new()));
}

fn as_audit(catalog: &FamilyCatalog, event: &mut AsAuditEvent) -> Option<Parameters> {
    let secret = |code: &str| catalog.parameters.get(code).is_some_and(|known| known.class == Class::Secret);
    for parameter in &mut event.parameters {
        if secret(&parameter.code) {
            parameter.value.clear();
        }
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
        // The vendor escapes nothing: `FAC="told TRA="S""` holds a secret inside another value.
        if let Some(at) = hidden_secret(&parameter.value, secret) {
            parameter.value.truncate(at);
            parameter.quoted = true;
            dropped = true;
        }
    }
    if dropped {
        event.raw_parameters = as_parameters::render(
            parsed.action.as_deref(),
            parsed.parameters.iter().map(|each| (each.code.as_str(), each.value.as_str(), each.quoted)),
        );
    }
    Some(Ok(parsed))
}

/// Where `CODE=` of a secret code begins inside a value.
fn hidden_secret(value: &str, secret: impl Fn(&str) -> bool) -> Option<usize> {
    let mut word = 0;
    for (at, byte) in value.bytes().enumerate() {
        if byte == b'=' && secret(&value[word..at]) {
            return Some(word);
        }
        if !byte.is_ascii_alphanumeric() && byte != b'_' {
            word = at + 1;
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
