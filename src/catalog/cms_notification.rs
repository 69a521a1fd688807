//! CMS notification events: rows by status and credential type, and the keys of credential objects.
use super::{
    Draft, FamilyCatalog,
    model::{EventType, Family, Field},
    reading::{Origin, Reading, STATUS_DESCRIPTION, not_null, unlisted_name, warning},
    rejection::Rejection,
    rows::{self, Value},
};
use crate::proto::v1::{CmsNotificationEvent, Outcome};

/// The form in which keys of `credential_values` are compared: without case and blanks, `/` read as
/// `.`. The vendor prints `com.actividentity. provider/profileId` beside `provider.cred.status`.
pub fn fold_key(key: &str) -> String {
    key.chars()
        .filter(|each| !each.is_whitespace())
        .map(|each| if each == '/' { '.' } else { each.to_ascii_lowercase() })
        .collect()
}

/// Reads an event whose code is `event_type`.
pub fn read(
    catalog: &FamilyCatalog,
    event_type: &EventType,
    event: &CmsNotificationEvent,
) -> Result<Draft, Rejection> {
    if event.status > 1 {
        let description = format!("{} is not a status; 0 (success) or 1 (failure)", event.status);
        return Err(Rejection::violation("cms_notification.status", description));
    }
    let rows = event_type.rows.iter().filter(|row| row.statuses.contains(&event.status));
    let Some((row, mut reading)) = rows::best(event_type, rows, |field| value(event, field)) else {
        let description =
            format!("{} is not a status of {} ({})", event.status, event_type.code, event_type.name);
        return Err(Rejection::violation("cms_notification.status", description));
    };
    super::check_name(event_type, &event.description, "cms_notification.description", &mut reading);
    if let Some(text) = event.status_description.as_deref().and_then(not_null) {
        let origin = Origin::Column("status_description");
        reading.take_unlisted(STATUS_DESCRIPTION.to_owned(), text, origin);
    }
    credential_values(catalog, event_type, &row.credential_objects, event, &mut reading);
    Ok(Draft {
        reading,
        outcome: if event.status == 0 { row.outcome } else { Outcome::Failure },
        variant: row.variant.clone(),
        severity: None,
    })
}

/// The positional fields of an event that no row explains, under their own names.
pub fn read_unknown(event: &CmsNotificationEvent) -> Reading {
    let mut reading = Reading::default();
    rows::unexplained(&mut reading, Family::CmsNotification, |field| value(event, field));
    reading
}

fn value(event: &CmsNotificationEvent, field: Field) -> Value<'_> {
    match field {
        Field::ClientId => Value::text(event.client_id.as_ref()),
        Field::OperatorId => Value::text(event.operator_id.as_ref()),
        Field::Num1 => Value::number(event.num1),
        Field::Num2 => Value::number(event.num2),
        Field::Char1 => Value::text(event.char1.as_ref()),
        Field::Char2 => Value::text(event.char2.as_ref()),
        Field::Char3 => Value::text(event.char3.as_ref()),
        Field::ErrorNumber | Field::ErrorMessage => Value::Absent,
    }
}

fn credential_values(
    catalog: &FamilyCatalog,
    event_type: &EventType,
    objects: &[String],
    event: &CmsNotificationEvent,
    reading: &mut Reading,
) {
    for (key, value) in &event.credential_values {
        let path = || format!("cms_notification.credential_values[{key}]");
        let Some(known) = catalog.credential_values.get(&fold_key(key)) else {
            reading.dropped(&unlisted_name("credential", key));
            reading.warn(
                warning::UNKNOWN_KEY,
                path(),
                "the catalog does not know this key; its value was dropped",
            );
            continue;
        };
        if !objects.contains(&known.object) {
            let description = format!("{} does not document {} values", event_type.code, known.object);
            reading.warn(warning::FIELD_NOT_DOCUMENTED, path(), description);
        }
        reading.take(&known.attribute, value, path, || Origin::Key(key.clone()));
    }
}
