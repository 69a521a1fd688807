//! Every event type works as the catalog says it does: an event built from nothing but the type's own
//! shapes is accepted and comes back with every named attribute, on both stores.
use chancery::proto::v1::{
    AsAuditEvent, AsParameter, AttributeClass, AttributeShape, CmsAuditEvent, CmsNotificationEvent, Event,
    EventFamily, EventShape, EventType, NewEvent, Outcome, TokenServerEvent, ValueType, new_event::Family,
};

use crate::harness::{
    KINDS, TestStore, block_on,
    events::event,
    log::{append, read_all},
    server::Server,
    types,
};

/// An event, and what the catalog promises of it.
struct Case {
    sent: NewEvent,
    code: String,
    name: String,
    category: String,
    variant: String,
    severity: Option<u32>,
    outcome: Outcome,
    /// Name, value and whether it must be dropped; sorted, because maps have no order.
    attributes: Vec<(String, String, bool)>,
    /// Column and value.
    roles: Vec<(&'static str, String)>,
}

/// A value that the attribute takes: its constant, a listed value, or one of its type.
fn value(attribute: &AttributeShape) -> String {
    if !attribute.constant.is_empty() {
        return attribute.constant.clone();
    }
    match (attribute.name.as_str(), attribute.allowed_values.first()) {
        // Together they make an operation; the first listed ones do not.
        ("request_type", _) => "64".to_owned(),
        ("request_reason", _) => "RENEW".to_owned(),
        (_, Some(listed)) => listed.value.clone(),
        (_, None) if attribute.r#type() == ValueType::Integer => "7".to_owned(),
        (name, None) => format!("A {name}"),
    }
}

/// Field and text of every used field of a shape.
fn filled(shape: &EventShape) -> Vec<(String, String)> {
    let used = shape.fields.iter().filter(|field| !field.unused);
    used.map(|field| {
        let values: Vec<_> = field.attributes.iter().map(value).collect();
        (field.field.clone(), values.join(&field.separator))
    })
    .collect()
}

/// The text inside the brackets of `map[key]` fields.
fn keyed<'f>(fields: &'f [(String, String)], map: &str) -> impl Iterator<Item = (String, String)> + 'f {
    let prefix = format!("{map}[");
    fields.iter().filter_map(move |(field, text)| {
        let key = field.strip_prefix(&prefix)?.strip_suffix(']')?;
        Some((key.to_owned(), text.clone()))
    })
}

fn sent(event_type: &EventType, shape: &EventShape, status: u32) -> NewEvent {
    let fields = filled(shape);
    let text = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, text)| text.clone());
    let number = |name: &str| text(name).map(|text| text.parse::<i32>().expect("an integer"));
    let code = event_type.code.clone();
    event(match event_type.family() {
        EventFamily::CmsAudit => Family::CmsAudit(CmsAuditEvent {
            code,
            severity: shape.severity.expect("a severity"),
            description: event_type.name.clone(),
            interface: String::new(),
            client_id: text("client_id"),
            operator_id: text("operator_id"),
            num1: number("num1"),
            num2: number("num2"),
            char1: text("char1"),
            char2: text("char2"),
            error_number: number("error_number"),
            error_message: text("error_message"),
        }),
        EventFamily::CmsNotification => Family::CmsNotification(CmsNotificationEvent {
            code,
            description: event_type.name.clone(),
            status,
            status_description: None,
            client_id: text("client_id"),
            operator_id: text("operator_id"),
            num1: number("num1"),
            num2: number("num2"),
            char1: text("char1"),
            char2: text("char2"),
            char3: text("char3"),
            credential_values: keyed(&fields, "credential_values").collect(),
        }),
        EventFamily::AsAudit => Family::AsAudit(AsAuditEvent {
            action: code,
            parameters: keyed(&fields, "parameters")
                .map(|(code, value)| AsParameter { code, value })
                .collect(),
            ..AsAuditEvent::default()
        }),
        EventFamily::TokenServer => Family::TokenServer(TokenServerEvent {
            r#type: code,
            client_id: text("client_id"),
            user_id: text("user_id"),
            client_ip: text("client_ip"),
            user_agent: text("user_agent"),
            transaction_id: text("transaction_id"),
            details: keyed(&fields, "details").collect(),
        }),
        EventFamily::Chancery | EventFamily::Unspecified => {
            panic!("{} has family of a producer", event_type.code)
        }
    })
}

fn case(event_type: &EventType, shape: &EventShape, status: u32) -> Case {
    let named: Vec<_> = shape.fields.iter().flat_map(|field| &field.attributes).collect();
    let mut attributes = Vec::new();
    let mut roles: Vec<(&'static str, String)> = Vec::new();
    for attribute in &named {
        let dropped = attribute.class() == AttributeClass::Secret;
        let value = value(attribute);
        for role in ["actor", "subject", "device"] {
            // The first field with a role fills the column.
            let wanted = attribute.roles.iter().any(|each| each == role);
            if wanted && !dropped && roles.iter().all(|(filled, _)| *filled != role) {
                roles.push((role, value.clone()));
            }
        }
        let value = if dropped { String::new() } else { value };
        attributes.push((attribute.name.clone(), value, dropped));
    }
    let names = |name: &str| named.iter().any(|attribute| attribute.name == name);
    if event_type.family() == EventFamily::CmsAudit && names("request_type") && names("request_reason") {
        attributes.push(("operation_type".to_owned(), "Re-issuance".to_owned(), false));
    }
    attributes.sort();
    Case {
        sent: sent(event_type, shape, status),
        code: event_type.code.clone(),
        name: event_type.name.clone(),
        category: event_type.category.clone(),
        variant: shape.variant.clone(),
        severity: shape.severity,
        outcome: match (event_type.family(), status) {
            (EventFamily::CmsNotification, 1) => Outcome::Failure,
            // The record decides: a failure cause makes a failure.
            (EventFamily::AsAudit, _) if names("failure_cause") => Outcome::Failure,
            _ => shape.outcome(),
        },
        attributes,
        roles,
    }
}

/// One case per shape and status of every type that is not reserved.
fn cases(types: &[EventType]) -> Vec<Case> {
    let mut cases = Vec::new();
    // The server's own types are not a producer's to send.
    let sent = types.iter().filter(|each| each.family() != EventFamily::Chancery);
    for each in sent.filter(|each| each.reserved_reason.is_empty()) {
        assert!(!each.shapes.is_empty(), "{} has no shape", each.code);
        for shape in &each.shapes {
            let statuses = if shape.statuses.is_empty() { &[0][..] } else { &shape.statuses };
            cases.extend(statuses.iter().map(|status| case(each, shape, *status)));
        }
    }
    cases
}

fn check(case: &Case, read: &Event) {
    let place = format!("{} {:?} {}", case.code, case.severity, case.variant);
    assert_eq!(read.event_id, case.sent.event_id, "{place}");
    assert_eq!(read.source.as_ref().and_then(|source| source.occurred_at), case.sent.occurred_at, "{place}");
    assert!(read.warnings.is_empty(), "{place}: {:?}", read.warnings);
    let mut attributes: Vec<_> =
        read.attributes.iter().map(|it| (it.name.clone(), it.value.clone(), it.dropped)).collect();
    attributes.sort();
    assert_eq!(attributes, case.attributes, "{place}");
    assert_eq!(
        (&read.code, &read.name, &read.category, &read.variant, read.severity, read.outcome()),
        (&case.code, &case.name, &case.category, &case.variant, case.severity, case.outcome),
        "{place}"
    );
    for (role, value) in &case.roles {
        let column = match *role {
            "actor" => &read.actor,
            "subject" => &read.subject,
            _ => &read.device,
        };
        assert_eq!(column, value, "{place}: {role}");
    }
}

#[test]
fn an_event_built_from_each_shape_comes_back_as_the_catalog_says() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut catalog = server.catalog().await;
            let mut asked = Vec::new();
            for listed in types::all(&mut catalog, &[], 1000).await {
                let one = types::get(&mut catalog, listed.family(), &listed.code).await.expect("a type");
                assert_eq!(one, listed, "both calls show the same");
                asked.push(one);
            }
            assert_eq!(asked.len(), 510);
            let cases = cases(&asked);
            assert!(cases.len() > 600, "{} cases", cases.len());
            let mut audit = server.audit().await;
            for batch in cases.chunks(500) {
                append(&mut audit, batch.iter().map(|case| case.sent.clone()).collect()).await;
            }
            let read = read_all(&mut audit).await;
            assert_eq!(read.len(), cases.len());
            for (case, read) in cases.iter().zip(&read) {
                check(case, read);
            }
        });
    }
}

/// The one type without a shape: known, and refused with the reason that the catalog shows.
#[test]
fn the_reserved_id_is_refused_with_its_reason() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let reserved = types::get(&mut server.catalog().await, EventFamily::CmsAudit, "20512").await;
        let reason = reserved.expect("a type").reserved_reason;
        let offered = event(Family::CmsAudit(CmsAuditEvent {
            code: "20512".to_owned(),
            severity: 100,
            ..CmsAuditEvent::default()
        }));
        let result = crate::harness::log::judged(&mut server.audit().await, offered).await;
        let error = result.error.expect("an error");
        assert!(error.message.contains(&reason), "{} does not say {reason:?}", error.message);
    });
}
