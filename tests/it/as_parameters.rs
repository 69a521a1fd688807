//! The parameter texts of ActivID AS records: every line of the vendor's samples is read, in order and
//! with its repeats, and the outcome is what the record says and never a guess.
use std::collections::HashMap;

use chancery::proto::v1::{
    AsAuditEvent, AsParameter, Event, EventFamily, NewEvent, Outcome, new_event::Family,
};
use regex::Regex;

use crate::harness::{
    KINDS, Kind, TestStore, block_on, events,
    events::in_order,
    log::{judged, stored, values, warned},
    server::Server,
    types,
};

fn raw(text: &str) -> NewEvent {
    record(AsAuditEvent { raw_parameters: text.to_owned(), ..AsAuditEvent::default() })
}

fn record(fields: AsAuditEvent) -> NewEvent {
    events::event(Family::AsAudit(fields))
}

fn fields(event: &NewEvent) -> &AsAuditEvent {
    match &event.family {
        Some(Family::AsAudit(fields)) => fields,
        other => panic!("not an AS record: {other:?}"),
    }
}

/// What both stores give back for these events.
fn read(events: &[NewEvent]) -> Vec<Vec<Event>> {
    KINDS
        .map(|kind| {
            let store = TestStore::new(kind);
            let server = Server::start(&store);
            block_on(async { stored(&mut server.audit().await, events.to_vec()).await })
        })
        .into()
}

/// Attribute name by parameter code, from the catalog's shapes.
fn names() -> HashMap<String, String> {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let types =
        block_on(async { types::all(&mut server.catalog().await, &[EventFamily::AsAudit], 1000).await });
    let fields = types.iter().flat_map(|each| &each.shapes).flat_map(|shape| &shape.fields);
    let name = |field: &chancery::proto::v1::FieldShape| {
        let code = field.field.trim_start_matches("parameters[").trim_end_matches(']');
        (code.to_owned(), field.attributes[0].name.clone())
    };
    fields.map(name).collect()
}

/// Code and value of every parameter and the action, read by a second, simpler grammar: no value of the
/// examples' text form holds a quote.
fn pairs(text: &str) -> (Vec<(String, String)>, Option<String>) {
    let pair = Regex::new(r#"([A-Za-z_][A-Za-z0-9_]*)=(?:"([^"]*)"|([^\s"]+))"#).expect("a pattern");
    let (mut pairs, mut action) = (Vec::new(), None);
    for found in pair.captures_iter(text) {
        let value = found.get(2).or_else(|| found.get(3)).map_or("", |value| value.as_str()).to_owned();
        if &found[1] == "Action" { action = Some(value) } else { pairs.push((found[1].to_owned(), value)) }
    }
    (pairs, action)
}

#[test]
fn every_raw_line_of_the_samples_comes_back_named_and_in_order() {
    let names = names();
    let examples = events::examples("as_audit");
    let sent: Vec<_> = examples
        .into_iter()
        .filter(|event| {
            let text = &fields(event).raw_parameters;
            // The JSON form has a test of its own below.
            !text.is_empty() && !text.starts_with('{')
        })
        .collect();
    assert!(sent.len() >= 134, "{} raw lines", sent.len());
    for read in read(&sent) {
        for (sent, event) in sent.iter().zip(&read) {
            let fields = fields(sent);
            let text = &fields.raw_parameters;
            let (pairs, action) = pairs(text);
            assert_eq!(Some(event.code.as_str()), action.as_deref().or(Some(&fields.action)), "{text}");
            let mut expected = Vec::new();
            let mut unknown = 0;
            for (code, value) in pairs {
                if code == "TRA" {
                    expected.push(("session_transfer_code".to_owned(), String::new(), true));
                } else if !value.trim().is_empty() && value.trim() != "null" {
                    unknown += usize::from(!names.contains_key(&code));
                    let unlisted = || format!("parameter_{}", code.to_lowercase());
                    expected.push((names.get(&code).cloned().unwrap_or_else(unlisted), value, false));
                }
            }
            let all = in_order(event).into_iter().map(|it| (it.name.clone(), it.value.clone(), it.dropped));
            // The columns of the record come first, the parameters after them in the order of the text.
            let all: Vec<_> = all.collect();
            let parameters = all.split_at(all.len().saturating_sub(expected.len())).1;
            assert_eq!(parameters, expected, "{text}");
            assert_eq!(warned(event), vec!["UNKNOWN_KEY"; unknown], "{text}");
        }
    }
}

#[test]
fn order_and_repeats_are_kept() {
    let text = r#"GRC="USG_OLD" GRC="USG_NEW" ATA="FIRSTNAME" ATV="Ann" ATA="TITLE" ATV="" ATA="MAIL" ATV="a@b.example" GRC="USG_OLD"Action=moveUserSubGroup"#;
    let (pairs, _) = pairs(text);
    let list = pairs.into_iter().map(|(code, value)| AsParameter { code, value }).collect();
    let listed =
        AsAuditEvent { action: "moveUserSubGroup".to_owned(), parameters: list, ..AsAuditEvent::default() };
    for read in read(&[raw(text), record(listed)]) {
        for event in &read {
            assert_eq!(event.code, "moveUserSubGroup");
            assert_eq!(values(event, "group_code"), ["USG_OLD", "USG_NEW", "USG_OLD"]);
            let names: Vec<_> = in_order(event).into_iter().map(|it| it.name.as_str()).collect();
            let (code, value) = ("attribute_type_code", "attribute_value");
            // The empty value of TITLE is none.
            assert_eq!(names, ["group_code", "group_code", code, value, code, code, value, "group_code"]);
        }
        let source = read[0].source.as_ref().expect("a source");
        assert_eq!(fields(source).raw_parameters, text, "the text itself is kept");
    }
}

#[test]
fn the_outcome_is_what_the_record_says() {
    let with = |raw: &str, status: Option<&str>, response: Option<&str>| {
        record(AsAuditEvent {
            raw_parameters: raw.to_owned(),
            status: status.map(str::to_owned),
            response: response.map(str::to_owned),
            ..AsAuditEvent::default()
        })
    };
    let plain = r#"ATC="AT_CUSTPW" USN="ann"Action=primaryAuthenticateUP"#;
    let failed = r#"ATC="AT_CUSTPW" FAC="wrong password" USN="ann"Action=primaryAuthenticateUP"#;
    let no_cause = r#"FAC="null" FAC=""Action=primaryAuthenticateUP"#;
    let (unknown, success, failure) = (Outcome::Unknown, Outcome::Success, Outcome::Failure);
    let cases = [
        (with(plain, None, None), unknown, vec![]),
        (with(plain, Some("null"), Some("")), unknown, vec![]),
        (with(no_cause, None, None), unknown, vec![]),
        (with(failed, None, None), failure, vec![]),
        (with(plain, Some("RESPONSE_SUCCESS"), None), success, vec![]),
        (with(plain, None, Some("SUCCESS")), success, vec![]),
        (with(plain, Some("RESPONSE_FAILURE"), None), failure, vec![]),
        (with(failed, Some("RESPONSE_SUCCESS"), None), failure, vec!["OUTCOME_CONTRADICTORY"]),
        (with(plain, Some("RESPONSE_SUCCESS"), Some("DENIED")), failure, vec!["OUTCOME_CONTRADICTORY"]),
    ];
    let sent: Vec<_> = cases.iter().map(|case| case.0.clone()).collect();
    for read in read(&sent) {
        for (at, (event, (_, outcome, warnings))) in read.iter().zip(&cases).enumerate() {
            assert_eq!((event.outcome(), warned(event)), (*outcome, warnings.clone()), "case {at}");
        }
    }
}

#[test]
fn the_json_form_of_the_appliance_says_the_same() {
    let text = r#"ATC="AT_LDAP" USN="o&quot;neil" ATA="A" ATV="1" ATA="B" ATV="2"Action=createUser"#;
    let json = r#" {"ATC":"AT_LDAP","Action":"createUser","USN":"o&quot;neil","ATA":"A","ATV":1,"ATA":"B","ATV":"2"}"#;
    for read in read(&[raw(text), raw(json)]) {
        assert_eq!(read[0].attributes, read[1].attributes);
        assert_eq!(read[1].attributes.len(), 6);
        for event in &read {
            assert_eq!((event.code.as_str(), event.subject.as_str()), ("createUser", "o&quot;neil"));
            assert!(warned(event).is_empty(), "{:?}", event.warnings);
        }
    }
}

#[test]
fn what_is_no_parameter_text_is_refused_with_its_offset_and_without_its_content() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let cases = [
        (r#"ATC="x Action=createUser"#, "at byte 4"),
        (r#"hunter2 ATC="x""#, "at byte 0"),
        (r#"{"ATC":["hunter2"],"Action":"createUser"}"#, "at byte 7"),
        ("Action=createUser Action=deleteUser", "at byte 18"),
    ];
    block_on(async {
        for (text, place) in cases {
            let result = judged(&mut server.audit().await, raw(text)).await;
            let error = result.error.expect("an error");
            assert!(error.message.contains("as_audit.raw_parameters"), "{}", error.message);
            assert!(error.message.contains(place), "{text}: {}", error.message);
            assert!(!error.message.contains("hunter2"), "{}", error.message);
        }
    });
}

#[test]
fn a_text_with_two_readings_is_accepted_and_flagged() {
    let text = r#"FAC="told "no" twice" DID="1"Action=createUser"#;
    for read in read(&[raw(text)]) {
        assert_eq!(values(&read[0], "failure_cause"), [r#"told "no" twice"#]);
        assert_eq!(values(&read[0], "device_id"), ["1"]);
        assert_eq!(warned(&read[0]), ["AMBIGUOUS_PARAMETERS"]);
    }
}
