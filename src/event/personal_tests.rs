//! Every example event through seal: what its record says, what lies beside it, and what is left after an erasure.
use std::collections::BTreeMap;

use super::{super::*, *};
use crate::{
    catalog::{
        self, Catalog, Suggestions,
        model::{Field, Role},
        reading::{Origin, Personal},
    },
    clock::SystemClock,
    proto::v1::{Event, NewEvent, new_event::Family},
};

const EXAMPLES: [&str; 4] = [
    include_str!("../../examples/cms_audit.ndjson"),
    include_str!("../../examples/cms_notification.ndjson"),
    include_str!("../../examples/as_audit.ndjson"),
    include_str!("../../examples/token_server.ndjson"),
];

fn examples() -> Vec<NewEvent> {
    let lines = EXAMPLES.iter().flat_map(|text| text.lines());
    lines.map(|line| serde_json::from_str(line).expect("an event")).collect()
}

fn catalog() -> Catalog {
    Catalog::load([], Default::default()).expect("the embedded catalog")
}

fn sealed(catalog: &Catalog, event: NewEvent) -> SealedEvent {
    let parsed = ParsedEvent::parse(event, &SystemClock).unwrap_or_else(|refused| panic!("{refused:?}"));
    let valid = admit(catalog, parsed, &mut Suggestions::default())
        .unwrap_or_else(|refused| panic!("{:?}", refused.rejection));
    let log = LogName::parse("").expect("a log");
    let producer = Producer::anonymous();
    seal(valid, &Receipt { log: &log, producer: &producer, received_at: 1, clock: &SystemClock })
}

/// As it goes over the wire.
fn wire(sealed: &SealedEvent) -> Vec<u8> {
    put_together(sealed.record(), sealed.personal())
}

fn put_together(record: &[u8], personal: &[u8]) -> Vec<u8> {
    let tail = Event {
        position: Some(7),
        leaf_hash: leaf_hash(record).to_vec().into(),
        record_size: u32::try_from(record.len()).expect("a record"),
        ..Event::default()
    };
    [record, personal, &tail.encode_to_vec()].concat()
}

/// All texts of a source, keys of maps and codes left out.
fn texts(family: &Family) -> Vec<&String> {
    match family {
        Family::CmsAudit(it) => [&it.client_id, &it.operator_id, &it.char1, &it.char2, &it.error_message]
            .into_iter()
            .flatten()
            .collect(),
        Family::CmsNotification(it) => {
            let fields =
                [&it.client_id, &it.operator_id, &it.char1, &it.char2, &it.char3, &it.status_description];
            fields.into_iter().flatten().chain(it.credential_values.values()).collect()
        }
        Family::AsAudit(it) => {
            let fields = [
                &it.user_id,
                &it.target_user_id,
                &it.direct_external_reference,
                &it.host_address,
                &it.message,
            ];
            let list = it.parameters.iter().map(|each| &each.value);
            fields.into_iter().flatten().chain(list).chain([&it.raw_parameters]).collect()
        }
        Family::TokenServer(it) => {
            let fields = [&it.user_id, &it.client_ip, &it.user_agent];
            fields.into_iter().flatten().chain(it.details.values()).collect()
        }
        Family::Chancery(it) => it.details.values().collect(),
    }
}

#[test]
fn record_and_fragments_are_the_whole_event() {
    let catalog = catalog();
    let mut committed = 0;
    for example in examples() {
        let source = example.family.clone().expect("a family");
        let sealed = sealed(&catalog, example);
        let whole = decode(sealed.record(), sealed.personal()).expect("an event");
        let family = whole.source.as_ref().and_then(|source| source.family.as_ref()).expect("a family");
        // The examples hold a few secrets, which are gone for good.
        if !whole.attributes.iter().any(|each| each.dropped) {
            assert_eq!(family, &source, "{}", whole.event_id);
        }
        assert_eq!(
            format!("{:?}", Columns::of(&whole)),
            format!("{:?}", sealed.columns()),
            "{}",
            whole.event_id
        );
        let record = Event::decode(sealed.record()).expect("a record");
        assert_eq!(record.record_version, RECORD_VERSION);
        assert_eq!(record.commitments.len(), whole.openings.len());
        assert!(record.commitments.iter().all(|each| each.len() == 32));
        committed += record.commitments.len();
    }
    assert!(committed > 300, "{committed} commitments");
}

#[test]
fn a_record_holds_no_personal_value() {
    let catalog = catalog();
    let mut checked = 0;
    for example in examples() {
        let sealed = sealed(&catalog, example);
        let record = Event::decode(sealed.record()).expect("a record");
        let mut left: Vec<&str> = record.attributes.iter().map(|each| each.value.as_str()).collect();
        left.extend([
            record.actor.as_str(),
            &record.subject,
            &record.device,
            &record.correlation_id,
            &record.name,
        ]);
        for fragment in fragments(sealed.personal()).expect("fragments") {
            for attribute in &fragment.attributes {
                let public = left.contains(&attribute.value.as_str());
                // A number of one digit stands anywhere; so may what another, public field says as well.
                if attribute.value.len() < 4 || public {
                    continue;
                }
                let value = attribute.value.as_bytes();
                let found = sealed.record().windows(value.len()).any(|bytes| bytes == value);
                assert!(
                    !found,
                    "{} of {}: {:?} is in the record",
                    attribute.name, record.code, attribute.value
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 200, "{checked} values");
}

#[test]
fn every_commitment_opens_and_no_other_bytes_do() {
    let catalog = catalog();
    let mut seen = 0;
    for example in examples() {
        let sealed = sealed(&catalog, example);
        let wire = wire(&sealed);
        let parts = open(&wire).expect("an event");
        assert_eq!(parts.record, sealed.record());
        assert!(parts.values.iter().all(|each| each.value == Value::Valid), "{:?}", parts.values);
        if sealed.personal().is_empty() || seen > 40 {
            continue;
        }
        seen += 1;
        // One bit of anything that lies beside the record, and something is wrong.
        for at in 0..sealed.personal().len() {
            let mut personal = sealed.personal().to_vec();
            personal[at] ^= 1 << (at % 8);
            let altered = put_together(sealed.record(), &personal);
            let found = open(&altered).is_ok_and(|parts| {
                parts.values.iter().all(|each| each.value == Value::Valid)
                    && parts.event == open(&wire).expect("an event").event
            });
            assert!(!found, "byte {at} of {}", sealed.personal().len());
        }
        let mut more = sealed.personal().to_vec();
        more.extend(Event { actor: "somebody".to_owned(), ..Event::default() }.encode_to_vec());
        assert_eq!(open(&put_together(sealed.record(), &more)), Err(NotAnEvent::Uncommitted));
        // An empty text reads like none, and would blank the one that was committed to.
        let mut blank = sealed.personal().to_vec();
        blank.extend([13 << 3 | 2, 0]);
        assert_eq!(open(&put_together(sealed.record(), &blank)), Err(NotAnEvent::Uncommitted));
        assert!(matches!(open(&put_together(sealed.record(), &[])), Err(NotAnEvent::Openings { .. })));
    }
    assert!(seen > 30, "{seen} events");
}

#[test]
fn what_is_erased_is_gone_and_the_rest_stays_as_it_was() {
    let catalog = catalog();
    let mut erased = 0;
    for example in examples() {
        let sealed = sealed(&catalog, example);
        let before = fragments(sealed.personal()).expect("fragments");
        for (wanted, gone) in before.iter().enumerate() {
            let mut at = 0;
            let erasure = erase(sealed.personal(), |_| {
                at += 1;
                at == wanted + 1
            });
            let erasure = erasure.expect("an erasure").expect("a value");
            assert_eq!(erasure.values, 1);
            let wire = put_together(sealed.record(), &erasure.personal);
            let parts = open(&wire).expect("an event");
            for (number, value) in parts.values.iter().enumerate() {
                let expected = if number == wanted { Value::Erased } else { Value::Valid };
                assert_eq!(value.value, expected);
            }
            let names: Vec<_> = gone.attributes.iter().map(|each| each.name.clone()).collect();
            assert_eq!(parts.values[wanted].attributes, names);
            let left: Vec<_> = parts.event.attributes.iter().filter(|each| each.erased).collect();
            assert_eq!(left.len(), names.len());
            assert!(left.iter().all(|each| each.value.is_empty()));
            assert_eq!(parts.event.openings[wanted].salt.len(), 0);
            // A second time there is nothing to do for it.
            let again = erase(&erasure.personal, |read| read == gone).expect("an erasure");
            assert!(again.is_none_or(
                |again| again.values > 0 && before.iter().filter(|each| *each == gone).count() > 1
            ));
            // A value in the place of an erased one is a forgery.
            let forged = Event { openings: parts.event.openings.clone(), ..Event::default() }.encode_to_vec();
            let shorter = [&erasure.personal[..0], forged.as_slice()].concat();
            assert!(open(&put_together(sealed.record(), &shorter)).is_err());
            erased += 1;
        }
    }
    assert!(erased > 300, "{erased} values");
}

/// A message with every field set: the numbers of the fields are written down twice.
fn every_field() -> Vec<(Family, Vec<Origin>)> {
    let text = |text: &str| Some(text.to_owned());
    let fields = |family| Field::of(family).iter().copied().map(Origin::Field);
    let map = BTreeMap::from([("one".to_owned(), "1".to_owned()), ("two".to_owned(), "2".to_owned())]);
    let cms = v1::CmsAuditEvent {
        client_id: text("a"),
        operator_id: text("b"),
        num1: Some(-1),
        num2: Some(2),
        char1: text("c"),
        char2: text("d"),
        error_number: Some(3),
        error_message: text("e"),
        ..v1::CmsAuditEvent::default()
    };
    let notification = v1::CmsNotificationEvent {
        status_description: text("z"),
        client_id: text("a"),
        operator_id: text("b"),
        num1: Some(-1),
        num2: Some(2),
        char1: text("c"),
        char2: text("d"),
        char3: text("e"),
        credential_values: map.clone(),
        ..v1::CmsNotificationEvent::default()
    };
    let audit = v1::AsAuditEvent {
        parameters: vec![v1::AsParameter { code: "A".to_owned(), value: "1".to_owned() }],
        raw_parameters: "A=1".to_owned(),
        domain: text("a"),
        channel: text("b"),
        user_id: text("c"),
        target_user_id: text("d"),
        direct_external_reference: text("e"),
        indirect_external_reference: text("f"),
        host_address: text("g"),
        status: text("h"),
        response: text("i"),
        message: text("j"),
        authentication_type_code: text("k"),
        correlation_type: text("l"),
        entity_id: text("m"),
        entity_type: text("n"),
        event_type: text("o"),
        ..v1::AsAuditEvent::default()
    };
    let token = v1::TokenServerEvent {
        client_id: text("a"),
        user_id: text("b"),
        client_ip: text("c"),
        user_agent: text("d"),
        transaction_id: text("e"),
        details: map,
        ..v1::TokenServerEvent::default()
    };
    let columns = |names: &[&'static str]| names.iter().map(|name| Origin::Column(name)).collect::<Vec<_>>();
    let keys = || ["one", "two"].map(|key| Origin::Key(key.to_owned()));
    let audit_columns = [
        "domain",
        "channel",
        "user_id",
        "target_user_id",
        "direct_external_reference",
        "indirect_external_reference",
        "host_address",
        "status",
        "response",
        "message",
        "authentication_type_code",
        "correlation_type",
        "entity_id",
        "entity_type",
        "event_type",
    ];
    let of_notification = fields(catalog::model::Family::CmsNotification).chain(keys());
    let of_token = columns(&["client_id", "user_id", "client_ip", "user_agent", "transaction_id"]);
    vec![
        (Family::CmsAudit(cms), fields(catalog::model::Family::CmsAudit).collect()),
        (
            Family::CmsNotification(notification),
            of_notification.chain([Origin::Column("status_description")]).collect(),
        ),
        (Family::AsAudit(audit), columns(&audit_columns).into_iter().chain([Origin::Parameters]).collect()),
        (Family::TokenServer(token), of_token.into_iter().chain(keys()).collect()),
    ]
}

#[test]
fn every_field_of_a_source_leaves_the_record_and_comes_back() {
    for (family, origins) in every_field() {
        let mut event = Event {
            actor: "actor".to_owned(),
            subject: "subject".to_owned(),
            device: "device".to_owned(),
            source: Some(NewEvent { family: Some(family), ..NewEvent::default() }),
            ..Event::default()
        };
        let attribute = |number: usize| v1::Attribute { name: format!("a{number}"), ..Default::default() };
        event.attributes = (0..origins.len()).map(attribute).collect();
        let whole = event.clone();
        let roles = [Role::Actor, Role::Subject, Role::Device];
        let personal = origins.iter().enumerate().map(|(attribute, origin)| Personal {
            attribute,
            roles: roles.get(attribute).copied().into_iter().collect(),
            origin: origin.clone(),
        });
        let personal: Vec<_> = personal.collect();
        let beside = super::super::fragments::take(&mut event, &personal, &SystemClock);
        let left = event.source.as_ref().and_then(|source| source.family.as_ref()).expect("a family");
        assert!(texts(left).iter().all(|text| text.is_empty()), "{left:?}");
        assert_eq!((event.actor.as_str(), event.attributes.len()), ("", 0));
        let mut read = decode(&event.encode_to_vec(), &beside).expect("an event");
        read.commitments.clear();
        read.openings.clear();
        for attribute in &mut read.attributes {
            attribute.place = None;
        }
        assert_eq!(read, whole);
    }
}

#[test]
fn two_values_in_one_field_leave_it_together_and_stay_apart() {
    let catalog = catalog();
    let example = examples().into_iter().find(|event| match &event.family {
        Some(Family::AsAudit(event)) => event.raw_parameters.contains("USN=\"m.okafor"),
        _ => false,
    });
    let sealed = sealed(&catalog, example.expect("an example"));
    let record = Event::decode(sealed.record()).expect("a record");
    let Some(Family::AsAudit(source)) = record.source.and_then(|source| source.family) else {
        panic!("a family")
    };
    assert_eq!((source.raw_parameters.as_str(), source.parameters.len()), ("", 0));
    let with_list =
        fragments(sealed.personal()).expect("fragments").into_iter().filter(|each| each.source.is_some());
    let lists: Vec<_> = with_list.filter(|each| each.attributes.is_empty()).collect();
    assert_eq!(lists.len(), 1, "the parameters as one");
}

#[test]
fn values_that_are_withheld_are_told_to_be_and_nothing_lies_in_their_place() {
    let catalog = catalog();
    let (mut seen, mut commitments) = (0, 0);
    for event in examples() {
        let sealed = sealed(&catalog, event);
        let said = Event { personal_withheld: true, ..Event::default() }.encode_to_vec();
        let withheld = [put_together(sealed.record(), &[]), said.clone()].concat();
        let parts = open(&withheld).expect("an event");
        assert_eq!(parts.record, sealed.record());
        let committed = Event::decode(sealed.record()).expect("a record").commitments.len();
        assert!(parts.values.iter().all(|each| each.value == Value::Withheld && each.attributes.is_empty()));
        assert_eq!(parts.values.len(), committed);
        commitments += committed;
        // Without the word it is not what the record commits to; with the word nothing may be there.
        let silent = open(&put_together(sealed.record(), &[])).map(|parts| parts.values.len());
        assert_eq!(
            silent,
            if committed == 0 {
                Ok(0)
            } else {
                Err(NotAnEvent::Openings { commitments: committed, openings: 0 })
            }
        );
        if !sealed.personal().is_empty() {
            let both = [wire(&sealed), said.clone()].concat();
            assert_eq!(open(&both), Err(NotAnEvent::Uncommitted));
            seen += 1;
        }
        // A record cannot say it for itself.
        let within = [sealed.record(), &said[..]].concat();
        assert_eq!(open(&put_together(&within, sealed.personal())), Err(NotAnEvent::Uncommitted));
        // Without a record there is nothing to open.
        let left = Event { personal_withheld: true, ..Event::decode(sealed.record()).expect("a record") };
        assert_eq!(open(&left.encode_to_vec()), Err(NotAnEvent::NoRecord));
    }
    assert!(seen > 10 && commitments > seen, "{seen} {commitments}");
}
