//! The CMS audit trail: rows by severity, and the operation type that request type and reason give.
use super::{
    Draft, FamilyCatalog,
    model::{EventType, Family, Field, Row},
    reading::{INTERFACE, OPERATION_TYPE, Reading, not_null, warning},
    rejection::Rejection,
    rows::{self, Value},
};
use crate::proto::v1::CmsAuditEvent;

/// Reads an event whose code is `event_type`.
pub fn read(
    catalog: &FamilyCatalog,
    event_type: &EventType,
    event: &CmsAuditEvent,
) -> Result<Draft, Rejection> {
    let rows = event_type.rows.iter().filter(|row| row.severity == Some(event.severity));
    let Some((row, mut reading)) = rows::best(event_type, rows, |field| value(event, field)) else {
        return Err(Rejection::violation("cms_audit.severity", unknown_severity(event_type, event.severity)));
    };
    super::check_name(event_type, &event.description, "cms_audit.description", &mut reading);
    if let Some(interface) = not_null(&event.interface) {
        reading.take_public(INTERFACE, interface);
    }
    operation(catalog, row, &mut reading);
    Ok(Draft { reading, outcome: row.outcome, variant: row.variant.clone(), severity: Some(event.severity) })
}

/// The positional fields of an event that no row explains, under their own names.
pub fn read_unknown(event: &CmsAuditEvent) -> Reading {
    let mut reading = Reading::default();
    rows::unexplained(&mut reading, Family::CmsAudit, |field| value(event, field));
    reading
}

fn value(event: &CmsAuditEvent, field: Field) -> Value<'_> {
    match field {
        Field::ClientId => Value::text(event.client_id.as_ref()),
        Field::OperatorId => Value::text(event.operator_id.as_ref()),
        Field::Num1 => Value::number(event.num1),
        Field::Num2 => Value::number(event.num2),
        Field::Char1 => Value::text(event.char1.as_ref()),
        Field::Char2 => Value::text(event.char2.as_ref()),
        Field::ErrorNumber => Value::number(event.error_number),
        Field::ErrorMessage => Value::text(event.error_message.as_ref()),
        Field::Char3 => Value::Absent,
    }
}

fn unknown_severity(event_type: &EventType, severity: u32) -> String {
    let mut known: Vec<_> = event_type.rows.iter().filter_map(|row| row.severity).collect();
    known.sort_unstable();
    known.dedup();
    let known = known.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    format!("{severity} is not a severity of {} ({}); one of {known}", event_type.code, event_type.name)
}

/// Adds the operation type where the row names a request type and a request reason.
fn operation(catalog: &FamilyCatalog, row: &Row, reading: &mut Reading) {
    let names = |name: &str| {
        row.fields.iter().flat_map(|(_, spec)| spec.uses()).any(|each| each.attribute.name == name)
    };
    if !(names("request_type") && names("request_reason")) {
        return;
    }
    let find =
        |name: &str| reading.attributes.iter().find(|each| each.name == name).map(|each| each.value.as_str());
    let Some(request_type) = find("request_type") else { return };
    let reason = find("request_reason").unwrap_or_default();
    let operation = catalog.operations.iter().find(|operation| {
        operation.request_type == request_type
            && (operation.request_reasons.is_empty()
                || operation.request_reasons.iter().any(|each| each == reason))
    });
    match operation {
        Some(operation) => reading.take_public(OPERATION_TYPE, &operation.operation_type),
        None => {
            let description =
                format!("no documented operation has request type {request_type} with reason {reason:?}");
            reading.warn(warning::OPERATION_NOT_LISTED, "cms_audit.char1", description);
        }
    }
}
