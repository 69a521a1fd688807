//! What the catalog says follows the rules of DESIGN section 6, row by row.
use std::collections::{BTreeMap, BTreeSet};

use chancery::proto::v1::{
    self, AppendResult, AttributeClass, AttributeShape, CmsAuditEvent, EventFamily, EventType, Outcome,
    new_event::Family,
};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    events::event,
    log::{judged, stored, values, warned},
    server::Server,
    types,
};

/// Attributes of class secret, and the field that holds each. DESIGN section 6 names SKI keys, emergency
/// passwords, unlock challenges and session transfer codes; counters, offsets and synchronization values
/// predict one-time passwords and are treated alike.
const SECRETS: [(EventFamily, &str, &str); 9] = [
    (EventFamily::CmsAudit, "challenge_code", "char2"),
    (EventFamily::CmsNotification, "synchronization_value", "char3"),
    (EventFamily::CmsNotification, "sync_des_key", "credential_values[syncdeskey]"),
    (EventFamily::CmsNotification, "async_des_key", "credential_values[asyncdeskey]"),
    (
        EventFamily::CmsNotification,
        "sync_authentication_counter_value",
        "credential_values[syncauthenticationcountervalue]",
    ),
    (EventFamily::CmsNotification, "sync_device_offset", "credential_values[syncdeviceoffset]"),
    (EventFamily::CmsNotification, "async_last_challenge", "credential_values[asynclastchallenge]"),
    (EventFamily::CmsNotification, "emergency_password_value", "credential_values[emergencypasswordvalue]"),
    (EventFamily::AsAudit, "session_transfer_code", "parameters[TRA]"),
];

/// Request types, request reasons and the operation they make. No reason: any reason, or none.
const OPERATIONS: [(i32, &[&str], &str); 12] = [
    (64, &["NONE"], "Issuance"),
    (64, &["FORGOTTEN"], "Temporary Replacement Issuance"),
    (64, &["LOST", "STOLEN", "DAMAGED", "EXPIRED"], "Permanent Replacement Issuance"),
    (64, &["RENEW"], "Re-issuance"),
    (128, &["NONE"], "Production"),
    (128, &["FORGOTTEN"], "Temporary Replacement Production"),
    (128, &["LOST", "STOLEN", "DAMAGED", "EXPIRED"], "Permanent Replacement Production"),
    (128, &["RENEW"], "Re-production"),
    (32, &[], "Applications Update"),
    (8, &[], "PIN Unlock"),
    (256, &[], "Device Lock/Unlock"),
    (66, &[], "Recycle"),
];

fn catalog(families: &[EventFamily]) -> Vec<EventType> {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async { types::all(&mut server.catalog().await, families, 1000).await })
}

/// Field and attribute of every use of an attribute in a type.
fn uses(event_type: &EventType) -> impl Iterator<Item = (&str, &AttributeShape)> {
    let fields = event_type.shapes.iter().flat_map(|shape| &shape.fields);
    fields.flat_map(|field| field.attributes.iter().map(|attribute| (field.field.as_str(), attribute)))
}

#[test]
fn the_outcome_of_a_cms_audit_row_follows_its_severity() {
    let mut rows = 0;
    for each in catalog(&[EventFamily::CmsAudit]) {
        let completes = each.shapes.iter().any(|shape| shape.severity == Some(500));
        for shape in &each.shapes {
            let expected = match shape.severity {
                Some(100) if completes => Outcome::Started,
                Some(100 | 500) => Outcome::Success,
                Some(301) => Outcome::Failure,
                Some(601) => Outcome::Denied,
                other => panic!("{} has a row of severity {other:?}", each.code),
            };
            assert_eq!(shape.outcome(), expected, "{} {:?}", each.code, shape.severity);
            rows += 1;
        }
    }
    assert_eq!(rows, 159, "every documented row but the reserved id's");
}

/// Six notification events are fired before the operation; the others after it.
#[test]
fn a_notification_of_status_0_is_a_success_unless_cms_fires_it_before_the_operation() {
    let before = ["10002", "10007", "20007", "21001", "21002", "21003"];
    for each in catalog(&[EventFamily::CmsNotification]) {
        let started = before.contains(&each.code.as_str());
        for shape in &each.shapes {
            let expected = if started { Outcome::Started } else { Outcome::Success };
            assert_eq!(shape.outcome(), expected, "{} {}", each.code, shape.variant);
        }
    }
}

#[test]
fn every_attribute_has_a_class_a_type_and_one_meaning() {
    let mut meant: BTreeMap<(i32, String), (i32, i32, String)> = BTreeMap::new();
    for each in catalog(&[]) {
        for (field, attribute) in uses(&each) {
            let place = format!("{} {field} {}", each.code, attribute.name);
            assert_ne!(attribute.class(), AttributeClass::Unspecified, "{place}");
            assert_ne!(attribute.r#type(), v1::ValueType::Unspecified, "{place}");
            assert!(!attribute.summary.is_empty(), "{place} has no summary");
            assert!(!attribute.closed || !attribute.allowed_values.is_empty(), "{place} is closed and empty");
            let meaning = (attribute.class, attribute.r#type, attribute.summary.clone());
            let first = meant.entry((each.family, attribute.name.clone())).or_insert_with(|| meaning.clone());
            assert_eq!(*first, meaning, "{place}");
        }
    }
    assert!(meant.len() > 100, "only {} attributes", meant.len());
}

#[test]
fn secrets_are_exactly_the_ones_of_the_design() {
    let mut secret = BTreeSet::new();
    for each in catalog(&[]) {
        for (field, attribute) in uses(&each) {
            if attribute.class() == AttributeClass::Secret {
                secret.insert((each.family, attribute.name.clone(), field.to_owned()));
            }
        }
    }
    let expected = SECRETS.map(|(family, name, field)| (family as i32, name.to_owned(), field.to_owned()));
    assert_eq!(secret, BTreeSet::from(expected));
}

/// A bearer token that the REST API refused or took; error number and message as given.
fn rest(severity: u32, error_number: i32) -> v1::NewEvent {
    event(Family::CmsAudit(CmsAuditEvent {
        code: "20500".to_owned(),
        severity,
        error_number: Some(error_number),
        ..CmsAuditEvent::default()
    }))
}

#[test]
fn rest_error_numbers_are_1_and_100_to_111() {
    let known = std::iter::once(1).chain(100..=111).map(|number| number.to_string()).collect::<Vec<_>>();
    let mut seen = BTreeSet::new();
    for each in catalog(&[EventFamily::CmsAudit]) {
        for (_, attribute) in uses(&each).filter(|(_, attribute)| attribute.name == "error_number") {
            let listed: Vec<_> = attribute.allowed_values.iter().map(|value| value.value.clone()).collect();
            assert_eq!((&listed, attribute.closed), (&known, true), "{}", each.code);
            assert!(attribute.allowed_values.iter().all(|value| value.meaning.len() > 5), "{}", each.code);
            seen.insert(attribute.constant.parse::<i32>().unwrap_or_default());
        }
    }
    assert!(known.iter().all(|number| seen.contains(&number.parse().expect("a number"))), "{seen:?}");
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        for (severity, number, expected) in (100..=111)
            .map(|number| (601, number, AppendResult::Accepted))
            .chain([(301, 1, AppendResult::Accepted)])
            .chain([-1, 0, 1, 2, 99, 112].map(|number| (601, number, AppendResult::Quarantined)))
        {
            let result = judged(&mut audit, rest(severity, number)).await;
            assert_eq!(result.result(), expected, "{severity} {number}: {:?}", result.error);
        }
    });
}

#[test]
fn authentication_types_are_minus_1_to_5() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        for number in -3..=8 {
            let given = event(Family::CmsAudit(CmsAuditEvent {
                code: "20131".to_owned(),
                severity: 100,
                num1: Some(number),
                ..CmsAuditEvent::default()
            }));
            let known = (-1..=5).contains(&number);
            let expected = if known { AppendResult::Accepted } else { AppendResult::Quarantined };
            let result = judged(&mut audit, given).await;
            assert_eq!(result.result(), expected, "{number}: {:?}", result.error);
        }
    });
}

/// A synchronization of request type and reason.
fn synchronize(severity: u32, request_type: i32, reason: Option<&str>) -> v1::NewEvent {
    let tail = reason.map_or_else(String::new, |reason| format!(";{reason}"));
    event(Family::CmsAudit(CmsAuditEvent {
        code: "20151".to_owned(),
        severity,
        client_id: Some("device-1".to_owned()),
        num1: Some(7),
        num2: Some(request_type),
        char1: Some(format!("OP_2.0{tail}")),
        ..CmsAuditEvent::default()
    }))
}

#[test]
fn request_type_and_reason_name_the_operation() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        let mut sent = Vec::new();
        let mut expected = Vec::new();
        for (request_type, reasons, operation) in OPERATIONS {
            // Where the table gives no reason, any reason and none make the same operation.
            let any = [None, Some("NONE"), Some("LOST"), Some("RENEW")];
            let given: Vec<_> = match reasons {
                [] => any.to_vec(),
                some => some.iter().copied().map(Some).collect(),
            };
            for (reason, severity) in given.into_iter().flat_map(|it| [100, 301, 500].map(|each| (it, each)))
            {
                sent.push(synchronize(severity, request_type, reason));
                expected.push((vec![operation], Vec::<&str>::new()));
            }
        }
        // Pairs that no operation lists.
        for (request_type, reason) in [(64, None), (1, Some("NONE")), (4, None)] {
            sent.push(synchronize(100, request_type, reason));
            expected.push((Vec::new(), vec!["OPERATION_NOT_LISTED"]));
        }
        let read = block_on(async { stored(&mut server.audit().await, sent.clone()).await });
        for ((event, expected), sent) in read.iter().zip(&expected).zip(&sent) {
            assert_eq!(&(values(event, "operation_type"), warned(event)), expected, "{:?}", sent.family);
        }
    }
}
