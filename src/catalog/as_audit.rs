//! ActivID AS records: the parameters by their codes, the record's columns, and the outcome, which is
//! in the record and not in the catalog.
use super::{
    Draft, FamilyCatalog,
    as_parameters::Parsed,
    model::Class,
    reading::{Origin, Reading, not_null, unlisted_name, warning, word},
    rejection::Rejection,
};
use crate::proto::v1::{AsAuditEvent, Outcome};

/// The code of the parameter that tells why a call failed.
const FAILURE_CAUSE: &str = "FAC";

/// The action of a record: its own field, or the one inside the raw parameters.
///
/// # Errors
/// Parameters given twice, or two actions that differ.
pub fn action<'a>(event: &'a AsAuditEvent, parsed: Option<&'a Parsed>) -> Result<&'a str, Rejection> {
    if parsed.is_some() && !event.parameters.is_empty() {
        return Err(Rejection::malformed("as_audit.parameters", "must be empty when raw_parameters is set"));
    }
    let own = event.action.trim();
    match parsed.and_then(|parsed| parsed.action.as_deref()) {
        Some(inside) if own.is_empty() => Ok(inside),
        Some(inside) if inside != own => {
            let description = match (word(own), word(inside)) {
                (Some(own), Some(inside)) => {
                    format!("{own:?} is not the action inside raw_parameters, {inside:?}")
                }
                _ => "is not the action inside raw_parameters".to_owned(),
            };
            Err(Rejection::malformed("as_audit.action", description))
        }
        _ => Ok(own),
    }
}

/// Reads a record, whatever its action: what parameters and columns mean does not depend on it.
/// `parsed` is the reading of the raw parameters, where the record has them.
pub fn read(catalog: &FamilyCatalog, event: &AsAuditEvent, parsed: Option<&Parsed>) -> Draft {
    let mut reading = Reading::default();
    columns(catalog, event, &mut reading);
    if parsed.is_some_and(|parsed| parsed.ambiguous) {
        reading.warn(
            warning::AMBIGUOUS_PARAMETERS,
            "as_audit.raw_parameters",
            "a quote or an equals sign inside a value gives the text more than one reading",
        );
    }
    let mut failed = false;
    for (at, (code, value)) in parameters(event, parsed).enumerate() {
        let path = || match parsed {
            None => format!("as_audit.parameters[{at}].value"),
            Some(_) => format!("as_audit.raw_parameters[{code}]"),
        };
        let attribute = catalog.parameter(code);
        if let Some(secret) = attribute.filter(|attribute| attribute.class == Class::Secret) {
            reading.dropped(&secret.name);
            continue;
        }
        let Some(value) = not_null(value) else { continue };
        failed |= code == FAILURE_CAUSE;
        match attribute {
            Some(attribute) => reading.take(attribute, value, path, || Origin::Parameters),
            None => {
                reading.warn(warning::UNKNOWN_KEY, path(), "the catalog does not know this parameter code");
                reading.take_unlisted(unlisted_name("parameter", code), value, Origin::Parameters);
            }
        }
    }
    let outcome = outcome(event, failed, &mut reading);
    Draft { reading, outcome, variant: String::new(), severity: None }
}

/// Code and value of every parameter, in order.
fn parameters<'a>(
    event: &'a AsAuditEvent,
    parsed: Option<&'a Parsed>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let raw = parsed.into_iter().flat_map(|parsed| &parsed.parameters);
    let raw = raw.map(|each| (each.code.as_str(), each.value.as_str()));
    raw.chain(event.parameters.iter().map(|each| (each.code.as_str(), each.value.as_str())))
}

/// The columns of the record, by the attribute that names each and the field that holds it. External references come before the
/// numeric ids, because they are what an investigator knows a user by.
fn columns(catalog: &FamilyCatalog, event: &AsAuditEvent, reading: &mut Reading) {
    let columns = [
        ("direct_external_reference", "direct_external_reference", &event.direct_external_reference),
        ("indirect_external_reference", "indirect_external_reference", &event.indirect_external_reference),
        ("audit_user_id", "user_id", &event.user_id),
        ("audit_target_user_id", "target_user_id", &event.target_user_id),
        ("audit_domain", "domain", &event.domain),
        ("audit_channel", "channel", &event.channel),
        ("host_address", "host_address", &event.host_address),
        ("status", "status", &event.status),
        ("response", "response", &event.response),
        ("message", "message", &event.message),
        ("record_authentication_type_code", "authentication_type_code", &event.authentication_type_code),
        ("correlation_type", "correlation_type", &event.correlation_type),
        ("entity_id", "entity_id", &event.entity_id),
        ("entity_type", "entity_type", &event.entity_type),
        ("event_type", "event_type", &event.event_type),
    ];
    for (name, field, value) in columns {
        let Some(value) = value.as_deref().and_then(not_null) else { continue };
        // A user id of 0 is the product's spelling of nobody.
        if value == "0" && name.ends_with("user_id") {
            continue;
        }
        match catalog.attributes.get(name) {
            Some(attribute) => {
                reading.take(attribute, value, || format!("as_audit.{name}"), || Origin::Column(field));
            }
            None => reading.take_unlisted(name.to_owned(), value, Origin::Column(field)),
        }
    }
}

/// Failure and success as the record states them: a failure cause, or a status or response. A record
/// with none of them is unknown: the vendor's own samples show a failed call with the parameters of a
/// successful one.
fn outcome(event: &AsAuditEvent, failed: bool, reading: &mut Reading) -> Outcome {
    let mut succeeded = false;
    let mut failed_by_column = false;
    for column in [&event.status, &event.response] {
        if let Some(text) = column.as_deref().and_then(not_null) {
            let text = text.trim().to_ascii_uppercase();
            if text == "SUCCESS" || text.ends_with("_SUCCESS") {
                succeeded = true;
            } else {
                failed_by_column = true;
            }
        }
    }
    let failed = failed || failed_by_column;
    if failed && succeeded {
        reading.warn(
            warning::OUTCOME_CONTRADICTORY,
            "as_audit",
            "the record holds both a success and a failure; it counts as a failure",
        );
    }
    match (failed, succeeded) {
        (true, _) => Outcome::Failure,
        (false, true) => Outcome::Success,
        (false, false) => Outcome::Unknown,
    }
}
