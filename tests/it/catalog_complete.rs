//! The catalog holds every fact of the vendor documents: a missing code, row, severity or field fails.
use std::collections::{BTreeMap, BTreeSet};

use chancery::proto::v1::{EventFamily, EventShape, EventType, FieldShape, Outcome};

use crate::{
    harness::{Kind, TestStore, block_on, server::Server, types},
    seeds,
};

/// What the documents print of a notification event and the catalog corrects, with the reason
/// (source-formats.md, section E.3). Code and name as printed, code and name in the catalog.
const CORRECTED: [(&str, &str, &str, &str); 4] = [
    // The footnote mark 1 stands glued to 10012.
    ("100121", "SynchronizeDevice", "10012", "SynchronizeDevice"),
    // The right name stands in the cell of Status.
    ("20008", "CredentialRequest", "20008", "CredentialIssued"),
    // Printed with the name of 21003.
    ("21011", "CredProvProcessCredential", "21011", "CredProvCredentialCreated"),
    // Printed with the name of 21012.
    ("21013", "CredProvCredentialUpdated", "21013", "CredProvCredentialProcessed"),
];

/// The vendor's fields of a family, in the catalog's order.
const CMS_AUDIT_FIELDS: [&str; 8] =
    ["client_id", "operator_id", "num1", "num2", "char1", "char2", "error_number", "error_message"];
const CMS_NOTIFICATION_FIELDS: [&str; 7] =
    ["client_id", "operator_id", "num1", "num2", "char1", "char2", "char3"];

fn listed(family: EventFamily) -> Vec<EventType> {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async { types::all(&mut server.catalog().await, &[family], 50).await })
}

/// The documents print 0 for a number that the row does not use, and also for the credential type PKI.
fn is_printed_as_used(field: &FieldShape) -> bool {
    !field.unused && field.attributes.iter().any(|attribute| attribute.constant != "0")
}

/// Names of the used fields of a row, after checking that the row says something of every field.
fn used_fields(code: &str, shape: &EventShape, all: &[&str]) -> Vec<String> {
    let positional: Vec<_> = shape.fields.iter().filter(|field| !field.field.contains('[')).collect();
    let names: Vec<_> = positional.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(names, all, "{code} says something of every field");
    for field in &positional {
        assert_eq!(field.unused, field.attributes.is_empty(), "{code} {}", field.field);
        assert_eq!(field.separator.is_empty(), field.attributes.len() < 2, "{code} {}", field.field);
    }
    let used = positional.into_iter().filter(|field| is_printed_as_used(field));
    used.map(|field| field.field.clone()).collect()
}

fn counted<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counted = BTreeMap::new();
    for each in all {
        *counted.entry(each).or_default() += 1;
    }
    counted
}

#[test]
fn cms_audit_has_59_ids_and_160_rows_with_their_fields() {
    let facts = seeds::table("cms_audit.tsv");
    assert_eq!(facts.len(), 160);
    let mut rows = Vec::new();
    let types = listed(EventFamily::CmsAudit);
    assert_eq!(types.len(), 59);
    for each in &types {
        if !each.reserved_reason.is_empty() {
            assert_eq!((each.code.as_str(), each.shapes.len()), ("20512", 0));
            rows.push(vec![each.code.clone(), String::new(), each.name.clone(), String::new()]);
        }
        for shape in &each.shapes {
            let severity = shape.severity.expect("a severity").to_string();
            let used = used_fields(&each.code, shape, &CMS_AUDIT_FIELDS).join(",");
            rows.push(vec![each.code.clone(), severity, each.name.clone(), used]);
        }
    }
    assert_eq!(counted(rows), counted(facts));
}

#[test]
fn cms_notification_has_39_ids_with_their_fields() {
    let types = listed(EventFamily::CmsNotification);
    assert_eq!(types.len(), 39);
    let mut printed = BTreeSet::new();
    for each in &types {
        // A field counts as used when a variant uses it: one printed table stands for all of them.
        let mut used = BTreeSet::new();
        for shape in &each.shapes {
            used.extend(used_fields(&each.code, shape, &CMS_NOTIFICATION_FIELDS));
            assert_eq!(shape.statuses, [0, 1], "{}", each.code);
        }
        let used: Vec<_> =
            CMS_NOTIFICATION_FIELDS.into_iter().filter(|field| used.contains(*field)).collect();
        let corrected = CORRECTED.iter().find(|(_, _, code, _)| *code == each.code);
        let (code, name) = match corrected {
            Some((code, name, _, right)) => {
                assert_eq!(each.name, *right);
                (*code, *name)
            }
            None => (each.code.as_str(), each.name.as_str()),
        };
        printed.insert(vec![code.to_owned(), name.to_owned(), used.join(",")]);
    }
    assert_eq!(printed, seeds::table("cms_notification.tsv").into_iter().collect());
}

#[test]
fn corrected_spellings_stay_known() {
    for each in listed(EventFamily::CmsNotification) {
        let (aliases, names) = match CORRECTED.iter().find(|(_, _, code, _)| *code == each.code) {
            Some((code, name, right_code, right_name)) => (
                Vec::from_iter((code != right_code).then(|| (*code).to_owned())),
                Vec::from_iter((name != right_name).then(|| (*name).to_owned())),
            ),
            None => (Vec::new(), Vec::new()),
        };
        assert_eq!((&each.aliases, &each.old_names), (&aliases, &names), "{}", each.code);
    }
}

#[test]
fn credential_objects_have_17_and_3_and_3_keys() {
    let types = listed(EventFamily::CmsNotification);
    let keys = |code: &str, variant: &str| {
        let event_type = types.iter().find(|each| each.code == code).expect("a type");
        let shape = event_type.shapes.iter().find(|shape| shape.variant == variant).expect("a variant");
        shape.fields.iter().filter(|field| field.field.starts_with("credential_values[")).count()
    };
    assert_eq!(keys("20008", "ski"), 17);
    assert_eq!(keys("20008", "emergency_password"), 3);
    assert_eq!(keys("20008", "pki"), 0);
    for code in ["21001", "21002", "21003", "21011", "21012", "21013"] {
        assert_eq!(keys(code, ""), 3, "{code}");
    }
}

#[test]
fn as_audit_has_119_actions_in_17_categories_with_54_parameter_codes() {
    let types = listed(EventFamily::AsAudit);
    assert_eq!(types.len(), 119);
    let mut pairs = BTreeSet::new();
    let mut codes = BTreeSet::new();
    for each in &types {
        for category in std::iter::once(&each.category).chain(&each.other_categories) {
            pairs.insert(vec![category.clone(), each.code.clone()]);
        }
        let [shape] = each.shapes.as_slice() else { panic!("{} has one shape", each.code) };
        for field in &shape.fields {
            let code = field.field.strip_prefix("parameters[").and_then(|rest| rest.strip_suffix(']'));
            codes.insert(code.expect("a parameter").to_owned());
            assert_eq!(field.attributes.len(), 1, "{} {}", each.code, field.field);
        }
        assert_eq!(shape.outcome(), Outcome::Unknown, "{}: the outcome is in the record", each.code);
    }
    assert_eq!(pairs, seeds::table("as_audit.tsv").into_iter().collect());
    let categories: BTreeSet<_> = pairs.iter().map(|pair| &pair[0]).collect();
    assert_eq!(categories.len(), 17);
    let facts: BTreeSet<_> = seeds::committed("as_audit_codes.txt").lines().map(str::to_owned).collect();
    assert_eq!(facts.len(), 54);
    assert_eq!(codes, facts);
}

#[test]
fn token_server_has_272_types_in_the_order_of_the_list() {
    let types = listed(EventFamily::TokenServer);
    let codes: Vec<_> = types.iter().map(|each| each.code.as_str()).collect();
    assert_eq!(codes.len(), 272);
    assert_eq!(codes, seeds::committed("token_server.txt").lines().collect::<Vec<_>>());
    for each in &types {
        let [shape] = each.shapes.as_slice() else { panic!("{} has one shape", each.code) };
        assert_ne!(shape.outcome(), Outcome::Unspecified, "{}", each.code);
    }
}

#[test]
fn every_type_is_described_once() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    let types = block_on(async { types::all(&mut server.catalog().await, &[], 50).await });
    assert_eq!(types.len(), 59 + 39 + 119 + 272 + 21);
    let mut summaries = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for each in &types {
        assert!(keys.insert((each.family, &each.code)), "{} twice", each.code);
        assert!(!each.name.is_empty() && !each.category.is_empty(), "{}", each.code);
        let sentence = each.summary.ends_with('.') && each.summary.len() > 10;
        assert!(sentence, "{}: {:?} is no sentence", each.code, each.summary);
        if let Some(other) = summaries.insert((each.family, &each.summary), &each.code) {
            panic!("{} and {other} share the summary {:?}", each.code, each.summary);
        }
    }
}
